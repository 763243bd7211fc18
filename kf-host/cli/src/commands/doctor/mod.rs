//! `kf doctor`: checks the setup, and shows the results on one screen.
//!
//! A failed check does not stop the others; those that depend on it are skipped. Nothing is changed and no command is
//! started.

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

/// Check the setup, from the kubeconfig to the shell
///
/// Checks the kubeconfig, the server, your credentials and rights, the APIs of the cluster, kf's own files, the
/// terminal and the shell. Changes nothing. Exits with 1 if a check fails. `-o json` is for support requests: it
/// contains no credentials.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// An empty home, for when there is no home folder.
pub fn no_home() -> Home {
    Home::under("/nonexistent/kf")
}

pub fn run(app: &App, _args: &DoctorArgs) -> Result<()> {
    let report = Report::new(checks(app));
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
        Err(_) => (Check::skipped(local::TRAIN, "no home folder"), None),
    };
    let mut checks = vec![local::program()];
    checks.extend(of_cluster(app, installed.as_ref()));
    checks.push(train);
    checks.extend(home.as_ref().ok().and_then(local::lock));
    match &home {
        Ok(home) => checks.extend([local::registries(home, App::now()), local::home(home)]),
        Err(error) => {
            checks.extend([Check::skipped("registry", "no home folder"), Check::from_failure("home", error)])
        }
    }
    checks.extend([local::terminal(&app.ui), shell::check()]);
    checks
}

/// The checks of the kubeconfig and the cluster.
fn of_cluster(app: &App, train: Option<&Installed>) -> Vec<Check> {
    let target = app.target();
    // With an invalid namespace, such as one selected for another cluster, the rest can still be checked.
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
            let skipped = cluster::NAMES.map(|name| Check::skipped(name, "no kubeconfig"));
            return std::iter::once(Check::from_failure("kubeconfig", &error)).chain(skipped).collect();
        }
    };
    let kubeconfig = kubeconfig::check(&settings);
    let (commands, rules): (Vec<String>, Vec<RuleSet>) = all_needs(&app.home, train).into_iter().unzip();
    let _wait = app.ui.progress(&format!("checking {}", settings.server), None);
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
        named_by: if is_flag { "set by -n" } else { "set by KF_NAMESPACE" },
        bad_namespace: bad_namespace.as_ref(),
        commands: &commands,
        now: App::now(),
    };
    std::iter::once(kubeconfig).chain(cluster.checks()).collect()
}

/// The rules that `train` needs, and then those of all other commands. Unreadable rules are reported when the command
/// runs.
fn all_needs(home: &Home, train: Option<&Installed>) -> Vec<(String, RuleSet)> {
    let Some(train) = train else { return Vec::new() };
    let others = commands_in(home).by_name().into_iter().filter(|(name, _)| name.as_str() != local::TRAIN);
    let train = (local::TRAIN.to_owned(), needs(train));
    let all = std::iter::once(train).chain(others.map(|(name, other)| (name.to_string(), needs(&other))));
    all.filter_map(|(name, rules)| Some((name, rules.ok().filter(|rules| !rules.is_empty())?))).collect()
}
