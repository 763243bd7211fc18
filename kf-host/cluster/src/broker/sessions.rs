//! Sessions in containers.
//!
//! A session is a change, whatever its verb: the upgrade to a WebSocket is a GET, and the API server
//! asks for `create` as well. So the grant must hold both, `--read-only` refuses it, and so does
//! `--dry-run`: a command in a container cannot be tried without being run.

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
use super::wire::{Call, no_end_of_stdin};
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
        let (call, place) = self.door(&pod, "exec", &query, detail).await?;
        self.no_dry_run("exec", &place)?;
        self.join(&call, &options, command.into_iter().next()).await
    }

    pub(super) async fn attach(
        self: &Arc<Self>,
        pod: PodRef,
        options: SessionOptions,
    ) -> Result<Session, ApiError> {
        let SessionOptions { container, stdin, tty } = options.clone();
        let detail = Detail::Attach { container, stdin, tty };
        let (call, place) = self.door(&pod, "attach", &query(&options)?, detail).await?;
        self.no_dry_run("attach", &place)?;
        let session = self.join(&call, &options, None).await?;
        let output = told_exit(Arc::clone(self), place, options.container, session.output);
        Ok(Session { output, ..session })
    }

    async fn join(
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
            return Err(no_end_of_stdin());
        }
        let settings = SessionSettings { tty: options.tty, program };
        Ok(session(socket(upgraded).await, settings, permit))
    }

    /// Checks that a subresource of a pod may be opened; the call that does, and the pod.
    pub(super) async fn door(
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

    /// The exit code of a container that a session was attached to; none if it goes on.
    async fn exit_code(&self, pod: &Place, container: Option<&str>) -> Option<i32> {
        const TRIES: u32 = 20;
        const BETWEEN: Duration = Duration::from_millis(250);
        for _ in 0..TRIES {
            let access = pod.access(Verb::Get);
            // The host's own question: the command learns a number, not the pod.
            let call = self.call(pod, access, None, Method::GET, &pod.object(), &Query::default()).ok()?;
            if let Some(code) = ended(&self.json(&call).await.ok()?, container) {
                return Some(code);
            }
            tokio::time::sleep(BETWEEN).await;
        }
        None
    }
}

fn told_exit(
    inner: Arc<Inner>,
    pod: Place,
    container: Option<String>,
    output: SessionStream,
) -> SessionStream {
    let told = output.then(move |piece| {
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
    told.boxed()
}

/// The exit code of a pod's container, the only one if none is named.
fn ended(pod: &Value, container: Option<&str>) -> Option<i32> {
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
    // With a terminal there is one stream.
    query.set("stderr", !options.tty);
    query.set("tty", options.tty);
    Ok(query)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_s_end_is_its_own() {
        let pod = json!({"status": {
            "containerStatuses": [
                {"name": "main", "state": {"terminated": {"exitCode": 7}}},
                {"name": "side", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}},
                {"name": "loop", "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 3}}},
            ],
            "ephemeralContainerStatuses": [{"name": "debug", "state": {"terminated": {"exitCode": 130}}}],
        }});
        assert_eq!(ended(&pod, None), Some(7));
        assert_eq!(ended(&pod, Some("main")), Some(7));
        assert_eq!(ended(&pod, Some("side")), None);
        assert_eq!(ended(&pod, Some("loop")), Some(3));
        assert_eq!(ended(&pod, Some("debug")), Some(130));
        assert_eq!(ended(&pod, Some("other")), None);
        assert_eq!(ended(&json!({}), None), None);
    }
}
