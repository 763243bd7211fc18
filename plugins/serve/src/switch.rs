//! `--stop` and `--start`: the pods go and come, the service stays.

use kf_plugin_sdk::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::predictor::{self, STOP, kind};
use crate::{Serve, wait};

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"inferenceservice/{}\", self.name)")]
struct Switched {
    name: String,
    change: &'static str,
}

pub(crate) fn switch(kf: &Kf, serve: &Serve, name: &str) -> Result<Exit> {
    let services = kf.api(kind());
    let Some(service) = services.find(name)? else {
        return Err(Error::not_found(format!("no inference service `{name}`")).hint("kf serve --list"));
    };
    let is_so = predictor::is_stopped(&service) == serve.stop;
    if !is_so {
        let wish = if serve.stop { Value::from("true") } else { Value::Null };
        services.merge(name, &json!({ "metadata": { "annotations": { STOP: wish } } }))?;
    }
    let change = match (serve.stop, is_so) {
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
    let switched = Switched { name: name.to_owned(), change };
    kf.did_with(format!("inferenceservice/{name} {change}"), &switched)?;
    Ok(Exit::OK)
}
