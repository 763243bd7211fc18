//! The interface `pod-http`.

use std::sync::Arc;

use kf_core::api::{self, HttpMethod, KubeApi, PodRef, PodRequest};
use wasmtime::Result;

use super::WitError;
use super::wit::pod_http::{Host, Method, Request, Response};
use crate::state::State;

impl Host for State {
    async fn send(&mut self, request: Request) -> Result<std::result::Result<Response, WitError>> {
        self.ask(async move |cluster: Arc<dyn KubeApi>| {
            let answer = cluster.pod_http(request.into()).await?;
            Ok(Response { status: answer.status, headers: answer.headers, body: answer.body.into() })
        })
        .await
    }
}

impl From<Request> for PodRequest {
    fn from(request: Request) -> Self {
        Self {
            pod: PodRef { namespace: request.namespace, name: request.pod },
            port: request.port,
            method: match request.method {
                Method::Get => HttpMethod::Get,
                Method::Head => HttpMethod::Head,
                Method::Post => HttpMethod::Post,
                Method::Put => HttpMethod::Put,
                Method::Patch => HttpMethod::Patch,
                Method::Delete => HttpMethod::Delete,
            },
            path: request.path,
            headers: request.headers,
            body: request.body.into(),
            bearer: request.bearer.map(|bearer| api::Bearer {
                service_account: bearer.service_account,
                audience: bearer.audience,
            }),
        }
    }
}
