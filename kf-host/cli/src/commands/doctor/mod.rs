//! `kf doctor`: what stands between this person and a trained job, on one screen.
//!
//! Each check survives the failure of those before it, and what cannot be checked says so. Nothing is changed and no
//! command is started.

mod check;
mod cluster;
mod kubeconfig;
mod local;
mod screen;
mod shell;
mod span;

use clap::Args;
use kf_command::checkup::{self, needs};
use kf_command::cluster::Target;
use kf_command::installed::Installed;
use kf_core::failure::{Failure, Result};
use kf_core::grants::RuleSet;
use kf_core::ui::Format;
use kf_home::Home;

use crate::app::{App, commands_in};
use crate::env;
use check::{Check, Report, State};
use cluster::Cluster;

/// Check what stands between you and a trained job
///
/// Looks at the kubeconfig, the server, your credentials and rights, what the cluster serves, kf's own files, the
/// terminal and the shell. It changes nothing. Exits with 1 if something stands in the way. `-o json` is for
/// support: it holds no credentials.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// A home with nothing in it, for a user who has none.
pub fn no_home() -> Home {
    Home::under("/nonexistent/kf")
}

pub fn run(app: &App, _args: &DoctorArgs) -> Result<()> {
    let report = Report::of(checks(app));
    match app.ui.format() {
        Format::Table | Format::Wide => screen::show(&app.ui, &report)?,
        Format::Json | Format::Yaml => app.ui.document(&report)?,
        Format::Name => {
            let names = report.checks.iter().map(|check| format!("check/{}\n", check.name));
            app.ui.data(names.collect::<String>().as_bytes())?;
        }
    }
    match report.count(State::Failed) {
        0 => Ok(()),
        failed => Err(Failure::failed(format!("{failed} of {} checks failed", report.checks.len()))),
    }
}

fn checks(app: &App) -> Vec<Check> {
    let home = env::kf_home();
    let (train, installed) = match &home {
        Ok(home) => local::train(home),
        Err(_) => (Check::skipped(local::TRAIN, "there is no home"), None),
    };
    let mut checks = vec![local::program()];
    checks.extend(of_cluster(app, installed.as_ref()));
    checks.push(train);
    match &home {
        Ok(home) => checks.extend([local::registries(home, App::now()), local::home(home)]),
        Err(error) => {
            checks.extend([Check::skipped("registry", "there is no home"), Check::of_failure("home", error)])
        }
    }
    checks.extend([local::terminal(&app.ui), shell::check()]);
    checks
}

/// The kubeconfig and all that lies behind it.
fn of_cluster(app: &App, train: Option<&Installed>) -> Vec<Check> {
    let target = app.target();
    // A namespace that cannot be used, such as one that was chosen for another cluster, hides nothing else.
    let (settings, bad_namespace) = match target.settings(&app.home) {
        Ok(settings) => (Ok(settings), None),
        Err(error) => {
            let without = Target { namespace: None, ..target.clone() };
            let others = target.settings_to_choose(&app.home);
            match others.or_else(|_| without.settings_to_choose(&app.home)) {
                Ok(settings) => (Ok(settings), Some(error)),
                Err(_) => (Err(error), None),
            }
        }
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            let skipped = cluster::NAMES.map(|name| Check::skipped(name, "there is no kubeconfig to use"));
            return std::iter::once(Check::of_failure("kubeconfig", &error)).chain(skipped).collect();
        }
    };
    let kubeconfig = kubeconfig::check(&settings);
    let (commands, rules): (Vec<String>, Vec<RuleSet>) = all_needs(&app.home, train).into_iter().unzip();
    let _wait = app.ui.progress(&format!("asking {}", settings.server), None);
    let found = checkup::run(&app.home, &target, settings.clone(), &cluster::resources(), &rules);
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let skipped = cluster::NAMES.map(|name| Check::skipped(name, error.message()));
            return std::iter::once(kubeconfig).chain(skipped).collect();
        }
    };
    let is_flag = app.global.namespace.as_ref().is_some_and(|namespace| !namespace.is_empty());
    let cluster = Cluster {
        settings: &settings,
        found: &found,
        named_by: if is_flag { "named by -n" } else { "named by KF_NAMESPACE" },
        bad_namespace: bad_namespace.as_ref(),
        commands: &commands,
        now: App::now(),
    };
    std::iter::once(kubeconfig).chain(cluster.checks()).collect()
}

/// What `train` needs, and then what every other command does. Those whose rules cannot be read say so when they run.
fn all_needs(home: &Home, train: Option<&Installed>) -> Vec<(String, RuleSet)> {
    let Some(train) = train else { return Vec::new() };
    let others = commands_in(home).by_name().into_iter().filter(|(name, _)| name.as_str() != local::TRAIN);
    let train = (local::TRAIN.to_owned(), needs(train));
    let all = std::iter::once(train).chain(others.map(|(name, other)| (name.to_string(), needs(&other))));
    all.filter_map(|(name, rules)| Some((name, rules.ok().filter(|rules| !rules.is_empty())?))).collect()
}
