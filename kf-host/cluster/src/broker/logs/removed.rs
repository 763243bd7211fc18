//! Detects the log of a container that was removed from its node.
//!
//! A kubelet that cannot find a container, for example because it was removed after its pod was evicted, sends an error
//! message instead of the log. Newer kubelets answer 400, but older ones have already answered 200, so that the message
//! looks like output of the container. kubectl prints it and exits with 0.
//!
//! Here it is an error, but only if it is certain: **the log consists of the message alone, and the pod's status has a
//! terminated run of the container with the ID in it.** A log that merely starts or ends with the message, or that of
//! another container, is passed on unchanged. Only what may be a prefix of the message is held back, and no request is
//! made before the message is complete.

use std::future::Future;

use futures_util::{Stream, StreamExt as _, stream};
use kf_core::api::{ApiError, ByteStream, ErrorCode};
use serde_json::Value;

use super::run::statuses;

const REMOVED_MESSAGE: &str = "unable to retrieve container logs for ";

/// Longer than any container ID with its runtime, such as `containerd://` and 64 hexadecimal digits.
const MAX_ID_BYTES: usize = 256;

/// The error for a removed container.
pub(super) fn error() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "the container is no longer on its node")
}

/// The log, or an error if it consists of the kubelet's message about a container for which `is_removed`.
pub(super) fn checked<F>(log: ByteStream, is_removed: impl FnOnce(String) -> F + Send + 'static) -> ByteStream
where
    F: Future<Output = bool> + Send,
{
    let start = async move {
        // A stream must not be polled after its end.
        let mut log = log.fuse();
        let mut held = Vec::new();
        while may_be_message(&held) {
            match log.next().await {
                Some(Ok(chunk)) => held.extend(chunk),
                Some(Err(error)) => return first(held).chain(stream::iter([Err(error)])).chain(log).boxed(),
                None => {
                    if let Some(id) = container_in(&held)
                        && is_removed(id.to_owned()).await
                    {
                        return stream::iter([Err(error())]).boxed();
                    }
                    break;
                }
            }
        }
        first(held).chain(log).boxed()
    };
    stream::once(start).flatten().boxed()
}

/// The bytes that were held back, if any.
fn first(held: Vec<u8>) -> impl Stream<Item = Result<Vec<u8>, ApiError>> + Send {
    stream::iter((!held.is_empty()).then_some(Ok(held)))
}

/// The ID in the kubelet's message, if `answer` is exactly that message.
pub(super) fn container_in(answer: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(answer).ok()?.strip_prefix(REMOVED_MESSAGE)?;
    (is_id(id.as_bytes()) && !id.is_empty()).then_some(id)
}

fn may_be_message(start: &[u8]) -> bool {
    match start.strip_prefix(REMOVED_MESSAGE.as_bytes()) {
        Some(id) => is_id(id),
        None => REMOVED_MESSAGE.as_bytes().starts_with(start),
    }
}

fn is_id(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_ID_BYTES && bytes.iter().all(u8::is_ascii_graphic)
}

/// Whether the run of a container with this ID is terminated.
pub(super) fn has_ended(pod: &Value, container: Option<&str>, id: &str) -> bool {
    let is = |status: &Value, pointer: &str| status.pointer(pointer).and_then(Value::as_str) == Some(id);
    statuses(pod, container).any(|status| {
        let ended = ["/state/terminated/containerID", "/lastState/terminated/containerID"];
        ended.iter().any(|pointer| is(status, pointer))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ID: &str = "containerd://0f3a";

    /// A stream that panics if it is polled after its end, as a log does.
    fn log(chunks: &[&[u8]]) -> ByteStream {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(chunk.to_vec())).collect();
        stream::unfold(chunks.into_iter(), |mut rest| async { Some((rest.next()?, rest)) }).boxed()
    }

    /// The content of a checked log, and whether the container was looked up.
    async fn read(chunks: &[&[u8]], is_removed: bool) -> (Result<Vec<u8>, ApiError>, bool) {
        let (asked, was_asked) = std::sync::mpsc::channel();
        let mut checked = checked(log(chunks), move |id| {
            asked.send(id).unwrap();
            async move { is_removed }
        });
        let mut text = Vec::new();
        while let Some(chunk) = checked.next().await {
            match chunk {
                Ok(chunk) => text.extend(chunk),
                Err(error) => return (Err(error), was_asked.try_recv().is_ok()),
            }
        }
        (Ok(text), was_asked.try_recv().is_ok())
    }

    #[tokio::test]
    async fn message_about_removed_container_is_an_error() {
        let message = format!("{REMOVED_MESSAGE}{ID}");
        let message = message.as_bytes();
        for at in 0..=message.len() {
            let (first, second) = message.split_at(at);
            assert_eq!(read(&[first, second], true).await, (Err(error()), true), "split at {at}");
            assert_eq!(read(&[first, second], false).await, (Ok(message.to_vec()), true));
        }
    }

    #[tokio::test]
    async fn log_that_contains_message_is_unchanged_without_lookup() {
        let message = format!("{REMOVED_MESSAGE}{ID}");
        for text in [
            format!("{message}\n"),
            format!("{message} "),
            format!("retrying: {message}"),
            format!("{message}\n{message}"),
            format!("epoch=1\n{message}"),
            REMOVED_MESSAGE.to_owned(),
            format!("{REMOVED_MESSAGE}{}", "f".repeat(MAX_ID_BYTES + 1)),
            "unable to".to_owned(),
            String::new(),
        ] {
            assert_eq!(
                read(&[text.as_bytes()], true).await,
                (Ok(text.clone().into_bytes()), false),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn held_back_bytes_precede_error() {
        let broken = ApiError::new(ErrorCode::Unreachable, "connection lost");
        let chunks = vec![Ok(b"unable".to_vec()), Err(broken.clone())];
        let mut checked = checked(stream::iter(chunks).boxed(), |_| async { true });
        assert_eq!(checked.next().await, Some(Ok(b"unable".to_vec())));
        assert_eq!(checked.next().await, Some(Err(broken)));
    }

    proptest! {
        #[test]
        fn any_log_is_unchanged(text in "(unable to |retrieve |container logs for |x|\n| ){0,6}", at in 0_usize..60) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let read = futures_util::FutureExt::now_or_never(read(&[first, second], false));
            prop_assert_eq!(read.unwrap().0, Ok(bytes.to_vec()));
        }
    }

    #[test]
    fn run_has_ended_if_its_id_is_terminated_in_status() {
        let pod = json!({"status": {
            "containerStatuses": [{
                "name": "main", "containerID": "containerd://now", "state": {"running": {}},
                "lastState": {"terminated": {"containerID": "containerd://before"}},
            }],
            "initContainerStatuses": [
                {"name": "fetch", "state": {"terminated": {"containerID": "containerd://init"}}},
            ],
        }});
        assert!(has_ended(&pod, Some("main"), "containerd://before"));
        assert!(!has_ended(&pod, Some("main"), "containerd://now"), "it runs");
        assert!(has_ended(&pod, Some("fetch"), "containerd://init"));
        assert!(!has_ended(&pod, Some("main"), "containerd://init"));
        assert!(has_ended(&pod, None, "containerd://init"));
        assert!(!has_ended(&pod, None, "containerd://other"));
        assert!(!has_ended(&json!({}), None, "containerd://other"));
    }
}
