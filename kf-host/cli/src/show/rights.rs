//! Lays out the [consent text](kf_command::consent_text) in lines.
//!
//! Column widths do not depend on an author's text, so that no manifest can push lines off the screen.

use kf_command::consent_text::{self, Paragraph, requesters};
use kf_command::installed::Installed;
use kf_command::plan::Plan;
use kf_command::rights::{Rights, in_words};
use kf_core::grants::Sentence;
use kf_core::tree::PathArguments;
use kf_core::ui::Tone;
use kf_registry::index::Origin;

use super::wrap::wrapped;
use crate::ui::Ui;

pub use kf_command::consent_text::Requester;

/// A line about rights, with its tone.
pub struct Line {
    pub text: String,
    pub tone: Tone,
}

/// All rights of a command.
pub fn lines(name: &str, rights: &Rights, paths: &PathArguments, width: usize) -> Vec<Line> {
    laid_out("  ", &consent_text::of_command(name, rights, paths), width)
}

/// The rights that an upgrade adds, the number of unchanged ones, and the consequences.
pub fn growth_lines(plan: &Plan, width: usize) -> Vec<Line> {
    laid_out("  + ", &consent_text::of_growth(plan), width)
}

/// The rights of several commands together.
pub fn lines_of_all(commands: &[Requester<'_>], width: usize) -> Vec<Line> {
    let text = consent_text::of_all(commands);
    let is_growth = matches!(text.first(), Some(Paragraph::Unchanged(_)));
    laid_out(if is_growth { "  + " } else { "  " }, &text, width)
}

/// The lines of a text; rights on the cluster are indented.
fn laid_out(indent: &str, paragraphs: &[Paragraph], width: usize) -> Vec<Line> {
    let lines = |paragraph: &Paragraph| match paragraph {
        Paragraph::Unchanged(kept) => {
            let s = if *kept == 1 { "" } else { "s" };
            vec![Line { text: format!("  = {kept} permission{s} unchanged"), tone: Tone::Plain }]
        }
        Paragraph::Head(words) => text(words, Tone::Plain, width),
        Paragraph::Right(sentence) => row(indent, sentence, width),
        Paragraph::Other(words) => text(words, Tone::Warning, width),
        Paragraph::Consequence { text: words, dangerous: true } => text(words, Tone::Bad, width),
        Paragraph::Consequence { text: words, dangerous: false } => text(words, Tone::Warning, width),
    };
    paragraphs.iter().flat_map(lines).collect()
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
fn row(indent: &str, sentence: &Sentence, width: usize) -> Vec<Line> {
    const NARROW: usize = 80;
    let verbs_width = if width < NARROW { 0 } else { width.saturating_mul(3) / 10 };
    let mut what = sentence.what.clone();
    if !sentence.resources.is_empty() {
        what.push_str(&format!(" ({})", sentence.resources));
    }
    what.push_str(&requesters(sentence));
    let tone = match sentence.danger() {
        None => Tone::Plain,
        Some(_) => {
            what.push_str(" (dangerous)");
            Tone::Bad
        }
    };
    // Long verb phrases get their own line.
    let too_long = sentence.verbs.chars().count() > verbs_width;
    let verbs = if too_long { "" } else { sentence.verbs.as_str() };
    let head = format!("{indent}{verbs:verbs_width$}  ");
    let alone = too_long.then(|| wrapped(indent, &sentence.verbs, width));
    alone.into_iter().flatten().chain(wrapped(&head, &what, width)).map(|text| Line { text, tone }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kf_core::Permissions;
    use kf_core::grants::{sentences, sentences_of_all};
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
