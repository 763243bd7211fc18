//! The server of Katib's webhooks. The API server calls it by its address, as it is not a Service.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use k8s_openapi::ByteString;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::super::super::client::wait_until;
use super::super::super::error::{ClusterError, Result};
use super::super::super::pki::Authority;
use super::super::{log, resource};
use super::admission::{self, Verdict};

/// Serves the webhooks and registers them with the API server.
pub(super) async fn serve(client: Client, address: IpAddr) {
    match listen(&client, address).await {
        // The server's threads keep running.
        Ok(()) => std::future::pending().await,
        Err(error) => log(&format!("webhooks: {error}")),
    }
}

async fn listen(client: &Client, address: IpAddr) -> Result<()> {
    let authority = Authority::new("katib")?;
    let unusable = |reason: String| ClusterError::malformed("katib", reason);
    let IpAddr::V4(number) = address else {
        return Err(unusable(format!("{address} is not an IPv4 address")));
    };
    let identity = authority.server("katib", None, &[], &[number])?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())
        .map_err(|error| unusable(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
        .map_err(|error| unusable(error.to_string()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(|error| unusable(error.to_string()))?;
    let config = Arc::new(config);
    let listener = TcpListener::bind((address, 0))?;
    let server = listener.local_addr()?.to_string();
    let (webhook_client, runtime) = (client.clone(), Handle::current());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(std::io::Result::ok) {
            let (config, client, runtime) = (Arc::clone(&config), webhook_client.clone(), runtime.clone());
            thread::spawn(move || {
                // The API server closes a connection that takes too long.
                let _closed = answer_all(stream, config, &client, &runtime);
            });
        }
    });
    for configuration in configurations(&server, &authority.certificate()) {
        apply(client, &configuration).await?;
    }
    Ok(())
}

fn configurations(server: &str, authority: &str) -> [Value; 2] {
    let bundle = ByteString(authority.as_bytes().to_vec());
    let hook = |name: &str, path: &str, groups: &str, versions: &str, resources: &str, operations: Value| {
        json!({
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("https://{server}/{path}"), "caBundle": bundle},
            "rules": [{
                "apiGroups": [groups], "apiVersions": [versions], "operations": operations, "resources": [resources],
            }],
        })
    };
    let written = json!(["CREATE", "UPDATE"]);
    let validator = hook(
        "validator.experiment.katib.kubeflow.org",
        "validate-experiment",
        "kubeflow.org",
        "v1beta1",
        "experiments",
        written.clone(),
    );
    let defaulter = hook(
        "defaulter.experiment.katib.kubeflow.org",
        "mutate-experiment",
        "kubeflow.org",
        "v1beta1",
        "experiments",
        written,
    );
    let mut pods = hook("mutator.pod.katib.kubeflow.org", "mutate-pod", "", "v1", "pods", json!(["CREATE"]));
    super::set(
        &mut pods,
        "namespaceSelector",
        json!({"matchLabels": {"katib.kubeflow.org/metrics-collector-injection": "enabled"}}),
    );
    let configuration = |kind: &str, webhooks: Vec<Value>| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "katib.kubeflow.org"}, "webhooks": webhooks,
        })
    };
    [
        configuration("ValidatingWebhookConfiguration", vec![validator]),
        configuration("MutatingWebhookConfiguration", vec![defaulter, pods]),
    ]
}

async fn apply(client: &Client, configuration: &Value) -> Result<()> {
    let kind = configuration.get("kind").and_then(Value::as_str).unwrap_or_default();
    let plural = format!("{}s", kind.to_lowercase());
    let kind = resource("admissionregistration.k8s.io", "v1", kind, &plural);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let params = PatchParams::apply("katib").force();
    api.patch("katib.kubeflow.org", &params, &Patch::Apply(configuration))
        .await
        .map(drop)
        .map_err(ClusterError::api("apply the webhooks of Katib"))
}

/// Waits until the API server calls the webhooks. Until then it accepts everything.
pub(in super::super) async fn wait_for_webhooks(client: &Client, logs: &Path) -> Result<()> {
    let kind: ApiResource = super::experiments();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &kind);
    let invalid = DynamicObject::new("nothing", &kind).data(json!({"spec": {}}));
    let params = PostParams { dry_run: true, ..PostParams::default() };
    wait_until("the webhooks of Katib", logs, || async {
        Ok(match api.create(&params, &invalid).await {
            Err(kube::Error::Api(status)) => status.message.contains("denied the request"),
            _ => false,
        })
    })
    .await
}

fn answer_all(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    client: &Client,
    runtime: &Handle,
) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut first = String::new();
        if stream.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let path =
            first.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let review: Value = serde_json::from_slice(&body).map_err(std::io::Error::other)?;
        let request = review.get("request").cloned().unwrap_or_default();
        let answer = respond(&path, &request, client, runtime).to_string();
        let stream = stream.get_mut();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )?;
        stream.flush()?;
    }
}

fn respond(path: &str, request: &Value, client: &Client, runtime: &Handle) -> Value {
    let verdict = match path {
        "/mutate-experiment" => admission::default_experiment(request),
        "/validate-experiment" => runtime.block_on(admission::validate_experiment(client, request)),
        _ => runtime.block_on(admission::inject(client, request)),
    };
    let uid = request.get("uid").cloned().unwrap_or_default();
    let response = match verdict {
        Verdict::Allowed => json!({"uid": uid, "allowed": true}),
        Verdict::Changed(patch) => {
            let patch = ByteString(json!(patch).to_string().into_bytes());
            json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": patch})
        }
        Verdict::Refused(message) => {
            json!({"uid": uid, "allowed": false, "status": {"code": 400, "message": message}})
        }
    };
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}
