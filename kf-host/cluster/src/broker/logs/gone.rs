//! A log that is not on its node any more.
//!
//! A kubelet that cannot find a container, because it was removed after its pod had been evicted, say, answers with one
//! sentence in place of the log. Only newer ones answer 400; the others have begun the answer with 200 by then, so that
//! the sentence looks like the container's own words. kubectl prints it, and ends with 0.
//!
//! Here it is an error, but only where it is certain: **the sentence is all there is, and the pod's status has an ended
//! run of the container with the ID in it.** A log that merely begins or ends with it, or that is of another container,
//! passes unchanged. No more is held back than what may still become the sentence, and no request is made before all of
//! it is there.

use std::future::Future;

use futures_util::{Stream, StreamExt as _, stream};
use kf_core::api::{ApiError, ByteStream, ErrorCode};
use serde_json::Value;

use super::run::statuses;

const SENTENCE: &str = "unable to retrieve container logs for ";

/// Longer than any container's ID with its runtime, such as `containerd://` and 64 hexadecimal digits.
const MAX_ID_BYTES: usize = 256;

/// What is said in place of the sentence.
pub(super) fn error() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "the container is no longer on its node")
}

/// The log, unless all of it is the kubelet's sentence about a container that `is_gone`.
pub(super) fn checked<F>(log: ByteStream, is_gone: impl FnOnce(String) -> F + Send + 'static) -> ByteStream
where
    F: Future<Output = bool> + Send,
{
    let start = async move {
        // What has ended may not be asked again.
        let mut log = log.fuse();
        let mut held = Vec::new();
        while may_become_sentence(&held) {
            match log.next().await {
                Some(Ok(chunk)) => held.extend(chunk),
                Some(Err(error)) => return first(held).chain(stream::iter([Err(error)])).chain(log).boxed(),
                None => {
                    if let Some(id) = container_in(&held)
                        && is_gone(id.to_owned()).await
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

/// An empty chunk would say nothing.
fn first(held: Vec<u8>) -> impl Stream<Item = Result<Vec<u8>, ApiError>> + Send {
    stream::iter((!held.is_empty()).then_some(Ok(held)))
}

/// The ID in the kubelet's sentence, if that is all there is.
pub(super) fn container_in(answer: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(answer).ok()?.strip_prefix(SENTENCE)?;
    (is_id(id.as_bytes()) && !id.is_empty()).then_some(id)
}

fn may_become_sentence(start: &[u8]) -> bool {
    match start.strip_prefix(SENTENCE.as_bytes()) {
        Some(id) => is_id(id),
        None => SENTENCE.as_bytes().starts_with(start),
    }
}

fn is_id(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_ID_BYTES && bytes.iter().all(u8::is_ascii_graphic)
}

/// Whether the run of a container that has this ID is over.
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

    /// As a log is: it may not be asked again after its end.
    fn log(chunks: &[&[u8]]) -> ByteStream {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(chunk.to_vec())).collect();
        stream::unfold(chunks.into_iter(), |mut rest| async { Some((rest.next()?, rest)) }).boxed()
    }

    /// What comes of a log, and whether it is asked for the container.
    async fn read(chunks: &[&[u8]], is_gone: bool) -> (Result<Vec<u8>, ApiError>, bool) {
        let (asked, was_asked) = std::sync::mpsc::channel();
        let mut checked = checked(log(chunks), move |id| {
            asked.send(id).unwrap();
            async move { is_gone }
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
    async fn sentence_about_a_container_that_is_gone_is_an_error() {
        let sentence = format!("{SENTENCE}{ID}");
        let sentence = sentence.as_bytes();
        for at in 0..=sentence.len() {
            let (first, second) = sentence.split_at(at);
            assert_eq!(read(&[first, second], true).await, (Err(error()), true), "split at {at}");
            assert_eq!(read(&[first, second], false).await, (Ok(sentence.to_vec()), true));
        }
    }

    #[tokio::test]
    async fn log_that_contains_the_sentence_passes_and_asks_nothing() {
        let sentence = format!("{SENTENCE}{ID}");
        for text in [
            format!("{sentence}\n"),
            format!("{sentence} "),
            format!("retrying: {sentence}"),
            format!("{sentence}\n{sentence}"),
            format!("epoch=1\n{sentence}"),
            SENTENCE.to_owned(),
            format!("{SENTENCE}{}", "f".repeat(MAX_ID_BYTES + 1)),
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
    async fn error_comes_after_what_was_held_back() {
        let broken = ApiError::new(ErrorCode::Unreachable, "broke off");
        let chunks = vec![Ok(b"unable".to_vec()), Err(broken.clone())];
        let mut checked = checked(stream::iter(chunks).boxed(), |_| async { true });
        assert_eq!(checked.next().await, Some(Ok(b"unable".to_vec())));
        assert_eq!(checked.next().await, Some(Err(broken)));
    }

    proptest! {
        #[test]
        fn any_log_passes_byte_for_byte(text in "(unable to |retrieve |container logs for |x|\n| ){0,6}", at in 0_usize..60) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let read = futures_util::FutureExt::now_or_never(read(&[first, second], false));
            prop_assert_eq!(read.unwrap().0, Ok(bytes.to_vec()));
        }
    }

    #[test]
    fn run_has_ended_by_the_id_in_the_status_of_its_container() {
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
