//! What every command of the host is handed.

use jiff::Timestamp;
use kf_home::Home;

use crate::args::GlobalArgs;
use crate::env;
use crate::error::{CliError, Result};
use crate::ui::Ui;

pub struct App {
    pub ui: Ui,
    pub home: Home,
    pub global: GlobalArgs,
}

impl App {
    pub fn new(ui: &Ui, global: GlobalArgs) -> Result<Self> {
        let home = env::kf_home().ok_or_else(|| {
            CliError::failed("there is no home folder to keep anything in")
                .hint("set KF_HOME to a folder of yours")
        })?;
        Ok(Self { ui: ui.with(global.color, global.output), home, global })
    }

    /// The one place where kf looks at the clock for decisions about trust.
    pub fn now() -> Timestamp {
        Timestamp::now()
    }
}
