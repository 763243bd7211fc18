//! `--stop` and `--start`: delete and create the pods, keep the service.

use kf_plugin_sdk::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::predictor::{self, STOP, kind};
use crate::{Serve, wait};

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"inferenceservice/{}\", self.name)")]
struct Report {
    name: String,
    change: &'static str,
}

pub(crate) fn run(kf: &Kf, serve: &Serve, name: &str) -> Result<Exit> {
    let services = kf.api(kind());
    let Some(service) = services.find(name)? else {
        return Err(Error::not_found(format!("no inference service `{name}`")).hint("kf serve --list"));
    };
    let is_unchanged = predictor::is_stopped(&service) == serve.stop;
    if !is_unchanged {
        let value = if serve.stop { Value::from("true") } else { Value::Null };
        services.merge(name, &json!({ "metadata": { "annotations": { STOP: value } } }))?;
    }
    let change = match (serve.stop, is_unchanged) {
        (true, false) => "stopped",
        (false, false) => "started",
        (true, true) => "stopped already",
        (false, true) => "not stopped",
    };
    if kf.context().dry_run {
        return Ok(Exit::OK);
    }
    if serve.start && serve.wait {
        let ready = wait::until_ready(kf, serve, name, None)?;
        kf.note(format!("{name} {change}, {} of its pods ready", ready.count));
    }
    let report = Report { name: name.to_owned(), change };
    kf.report_with(format!("inferenceservice/{name} {change}"), &report)?;
    Ok(Exit::OK)
}
