//! Applies the flags to the file or to the existing service.

use kf_plugin_sdk::manifest::{amounts, set_resources, set_variable};
use kf_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use crate::{Serve, predictor};

/// Applies every flag to the service; `--set` last, because it is the most specific.
pub(crate) fn apply(kf: &Kf, serve: &Serve, service: &mut Object) -> Result<()> {
    if let Some(image) = &serve.image {
        predictor::set_image(service, image);
    }
    if let Some(uri) = &serve.model {
        predictor::set_model(service, uri);
    }
    for (value, field) in [(&serve.format, "modelFormat/name"), (&serve.runtime, "runtime")] {
        let Some(value) = value else { continue };
        if !predictor::has_model(service) {
            let flag = if field == "runtime" { "--runtime" } else { "--format" };
            return Err(Error::invalid(format!("{flag} {value} requires a model"))
                .hint(kf.command_line().set("--model", "URI")));
        }
        service.set(&format!("/spec/predictor/model/{field}"), value.as_str());
    }
    if let Some(replicas) = serve.replicas {
        service.set("/spec/predictor/minReplicas", replicas.min);
        service.set("/spec/predictor/maxReplicas", replicas.max);
    }
    // Fields of the container, if there is one.
    predictor::change_server(service, |container| server(serve, container));
    for assignment in &serve.set {
        assignment.apply(service)?;
    }
    Ok(())
}

fn server(serve: &Serve, container: &mut Object) {
    if let Some(port) = serve.port {
        let mut ports = container.list("/ports").to_vec();
        match ports.first_mut().and_then(Value::as_object_mut) {
            Some(first) => drop(first.insert("containerPort".into(), port.into())),
            None => ports.push(json!({ "containerPort": port, "protocol": "TCP" })),
        }
        container.set("/ports", ports);
        follow_port(container, port);
    }
    for variable in &serve.env {
        set_variable(container, "/env", variable);
    }
    // KServe sets defaults for missing requests and limits.
    let amounts = amounts(serve.cpu.as_ref(), serve.memory.as_ref(), serve.gpu.as_ref());
    set_resources(container, "/resources", &amounts);
}

/// Moves the readiness probe to the new port; it would fail on the old one.
fn follow_port(container: &mut Object, port: u16) {
    if container.at("/readinessProbe/tcpSocket/port").is_some() {
        container.set("/readinessProbe/tcpSocket/port", port);
    }
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    fn service() -> Object {
        json!({ "metadata": { "name": "iris" }, "spec": { "predictor": {
            "minReplicas": 1,
            "containers": [
                { "name": "sidecar", "image": "sidecar:1" },
                { "name": "kserve-container", "image": "iris:1", "env": [{ "name": "A", "value": "1" }] },
            ],
        } } })
        .into()
    }

    fn with(serve: Serve) -> Result<Object> {
        let mut service = service();
        apply(&FakeHost::new("team-a").kf(), &serve, &mut service).map(|()| service)
    }

    #[test]
    fn flags_change_server_container() {
        let service = with(Serve {
            image: Some("iris:2".into()),
            port: Some(9000),
            env: vec!["A=2".parse().unwrap()],
            memory: Some("2Gi".parse().unwrap()),
            gpu: Some("1".parse().unwrap()),
            replicas: Some("2:4".parse().unwrap()),
            ..Serve::default()
        })
        .unwrap();
        let expected = json!({
            "name": "kserve-container", "image": "iris:2",
            "ports": [{ "containerPort": 9000, "protocol": "TCP" }],
            "env": [{ "name": "A", "value": "2" }],
            "resources": {
                "requests": { "memory": "2Gi", "nvidia.com/gpu": "1" },
                "limits": { "memory": "2Gi", "nvidia.com/gpu": "1" },
            },
        });
        assert_eq!(service.at("/spec/predictor/containers/1"), Some(&expected));
        assert_eq!(service.str("/spec/predictor/containers/0/image"), Some("sidecar:1"));
        assert_eq!(service.int("/spec/predictor/minReplicas"), Some(2));
        assert_eq!(service.int("/spec/predictor/maxReplicas"), Some(4));
    }

    #[test]
    fn model_replaces_image_and_back() {
        let model =
            Serve { model: Some("pvc://m/iris".into()), format: Some("sklearn".into()), ..Serve::default() };
        let mut service = with(model).unwrap();
        assert_eq!(service.at("/spec/predictor/containers"), None);
        let expected = json!({ "storageUri": "pvc://m/iris", "modelFormat": { "name": "sklearn" } });
        assert_eq!(service.at("/spec/predictor/model"), Some(&expected));
        let image = Serve { image: Some("iris:3".into()), ..Serve::default() };
        apply(&FakeHost::new("team-a").kf(), &image, &mut service).unwrap();
        assert_eq!(service.at("/spec/predictor/model"), None);
        assert_eq!(predictor::serves(&service).as_deref(), Some("iris:3"));
    }

    #[test]
    fn format_without_model_is_refused() {
        let error = with(Serve { format: Some("sklearn".into()), ..Serve::default() }).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
    }

    #[test]
    fn invalid_replicas_are_refused() {
        for text in ["0", "3:2", "x", "1:", "-1", "1:0"] {
            assert!(text.parse::<crate::Replicas>().is_err(), "{text}");
        }
        assert_eq!("0:3".parse(), Ok(crate::Replicas { min: 0, max: 3 }));
    }
}
