//! `kf pipeline run`.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use serde::Serialize;
use serde_json::{Value, json};

use crate::server::{Server, encoded};
use crate::spec::Spec;
use crate::state::{State, took};
use crate::status::Task;
use crate::{Run, find};

/// How often the server is polled: it has no watch.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How many pipelines and versions are searched.
const MAX_SEARCHED: usize = 1000;

#[derive(Serialize, TableRow)]
#[row(name = "format!(\"run/{}\", self.name)")]
struct Report {
    name: String,
    id: String,
    #[serde(skip)]
    #[column(title = "STATE")]
    state_cell: Cell,
    #[column(skip)]
    state: State,
    took: Option<String>,
}

pub(crate) fn run(kf: &Kf, run: &Run) -> Result<Exit> {
    // Errors in the file are reported before any request.
    let spec = run.file.as_ref().map(|file| Spec::read(kf, file)).transpose()?;
    if let Some(spec) = &spec {
        spec.parameters(&run.param)?;
    }
    let (source, server) = match (spec, &run.pipeline) {
        (Some(spec), _) => {
            let source = Source { reference: None, spec };
            (source, Server::open(kf, &run.place)?)
        }
        (None, Some(pipeline)) => {
            let server = Server::open(kf, &run.place)?;
            (find_version(&server, pipeline)?, server)
        }
        (None, None) => {
            return Err(Error::invalid("no pipeline given").hint("kf pipeline ls pipelines"));
        }
    };
    let parameters = source.spec.parameters(&run.param)?;
    let name = run.name.clone().unwrap_or_else(|| format!("{} {}", source.spec.name(), kf.now()));
    if kf.context().dry_run {
        kf.note(format!(
            "would run {name} with {parameters}; not validated: the Pipelines server has no dry run"
        ));
        return Ok(Exit::OK);
    }
    let experiment = experiment(&server, &run.experiment)?;
    let mut body = json!({
        "display_name": name, "experiment_id": experiment, "runtime_config": { "parameters": parameters },
    });
    let (field, value) = match &source.reference {
        Some(reference) => ("pipeline_version_reference", reference),
        None => ("pipeline_spec", source.spec.document()),
    };
    if let Some(fields) = body.as_object_mut() {
        fields.insert(field.to_owned(), value.clone());
        if server.multi_user {
            fields.insert("service_account".to_owned(), run.place.account().into());
        }
    }
    let query = format!("/runs?experiment_id={}", encoded(&experiment));
    let created = Object::from(server.create("runs", &query, &body)?);
    let id = created.str("/run_id").unwrap_or_default().to_owned();
    if !run.wait {
        report(kf, &created)?;
        kf.next_step("check it", &format!("kf pipeline status {id}"));
        return Ok(Exit::OK);
    }
    kf.note(format!("run {name} started ({id})"));
    wait(&server, run, &name, &id)
}

/// The pipeline to run.
struct Source {
    /// The version on the server, if it was uploaded.
    reference: Option<Value>,
    spec: Spec,
}

/// Finds a version of an uploaded pipeline, given as `NAME` or `NAME@VERSION`.
fn find_version(server: &Server, text: &str) -> Result<Source> {
    let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
    let pipelines = server.list("pipelines", "/pipelines", "pipelines", &[], MAX_SEARCHED)?;
    let Some(pipeline) = pipelines.iter().find(|pipeline| pipeline.str("/display_name") == Some(name)) else {
        return Err(Error::not_found(format!("no pipeline `{name}` in {}", server.kf.namespace()))
            .hint("kf pipeline ls pipelines"));
    };
    let id = pipeline.str("/pipeline_id").unwrap_or_default();
    let path = format!("/pipelines/{}/versions", encoded(id));
    let versions = server.list("pipelines", &path, "pipeline_versions", &[], MAX_SEARCHED)?;
    let matches = |one: &&Object| version.is_none() || one.str("/display_name") == version;
    let Some(found) = versions.iter().find(matches) else {
        let names: Vec<_> = versions.iter().filter_map(|one| one.str("/display_name")).collect();
        let message = match version {
            Some(version) if !names.is_empty() => {
                format!("no version {version} of {name}; available: {}", names.join(", "))
            }
            _ => format!("{name} has no versions"),
        };
        return Err(Error::not_found(message));
    };
    let reference = json!({ "pipeline_id": id, "pipeline_version_id": found.str("/pipeline_version_id") });
    let spec = Spec::of_server(found.at("/pipeline_spec").unwrap_or(&Value::Null));
    Ok(Source { reference: Some(reference), spec })
}

/// The id of the experiment of this name. Creates it if it does not exist.
fn experiment(server: &Server, name: &str) -> Result<String> {
    if let Some(id) = find::experiment(server, name)? {
        return Ok(id);
    }
    let mut body = json!({ "display_name": name });
    if server.multi_user
        && let Some(fields) = body.as_object_mut()
    {
        fields.insert("namespace".to_owned(), server.kf.namespace().into());
    }
    let created = Object::from(server.create("experiments", "/experiments", &body)?);
    server.kf.note(format!("experiment {name} created"));
    Ok(created.str("/experiment_id").unwrap_or_default().to_owned())
}

fn wait(server: &Server, run: &Run, name: &str, id: &str) -> Result<Exit> {
    let kf = &server.kf;
    if kf.context().interactive {
        let again = kf.same_target(&format!("kf pipeline status {id}"));
        kf.note(format!("Ctrl-C leaves {name} running; check it with `{again}`"));
    }
    let end = kf.after(run.timeout.0);
    let progress = kf.progress(&format!("waiting for {name}"));
    loop {
        let now = find::by_id(server, id)?;
        let state = State::of(&now);
        if state.is_final() {
            if !kf.output_format().is_table() {
                report(kf, &now)?;
            }
            return ended(kf, &now, &state);
        }
        let tasks = Task::of_run(&now, kf.now());
        let running: Vec<_> =
            tasks.iter().filter(|task| task.is_running()).map(|task| task.name.as_str()).collect();
        progress.say(&format!(
            "waiting for {name}: {} {}",
            state.as_text().to_lowercase(),
            running.join(", ")
        ));
        if kf.wait(&[&end, &kf.after(POLL_INTERVAL)]).contains(&0) {
            let after = short_duration(run.timeout.0);
            return Err(Error::timed_out(format!("{name} has not ended after {after}"))
                .hint(format!("kf pipeline status {id}")));
        }
    }
}

/// Reports how the run ended, and why it failed.
fn ended(kf: &Kf, run: &Object, state: &State) -> Result<Exit> {
    let name = run.str("/display_name").unwrap_or_default();
    let after = took(run, "/created_at", "/finished_at", kf.now());
    let after = after.map(|after| format!(" after {after}")).unwrap_or_default();
    let word = state.as_text().to_lowercase();
    if state.is_good() {
        kf.note(format!("{name} {word}{after}"));
        return Ok(Exit::OK);
    }
    for task in Task::of_run(run, kf.now()).iter().filter(|task| task.has_failed()) {
        let why = task.why.clone().unwrap_or_else(|| "unknown reason".to_owned());
        kf.note(format!("task {} failed: {why}", task.name));
    }
    let id = run.str("/run_id").unwrap_or_default();
    Err(Error::failed(format!("{name} {word}{after}")).hint(format!("kf pipeline logs {id}")))
}

fn report(kf: &Kf, run: &Object) -> Result<()> {
    let state = State::of(run);
    let report = Report {
        name: run.str("/display_name").unwrap_or_default().to_owned(),
        id: run.str("/run_id").unwrap_or_default().to_owned(),
        state_cell: state.cell(),
        state,
        took: took(run, "/created_at", "/finished_at", kf.now()),
    };
    kf.report_with(format!("run/{} created ({})", report.name, report.id), &report)
}
