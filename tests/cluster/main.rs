//! `kf-test-cluster`: the processes behind a test cluster.
//!
//! The harness starts this program; developers use `cargo xtask cluster`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use kf_tests::cluster::stand_ins::{self, StandIn};
use kf_tests::cluster::{Cluster, Options, Part, Profile, Result, User, kept, node, progress, supervisor};

const USAGE: &str = "usage: kf-test-cluster up api|node      (until `down`)
       kf-test-cluster down|status|directory
       kf-test-cluster hold api|node    (until stdin ends)
       kf-test-cluster require DIRECTORY PART...
       kf-test-cluster supervise DIRECTORY [--keep]
       kf-test-cluster stand-in DIRECTORY notebooks|tensorboards|katib
       kf-test-cluster node-gate|node-init DIRECTORY
       kf-test-cluster run-with-parent PID PROGRAM [ARGUMENT...]";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            report(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        ["supervise", _, rest @ ..] => {
            let directory = arguments.get(1).map(PathBuf::from).unwrap_or_default();
            supervisor::supervise(&directory, rest.contains(&"--keep"))?;
            Ok(ExitCode::SUCCESS)
        }
        ["up", profile @ ("api" | "node")] => {
            let cluster = kept::up(profile_of(profile), progress::to_stderr)?;
            describe(&cluster)?;
            Ok(ExitCode::SUCCESS)
        }
        ["down"] => {
            let was_up = kept::down(progress::to_stderr)?;
            report(if was_up { "the cluster is down" } else { "no cluster was up" });
            Ok(ExitCode::SUCCESS)
        }
        ["status"] => match kept::status()? {
            Some(status) => {
                describe(&status.cluster)?;
                if !status.answers {
                    report(&format!(
                        "its API server does not answer; its logs are in {}",
                        status.cluster.logs().display()
                    ));
                }
                Ok(if status.answers { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            None => Ok(no_cluster()),
        },
        ["directory"] => match kept::status()? {
            Some(status) => {
                writeln!(std::io::stdout(), "{}", status.cluster.directory().display())?;
                Ok(ExitCode::SUCCESS)
            }
            None => Ok(no_cluster()),
        },
        ["hold", profile @ ("api" | "node")] => {
            let profile = profile_of(profile);
            let cluster = Cluster::start(profile, &Options::default())?;
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{}", cluster.directory().display())?;
            stdout.flush()?;
            std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
            cluster.stop()?;
            Ok(ExitCode::SUCCESS)
        }
        ["require", _, parts @ ..] if !parts.is_empty() => {
            let known: Option<Vec<Part>> = parts.iter().map(|name| Part::named(name)).collect();
            let Some(known) = known else {
                let names = Part::ALL.map(Part::name).join(", ");
                report(&format!("unknown part in `{}`; available: {names}", parts.join(" ")));
                return Ok(ExitCode::from(2));
            };
            let cluster = Cluster::attach(&arguments.get(1).map(PathBuf::from).unwrap_or_default())?;
            for part in known {
                cluster.require(part)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ["stand-in", _, name] => {
            let Some(stand_in) = StandIn::named(name) else {
                report(&format!("unknown stand-in `{name}`"));
                return Ok(ExitCode::from(2));
            };
            stand_ins::run(&arguments.get(1).map(PathBuf::from).unwrap_or_default(), stand_in)?;
            Ok(ExitCode::SUCCESS)
        }
        ["node-gate", _] => {
            let code = node::gate(&arguments.get(1).map(PathBuf::from).unwrap_or_default())?;
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
        }
        ["node-init", _] => {
            node::init(&arguments.get(1).map(PathBuf::from).unwrap_or_default())?;
            Ok(ExitCode::SUCCESS)
        }
        ["run-with-parent", parent, program, ..] => {
            let parent = parent.parse().unwrap_or_default();
            let rest = arguments.get(3..).unwrap_or_default();
            match supervisor::run_with_parent(parent, program.as_ref(), rest)? {}
        }
        _ => {
            report(USAGE);
            Ok(ExitCode::from(2))
        }
    }
}

fn profile_of(word: &str) -> Profile {
    if word == "node" { Profile::Node } else { Profile::Api }
}

fn no_cluster() -> ExitCode {
    report("no cluster is up\nhint: start one with `cargo xtask cluster up`");
    ExitCode::FAILURE
}

/// Prints the users of the cluster, their kubeconfigs, and how to use one in a shell.
fn describe(cluster: &Cluster) -> Result<()> {
    let node = if cluster.profile() == Profile::Node { "with a node" } else { "without a node" };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "Kubernetes at {}, {node}", cluster.server())?;
    for user in User::ALL {
        let access = match user {
            User::Admin => "full access",
            User::DataScientist => "edit and train in team-a",
            User::Viewer => "view team-a",
            User::NoRights => "no access",
        };
        writeln!(stdout, "  {:<6} {access:<29} {}", user.name(), cluster.kubeconfig(user).display())?;
    }
    writeln!(stdout, "kubectl: {}", cluster.kubectl().display())?;
    writeln!(stdout, "To use it as {}:", User::DataScientist.name())?;
    writeln!(stdout, "  export KUBECONFIG={}", cluster.kubeconfig(User::DataScientist).display())?;
    Ok(())
}

fn report(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "kf-test-cluster: {text}");
}
