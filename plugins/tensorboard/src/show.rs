//! Opens the page in the browser, and forwards its port while the command runs.

use std::time::Duration;

use kf_plugin_sdk::abi::Port;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Events, Severity, combine, is_ready, outcome, pod_trouble};
use serde::Serialize;

use crate::Tensorboard;
use crate::board::Board;
use crate::job::{self, LEASE, PORT, RENEW_INTERVAL};

/// A failure that lasts this long does not recover.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The report about an opened page.
#[derive(Debug, Serialize, TableRow)]
#[row(name = "self.tensorboard.clone()")]
struct Opened {
    tensorboard: String,
    logs: String,
    url: String,
    pod: String,
    port: u16,
}

/// Forwards a local port to it until it ends or kf is stopped.
pub(crate) fn show(kf: &Kf, wanted: &Tensorboard, board: Board) -> Result<Exit> {
    let shown = forward(kf, wanted, &board);
    if wanted.rm {
        job::remove(kf, &board.component.name)?;
        kf.note(format!("{} was removed", board.component));
    }
    shown
}

fn forward(kf: &Kf, wanted: &Tensorboard, board: &Board) -> Result<Exit> {
    if board.existed {
        kf.note(format!("{} already shows {}", board.component, board.logs));
    } else {
        kf.note(format!("{} created for {}", board.component, board.logs));
    }
    let mut local = wanted.port;
    let mut is_shown = false;
    loop {
        let Some(pod) = until_ready(kf, wanted, board)? else {
            kf.note(format!("{} has ended", board.component));
            return Ok(Exit::OK);
        };
        until_answers(kf, wanted, board, &pod)?;
        let forward = kf.forward_ports(pod.name(), &[Port { local, remote: PORT }])?;
        local = forward.ports().first().map_or(local, |port| port.local);
        if is_shown {
            kf.note(format!("reconnected to {}", board.component));
        } else {
            let in_browser = !wanted.no_browser && forward.open_page("/")?;
            report(kf, wanted, board, &pod, local, in_browser)?;
            is_shown = true;
        }
        let ended = forward.subscribe();
        loop {
            let renew = kf.after(RENEW_INTERVAL);
            let ready = kf.wait(&[&ended, &renew]);
            if ready.contains(&0) || ready.is_empty() {
                break;
            }
            if wanted.rm {
                job::renew(kf, board)?;
            }
        }
        let ended = forward.finish();
        let same = kf.api("Pod").find(pod.name())?.filter(|found| found.uid() == pod.uid());
        if same.is_some_and(|pod| pod.str("/metadata/deletionTimestamp").is_none()) {
            ended?;
        }
        kf.sleep(POLL_INTERVAL);
    }
}

fn report(
    kf: &Kf,
    wanted: &Tensorboard,
    board: &Board,
    pod: &Object,
    local: u16,
    in_browser: bool,
) -> Result<()> {
    let url = format!("http://localhost:{local}/");
    let name = &board.component;
    if kf.output_format().is_table() {
        match in_browser {
            true => kf.note(format!("{name} is at {url}")),
            false => kf.print_line(&url)?,
        }
    } else {
        kf.record(&Opened {
            tensorboard: name.to_string(),
            logs: board.logs.clone(),
            url,
            pod: pod.name().to_owned(),
            port: local,
        })?;
    }
    let remove = kf.same_target(&format!("kf remove {name}"));
    if wanted.rm {
        kf.note(format!("after Ctrl-C {name} is removed within {}", short_duration(LEASE)));
    } else if board.is_job {
        kf.note(format!(
            "Ctrl-C leaves {name} running for up to {}; remove it with `{remove}`",
            short_duration(wanted.lifetime.0)
        ));
    } else {
        kf.note(format!("Ctrl-C leaves {name} running; remove it with `{remove}`"));
    }
    Ok(())
}

/// Waits for a ready pod; `None` if the TensorBoard has ended.
fn until_ready(kf: &Kf, wanted: &Tensorboard, board: &Board) -> Result<Option<Object>> {
    let component = &board.component;
    let progress = kf.progress(&format!("waiting for {component}"));
    let started = kf.now();
    let mut failing: Option<Timestamp> = None;
    loop {
        let Some(object) = kf.api(component.kind.kind()).find(&component.name)? else { return Ok(None) };
        if object.uid() != component.object.uid() || outcome(&object).is_some_and(|_| board.is_job) {
            return Ok(None);
        }
        let pods = component.pods(kf)?;
        if let Some(pod) =
            pods.iter().find(|pod| is_ready(pod) && pod.str("/metadata/deletionTimestamp").is_none())
        {
            return Ok(Some(pod.clone()));
        }
        let (now, events) = (kf.now(), Events::read(kf)?);
        let trouble = combine(pods.iter().filter_map(|pod| pod_trouble(pod, &events)));
        let verdict = component.judge(&pods, &events).why;
        let warning =
            events.warning(&object).map(|(_, message)| message.to_owned()).filter(|_| pods.is_empty());
        let why = warning.clone().or(trouble.as_ref().map(|trouble| trouble.text.clone())).or(verdict);
        let fails = warning.is_some() || trouble.is_some_and(|trouble| trouble.severity == Severity::Failing);
        if fails {
            if failing.get_or_insert(now).age(now) >= FAILURE_TIMEOUT {
                let why = why.as_deref().unwrap_or("it fails");
                return Err(Error::failed(format!("{component} failed to start: {why}"))
                    .hint(format!("kf remove {component}")));
            }
        } else {
            failing = None;
        }
        let waited = started.age(now);
        if waited >= wanted.timeout.0 {
            let why = why.as_deref().unwrap_or("it is not ready");
            return Err(Error::timed_out(format!(
                "{component} is not ready after {}: {why}",
                short_duration(waited)
            ))
            .hint(format!("kf status {component}")));
        }
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        progress.say(&format!("waiting for {component}{why}, {}", short_duration(waited)));
        kf.sleep(POLL_INTERVAL);
    }
}

/// Waits until the pod answers: without a readiness probe it is ready before it listens. Any answer counts.
fn until_answers(kf: &Kf, wanted: &Tensorboard, board: &Board, pod: &Object) -> Result<()> {
    let progress = kf.progress(&format!("waiting for {} to answer", board.component));
    let started = kf.now();
    while let Err(error) = kf.pod_http(pod.name(), PORT).get("/") {
        let listens_later = matches!(
            error.code,
            ErrorCode::Failed | ErrorCode::Internal | ErrorCode::TimedOut | ErrorCode::Unreachable
        );
        if !listens_later || started.age(kf.now()) >= wanted.timeout.0 {
            return Err(error.context(format!("{} does not answer", board.component)));
        }
        kf.sleep(POLL_INTERVAL);
    }
    drop(progress);
    Ok(())
}
