//! Conversions between the types of the SDK and those of `kf-core`, which checks calls.

use kf_core::api;

use crate::abi::{
    Access, DeleteOptions, HttpRequest, Kind, Method, ObjectRef, PatchKind, Port, Propagation, Selection,
};
use crate::error::{Error, ErrorCode};

pub(super) fn kind(kind: &Kind) -> api::Kind {
    let Kind { group, version, kind } = kind.clone();
    api::Kind { group, version, kind }
}

pub(super) fn object(object: &ObjectRef) -> api::ObjectRef {
    let ObjectRef { kind: of, namespace, name, subresource } = object.clone();
    api::ObjectRef { kind: kind(&of), namespace, name, subresource }
}

pub(super) fn selection(what: &Selection) -> api::Selection {
    api::Selection {
        kind: kind(&what.kind),
        reach: if what.everywhere { api::Reach::AllNamespaces } else { api::Reach::Namespaced },
        namespace: what.namespace.clone(),
        label_selector: what.labels.clone(),
        field_selector: what.fields.clone(),
    }
}

pub(super) fn patch_kind(kind: PatchKind) -> api::PatchKind {
    match kind {
        PatchKind::Merge => api::PatchKind::Merge,
        PatchKind::Json => api::PatchKind::Json,
        PatchKind::Strategic => api::PatchKind::Strategic,
    }
}

pub(super) fn delete_options(options: &DeleteOptions) -> api::DeleteOptions {
    api::DeleteOptions {
        dry_run: options.dry_run,
        propagation: match options.propagation {
            Propagation::Background => api::Propagation::Background,
            Propagation::Foreground => api::Propagation::Foreground,
            Propagation::Orphan => api::Propagation::Orphan,
        },
        grace_period_seconds: options.grace_period_seconds,
        uid: options.uid.clone(),
    }
}

pub(super) fn question(question: &Access) -> api::AccessQuestion {
    let Access { verb, group, resource, namespace, name } = question.clone();
    api::AccessQuestion { verb, group, resource, namespace, name }
}

pub(super) fn ports(ports: &[Port]) -> Vec<api::PortPair> {
    ports.iter().map(|port| api::PortPair { local: port.local, remote: port.remote }).collect()
}

pub(super) fn pod_request(request: &HttpRequest) -> api::PodRequest {
    api::PodRequest {
        pod: api::PodRef { namespace: request.namespace.clone(), name: request.pod.clone() },
        port: request.port,
        method: match request.method {
            Method::Get => api::HttpMethod::Get,
            Method::Head => api::HttpMethod::Head,
            Method::Post => api::HttpMethod::Post,
            Method::Put => api::HttpMethod::Put,
            Method::Patch => api::HttpMethod::Patch,
            Method::Delete => api::HttpMethod::Delete,
        },
        path: request.path.clone(),
        headers: request.headers.clone(),
        body: request.body.clone().into(),
        bearer: request.bearer.as_ref().map(|bearer| api::Bearer {
            service_account: bearer.service_account.clone(),
            audience: bearer.audience.clone(),
        }),
    }
}

impl From<api::ApiError> for Error {
    fn from(error: api::ApiError) -> Self {
        let code = match error.code {
            api::ErrorCode::Invalid => ErrorCode::Invalid,
            api::ErrorCode::Unauthenticated => ErrorCode::Unauthenticated,
            api::ErrorCode::Forbidden => ErrorCode::Forbidden,
            api::ErrorCode::NotFound => ErrorCode::NotFound,
            api::ErrorCode::TimedOut => ErrorCode::TimedOut,
            api::ErrorCode::Unreachable => ErrorCode::Unreachable,
            api::ErrorCode::Conflict => ErrorCode::Conflict,
            api::ErrorCode::Expired => ErrorCode::Expired,
            api::ErrorCode::Budget => ErrorCode::Budget,
            api::ErrorCode::Unsupported => ErrorCode::Unsupported,
            api::ErrorCode::Failed => ErrorCode::Failed,
            api::ErrorCode::Internal => ErrorCode::Internal,
        };
        Self { code, message: error.message, hint: error.hint }
    }
}

impl From<kf_core::names::NameError> for Error {
    fn from(error: kf_core::names::NameError) -> Self {
        api::ApiError::from(error).into()
    }
}

impl From<kf_core::url::PathMismatch> for Error {
    fn from(error: kf_core::url::PathMismatch) -> Self {
        api::ApiError::from(error).into()
    }
}
