//! Checks a plugin before it is published or added, and reports everything that is wrong with it.
//!
//! [`examine`](crate::examine::examine) is what decides, and it stops at the first fault. An author wants to know all of them,
//! with the file and line, and what to do.

use std::path::Path;

use kf_core::grants::RuleError;
use kf_core::manifest::Manifest;
use kf_core::tree::CommandTree;
use kf_home::files;
use kf_registry::parts::PartKind;
use kf_registry::source::Source;
use kf_sandbox::Code;
use serde_json::{Value, json};

use crate::examine::granted;
use crate::reserved::{self, Reserved};
use crate::rights::{self, Rights};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, with its line if it has one: `plugin.toml:12`.
    pub place: String,
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn to_json(&self) -> Value {
        let Self { place, message, remedy } = self;
        json!({ "place": place, "message": message, "remedy": remedy })
    }
}

/// What a check found out.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub findings: Vec<Finding>,
    /// `NAME VERSION`, once the manifest could be read.
    pub plugin: Option<String>,
    /// The size of the component in bytes.
    pub bytes: Option<usize>,
    /// What the manifest requests.
    pub rights: Option<Rights>,
    pub tree: Option<CommandTree>,
}

impl Checked {
    fn find(&mut self, place: impl Into<String>, message: impl ToString, remedy: Option<&str>) {
        let (place, message) = (place.into(), message.to_string());
        self.findings.push(Finding { place, message, remedy: remedy.map(str::to_owned) });
    }
}

const MANIFEST: &str = "plugin.toml";
const COMPONENT: &str = "plugin.wasm";

/// Checks the `plugin.toml` and the `plugin.wasm` in a folder, and its name and ceiling in a registry's index if one is
/// given.
pub fn check(folder: &Path, index: Option<&Source>, reserved: &Reserved) -> Checked {
    let mut checked = Checked::default();
    let manifest = read_manifest(folder, &mut checked);
    if let Some((manifest, text)) = &manifest {
        check_permissions(manifest, text, index, &mut checked);
    }
    let Some(wasm) = read_component(folder, &mut checked) else { return checked };
    let inspection = match kf_sandbox::inspect(&wasm) {
        Ok(inspection) => inspection,
        Err(error) => {
            checked.find(
                COMPONENT,
                error,
                Some("build it as a component for wasm32-unknown-unknown with the SDK"),
            );
            return checked;
        }
    };
    if let Some((manifest, text)) = &manifest
        && manifest.plugin.abi != inspection.abi
    {
        let message =
            format!("abi is {}, but the component is built for {}", manifest.plugin.abi, inspection.abi);
        let remedy = format!("set abi = \"{}\"", inspection.abi);
        checked.find(line_of(text, "abi"), message, Some(&remedy));
    }
    if !kf_core::abi::is_supported(&inspection.abi) {
        let message = format!("built for ABI {}, which this kf does not run", inspection.abi);
        checked.find(COMPONENT, message, Some("build it with the SDK of a released ABI"));
        return checked;
    }
    check_tree(&wasm, &inspection.abi, reserved, &mut checked);
    if let (Some(rights), Some(tree)) = (&checked.rights, &checked.tree)
        && let Err(undeclared) = inspection.check_imports(granted(rights, tree))
    {
        checked.find(
            MANIFEST,
            undeclared,
            Some("add the permissions that the component uses, or stop using them"),
        );
    }
    checked
}

fn read_manifest(folder: &Path, checked: &mut Checked) -> Option<(Manifest, String)> {
    let bytes = match files::read_bounded(&folder.join(MANIFEST), PartKind::Manifest.max_bytes()) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            checked.find(
                MANIFEST,
                "does not exist",
                Some("see the section on plugin.toml in the SDK's README"),
            );
            return None;
        }
        Err(error) => {
            checked.find(MANIFEST, error, None);
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match Manifest::from_bytes(&bytes) {
        Ok(manifest) => {
            checked.plugin = Some(format!("{} {}", manifest.plugin.name, manifest.plugin.version));
            Some((manifest, text))
        }
        Err(error) => {
            let message = error.to_string();
            checked.find(place_in(MANIFEST, &message), reason(&message), None);
            None
        }
    }
}

fn check_permissions(manifest: &Manifest, text: &str, index: Option<&Source>, checked: &mut Checked) {
    match Rights::parse(&manifest.permissions) {
        Ok(rights) => checked.rights = Some(rights),
        Err(RuleError { position, why }) => {
            checked.find(rule_line(text, position), format!("permission {position}: {why}"), None);
        }
    }
    let Some(index) = index else { return };
    let name = &manifest.plugin.name;
    let Some(plugin) = index.plugins.get(name) else {
        let remedy = format!("add plugins/{name}.toml with its owner and ceiling to the index");
        checked.find(MANIFEST, format!("the index has no command {name}"), Some(&remedy));
        return;
    };
    let above = match (Rights::parse(&plugin.ceiling), &checked.rights) {
        (Ok(ceiling), Some(rights)) => ceiling.growth(rights),
        (Ok(_), None) => return,
        (Err(error), _) => {
            checked.find("the registry's ceiling", error, Some("ask the registry's admins to fix it"));
            return;
        }
    };
    for line in rights::short_lines(&above) {
        let remedy = "ask the registry's admins to raise the ceiling, or remove the permission";
        checked.find(MANIFEST, format!("above the registry's ceiling: {line}"), Some(remedy));
    }
}

fn read_component(folder: &Path, checked: &mut Checked) -> Option<Vec<u8>> {
    match files::read_bounded(&folder.join(COMPONENT), PartKind::Component.max_bytes()) {
        Ok(Some(wasm)) => {
            checked.bytes = Some(wasm.len());
            Some(wasm)
        }
        Ok(None) => {
            checked.find(COMPONENT, "does not exist", Some("build the component and copy it there"));
            None
        }
        Err(error) => {
            checked.find(COMPONENT, error, Some("strip debug information, and optimise for size"));
            None
        }
    }
}

/// Runs the component twice to describe itself: a registry signs the answer, so it must always be the same.
fn check_tree(wasm: &[u8], abi: &semver::Version, reserved: &Reserved, checked: &mut Checked) {
    let twice = || {
        let compiled = kf_sandbox::compile_to_describe(wasm).map_err(|error| error.to_string())?;
        let describe = |compiled| {
            kf_sandbox::describe(Code::Compiled(compiled), abi.clone()).map_err(|fault| fault.to_string())
        };
        Ok::<_, String>((describe(compiled.clone())?, describe(compiled)?))
    };
    let (first, second) = match twice() {
        Ok(trees) => trees,
        Err(why) => {
            checked.find(COMPONENT, format!("cannot read its command tree: {why}"), None);
            return;
        }
    };
    if first.to_json() != second.to_json() {
        let remedy = "describe must not depend on time, randomness or the order of a hash map";
        checked.find(COMPONENT, "describes itself differently each time", Some(remedy));
        return;
    }
    if let Err(fault) = reserved::check(&first, reserved) {
        checked.find(COMPONENT, fault, Some("rename the argument"));
    }
    checked.tree = Some(first);
}

/// `plugin.toml:LINE` of the key, or the file alone.
fn line_of(text: &str, key: &str) -> String {
    let is_key = |line: &str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    place(MANIFEST, text.lines().position(is_key))
}

/// The line of the header of the `position`th rule, counted from 1.
fn rule_line(text: &str, position: usize) -> String {
    let headers = text.lines().enumerate().filter(|(_, line)| line.trim() == "[[permissions.kubernetes]]");
    place(MANIFEST, headers.map(|(at, _)| at).nth(position.saturating_sub(1)))
}

/// The place in `file` that an error of the TOML parser names.
pub(crate) fn place_in(file: &str, message: &str) -> String {
    let after = message.split_once(" at line ").map(|(_, rest)| rest);
    let digits: Option<String> = after.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
    place(file, digits.and_then(|digits| digits.parse::<usize>().ok()).and_then(|line| line.checked_sub(1)))
}

fn place(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{}", line + 1))
}

/// The reason in an error of the TOML parser, which also names the file and the place, and may show an excerpt.
pub(crate) fn reason(message: &str) -> String {
    let last = message.lines().last().unwrap_or_default().trim();
    let at_place = last.split_once(" at line ").and_then(|(_, rest)| rest.split_once(": "));
    at_place.map_or(last, |(_, reason)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_toml_have_their_line_and_reason() {
        for text in [
            "format = 1\n[plugin]\nname = \"Hello\"\n",
            "format = 1\n[plugin]\nname = hello\n",
            "format = 1\n[plugin]\nnme = \"hello\"\n",
        ] {
            let message = Manifest::parse(text).unwrap_err().to_string();
            assert_eq!(place_in(MANIFEST, &message), "plugin.toml:3", "{message}");
            assert!(!reason(&message).contains("plugin.toml") && !reason(&message).is_empty(), "{message}");
        }
        assert_eq!((place_in(MANIFEST, "x").as_str(), reason("x").as_str()), ("plugin.toml", "x"));
    }

    #[test]
    fn rules_are_found_by_their_number() {
        let text = "[plugin]\n\n[[permissions.kubernetes]]\n\n[[permissions.kubernetes]]\n";
        assert_eq!(rule_line(text, 2), "plugin.toml:5");
        assert_eq!(rule_line(text, 3), "plugin.toml");
    }
}
