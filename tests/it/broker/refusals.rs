//! Refusals: by kf's layers before a request is sent, and by RBAC.

use kf_core::api::{Bearer, ErrorCode, HttpMethod, KubeApi as _, PodRef, PodRequest};
use kf_core::grants::Layer;

use super::*;

#[tokio::test]
async fn rbac_refusal_names_user_and_rule() {
    let namespace = TestNamespace::new(cluster(), "rbac").unwrap();
    let job = object(TRAINER, "TrainJob", "mnist");
    let body = json!({"spec": {"runtimeRef": {"name": "kf-test"}}});
    for (user, allowed_to_read) in [(User::Viewer, true), (User::NoRights, false)] {
        let broker = broker(&namespace, user, &everything());
        let error = broker.create(job.clone(), body.clone(), PLAIN).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden, "{error}");
        let refusal = error.refusal.unwrap();
        assert_eq!(refusal.layer, Layer::Rbac);
        assert_eq!(refusal.user.as_deref(), Some(user.name()));
        assert_eq!(
            refusal.rule.to_string(),
            format!("create trainjobs.trainer.kubeflow.org in {}", namespace.name())
        );
        let list = broker.list(all(TRAINER, "TrainJob"), None, None).await;
        assert_eq!(list.is_ok(), allowed_to_read);
        let secret = broker.get(object("", "Secret", "s")).await.unwrap_err();
        assert_eq!(secret.refusal.unwrap().layer, Layer::Rbac);
    }
}

#[tokio::test]
async fn grant_limits_cluster_admin() {
    let namespace = TestNamespace::new(cluster(), "grant").unwrap();
    let broker = broker(&namespace, User::Admin, &[rule("", &["configmaps"], &["get"])]);
    let layer = |error: kf_core::api::ApiError| error.refusal.unwrap().layer;
    let elsewhere = ObjectRef {
        namespace: Some("kube-system".into()),
        ..config_map("extension-apiserver-authentication")
    };
    assert_eq!(layer(broker.get(elsewhere.clone()).await.unwrap_err()), Layer::Environment);
    assert_eq!(layer(broker.get(object("", "Secret", "s")).await.unwrap_err()), Layer::Manifest);
    assert!(broker.calls().is_empty());

    let mut wide = rule("", &["configmaps"], &["get"]);
    wide["scope"] = json!("cluster");
    let broker = super::broker(&namespace, User::Admin, &[wide]);
    assert!(broker.get(elsewhere).await.is_ok());
}

/// Dana has `get namespaces` by a role in the namespace: the authorizer treats the namespace object as part of the
/// namespace, and so does kf's grant.
#[tokio::test]
async fn own_namespace_is_readable() {
    let namespace = TestNamespace::new(cluster(), "itself").unwrap();
    let broker = broker(&namespace, User::DataScientist, &[rule("", &["namespaces"], &["get"])]);
    let own = broker.get(object("", "Namespace", namespace.name())).await.unwrap();
    assert_eq!(own["metadata"]["name"], namespace.name());
    let other = broker.get(object("", "Namespace", "kube-system")).await.unwrap_err();
    assert_eq!(other.refusal.unwrap().layer, Layer::Environment);
}

/// The API server itself reports which audiences those are.
#[tokio::test]
async fn api_server_token_is_not_sent_to_pod() {
    let namespace = TestNamespace::new(cluster(), "token").unwrap();
    let rules = [
        rule("", &["pods/portforward"], &["get", "create"]),
        rule("", &["serviceaccounts", "serviceaccounts/token"], &["create"]),
    ];
    let broker = broker(&namespace, User::Admin, &rules);
    broker.create(object("", "ServiceAccount", "robot"), json!({}), PLAIN).await.unwrap();
    let request = |audience: &str| PodRequest {
        pod: PodRef { namespace: None, name: "web".into() },
        port: 80,
        method: HttpMethod::Get,
        path: "/".into(),
        headers: Vec::new(),
        body: Vec::new().into(),
        bearer: Some(Bearer { service_account: "robot".into(), audience: audience.into() }),
    };
    let issuer = settings(&namespace.kubeconfig(User::Admin)).server;
    let error = broker.pod_http(request(&issuer)).await.unwrap_err();
    assert_eq!(error.message, format!("a token for `{issuer}` would be accepted by the API server itself"));
    let error = broker.pod_http(request("pipelines.kubeflow.org")).await.unwrap_err();
    assert_eq!(error.message, format!("pod web in {} not found", namespace.name()));
}

#[tokio::test]
async fn hostile_names_are_not_sent() {
    let namespace = TestNamespace::new(cluster(), "hostile").unwrap();
    let broker = broker(&namespace, User::Admin, &everything());
    for hostile in ["..", "../kube-system", "kube-system/secrets", "a?b", "a#b", "%2e%2e", "", "a\nb", "a\0b"]
    {
        let moved = ObjectRef { namespace: Some(hostile.into()), ..config_map("x") };
        for error in [
            broker.get(moved.clone()).await.unwrap_err(),
            broker.get(config_map(hostile)).await.unwrap_err(),
            broker.get(object(hostile, "Xyz", "x")).await.err().unwrap_or_else(|| panic!("{hostile}")),
            broker.create(moved, json!({}), PLAIN).await.unwrap_err(),
        ] {
            let unknown_core_kind = hostile.is_empty() && error.code == ErrorCode::NotFound;
            assert!(error.code == ErrorCode::Invalid || unknown_core_kind, "{hostile:?}: {error}");
        }
    }
    assert!(broker.calls().iter().all(|call| call.verb == "discover"));
    let body = json!({"metadata": {"namespace": "kube-system"}});
    let error = broker.create(config_map("x"), body, PLAIN).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
}

#[tokio::test]
async fn unserved_kind_differs_from_missing_object() {
    let namespace = TestNamespace::new(cluster(), "absent").unwrap();
    let rules = [rule("absent.example", &["things"], &["get"]), rule("", &["configmaps"], &["get"])];
    let broker = broker(&namespace, User::DataScientist, &rules);
    let kind = broker.get(object("absent.example", "Thing", "x")).await.unwrap_err();
    assert_eq!(kind.code, ErrorCode::NotFound);
    assert_eq!(kind.message, "the cluster does not serve Thing.absent.example");
    let thing = broker.get(config_map("x")).await.unwrap_err();
    assert_eq!(thing.message, format!("configmap x in {} not found", namespace.name()));
}

/// A connection with dana's kubeconfig and other credentials.
fn connection_as(namespace: &TestNamespace, name: &str, user: Value) -> Arc<Connection> {
    let text = fs_err::read_to_string(namespace.kubeconfig(User::DataScientist)).unwrap();
    let mut kubeconfig: Value = serde_saphyr::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = user;
    let file = namespace.directory().join(name);
    fs_err::write(&file, kubeconfig.to_string()).unwrap();
    Arc::new(Connection::new(settings(&file), Timeouts::default()))
}

#[tokio::test]
async fn invalid_or_expired_credentials_are_unauthenticated() {
    let namespace = TestNamespace::new(cluster(), "credentials").unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let (certificate, private) =
        (namespace.directory().join("ended.crt"), namespace.directory().join("ended.key"));
    fs_err::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    fs_err::write(&private, key.serialize_pem()).unwrap();
    for (name, user, words) in [
        ("token", json!({"token": "nobody-issued-this"}), "does not accept your credentials"),
        ("ended", json!({"client-certificate": certificate, "client-key": private}), "expired at 2021-01-01"),
    ] {
        let mut config = config(&namespace, User::DataScientist, &everything());
        config.connection = connection_as(&namespace, name, user);
        let error = Broker::new(config).unwrap().get(config_map("x")).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{error}");
        assert!(error.message.contains(words), "{error}");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("use another kubeconfig")));
    }
}
