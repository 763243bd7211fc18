//! Renders a command's rights for consent.
//!
//! The most important lines are last, right above the prompt: rights are sorted from the weakest to the
//! strongest, followed by their consequences. Column widths do not depend on an author's text, so that no
//! manifest can push lines off the screen.

use kf_command::installed::Installed;
use kf_command::plan::Plan;
use kf_command::rights::{Rights, in_words, paths_in_words};
use kf_core::grants::{Reach, RuleSet, Sentence, consequences, joined, sentences, sentences_of_all};
use kf_core::tree::PathArguments;
use kf_core::ui::Tone;
use kf_registry::index::Origin;

use super::wrap::wrapped;
use crate::ui::Ui;

/// How long the list of arguments that name paths can be, for one command and for several.
const MAX_PATHS_CHARS: usize = 60;
const MAX_PATHS_OF_ALL_CHARS: usize = 160;

/// How long the list of commands that request a right can be.
const MAX_REQUESTERS_CHARS: usize = 60;

/// A line about rights, with its tone.
pub struct Line {
    pub text: String,
    pub tone: Tone,
}

/// All rights of a command.
pub fn lines(name: &str, rights: &Rights, paths: &PathArguments, width: usize) -> Vec<Line> {
    if rights.is_empty() && paths.is_empty() {
        let none = format!("{name} requests no rights: no cluster, no network, no files, no secrets.");
        return text(&none, Tone::Plain, width);
    }
    let mut lines = Vec::new();
    if rights.rules.is_empty() {
        lines.extend(text(&format!("{name} requests no rights on the cluster."), Tone::Plain, width));
    } else {
        let scope = scope(Reach::of(rights.rules.permissions()), "it");
        lines.extend(text(&format!("{scope}{name} may only:"), Tone::Plain, width));
        lines.extend(table("  ", &sentences(&rights.rules), width));
    }
    lines.extend(other_rights(rights, paths, width));
    lines.extend(consequence_lines(&rights.rules, width));
    lines
}

/// The rights that an upgrade adds, the number of unchanged ones, and the consequences.
pub fn growth_lines(plan: &Plan, width: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = unchanged(plan.kept()).into_iter().collect();
    if !plan.needs_consent() {
        return lines;
    }
    lines.extend(table("  + ", &sentences(&plan.growth.rules), width));
    lines.extend(other_rights(&plan.growth, &plan.new_paths, width));
    lines.extend(consequence_lines(&plan.rights.rules, width));
    lines
}

/// One of several commands that are added or upgraded together.
#[derive(Clone, Copy)]
pub struct Requester<'a> {
    pub name: &'a str,
    /// All its rights after the change.
    pub rights: &'a Rights,
    /// The rights that are new, and the arguments that are new as paths.
    pub growth: &'a Rights,
    pub paths: &'a PathArguments,
    /// The number of rights that were accepted before.
    pub kept: usize,
}

impl<'a> Requester<'a> {
    pub fn new(name: &'a str, plan: &'a Plan) -> Self {
        Self { name, rights: &plan.rights, growth: &plan.growth, paths: &plan.new_paths, kept: plan.kept() }
    }
}

/// The rights of several commands together: each right once, with the commands that request its strongest form, unless
/// all do.
pub fn lines_of_all(commands: &[Requester<'_>], width: usize) -> Vec<Line> {
    let growth: Vec<(&str, &RuleSet)> =
        commands.iter().map(|command| (command.name, &command.growth.rules)).collect();
    let kept = commands.iter().map(|command| command.kept).sum();
    let mut lines: Vec<Line> = unchanged(kept).into_iter().collect();
    let reach = Reach::of(growth.iter().flat_map(|(_, rules)| rules.permissions()));
    let any_rules = growth.iter().any(|(_, rules)| !rules.is_empty());
    if kept == 0 && any_rules {
        let scope = scope(reach, "them");
        let together = if scope.is_empty() { "Together" } else { "together" };
        let head = format!("{scope}{together} they may only:");
        lines.extend(text(&head, Tone::Plain, width));
    }
    let asking = |mut line: Sentence| {
        if line.by.len() == commands.len() {
            line.by.clear();
        }
        line
    };
    let sentences: Vec<Sentence> = sentences_of_all(&growth).into_iter().map(asking).collect();
    lines.extend(table(if kept > 0 { "  + " } else { "  " }, &sentences, width));
    lines.extend(other_rights_of_all(commands, width));
    let all = commands.iter().flat_map(|command| command.rights.rules.permissions()).cloned();
    lines.extend(consequence_lines(&RuleSet::from_permissions(all), width));
    lines
}

fn scope(reach: Reach, it: &str) -> String {
    match reach {
        Reach::Namespace => format!("In the namespace you use {it} in, "),
        Reach::Beyond => format!("In the namespace you use {it} in, and elsewhere where noted, "),
        Reach::Cluster => String::new(),
    }
}

fn unchanged(kept: usize) -> Option<Line> {
    let s = if kept == 1 { "" } else { "s" };
    let text = format!("  = {kept} permission{s} unchanged");
    (kept > 0).then_some(Line { text, tone: Tone::Plain })
}

/// The rights that are not about the cluster's objects.
fn other_rights(rights: &Rights, paths: &PathArguments, width: usize) -> Vec<Line> {
    let opens = (!paths.is_empty()).then(|| paths_in_words(paths, MAX_PATHS_CHARS));
    let words = opens.into_iter().chain(rights.switches());
    words.flat_map(|words| text(&format!("It may {words}."), Tone::Warning, width)).collect()
}

fn other_rights_of_all(commands: &[Requester<'_>], width: usize) -> Vec<Line> {
    let mut paths = PathArguments::default();
    let mut all = Rights::default();
    for Requester { name, growth, paths: new, .. } in commands {
        let of = |word: &String| format!("{word} of {name}");
        paths.files.extend(new.files.iter().map(of));
        paths.directories.extend(new.directories.iter().map(of));
        all.selection |= growth.selection;
        all.terminal |= growth.terminal;
        all.headers.extend(growth.headers.iter().cloned());
    }
    let opens =
        (!paths.is_empty()).then(|| format!("They may {}.", paths_in_words(&paths, MAX_PATHS_OF_ALL_CHARS)));
    let switches = all.switches().into_iter().map(|words| {
        let asking = commands.iter().filter(|command| command.growth.switches().contains(&words));
        let asking: Vec<String> = asking.map(|command| command.name.to_owned()).collect();
        // Headers of several commands are shown in one list.
        let who = if asking.is_empty() { "They".to_owned() } else { joined(&asking, MAX_REQUESTERS_CHARS) };
        format!("{who} may {words}.")
    });
    opens.into_iter().chain(switches).flat_map(|words| text(&words, Tone::Warning, width)).collect()
}

fn consequence_lines(rules: &RuleSet, width: usize) -> Vec<Line> {
    let tone = |text: &str| if text.starts_with("Dangerous") { Tone::Bad } else { Tone::Warning };
    consequences(rules).iter().flat_map(|line| text(line, tone(line), width)).collect()
}

pub fn show(ui: &Ui, lines: &[Line]) {
    for line in lines {
        ui.message_toned(&line.text, line.tone);
    }
}

/// The footer of a command's help: its origin and its rights.
pub fn footer(installed: &Installed) -> String {
    let receipt = &installed.receipt;
    let vouches = match &receipt.origin {
        Origin::Registry { owner, .. } => format!("signed by {owner}"),
        Origin::BuiltIn { .. } => "built in".to_owned(),
        Origin::Local { path } => format!("from {}", path.display()),
    };
    let from = format!("{} {}, {vouches}", receipt.name, receipt.version);
    let rights = match installed.rights() {
        Ok(rights) if rights.is_empty() => "It has no rights on the cluster.".to_owned(),
        Ok(rights) => format!("It may {}.", in_words(&rights)),
        Err(_) => "Its rights cannot be read.".to_owned(),
    };
    format!("{from}. {rights}")
}

fn text(text: &str, tone: Tone, width: usize) -> Vec<Line> {
    wrapped("", text, width).into_iter().map(|text| Line { text, tone }).collect()
}

/// Verbs and resources in two columns, or, on a narrow terminal, on separate lines.
fn table(indent: &str, sentences: &[Sentence], width: usize) -> Vec<Line> {
    const NARROW: usize = 80;
    let verbs_width = if width < NARROW { 0 } else { width.saturating_mul(3) / 10 };
    let lines = |line: &Sentence| {
        let mut what = line.what.clone();
        if !line.resources.is_empty() {
            what.push_str(&format!(" ({})", line.resources));
        }
        if !line.by.is_empty() {
            what.push_str(&format!(", requested by {}", joined(&line.by, MAX_REQUESTERS_CHARS)));
        }
        let tone = match line.danger() {
            None => Tone::Plain,
            Some(_) => {
                what.push_str(" (dangerous)");
                Tone::Bad
            }
        };
        // Long verb phrases get their own line.
        let too_long = line.verbs.chars().count() > verbs_width;
        let verbs = if too_long { "" } else { line.verbs.as_str() };
        let head = format!("{indent}{verbs:verbs_width$}  ");
        let alone = too_long.then(|| wrapped(indent, &line.verbs, width));
        let lines: Vec<Line> = alone
            .into_iter()
            .flatten()
            .chain(wrapped(&head, &what, width))
            .map(|text| Line { text, tone })
            .collect();
        lines
    };
    sentences.iter().flat_map(lines).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kf_core::Permissions;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use serde_json::{Value, json};

    use super::super::wrap::WIDTH;
    use super::*;

    /// The terminal widths to test.
    const WIDTHS: [usize; 3] = [WIDTH, 100, 120];

    /// The number of visible lines above the prompt, on a terminal of 24 rows.
    const ROWS: usize = 23;

    fn shown(rules: &[Value], files: &[&str]) -> Vec<String> {
        let permissions = Permissions { kubernetes: rules.to_vec(), ..Permissions::default() };
        let rights = Rights::parse(&permissions).unwrap();
        let files = files.iter().map(|word| (*word).to_owned()).collect();
        let paths = PathArguments { files, ..PathArguments::default() };
        lines("evil", &rights, &paths, WIDTH).into_iter().map(|line| line.text).collect()
    }

    /// The lines that are visible without scrolling.
    fn seen(rules: &[Value], files: &[&str]) -> String {
        let lines = shown(rules, files);
        let rows = |line: &String| line.chars().count().div_ceil(WIDTH).max(1);
        let mut left = ROWS;
        let fitting = lines.iter().rev().take_while(|line| {
            let fits = rows(line) <= left;
            left = left.saturating_sub(rows(line));
            fits
        });
        let mut fitting: Vec<&str> = fitting.map(String::as_str).collect();
        fitting.reverse();
        fitting.join("\n")
    }

    fn long_names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:02}-{}", "innocent-".repeat(27))).collect()
    }

    #[test]
    fn sixty_long_names_hide_no_rights() {
        let rules = [
            json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": long_names(60)}),
            json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"], "data": true}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}),
        ];
        insta::assert_snapshot!(seen(&rules, &["word 1"]), @r#"
        In the namespace you use it in, evil may only:
          read                      config maps named
                                    00-innocent-inno…ocent-innocent-innocent-innocent-,
                                    01-innocent-inno…ocent-innocent-innocent-innocent-,
                                    02-innocent-inno…ocent-innocent-innocent-innocent-
                                    and 57 more (configmaps)
          create                    pods
          read                      secrets with their data (dangerous)
        It may read the file that you pass as word 1.
        What it creates or changes runs containers: through them it can use every secret
        and service account of the namespace.
        Dangerous: secrets hold credentials.
        "#);
    }

    #[test]
    fn many_kinds_and_groups_hide_no_rights() {
        let groups: Vec<String> = (0..60).map(|n| format!("{}.{n:02}.evil.io", "group".repeat(12))).collect();
        let kinds: Vec<String> = (0..16).map(|n| format!("{n:02}{}", "kind".repeat(12))).collect();
        let rules = [
            json!({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]}),
            json!({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"],
                   "verbs": ["create", "escalate", "bind", "get", "list", "watch", "update", "patch", "delete"]}),
            json!({"apiGroups": groups, "resources": kinds, "verbs": ["create"]}),
        ];
        insta::assert_snapshot!(seen(&rules, &[]), @r#"
                                    01kindkindkindki…upgroupgroupgroupgroup.56.evil.io,
                                    02kindkindkindki…upgroupgroupgroupgroup.56.evil.io
                                    and 13 more
          create                    00kindkindkindki…upgroupgroupgroupgroup.57.evil.io,
                                    01kindkindkindki…upgroupgroupgroupgroup.57.evil.io,
                                    02kindkindkindki…upgroupgroupgroupgroup.57.evil.io
                                    and 13 more
          create                    00kindkindkindki…upgroupgroupgroupgroup.58.evil.io,
                                    01kindkindkindki…upgroupgroupgroupgroup.58.evil.io,
                                    02kindkindkindki…upgroupgroupgroupgroup.58.evil.io
                                    and 13 more
          create                    00kindkindkindki…upgroupgroupgroupgroup.59.evil.io,
                                    01kindkindkindki…upgroupgroupgroupgroup.59.evil.io,
                                    02kindkindkindki…upgroupgroupgroupgroup.59.evil.io
                                    and 13 more
          run commands in           pods (pods/exec)
          create, change, delete, escalate, bind and watch
                                    roles (roles.rbac.authorization.k8s.io) (dangerous)
        kf does not know everything it creates or changes. If that runs containers, it
        can use every secret and service account of the namespace.
        Commands in a pod can use what the pod can: its service account, secrets and
        volumes.
        Dangerous: it can grant rights.
        "#);
    }

    #[test]
    fn hostile_names_do_not_pass_for_kf_text() {
        let rules = [
            json!({"apiGroups": ["selfsubject.evil.io"], "resources": ["selfsubjectwipes"],
                   "verbs": ["create", "delete"]}),
            json!({"apiGroups": ["evil.io"], "resources": ["trainjobs", "pods/log"], "verbs": ["get", "create"]}),
            json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"],
                   "resourceNames": ["a,nothing", "and-nothing.else", "x)"]}),
            json!({"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}),
        ];
        insta::assert_snapshot!(seen(&rules, &[]), @r#"
        In the namespace you use it in, evil may only:
          change                    config maps named "a,nothing", and-nothing.else and
                                    "x)" (configmaps)
          create and delete         selfsubjectwipes.selfsubject.evil.io
          create and read           pods.evil.io/log and trainjobs.evil.io
          create                    Argo workflows (workflows.argoproj.io)
        What it creates or changes runs containers: through them it can use every secret
        and service account of the namespace.
        "#);
    }

    fn hostile_rules() -> impl Strategy<Value = Value> {
        let groups = vec!["", "apps", "evil.io", "rbac.authorization.k8s.io", "kubeflow.org"];
        let groups = prop_oneof![
            subsequence(groups, 1..=2).prop_map(|groups| groups.into_iter().map(str::to_owned).collect()),
            vec("[a-z]{1,60}\\.[a-z]{60}\\.evil\\.io", 1..3),
        ];
        let kinds = vec![
            "pods/exec",
            "pods/attach",
            "pods/portforward",
            "secrets",
            "roles",
            "clusterroles",
            "configmaps",
            "pods",
            "jobs",
            "nodes",
            "namespaces",
            "pods/log",
            "pods/ephemeralcontainers",
        ];
        let kinds = prop_oneof![
            subsequence(kinds, 1..=8).prop_map(|kinds| kinds.into_iter().map(str::to_owned).collect()),
            vec("[a-z0-9]{1,63}(/[a-z0-9]{1,63})?", 1..9),
        ];
        let verbs =
            "get list watch create update patch delete deletecollection impersonate escalate bind use";
        let verbs = subsequence(verbs.split(' ').collect::<Vec<_>>(), 1..=12);
        let names = prop_oneof![Just(vec![]), vec("[!-\"&-.0->@-\\[\\]-~]{2,253}", 1..5)];
        let scope = select(vec!["environment", "cluster"]);
        (groups, kinds, verbs, names, scope).prop_map(|(groups, kinds, verbs, names, scope): (Vec<String>, Vec<String>, _, Vec<String>, _)| {
            json!({"apiGroups": groups, "resources": kinds, "verbs": verbs, "resourceNames": names, "scope": scope})
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn strongest_right_is_always_on_screen(
            kubernetes in vec(hostile_rules(), 1..8),
            words in vec("(--[a-z]{40}|word [0-9]{1,3}) of [a-z]{40} [a-z]{40}", 0..40),
            headers in prop::collection::btree_set("x-[a-z]{50}", 0..8),
            width in select(WIDTHS.to_vec()),
            others in vec(hostile_rules(), 0..4),
        ) {
            let headers = headers.iter().map(|name| kf_core::pod_http::PodHeader::parse(name).unwrap()).collect();
            let permissions = Permissions { kubernetes, selection: true, terminal: true, headers };
            let Ok(rights) = Rights::parse(&permissions) else { return Ok(()) };
            let words: BTreeSet<String> = words.into_iter().collect();
            let paths = PathArguments { files: words.clone(), directories: words };
            let check = |lines: Vec<Line>, strongest: Sentence, opens: &str| {
                let lines: Vec<String> = lines.into_iter().map(|line| line.text).collect();
                prop_assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
                let seen = lines[lines.len().saturating_sub(ROWS)..].concat();
                let expected = match strongest.danger() {
                    Some(danger) => danger.to_string(),
                    None => strongest.verbs,
                };
                let plain = |text: &str| text.replace(' ', "");
                prop_assert!(plain(&seen).contains(&plain(&expected)), "{expected}: {lines:#?}");
                prop_assert!(seen.contains(opens) || paths.is_empty(), "{lines:#?}");
                Ok(())
            };
            let strongest = sentences(&rights.rules).pop().unwrap();
            check(lines("evil", &rights, &paths, width), strongest, "It may read the file")?;

            // Next to another command, it hides no more.
            let others = Permissions { kubernetes: others, ..Permissions::default() };
            let Ok(others) = Rights::parse(&others) else { return Ok(()) };
            let none = PathArguments::default();
            let asking = |name, rights, paths| Requester { name, rights, growth: rights, paths, kept: 0 };
            let strongest = sentences_of_all(&[("evil", &rights.rules), ("other", &others.rules)]).pop().unwrap();
            let lines = lines_of_all(&[asking("evil", &rights, &paths), asking("other", &others, &none)], width);
            check(lines, strongest, "They may read the file")?;
        }
    }

    #[test]
    fn rights_lines_always_fit_terminal_width() {
        let verbs =
            "get list watch create update patch delete impersonate escalate bind approve sign attest use";
        let verbs: Vec<&str> = verbs.split(' ').collect();
        let kind = "k".repeat(63);
        let group = format!("{0}.{0}.{0}.evil.io", "g".repeat(60));
        for rule in [
            json!({"apiGroups": [group], "resources": [kind], "verbs": verbs, "scope": "cluster"}),
            json!({"apiGroups": [group], "resources": [format!("{kind}/{kind}")], "verbs": verbs,
                   "resourceNames": long_names(60)}),
            json!({"apiGroups": [""], "resources": ["secrets"], "verbs": verbs, "resourceNames": long_names(60)}),
        ] {
            let lines = shown(std::slice::from_ref(&rule), &[&"w".repeat(40)]);
            assert!(lines.len() < ROWS, "{lines:#?}");
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        }
    }
}
