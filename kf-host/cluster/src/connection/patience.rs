//! Waiting as long as a busy API server asks to.
//!
//! A server that sheds load answers 429, or 503, and says in `Retry-After` when to ask again; it has done nothing with
//! the request by then. That goes for what a command asks and for the host's own questions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use kube::core::Status;

/// How often one request is sent again; client-go gives up after as many.
const MAX_RETRIES: u32 = 10;

/// The longest wait that is granted a server, and all of a connection's waits together.
const MAX_WAIT: Duration = Duration::from_secs(30);
const MAX_WAITS: Duration = Duration::from_secs(120);

/// What is left of the patience with one server.
#[derive(Debug, Default)]
pub(super) struct Patience {
    waited_millis: AtomicU64,
}

/// The retries of one request.
#[derive(Debug, Default)]
pub(crate) struct Retries(u32);

impl Patience {
    /// How long to wait before the request is sent again; none if it is not to be.
    pub(super) fn wait<B>(&self, answer: &Response<B>, retries: &mut Retries) -> Option<Duration> {
        let asked = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        self.grant(answer.status(), Duration::from_secs(asked), retries)
    }

    /// The same for an answer of which only the `Status` is left.
    pub(super) fn wait_by_status(&self, status: &Status, retries: &mut Retries) -> Option<Duration> {
        let asked =
            status.details.as_ref().map(|details| details.retry_after_seconds).filter(|asked| *asked > 0)?;
        self.grant(StatusCode::from_u16(status.code).ok()?, Duration::from_secs(asked.into()), retries)
    }

    fn grant(&self, status: StatusCode, wait: Duration, retries: &mut Retries) -> Option<Duration> {
        let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if !busy || wait > MAX_WAIT || retries.0 >= MAX_RETRIES {
            return None;
        }
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let before = self.waited_millis.fetch_add(millis, Ordering::Relaxed);
        if u128::from(before.saturating_add(millis)) > MAX_WAITS.as_millis() {
            self.waited_millis.fetch_sub(millis, Ordering::Relaxed);
            return None;
        }
        retries.0 += 1;
        tracing::debug!(status = status.as_u16(), ?wait, "asked to send again");
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(code: u16, retry_after: &str) -> Response<()> {
        Response::builder().status(code).header(RETRY_AFTER, retry_after).body(()).unwrap()
    }

    #[test]
    fn busy_server_is_granted_what_it_asks_for() {
        let patience = Patience::default();
        let wait = |answer: Response<()>| patience.wait(&answer, &mut Retries::default());
        for code in [429, 503] {
            assert_eq!(wait(busy(code, "2")), Some(Duration::from_secs(2)));
        }
        for (code, retry_after) in
            [(500, "1"), (200, "1"), (429, "31"), (429, "soon"), (429, "-1"), (429, "")]
        {
            assert_eq!(wait(busy(code, retry_after)), None, "{code} {retry_after}");
        }
        assert_eq!(wait(Response::builder().status(429).body(()).unwrap()), None);
    }

    #[test]
    fn patience_ends_for_a_request_and_for_a_connection() {
        let (patience, mut retries) = (Patience::default(), Retries::default());
        let granted = (0..100).filter(|_| patience.wait(&busy(429, "0"), &mut retries).is_some()).count();
        assert_eq!(granted, 10);
        let granted = (0..100).filter(|_| patience.wait(&busy(429, "30"), &mut Retries::default()).is_some());
        assert_eq!(granted.count(), 4);
        assert!(patience.wait(&busy(429, "0"), &mut Retries::default()).is_some());
    }

    #[test]
    fn status_says_it_too() {
        let status = |text: &str| serde_json::from_str::<Status>(text).unwrap();
        let patience = Patience::default();
        let busy = status(r#"{"code": 429, "details": {"retryAfterSeconds": 3}}"#);
        assert_eq!(patience.wait_by_status(&busy, &mut Retries::default()), Some(Duration::from_secs(3)));
        for text in [
            r#"{"code": 429}"#,
            r#"{"code": 429, "details": {}}"#,
            r#"{"code": 500, "details": {"retryAfterSeconds": 3}}"#,
        ] {
            assert_eq!(patience.wait_by_status(&status(text), &mut Retries::default()), None, "{text}");
        }
    }
}
