//! Hides a path, a query or another namespace in every string of a call.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube::{self, ObjectRef, Reach, Selection, WriteOptions};
use kf_attacks::plugin::logs::{self, LogOptions};
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack, kind, object};

attack!(run);

const WORDS: [&str; 12] = [
    "../../kube-system/secrets/token",
    "web/exec?command=sh",
    "web/log",
    "web?watch=true",
    "web#fragment",
    "%2e%2e/%2e%2e/kube-system",
    "..",
    ".",
    "",
    "Web",
    "web\0",
    "web\u{202e}",
];

/// Counts the attempts that got through.
fn run(_: Vec<String>) -> Answer {
    let mut through = 0;
    let mut tried = |what: &str, worked: bool| {
        if worked {
            through += 1;
            ui::note(&format!("got through: {}", what.escape_debug()));
        }
    };
    let write = || WriteOptions { dry_run: false, force: false };
    for word in WORDS {
        tried(word, kube::get(&object("Pod", word)).is_ok());
        let elsewhere =
            |namespace: &str| ObjectRef { namespace: Some(namespace.to_owned()), ..object("Pod", "web") };
        tried(word, kube::get(&elsewhere(word)).is_ok());
        tried(word, kube::get(&object(word, "web")).is_ok());
        let of_group =
            kube::Kind { group: word.to_owned(), version: Some(word.to_owned()), kind: "Pod".to_owned() };
        tried(word, word != "" && kube::get(&ObjectRef { kind: of_group, ..object("Pod", "web") }).is_ok());
        let selection = |namespace: Option<&str>, selector: Option<&str>| Selection {
            kind: kind("Pod"),
            reach: Reach::Namespaced,
            namespace: namespace.map(str::to_owned),
            label_selector: selector.map(str::to_owned),
            field_selector: None,
        };
        tried(word, kube::list(&selection(Some(word), None), None, None).is_ok());
        let container = LogOptions {
            container: Some(word.to_owned()),
            follow: false,
            previous: false,
            timestamps: false,
            since: None,
            tail_lines: None,
        };
        tried(word, logs::open_log(None, word, &container).is_ok());
        tried(word, logs::open_log(Some(word), "web", &container).is_ok());
    }
    let selector = Selection {
        kind: kind("Pod"),
        reach: Reach::Namespaced,
        namespace: None,
        label_selector: Some("a=b&fieldSelector=metadata.namespace=kube-system".to_owned()),
        field_selector: None,
    };
    tried("a selector with another parameter", kube::list(&selector, None, None).is_ok());
    // The body contradicts the URL.
    for body in [
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"kube-system"}}"#,
        r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"web"}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"other"}}"#,
    ] {
        tried(body, kube::create(&object("Pod", "web"), body, write()).is_ok());
        tried(body, kube::apply(&object("Pod", "web"), body, write()).is_ok());
    }
    Ok(through)
}
