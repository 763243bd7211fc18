//! Retries requests after the delay that a busy API server asks for.
//!
//! A server that sheds load answers 429 or 503 with a `Retry-After` header, without having processed the request. This
//! applies to requests of commands and of the host itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use kube::core::Status;

/// The maximum number of retries of one request, as in client-go.
const MAX_RETRIES: u32 = 10;

/// The maximum delay of one retry, and of all retries of a connection.
const MAX_DELAY: Duration = Duration::from_secs(30);
const MAX_TOTAL_DELAY: Duration = Duration::from_secs(120);

/// The delays granted to one server so far.
#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    total_millis: AtomicU64,
}

/// The number of retries of one request.
#[derive(Debug, Default)]
pub(crate) struct Retries(u32);

impl RetryBudget {
    /// The delay before the request is retried; `None` if it is not retried.
    pub(super) fn delay<B>(&self, answer: &Response<B>, retries: &mut Retries) -> Option<Duration> {
        let asked = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        self.grant(answer.status(), Duration::from_secs(asked), retries)
    }

    /// The same for a response that is only available as a `Status`.
    pub(super) fn delay_by_status(&self, status: &Status, retries: &mut Retries) -> Option<Duration> {
        let asked =
            status.details.as_ref().map(|details| details.retry_after_seconds).filter(|asked| *asked > 0)?;
        self.grant(StatusCode::from_u16(status.code).ok()?, Duration::from_secs(asked.into()), retries)
    }

    fn grant(&self, status: StatusCode, delay: Duration, retries: &mut Retries) -> Option<Duration> {
        let busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if !busy || delay > MAX_DELAY || retries.0 >= MAX_RETRIES {
            return None;
        }
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let before = self.total_millis.fetch_add(millis, Ordering::Relaxed);
        if u128::from(before.saturating_add(millis)) > MAX_TOTAL_DELAY.as_millis() {
            self.total_millis.fetch_sub(millis, Ordering::Relaxed);
            return None;
        }
        retries.0 += 1;
        tracing::debug!(status = status.as_u16(), wait = ?delay, "retrying after delay");
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(code: u16, retry_after: &str) -> Response<()> {
        Response::builder().status(code).header(RETRY_AFTER, retry_after).body(()).unwrap()
    }

    #[test]
    fn delay_of_busy_server_is_honoured() {
        let budget = RetryBudget::default();
        let delay = |answer: Response<()>| budget.delay(&answer, &mut Retries::default());
        for code in [429, 503] {
            assert_eq!(delay(busy(code, "2")), Some(Duration::from_secs(2)));
        }
        for (code, retry_after) in
            [(500, "1"), (200, "1"), (429, "31"), (429, "soon"), (429, "-1"), (429, "")]
        {
            assert_eq!(delay(busy(code, retry_after)), None, "{code} {retry_after}");
        }
        assert_eq!(delay(Response::builder().status(429).body(()).unwrap()), None);
    }

    #[test]
    fn retries_are_limited_per_request_and_connection() {
        let (budget, mut retries) = (RetryBudget::default(), Retries::default());
        let granted = (0..100).filter(|_| budget.delay(&busy(429, "0"), &mut retries).is_some()).count();
        assert_eq!(granted, 10);
        let granted = (0..100).filter(|_| budget.delay(&busy(429, "30"), &mut Retries::default()).is_some());
        assert_eq!(granted.count(), 4);
        assert!(budget.delay(&busy(429, "0"), &mut Retries::default()).is_some());
    }

    #[test]
    fn delay_is_read_from_status() {
        let status = |text: &str| serde_json::from_str::<Status>(text).unwrap();
        let budget = RetryBudget::default();
        let busy = status(r#"{"code": 429, "details": {"retryAfterSeconds": 3}}"#);
        assert_eq!(budget.delay_by_status(&busy, &mut Retries::default()), Some(Duration::from_secs(3)));
        for text in [
            r#"{"code": 429}"#,
            r#"{"code": 429, "details": {}}"#,
            r#"{"code": 500, "details": {"retryAfterSeconds": 3}}"#,
        ] {
            assert_eq!(budget.delay_by_status(&status(text), &mut Retries::default()), None, "{text}");
        }
    }
}
