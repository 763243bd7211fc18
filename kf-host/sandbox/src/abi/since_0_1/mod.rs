//! The ABI 0.1: its bindings, and linking its interfaces.

#![expect(unreachable_pub, reason = "the generated bindings re-export the types of resources")]

use std::collections::BTreeSet;

use kf_core::api::{ApiError, ErrorCode};
use kf_core::text::truncated;
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

use crate::interface::Interface;
use crate::limits::MAX_BODY_BYTES;
use crate::run::GuestError;
use crate::state::State;

mod bindings;
mod describe;
mod kube;
mod logs;
mod pod_http;
mod selection;
mod sessions;
mod system;
mod ui;

pub(crate) use bindings::{Candidate, Command, CompletionRequest};
pub(crate) use describe::tree;

use bindings::kf::plugin as wit;

/// Links the given interfaces, and no others.
pub(crate) fn link(linker: &mut Linker<State>, imports: &BTreeSet<Interface>) -> Result<()> {
    type Own = HasSelf<State>;
    for interface in imports {
        let l = &mut *linker;
        match interface {
            Interface::Poll => wit::poll::add_to_linker::<_, Own>(l, |s| s),
            Interface::Clock => wit::clock::add_to_linker::<_, Own>(l, |s| s),
            Interface::Ui => wit::ui::add_to_linker::<_, Own>(l, |s| s),
            Interface::Context => wit::context::add_to_linker::<_, Own>(l, |s| s),
            Interface::Files => wit::files::add_to_linker::<_, Own>(l, |s| s),
            Interface::Kube => wit::kube::add_to_linker::<_, Own>(l, |s| s),
            Interface::Logs => wit::logs::add_to_linker::<_, Own>(l, |s| s),
            Interface::Sessions => wit::sessions::add_to_linker::<_, Own>(l, |s| s),
            Interface::PodHttp => wit::pod_http::add_to_linker::<_, Own>(l, |s| s),
            Interface::Selection => wit::selection::add_to_linker::<_, Own>(l, |s| s),
            Interface::Types | Interface::Tree | Interface::Wasi(_) => Ok(()),
        }?;
    }
    Ok(())
}

type WitError = wit::types::Error;

impl State {
    /// Records an error and converts it for the guest. The refusal of a layer stays in the host.
    fn return_error(&mut self, error: ApiError) -> WitError {
        if let Some(refusal) = error.refusal {
            self.host_errors.record_refusal(&error.message, *refusal);
        }
        self.host_errors.record(error.code, &error.message, error.hint.as_deref());
        wit::types::Error { code: code_to_wit(error.code), message: error.message, hint: error.hint }
    }
}

fn invalid(message: String) -> WitError {
    wit::types::Error { code: wit::types::ErrorCode::Invalid, message, hint: None }
}

/// Parses a body for the API server.
fn parse_body(what: &str, json: &str) -> std::result::Result<serde_json::Value, WitError> {
    if json.len() > MAX_BODY_BYTES {
        return Err(invalid(format!(
            "{what} is larger than {} MiB, the limit of the API server",
            MAX_BODY_BYTES >> 20
        )));
    }
    kf_core::json::parse(json.as_bytes()).map_err(|error| invalid(format!("{what} {error}")))
}

fn code_to_wit(code: ErrorCode) -> wit::types::ErrorCode {
    use wit::types::ErrorCode as Wit;
    match code {
        ErrorCode::Invalid => Wit::Invalid,
        ErrorCode::Unauthenticated => Wit::Unauthenticated,
        ErrorCode::Forbidden => Wit::Forbidden,
        ErrorCode::NotFound => Wit::NotFound,
        ErrorCode::TimedOut => Wit::TimedOut,
        ErrorCode::Unreachable => Wit::Unreachable,
        ErrorCode::Conflict => Wit::Conflict,
        ErrorCode::Expired => Wit::Expired,
        ErrorCode::Budget => Wit::Budget,
        ErrorCode::Unsupported => Wit::Unsupported,
        ErrorCode::Failed => Wit::Failed,
        ErrorCode::Internal => Wit::Internal,
    }
}

fn code_from_wit(code: wit::types::ErrorCode) -> ErrorCode {
    use wit::types::ErrorCode as Wit;
    match code {
        Wit::Invalid => ErrorCode::Invalid,
        Wit::Unauthenticated => ErrorCode::Unauthenticated,
        Wit::Forbidden => ErrorCode::Forbidden,
        Wit::NotFound => ErrorCode::NotFound,
        Wit::TimedOut => ErrorCode::TimedOut,
        Wit::Unreachable => ErrorCode::Unreachable,
        Wit::Conflict => ErrorCode::Conflict,
        Wit::Expired => ErrorCode::Expired,
        Wit::Budget => ErrorCode::Budget,
        Wit::Unsupported => ErrorCode::Unsupported,
        Wit::Failed => ErrorCode::Failed,
        Wit::Internal => ErrorCode::Internal,
    }
}

/// The longest message of a failed guest, in bytes. It does not count as output of the guest.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

fn truncated_message(text: String) -> String {
    truncated(text, MAX_MESSAGE_BYTES)
}

impl From<WitError> for GuestError {
    fn from(error: WitError) -> Self {
        Self {
            code: code_from_wit(error.code),
            message: truncated_message(error.message),
            hint: error.hint.map(truncated_message),
            is_from_host: false,
        }
    }
}
