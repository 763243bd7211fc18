//! A blocking client for the API server.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::AsyncReadExt as _;
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ClusterError, Result};

/// Runs `future` on its own thread and runtime, so that it also works inside a runtime.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(future)
            })
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("a request to the API server panicked").into()))
    })
}

/// A client for the kubeconfig's current context.
pub(crate) async fn connect(kubeconfig: &Path) -> Result<Client> {
    install_tls_provider();
    let unusable = |reason: String| ClusterError::Kubeconfig { path: kubeconfig.to_owned(), reason };
    let parsed = Kubeconfig::read_from(kubeconfig).map_err(|error| unusable(error.to_string()))?;
    let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(error.to_string()))?;
    Client::try_from(config).map_err(|error| unusable(error.to_string()))
}

/// Installs a provider, because another crate may add a second one to rustls.
fn install_tls_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Sends a GET request for `path`; any status but success is an error.
pub(crate) async fn get_bytes(client: &Client, path: &str, media_type: &str) -> Result<Vec<u8>, kube::Error> {
    let request = http::Request::get(path)
        .header(http::header::ACCEPT, media_type)
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    let mut body = Vec::new();
    let mut stream = pin!(client.request_stream(request).await?);
    stream.read_to_end(&mut body).await.map_err(kube::Error::ReadEvents)?;
    Ok(body)
}

/// How long each part of a cluster may take to become ready. Generous, as the machine may be busy.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(300);

/// Repeats `check` until it returns true.
pub(crate) async fn wait_until<F, Fut>(what: &str, logs: &Path, mut check: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    wait_for(what, logs, || {
        let checked = check();
        async { Ok(checked.await?.then_some(())) }
    })
    .await
}

/// Repeats `find` until it returns a value.
pub(crate) async fn wait_for<T, F, Fut>(what: &str, logs: &Path, mut find: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        if let Some(found) = find().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(ClusterError::TimedOut {
                what: what.to_owned(),
                seconds: READY_TIMEOUT.as_secs(),
                logs: logs.to_owned(),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Applies a cluster-scoped object.
pub(crate) async fn apply<K>(client: &Client, object: &K) -> Result<()>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    apply_with(&Api::all(client.clone()), object).await
}

/// Applies a namespaced object.
pub(crate) async fn apply_in<K>(client: &Client, namespace: &str, object: &K) -> Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    apply_with(&Api::namespaced(client.clone(), namespace), object).await
}

async fn apply_with<K>(api: &Api<K>, object: &K) -> Result<()>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let name = object.meta().name.clone().unwrap_or_default();
    api.patch(&name, &PatchParams::apply("kf-tests").force(), &Patch::Apply(object))
        .await
        .map(drop)
        .map_err(ClusterError::api(format!("apply the {} {name}", K::kind(&()))))
}
