//! Sessions in containers: exec and attach.
//!
//! A session counts as a change. The upgrade to a WebSocket is a GET, but the API server requires `create` too, so the
//! grant must include both verbs. `--read-only` and `--dry-run` refuse it, as a command in a container cannot be tried
//! without running it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::Method;
use kf_core::api::{ApiError, PodRef, Session, SessionOptions, SessionOutput, SessionStream};
use kf_core::grants::Verb;
use kf_core::names::ContainerName;
use kf_core::request::{Place, Reference, Request, check_command};
use kf_core::url::Query;
use serde_json::Value;

use super::Inner;
use super::wire::{Call, cannot_close_stdin};
use crate::audit::Detail;
use crate::connection::Channels;
use crate::streams::{SessionSettings, session, socket};

impl Inner {
    pub(super) async fn exec(
        &self,
        pod: PodRef,
        command: Vec<String>,
        options: SessionOptions,
    ) -> Result<Session, ApiError> {
        check_command(&command)?;
        let mut query = query(&options)?;
        for word in &command {
            query.set("command", word);
        }
        let detail = Detail::Exec {
            container: options.container.clone(),
            command: command.clone(),
            stdin: options.stdin,
            tty: options.tty,
        };
        let (call, place) = self.pod_call(&pod, "exec", &query, detail).await?;
        self.no_dry_run("exec", &place)?;
        self.open_session(&call, &options, command.into_iter().next()).await
    }

    pub(super) async fn attach(
        self: &Arc<Self>,
        pod: PodRef,
        options: SessionOptions,
    ) -> Result<Session, ApiError> {
        let SessionOptions { container, stdin, tty } = options.clone();
        let detail = Detail::Attach { container, stdin, tty };
        let (call, place) = self.pod_call(&pod, "attach", &query(&options)?, detail).await?;
        self.no_dry_run("attach", &place)?;
        let session = self.open_session(&call, &options, None).await?;
        let output = with_exit_code(Arc::clone(self), place, options.container, session.output);
        Ok(Session { output, ..session })
    }

    async fn open_session(
        &self,
        call: &Call,
        options: &SessionOptions,
        program: Option<String>,
    ) -> Result<Session, ApiError> {
        let permit = self.meter.stream()?;
        self.meter.call()?;
        let needs_close = options.stdin && !options.tty;
        let channels = if needs_close { Channels::WithClose } else { Channels::Any };
        let upgraded = self.upgrade(call, channels, true).await?;
        if needs_close && !upgraded.supports_stream_close() {
            return Err(cannot_close_stdin());
        }
        let settings = SessionSettings { tty: options.tty, program };
        Ok(session(socket(upgraded).await, settings, permit))
    }

    /// Checks that the grant allows a subresource of a pod. Returns the call to open it, and the pod.
    pub(super) async fn pod_call(
        &self,
        pod: &PodRef,
        subresource: &str,
        query: &Query,
        detail: Detail,
    ) -> Result<(Call, Place), ApiError> {
        let pod = self.place(Reference::pod(pod.namespace.as_deref(), &pod.name)?).await?;
        let request = Request::session(&pod, subresource)?;
        let rule = self.check_detailed(&request, Some(&detail))?;
        let Request { place, access, .. } = request;
        let mut call = self.call(&place, access, Some(rule), Method::GET, &place.object(), query)?;
        call.about.detail = Some(detail);
        Ok((call, pod))
    }

    pub(super) fn no_dry_run(&self, what: &str, pod: &Place) -> Result<(), ApiError> {
        if self.dry_run { Err(pod.no_dry_run(what)) } else { Ok(()) }
    }

    /// The exit code of the container that a session was attached to; `None` if it keeps running.
    async fn exit_code(&self, pod: &Place, container: Option<&str>) -> Option<i32> {
        const MAX_TRIES: u32 = 20;
        const RETRY_INTERVAL: Duration = Duration::from_millis(250);
        for _ in 0..MAX_TRIES {
            let access = pod.access(Verb::Get);
            // A request of the host: the command gets the exit code, not the pod.
            let call = self.call(pod, access, None, Method::GET, &pod.object(), &Query::default()).ok()?;
            if let Some(code) = exit_code_in(&self.json(&call).await.ok()?, container) {
                return Some(code);
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        None
    }
}

/// Replaces the exit code 0 of an attached session by that of the container.
fn with_exit_code(
    inner: Arc<Inner>,
    pod: Place,
    container: Option<String>,
    output: SessionStream,
) -> SessionStream {
    let output = output.then(move |piece| {
        let (inner, pod, container) = (Arc::clone(&inner), pod.clone(), container.clone());
        async move {
            match piece {
                Ok(SessionOutput::Exited(0)) => {
                    let code = inner.exit_code(&pod, container.as_deref()).await;
                    Ok(SessionOutput::Exited(code.unwrap_or(0)))
                }
                other => other,
            }
        }
    });
    output.boxed()
}

/// The exit code of a pod's container, or of its first if none is named.
fn exit_code_in(pod: &Value, container: Option<&str>) -> Option<i32> {
    let lists = ["containerStatuses", "ephemeralContainerStatuses", "initContainerStatuses"];
    let mut statuses =
        lists.iter().filter_map(|list| pod.pointer(&format!("/status/{list}"))?.as_array()).flatten().filter(
            |status| container.is_none_or(|name| status.get("name").is_some_and(|have| have == name)),
        );
    let status = statuses.next()?;
    let code = |state: &str| status.pointer(&format!("/{state}/terminated/exitCode"))?.as_i64();
    let waits_after_end = status.pointer("/state/waiting").is_some();
    let code = code("state").or_else(|| code("lastState").filter(|_| waits_after_end))?;
    i32::try_from(code).ok()
}

fn query(options: &SessionOptions) -> Result<Query, ApiError> {
    let mut query = Query::default();
    if let Some(container) = &options.container {
        query.set("container", ContainerName::parse(container.as_str())?);
    }
    query.set("stdin", options.stdin);
    query.set("stdout", true);
    // A terminal has a single stream.
    query.set("stderr", !options.tty);
    query.set("tty", options.tty);
    Ok(query)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exit_code_is_that_of_named_container() {
        let pod = json!({"status": {
            "containerStatuses": [
                {"name": "main", "state": {"terminated": {"exitCode": 7}}},
                {"name": "side", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}},
                {"name": "loop", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 3}}},
            ],
            "ephemeralContainerStatuses": [{"name": "debug", "state": {"terminated": {"exitCode": 130}}}],
        }});
        assert_eq!(exit_code_in(&pod, None), Some(7));
        assert_eq!(exit_code_in(&pod, Some("main")), Some(7));
        assert_eq!(exit_code_in(&pod, Some("side")), None);
        assert_eq!(exit_code_in(&pod, Some("loop")), Some(3));
        assert_eq!(exit_code_in(&pod, Some("debug")), Some(130));
        assert_eq!(exit_code_in(&pod, Some("other")), None);
        assert_eq!(exit_code_in(&json!({}), None), None);
    }
}
