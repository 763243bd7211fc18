//! Waiting until a server runs, or until its pod is gone.

use std::time::Duration;

use kf_plugin_sdk::objects::Watch;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::restarts;
use kf_plugin_sdk::{Api, short_duration};

use crate::scene::Scene;
use crate::server::Server;
use crate::state::{ServerState, View, is_older, is_proven};

/// A failure that lasts so long does not heal by itself. Every start of a Workspace fails for a moment.
const FAILURE_LASTS: Duration = Duration::from_secs(20);
/// So long a server without a readiness probe has to run, for a crash loop looks well at each try.
const STEADY: Duration = Duration::from_secs(3);
/// A pod that a change replaces is gone by then; one that the change does not touch stays.
const REPLACED_WITHIN: Duration = Duration::from_secs(5);
/// Events come without a watch of their own.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Waits until the server can be used; its pod. An error if it cannot be within the limit.
pub fn until_running(kf: &Kf, server: &mut Server, limit: Duration) -> Result<Object> {
    until_replaced(kf, server, None, limit)
}

/// The same, by another pod than the one of this uid: after a change the old one still runs for a moment.
pub fn until_replaced(kf: &Kf, server: &mut Server, old: Option<&str>, limit: Duration) -> Result<Object> {
    let progress = kf.progress(&format!("waiting for {server}"));
    let begun = kf.now();
    let mut changes = Changes::open(kf, server)?;
    let mut failing: Option<Timestamp> = None;
    let mut steady: Option<(Timestamp, String)> = None;
    loop {
        let again = server.again(kf)?;
        *server =
            again.ok_or_else(|| Error::failed(format!("{server} was deleted while it was starting")))?;
        if !server.is_wished() {
            let text =
                format!("{server} was stopped while it was starting: it was idle, or somebody stopped it");
            return Err(Error::failed(text).hint(format!("kf notebook start {server}")));
        }
        let scene = Scene::of(kf, server)?;
        let now = kf.now();
        let view = View::new(server, &scene, now);
        match (view.state, view.pod) {
            (ServerState::Running, Some(pod)) if old.is_some() && pod.uid() == old => {
                let is_kept = scene.set(server).is_some_and(|set| !is_older(pod, set));
                if is_kept && begun.age(now) >= REPLACED_WITHIN {
                    return Ok(pod.clone());
                }
            }
            (ServerState::Running, Some(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                if is_proven(server, pod) {
                    return Ok(pod.clone());
                }
                match &steady {
                    Some((since, of)) if *of == life(uid, pod) => {
                        if since.age(now) >= STEADY {
                            return Ok(pod.clone());
                        }
                    }
                    _ => steady = Some((now, life(uid, pod))),
                }
            }
            _ if view.state == ServerState::Failed || view.is_refused => {
                let since = *failing.get_or_insert(now);
                if view.is_final || since.age(now) >= FAILURE_LASTS {
                    return Err(failed(&view));
                }
            }
            // Between two tries a crash loop only looks as if it started.
            (_, pod) if pod.is_none_or(|pod| restarts(pod) == 0) => failing = None,
            _ => {}
        }
        let waited = begun.age(now);
        if waited >= limit {
            let why = view.why.as_deref().unwrap_or("it is not ready");
            let text = format!("{server} does not run after {}: {why}", short_duration(waited));
            return Err(Error::timed_out(text).hint(format!("kf status {server}")));
        }
        let what = view.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        progress.say(&format!("waiting for {server}{what}, {}", short_duration(waited)));
        changes.wait(kf)?;
    }
}

/// Waits until no pod of the server is left. It may be deleted in the meantime.
pub fn until_stopped(kf: &Kf, server: &mut Server, limit: Duration) -> Result<()> {
    let progress = kf.progress(&format!("waiting for {server} to stop"));
    let begun = kf.now();
    let mut changes = Changes::open(kf, server)?;
    loop {
        let Some(now_is) = server.again(kf)? else { return Ok(()) };
        *server = now_is;
        if server.is_wished() {
            return Err(Error::failed(format!("{server} was started again while it was stopping")));
        }
        let scene = Scene::of(kf, server)?;
        let now = kf.now();
        let view = View::new(server, &scene, now);
        let Some(pod) = view.pod else { return Ok(()) };
        let waited = begun.age(now);
        if waited >= limit {
            let text = format!("pod {} has not ended after {}", pod.name(), short_duration(waited));
            return Err(Error::timed_out(text).hint(format!("kf status {server}")));
        }
        let grace = pod.int("/metadata/deletionGracePeriodSeconds").unwrap_or(30);
        let text = format!("pod {} may take {grace} s to end, {}", pod.name(), short_duration(waited));
        progress.say(&format!("waiting for {server} to stop: {text}"));
        changes.wait(kf)?;
    }
}

/// One life of a pod's containers: another pod, or a restart, begins another.
fn life(uid: &str, pod: &Object) -> String {
    format!("{uid}/{}", restarts(pod))
}

fn failed(view: &View<'_>) -> Error {
    let server = view.server;
    let why = view.why.as_deref().unwrap_or("it fails");
    let hint =
        if view.is_stuck { format!("kf notebook start {server}") } else { format!("kf status {server}") };
    Error::failed(format!("{server} does not start: {why}")).hint(hint)
}

/// Changes of a server and its pods.
struct Changes {
    watches: Vec<(Api, Watch)>,
}

impl Changes {
    fn open(kf: &Kf, server: &Server) -> Result<Self> {
        let mut watches = Vec::new();
        for api in [server.component.itself(kf), server.component.pod_selection(kf)] {
            let (_, watch) = api.list_and_watch()?;
            watches.push((api, watch));
        }
        Ok(Self { watches })
    }

    /// Blocks until something has changed, or it is time to look for events.
    fn wait(&mut self, kf: &Kf) -> Result<()> {
        let timer = kf.after(LOOK_AGAIN);
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
