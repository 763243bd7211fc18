use std::path::Path;

use super::*;

mod odd_files;

const FILE: &str = r#"
apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster: {server: "https://lab.example:6443"}
contexts:
- name: lab
  context: {cluster: lab, user: alice, namespace: team-a}
- name: bare
  context: {cluster: lab, user: ""}
- name: lost
  context: {cluster: nowhere, user: alice}
- name: nobody
  context: {cluster: lab, user: ghost}
- name: plugin
  context: {cluster: lab, user: plugin}
- name: boss
  context: {cluster: lab, user: boss}
users:
- name: alice
  user: {token: secret-token}
- name: plugin
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: /opt/login, interactiveMode: Never}
- name: boss
  user: {token: t, as: root, as-groups: [admins]}
"#;

struct Home(tempfile::TempDir);

impl Home {
    fn new(kubeconfig: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join(".kube")).unwrap();
        fs_err::write(dir.path().join(".kube/config"), kubeconfig).unwrap();
        Self(dir)
    }

    fn sources(&self) -> Sources {
        Sources { home: Some(self.0.path().to_owned()), ..Sources::default() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs_err::write(&path, text).unwrap();
        path
    }
}

fn context(name: &str) -> Overrides {
    Overrides { context: Some(name.into()), ..Overrides::default() }
}

#[test]
fn settings_report_namespace_origin_and_credential_kind() {
    let home = Home::new(FILE);
    let of = |overrides: Overrides| {
        let settings = load(&home.sources(), &overrides).unwrap();
        (settings.namespace_origin, settings.credential_kind())
    };
    let named = Overrides { namespace: Some("team-b".into()), ..Overrides::default() };
    assert_eq!(of(Overrides::default()), (NamespaceOrigin::Context, CredentialKind::Token));
    assert_eq!(of(context("bare")), (NamespaceOrigin::Default, CredentialKind::None));
    assert_eq!(of(named), (NamespaceOrigin::Named, CredentialKind::Token));
}

#[test]
fn current_context_sets_server_user_and_namespace() {
    let home = Home::new(FILE);
    let settings = load(&home.sources(), &Overrides::default()).unwrap();
    assert_eq!(settings.server, "https://lab.example:6443");
    assert_eq!(settings.namespace.as_str(), "team-a");
    assert_eq!(settings.user.as_deref(), Some("alice"));
    assert!(settings.warnings().is_empty());
    assert!(!format!("{settings:?}").contains("secret-token"));
    let settings = load(&home.sources(), &context("boss")).unwrap();
    assert_eq!(settings.warnings(), ["the kubeconfig impersonates root, groups admins"]);
    let open =
        Home::new(&FILE.replace("cluster: {server", "cluster: {insecure-skip-tls-verify: true, server"));
    let settings = load(&open.sources(), &Overrides::default()).unwrap();
    let remark =
        "insecure-skip-tls-verify is set: the certificate of https://lab.example:6443 is not verified";
    assert_eq!(settings.warnings(), [remark]);
}

#[test]
fn namespace_of_flag_precedes_context_and_default() {
    let home = Home::new(FILE);
    let overrides = Overrides { namespace: Some("team-b".into()), ..Overrides::default() };
    assert_eq!(load(&home.sources(), &overrides).unwrap().namespace.as_str(), "team-b");
    assert_eq!(load(&home.sources(), &context("bare")).unwrap().namespace.as_str(), "default");
    let overrides = Overrides { namespace: Some("../x".into()), ..Overrides::default() };
    assert!(matches!(load(&home.sources(), &overrides), Err(KubeconfigError::Namespace(_))));
}

#[test]
fn missing_part_of_kubeconfig_is_named() {
    let nothing = Sources { home: Some("/nonexistent".into()), ..Sources::default() };
    let error = load(&nothing, &Overrides::default()).unwrap_err();
    assert!(matches!(error, KubeconfigError::Missing(_)));
    assert!(error.to_string().contains("/nonexistent/.kube/config"));

    let home = Home::new(FILE);
    let sources = home.sources();
    let failed = |overrides: &Overrides| load(&sources, overrides).unwrap_err();
    let error = failed(&context("lba"));
    assert!(
        matches!(&error, KubeconfigError::UnknownContext { known, .. } if known[..2] == ["lab", "bare"]),
        "{error:?}"
    );
    assert!(failed(&context("lost")).to_string().contains("`nowhere`"));
    assert!(failed(&context("nobody")).to_string().contains("`ghost`"));
    let overrides = Overrides { file: Some("/nonexistent/file".into()), ..Overrides::default() };
    assert!(matches!(failed(&overrides), KubeconfigError::Missing(_)));

    let home = Home::new("apiVersion: v1\nkind: Config\nclusters: []\n");
    assert!(matches!(load(&home.sources(), &Overrides::default()), Err(KubeconfigError::NoContext { .. })));
    let home = Home::new("clusters: {");
    assert!(matches!(load(&home.sources(), &Overrides::default()), Err(KubeconfigError::Unreadable { .. })));
}

#[test]
fn first_of_several_files_wins_and_missing_ones_are_skipped() {
    let home = Home::new("");
    let first = home.write("first", &FILE.replace("team-a", "first"));
    let second = home.write("second", &FILE.replace("team-a", "second"));
    let list = std::env::join_paths([Path::new("/nonexistent"), &first, &second]).unwrap();
    let sources = Sources { kubeconfig: Some(list), ..home.sources() };
    let settings = load(&sources, &Overrides::default()).unwrap();
    assert_eq!(settings.namespace.as_str(), "first");
    assert_eq!(settings.files, [first, second]);
}

#[test]
fn credential_plugin_runs_only_if_kuberc_allows_it() {
    let home = Home::new(FILE);
    let head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";
    let load = |sources: &Sources| load(sources, &context("plugin"));
    assert_eq!(load(&home.sources()).unwrap().credential_plugin.as_deref(), Some("/opt/login"));

    home.write(".kube/kuberc", &format!("{head}credentialPluginPolicy: DenyAll\n"));
    let error = load(&home.sources()).unwrap_err();
    assert!(error.to_string().contains("`/opt/login` is not allowed"), "{error}");
    let off = Sources { kuberc: Some("off".into()), ..home.sources() };
    assert!(load(&off).is_ok());

    home.write(".kube/kuberc", "credentialPluginPolicy: [");
    assert!(matches!(
        load(&home.sources()),
        Err(KubeconfigError::Plugin { error: PolicyError::Unreadable { .. }, .. })
    ));
    let elsewhere = Sources { kuberc: Some("/nonexistent/kuberc".into()), ..home.sources() };
    assert!(load(&elsewhere).is_err());
}

#[test]
fn checked_program_is_the_one_that_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new(&FILE.replace("/opt/login", "login"));
    let bin = home.0.path().join("bin");
    fs_err::create_dir(&bin).unwrap();
    let program = bin.join("login");
    fs_err::write(&program, "").unwrap();
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";
    let sources = Sources { path: Some(bin.into_os_string()), ..home.sources() };
    for policy in ["", "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: login}]\n"] {
        home.write(".kube/kuberc", &format!("{head}{policy}"));
        let settings = load(&sources, &context("plugin")).unwrap();
        assert_eq!(settings.credential_plugin.as_deref(), Some("login"));
        let run = settings.config.auth_info.exec.unwrap().command;
        assert_eq!(run.as_deref(), program.to_str());
        let nowhere = Sources { path: None, ..home.sources() };
        let error = load(&nowhere, &context("plugin")).unwrap_err();
        assert!(matches!(error, KubeconfigError::Plugin { error: PolicyError::NotFound(_), .. }), "{error}");
    }
}

#[test]
fn invalid_kubeconfig_is_not_quoted() {
    for wrong in [
        "{token: [hunter2]}",
        "hunter2",
        "{token: {hunter2: 1}}",
        "{client-certificate: a, client-key-data: [hunter2]}",
    ] {
        let home = Home::new(&FILE.replace("{token: secret-token}", wrong));
        let error = load(&home.sources(), &Overrides::default()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

fn proxied(kubeconfig: &str, no_proxy: &str) -> Option<String> {
    let home = Home::new(kubeconfig);
    let mut sources = home.sources();
    sources.proxies.https = Some("http://proxy.example:3128".into());
    sources.proxies.no_proxy = Some(no_proxy.into());
    let settings = load(&sources, &Overrides::default()).unwrap();
    settings.config.proxy_url.map(|url| url.to_string())
}

#[test]
fn no_proxy_matches_servers_and_ignores_empty_entries() {
    assert_eq!(proxied(FILE, "a,,b").as_deref(), Some("http://proxy.example:3128/"));
    assert_eq!(proxied(FILE, "a,,lab.example"), None);
    // `NO_PROXY` is about servers, not about the proxy itself.
    assert_eq!(proxied(FILE, "proxy.example").as_deref(), Some("http://proxy.example:3128/"));
    let ipv6 = FILE.replace("lab.example", "[2001:db8::1]");
    assert_eq!(proxied(&ipv6, "2001:db8::/32"), None);
    assert_eq!(proxied(&ipv6, "2001:db9::/32").as_deref(), Some("http://proxy.example:3128/"));
}

#[test]
fn proxy_of_kubeconfig_overrides_environment() {
    let named = FILE.replace(":6443\"}", ":6443\", proxy-url: \"socks5://tunnel.example:1080\"}");
    assert_eq!(proxied(&named, "*").as_deref(), Some("socks5://tunnel.example:1080/"));
}

#[test]
fn invalid_server_or_certificate_is_named() {
    let message = |kubeconfig: &str| {
        load(&Home::new(kubeconfig).sources(), &Overrides::default()).unwrap_err().to_string()
    };
    let of_cluster = |fields: &str| FILE.replace("{server: \"https://lab.example:6443\"}", fields);
    assert_eq!(
        message(&of_cluster("{insecure-skip-tls-verify: true}")),
        "no `server` found for cluster `lab` in the kubeconfig"
    );
    let broken = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    let home = Home::new("");
    let file = home.write("ca.pem", broken);
    let cluster = format!("{{server: \"https://lab.example\", certificate-authority: {}}}", file.display());
    assert!(message(&of_cluster(&cluster)).contains("contains no valid certificate"));
    let cluster = "{server: \"https://lab.example\", certificate-authority: /nowhere/ca.pem}";
    assert!(message(&of_cluster(cluster)).contains("/nowhere/ca.pem"));
}
