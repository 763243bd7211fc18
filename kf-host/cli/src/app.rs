//! The context of kf's own commands.

use std::sync::Arc;

use jiff::Timestamp;
use kf_command::cluster::Target;
use kf_command::installed::Commands;
use kf_command::reporter::Reporter;
use kf_command::run::Setting;
use kf_core::RegistryId;
use kf_core::failure::Result;
use kf_home::Home;
use kf_registry::registries;

use crate::args::{GlobalArgs, RunArgs};
use crate::env;
use crate::ui::Ui;

pub struct App {
    pub ui: Ui,
    pub home: Home,
    pub global: GlobalArgs,
}

/// The commands of a machine with this home.
pub fn commands_in(home: &Home) -> Commands<'_> {
    Commands { home, built_in: kf_built_in::built_ins() }
}

impl App {
    pub fn new(ui: &Ui, global: GlobalArgs) -> Result<Self> {
        Ok(Self::in_home(ui, global, env::kf_home()?))
    }

    /// With a home that was determined before.
    pub fn in_home(ui: &Ui, global: GlobalArgs, home: Home) -> Self {
        Self { ui: ui.with(global.color, global.output, global.verbose > 0), home, global }
    }

    /// The commands of this machine.
    pub fn commands(&self) -> Commands<'_> {
        commands_in(&self.home)
    }

    /// The names of the registries that are set up.
    pub fn registries(&self) -> Result<Vec<RegistryId>> {
        Ok(registries::list(&self.home, kf_built_in::built_ins())?)
    }

    /// The current time. All trust decisions use this clock.
    pub fn now() -> Timestamp {
        Timestamp::now()
    }

    pub fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::new(self.ui.clone())
    }

    /// The cluster that the command line selects. A flag with an empty value, as from an unset shell variable, counts
    /// as not given.
    pub fn target(&self) -> Target {
        let given = |flag: &Option<String>| flag.clone().filter(|value| !value.is_empty());
        let kubeconfig = self.global.kubeconfig.clone();
        Target {
            kubeconfig: kubeconfig.filter(|path| !path.as_os_str().is_empty()),
            context: given(&self.global.context),
            namespace: given(&self.global.namespace).or_else(|| env::text(env::KF_NAMESPACE)),
            request_timeout: self.global.request_timeout,
            attended: !self.ui.is_silent(),
        }
    }

    /// The settings for a run of an added command.
    pub fn setting(&self, flags: &RunArgs) -> Setting {
        let from_env = env::text(env::KF_NAMESPACE);
        Setting {
            home: self.home.clone(),
            built_in: kf_built_in::built_ins(),
            target: self.target(),
            audit_log: env::var(env::KF_AUDIT_LOG).map(Into::into),
            dry_run: flags.dry_run,
            read_only: flags.read_only,
            interactive: self.ui.interactive(),
            backtrace: env::text(env::KF_BACKTRACE).is_some_and(|value| value == "1"),
            overridden: from_env
                .map(|namespace| format!("{} is set to {namespace} and takes precedence", env::KF_NAMESPACE)),
            reporter: self.reporter(),
        }
    }
}
