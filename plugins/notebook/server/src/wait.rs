//! Waits until a server runs, or until its pod is deleted.

use std::time::Duration;

use kf_plugin_sdk::objects::Watch;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::restarts;
use kf_plugin_sdk::{Api, short_duration};

use crate::server::Server;
use crate::snapshot::Snapshot;
use crate::state::{ServerState, View, has_readiness_probe, is_older};

/// A failure that lasts this long does not recover. Every start of a Workspace fails for a moment.
const FAILURE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server without a readiness probe must run: in a crash loop it seems ready at each start.
const MIN_UPTIME: Duration = Duration::from_secs(3);
/// If a change replaces the pod, it does so within this time.
const REPLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often events are read; they have no watch here.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Waits until the server is ready and returns its pod. An error after the limit.
pub fn until_running(kf: &Kf, server: &mut Server, limit: Duration) -> Result<Object> {
    until_replaced(kf, server, None, limit)
}

/// Like [`until_running`], but with another pod than `old`: after a change the old one still runs for a moment.
pub fn until_replaced(kf: &Kf, server: &mut Server, old: Option<&str>, limit: Duration) -> Result<Object> {
    let progress = kf.progress(&format!("waiting for {server}"));
    let started = kf.now();
    let mut changes = Changes::open(kf, server)?;
    let mut failing: Option<Timestamp> = None;
    let mut steady: Option<(Timestamp, String)> = None;
    loop {
        let reloaded = server.reload(kf)?;
        *server =
            reloaded.ok_or_else(|| Error::failed(format!("{server} was deleted while it was starting")))?;
        if !server.should_run() {
            let text = format!(
                "{server} was stopped while it was starting: it was idle, or another user stopped it"
            );
            return Err(Error::failed(text).hint(format!("kf notebook start {server}")));
        }
        let snapshot = Snapshot::of(kf, server)?;
        let now = kf.now();
        let view = View::new(server, &snapshot, now);
        match (view.state, view.pod) {
            (ServerState::Running, Some(pod)) if old.is_some() && pod.uid() == old => {
                let is_kept = snapshot.set(server).is_some_and(|set| !is_older(pod, set));
                if is_kept && started.age(now) >= REPLACE_TIMEOUT {
                    return Ok(pod.clone());
                }
            }
            (ServerState::Running, Some(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                if has_readiness_probe(server, pod) {
                    return Ok(pod.clone());
                }
                match &steady {
                    Some((since, of)) if *of == run_id(uid, pod) => {
                        if since.age(now) >= MIN_UPTIME {
                            return Ok(pod.clone());
                        }
                    }
                    _ => steady = Some((now, run_id(uid, pod))),
                }
            }
            _ if view.state == ServerState::Failed || view.is_refused => {
                let since = *failing.get_or_insert(now);
                if view.is_permanent || since.age(now) >= FAILURE_TIMEOUT {
                    return Err(failed(&view));
                }
            }
            // Between two starts, a crash loop only seems to be starting.
            (_, pod) if pod.is_none_or(|pod| restarts(pod) == 0) => failing = None,
            _ => {}
        }
        let waited = started.age(now);
        if waited >= limit {
            let why = view.why.as_deref().unwrap_or("it is not ready");
            let text = format!("{server} is not running after {}: {why}", short_duration(waited));
            return Err(Error::timed_out(text).hint(format!("kf status {server}")));
        }
        let what = view.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        progress.say(&format!("waiting for {server}{what}, {}", short_duration(waited)));
        changes.wait(kf)?;
    }
}

/// Waits until the server has no pod. The server may be deleted meanwhile.
pub fn until_stopped(kf: &Kf, server: &mut Server, limit: Duration) -> Result<()> {
    let progress = kf.progress(&format!("waiting for {server} to stop"));
    let started = kf.now();
    let mut changes = Changes::open(kf, server)?;
    loop {
        let Some(reloaded) = server.reload(kf)? else { return Ok(()) };
        *server = reloaded;
        if server.should_run() {
            return Err(Error::failed(format!("{server} was started again while it was stopping")));
        }
        let snapshot = Snapshot::of(kf, server)?;
        let now = kf.now();
        let view = View::new(server, &snapshot, now);
        let Some(pod) = view.pod else { return Ok(()) };
        let waited = started.age(now);
        if waited >= limit {
            let text = format!("pod {} has not terminated after {}", pod.name(), short_duration(waited));
            return Err(Error::timed_out(text).hint(format!("kf status {server}")));
        }
        let grace = pod.int("/metadata/deletionGracePeriodSeconds").unwrap_or(30);
        let text = format!("pod {} has {grace} s to terminate, {}", pod.name(), short_duration(waited));
        progress.say(&format!("waiting for {server} to stop: {text}"));
        changes.wait(kf)?;
    }
}

/// Identifies one run of a pod's containers: it changes with the pod and with every restart.
fn run_id(uid: &str, pod: &Object) -> String {
    format!("{uid}/{}", restarts(pod))
}

fn failed(view: &View<'_>) -> Error {
    let server = view.server;
    let why = view.why.as_deref().unwrap_or("it fails");
    let hint =
        if view.is_stuck { format!("kf notebook start {server}") } else { format!("kf status {server}") };
    Error::failed(format!("{server} failed to start: {why}")).hint(hint)
}

/// Changes of a server and its pods.
struct Changes {
    watches: Vec<(Api, Watch)>,
}

impl Changes {
    fn open(kf: &Kf, server: &Server) -> Result<Self> {
        let mut watches = Vec::new();
        for api in [server.component.selection(kf), server.component.pod_selection(kf)] {
            let (_, watch) = api.list_and_watch()?;
            watches.push((api, watch));
        }
        Ok(Self { watches })
    }

    /// Blocks until something has changed, or until events are due.
    fn wait(&mut self, kf: &Kf) -> Result<()> {
        let timer = kf.after(POLL_INTERVAL);
        let streams: Vec<_> = self.watches.iter().map(|(_, watch)| watch.subscribe()).collect();
        let all: Vec<_> = [&timer].into_iter().chain(&streams).collect();
        let ready = kf.wait(&all);
        if ready.is_empty() {
            return Err(Error::timed_out("nothing can change any more"));
        }
        for index in ready {
            let Some((api, watch)) = index.checked_sub(1).and_then(|index| self.watches.get_mut(index))
            else {
                continue;
            };
            let ended = match watch.next() {
                Ok(events) => events.is_empty(),
                Err(error) if error.is(ErrorCode::Expired) => true,
                Err(error) => return Err(error),
            };
            if ended {
                (_, *watch) = api.list_and_watch()?;
            }
        }
        Ok(())
    }
}
