//! What every command of the host is handed.

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
    Commands { home, built_in: kf_built_in::carried() }
}

impl App {
    pub fn new(ui: &Ui, global: GlobalArgs) -> Result<Self> {
        Ok(Self::in_home(ui, global, env::kf_home()?))
    }

    /// In a home that was looked up before.
    pub fn in_home(ui: &Ui, global: GlobalArgs, home: Home) -> Self {
        Self { ui: ui.with(global.color, global.output, global.verbose > 0), home, global }
    }

    /// The commands of this machine.
    pub fn commands(&self) -> Commands<'_> {
        commands_in(&self.home)
    }

    /// The names of the registries that are set up.
    pub fn registries(&self) -> Result<Vec<RegistryId>> {
        Ok(registries::list(&self.home, kf_built_in::carried())?)
    }

    /// The one place where kf looks at the clock for decisions about trust.
    pub fn now() -> Timestamp {
        Timestamp::now()
    }

    pub fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::new(self.ui.clone())
    }

    /// The cluster that the command line means. A flag with an empty value, as of a shell variable that is not set, is
    /// not given.
    pub fn target(&self) -> Target {
        let given = |flag: &Option<String>| flag.clone().filter(|value| !value.is_empty());
        let kubeconfig = self.global.kubeconfig.clone();
        Target {
            kubeconfig: kubeconfig.filter(|path| !path.as_os_str().is_empty()),
            context: given(&self.global.context),
            namespace: given(&self.global.namespace).or_else(|| env::text(env::KF_NAMESPACE)),
            request_timeout: self.global.request_timeout,
            attended: !self.ui.is_mute(),
        }
    }

    /// Where and how a run of an added command takes place.
    pub fn setting(&self, flags: &RunArgs) -> Setting {
        let first = env::text(env::KF_NAMESPACE);
        Setting {
            home: self.home.clone(),
            built_in: kf_built_in::carried(),
            target: self.target(),
            audit_log: env::var(env::KF_AUDIT_LOG).map(Into::into),
            dry_run: flags.dry_run,
            read_only: flags.read_only,
            interactive: self.ui.interactive(),
            backtrace: env::text(env::KF_BACKTRACE).is_some_and(|value| value == "1"),
            overridden: first
                .map(|first| format!("{} is set to {first}, which goes before", env::KF_NAMESPACE)),
            reporter: self.reporter(),
        }
    }
}
