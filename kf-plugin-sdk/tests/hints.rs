//! Hints keep the typed words, and other commands get the same cluster and namespace.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;

/// Train a model
#[derive(clap::Parser, Describe)]
struct Train {
    name: String,
    #[arg(long, short)]
    env: Vec<String>,
    #[arg(long)]
    runtime: Option<String>,
    #[arg(long, short)]
    wait: bool,
}

mod plugin {
    use super::*;

    #[kf_plugin_sdk::main]
    pub(super) fn main(train: Train, kf: &Kf) -> Result<Exit> {
        kf.note(kf.same_target("kf logs mnist -f"));
        let Train { name, env, runtime, wait } = train;
        match (runtime.as_deref(), wait) {
            (None, _) => Err(Error::invalid(format!("no runtime for {name} with {env:?}"))
                .hint(kf.command_line().set("--runtime", "torch"))),
            (Some("slow"), false) => Err(Error::invalid("slow").hint("wait for it: kf train")),
            _ => Err(Error::failed("it failed").hint("kf status trainjob/mnist")),
        }
    }
}

fn hint(kf_flags: &[&str], words: &[&str]) -> String {
    let host = FakeHost::new("team-a");
    host.change_context(|context| context.command = "train".into());
    host.kf_flags(kf_flags);
    host.run::<plugin::Plugin>(words).unwrap_err().hint.unwrap()
}

#[test]
fn typed_line_is_repeated_with_one_change() {
    assert_eq!(
        hint(&["-n", "team-b"], &["mnist", "-eA=it's", "--env", "B=2", "-w"]),
        r"kf -n team-b train mnist '-eA=it'\''s' --env B=2 -w --runtime torch"
    );
}

#[test]
fn other_command_gets_same_cluster_and_namespace() {
    let words = ["mnist", "--runtime", "torch"];
    assert_eq!(hint(&[], &words), "kf status trainjob/mnist");
    let flags = ["--context=prod", "--color", "never", "--namespace", "team-b"];
    assert_eq!(hint(&flags, &words), "kf --namespace team-b --context=prod status trainjob/mnist");
}

#[test]
fn prose_and_usage_hints_are_unchanged() {
    assert_eq!(hint(&["-n", "team-b"], &["mnist", "--runtime", "slow"]), "wait for it: kf train");
    assert_eq!(hint(&["-n", "team-b"], &[]), "kf train --help");
}

#[test]
fn same_target_adds_flags_to_note() {
    let host = FakeHost::new("team-a");
    host.kf_flags(&["--kubeconfig", "my config"]);
    host.run::<plugin::Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(host.terminal().notes, ["kf --kubeconfig 'my config' logs mnist -f"]);
}
