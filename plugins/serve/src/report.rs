//! Reports the result.

use kf_plugin_sdk::prelude::*;
use serde::Serialize;

use crate::predictor;
use crate::submit::{Change, Submitted};
use crate::wait::Ready;

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"inferenceservice/{}\", self.name)")]
struct Report {
    name: String,
    change: &'static str,
    serves: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[column(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
}

impl Change {
    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

impl Submitted {
    /// Prints the result.
    pub(crate) fn report(&self, kf: &Kf) -> Result<()> {
        kf.report_with(self.line(), &self.record(&self.service))?;
        kf.next_step("check its status", &format!("kf status {}", self.service.name()));
        Ok(())
    }

    /// Prints the change as a note: stdout is for the final result.
    pub(crate) fn note(&self, kf: &Kf) {
        kf.note(self.line());
    }

    /// Prints that the service is ready.
    pub(crate) fn report_ready(&self, kf: &Kf, ready: &Ready) -> Result<()> {
        let report = Report { ready: Some(ready.count), ..self.record(&ready.service) };
        kf.report_with(self.ready_line(ready), &report)
    }

    pub(crate) fn ready_line(&self, ready: &Ready) -> String {
        let at = predictor::address(&ready.service).map(|address| format!(" at {address}"));
        let pods = if ready.count == 1 { "1 pod".to_owned() } else { format!("{} pods", ready.count) };
        format!("inferenceservice/{} ready{} ({pods})", ready.service.name(), at.unwrap_or_default())
    }

    fn record(&self, service: &Object) -> Report {
        Report {
            name: service.name().to_owned(),
            change: self.change.word(),
            serves: predictor::serves(service),
            revision: predictor::revision(service).map(str::to_owned),
            ready: None,
            address: predictor::address(service).map(str::to_owned),
            added: self.added.clone(),
        }
    }

    fn line(&self) -> String {
        let serves = predictor::serves(&self.service).map(|what| format!(" ({what})")).unwrap_or_default();
        format!("inferenceservice/{} {}{serves}", self.service.name(), self.change.word())
    }
}
