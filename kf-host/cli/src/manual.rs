//! Generates man pages from the command trees.
//!
//! Much of a page's text comes from plugin authors. In roff a line that begins with a period is a request, and a
//! backslash begins an escape. The library escapes both everywhere except in headings, which are
//! [sanitised](safe_heading) before.

use std::collections::BTreeMap;
use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use kf_command::installed::Installed;
use kf_core::PluginName;
use kf_core::failure::Result;
use kf_core::text::is_unsafe;
use kf_core::tree::Example;
use kf_home::Home;
use roff::{Roff, bold, roman};

use crate::added;
use crate::app::commands_in;

const SECTION: &str = "1";

pub struct Page {
    /// `kf-command-add.1`
    pub file_name: String,
    pub text: String,
}

/// The page of one command, or of kf if `words` is empty. None if there is no such command.
pub fn page(host: Command, home: &Home, words: &[String]) -> Result<Option<Page>> {
    let manual = Manual::new(host, home);
    let mut command = &manual.command;
    for word in words {
        match command.find_subcommand(word) {
            Some(below) => command = below,
            None => return Ok(None),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(Some(manual.page(command, &words)?))
}

/// The pages of kf and of every command.
pub fn pages(host: Command, home: &Home) -> Result<Vec<Page>> {
    let manual = Manual::new(host, home);
    let mut pages = BTreeMap::new();
    manual.collect(&manual.command, &mut Vec::new(), &mut pages)?;
    Ok(pages.into_values().collect())
}

struct Manual {
    /// kf with every command, built.
    command: Command,
    installed: BTreeMap<PluginName, Installed>,
}

impl Manual {
    fn new(host: Command, home: &Home) -> Self {
        let command = added::all(host, Some(home), &|_, _, arg| arg);
        Self { command: built(command), installed: commands_in(home).by_name() }
    }

    /// Collects the pages of a command and its subcommands. kf's own commands come first: of two pages with the same
    /// name, such as those of `command add` and of an added `command-add`, the first is kept.
    fn collect<'c>(
        &'c self,
        command: &'c Command,
        words: &mut Vec<&'c str>,
        pages: &mut BTreeMap<String, Page>,
    ) -> io::Result<()> {
        let page = self.page(command, words)?;
        pages.entry(page.file_name.clone()).or_insert(page);
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            words.push(below.get_name());
            self.collect(below, words, pages)?;
            words.pop();
        }
        Ok(())
    }

    fn page(&self, command: &Command, words: &[&str]) -> io::Result<Page> {
        let added = words.split_first().and_then(|(name, below)| {
            let name = PluginName::parse(*name).ok()?;
            Some((self.installed.get(&name)?, below))
        });
        let source = match added {
            Some((installed, _)) => format!("{} {}", installed.receipt.name, installed.receipt.version),
            None => concat!("kf ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let node = added.and_then(|(installed, below)| {
            installed.tree.commands.iter().find(|node| node.path.iter().eq(below.iter()))
        });
        let examples = node.map(|node| node.examples.as_slice()).unwrap_or_default();
        let file_name = format!("{}.{SECTION}", command.get_display_name().unwrap_or("kf"));
        Ok(Page { file_name, text: rendered(command, &source, examples)? })
    }
}

/// The built command, with kf's flags in every subcommand and sanitised headings.
fn built(command: Command) -> Command {
    fn plain(command: Command) -> Command {
        let plain_arg = |arg: Arg| match arg.get_help_heading().map(safe_heading) {
            Some(heading) => arg.help_heading(heading),
            None => arg,
        };
        command.mut_args(plain_arg).mut_subcommands(plain)
    }
    let mut command = plain(command.disable_help_subcommand(true));
    command.build();
    command
}

/// A heading without characters that are special in roff, because the library does not escape headings.
fn safe_heading(heading: &str) -> String {
    heading
        .chars()
        .filter(|c| !is_unsafe(*c))
        .map(|c| if matches!(c, '\\' | '"') { '\'' } else { c })
        .collect()
}

fn rendered(command: &Command, source: &str, examples: &[Example]) -> io::Result<String> {
    // Without a date, pages are reproducible. An empty date would be omitted from the line.
    let man = Man::new(command.clone()).section(SECTION).date(" ").source(source).manual("kf manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    own_section(&mut page, |roff| {
        if examples.is_empty() {
            return;
        }
        roff.control("SH", ["EXAMPLES"]);
        for example in examples {
            roff.control("TP", []);
            roff.text([bold(format!("kf {}", example.command))]);
            roff.text([roman(example.about.as_str())]);
        }
    })?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    own_section(&mut page, |roff| {
        let footer = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !footer.is_empty() {
            roff.control("SH", ["RIGHTS"]);
            for line in footer.lines() {
                roff.text([roman(line)]);
            }
        }
        if command.get_name() != "kf" {
            roff.control("SH", ["SEE ALSO"]);
            roff.text([bold("kf"), roman("(1)")]);
        }
    })?;
    let text = String::from_utf8_lossy(&page);
    // Each section begins with the preamble, which is needed only once.
    let preamble = Roff::new().render();
    let text = format!("{preamble}{}", text.replace(&preamble, ""));
    Ok(text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_unsafe(*c)).collect())
}

fn own_section(page: &mut Vec<u8>, write: impl FnOnce(&mut Roff)) -> io::Result<()> {
    let mut roff = Roff::new();
    write(&mut roff);
    roff.to_writer(page)
}

#[cfg(test)]
mod tests {
    use kf_core::tree::{self, ArgumentKind, CommandTree};
    use serde_json::json;

    use super::*;
    use crate::added::clap_tree::{self, Frame};

    /// The requests that a page may contain.
    const REQUESTS: [&str; 10] = ["ie", "el", "TH", "SH", "TP", "PP", "RS", "RE", "IP", "br"];

    /// The lines that roff interprets as requests.
    fn requests(page: &str) -> Vec<&str> {
        page.lines().filter(|line| line.starts_with(['.', '\''])).collect()
    }

    #[test]
    fn hostile_tree_adds_no_roff_request() {
        let hostile =
            ".sy touch /tmp/x\n.so /etc/passwd\n'pso id\n\\X'ps: exec id'\\*[x]\n.\\\" \"\n\\\n.SH FORGED";
        let line = hostile.replace('\n', " ");
        let argument = |id: &str, kind: ArgumentKind| {
            let mut argument: tree::Argument = serde_json::from_value(json!({
                "id": id, "kind": kind, "help": hostile, "long_help": hostile, "heading": line,
            }))
            .unwrap();
            match kind {
                ArgumentKind::Positional => {
                    argument.default = Some(line.clone());
                    argument.value_name = Some(line.clone());
                }
                _ => argument.long = Some(id.to_owned()),
            }
            argument
        };
        let commands = serde_json::from_value(json!([
            { "path": [], "about": line, "long_about": hostile,
              "examples": [{ "command": line, "about": line }],
              "arguments": [argument("loud", ArgumentKind::Flag), argument("what", ArgumentKind::Positional)] },
            { "path": ["below"], "about": line },
        ]))
        .unwrap();
        let tree = CommandTree::new(commands).unwrap();
        let frame = Frame { name: "hostile", footer: hostile.to_owned() };
        let command = built(Command::new("kf").subcommand(clap_tree::build(&frame, &tree)));
        let hostile = command.find_subcommand("hostile").unwrap();
        let examples = &tree.commands[0].examples;
        let page = rendered(hostile, "hostile 0.1.0", examples).unwrap();
        for request in requests(&page) {
            let name = request[1..].split(' ').next().unwrap();
            assert!(REQUESTS.contains(&name) && request.starts_with('.'), "{request}\n{page}");
        }
        assert!(!page.contains("SH FORGED") || page.contains("\\&.SH FORGED"), "{page}");
        for line in page.lines().filter(|line| line.starts_with(".SH")) {
            assert!(!line.contains('\\') && line.matches('"').count() <= 2, "{line}");
        }
        // Outside headings all escapes are from the library.
        let text = page.lines().filter(|line| !line.starts_with('.')).collect::<Vec<_>>().join("\n");
        let rest = ["\\\\", "\\fB", "\\fI", "\\fR", "\\-", "\\&", "\\*(Aq"]
            .iter()
            .fold(text, |text, own| text.replace(own, ""));
        assert!(!rest.contains('\\'), "{rest}");
    }

    #[test]
    fn page_has_no_control_characters() {
        let command = built(Command::new("kf").subcommand(Command::new("x").about("a\u{1b}[2Jb\u{202e}")));
        let page = rendered(command.find_subcommand("x").unwrap(), "x 0.1.0", &[]).unwrap();
        assert!(page.contains("kf\\-x \\- ab") && !page.contains(['\u{1b}', '\u{202e}']), "{page}");
    }

    #[test]
    fn title_without_date_keeps_its_fields() {
        let command = built(Command::new("kf").subcommand(Command::new("x")));
        let page = rendered(command.find_subcommand("x").unwrap(), "x 0.1.0", &[]).unwrap();
        assert!(page.contains("\n.TH kf-x 1 \" \" \"x 0.1.0\" \"kf manual\"\n"), "{page}");
    }
}
