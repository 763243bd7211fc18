//! Kubeconfigs as found in practice: half empty, grown over years, written by other programs.

use std::ffi::OsString;

use secrecy::ExposeSecret as _;

use super::*;

/// A kubeconfig with these fields of its cluster, user and context.
fn with(cluster: &str, user: &str, context: &str) -> String {
    format!(
        "current-context: c\n\
         contexts: [{{name: c, context: {{cluster: k, user: u{context}}}}}]\n\
         clusters: [{{name: k, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}

const SERVER: &str = "server: \"https://lab.example\"";

fn loaded(kubeconfig: &str) -> Result<Settings, KubeconfigError> {
    load(&Home::new(kubeconfig).sources(), &Overrides::default())
}

fn refused(kubeconfig: &str) -> String {
    loaded(kubeconfig).unwrap_err().to_string()
}

fn token(settings: &Settings) -> Option<&str> {
    settings.config.auth_info.token.as_ref().map(|token| token.expose_secret())
}

fn certificate() -> rcgen::Certificate {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::default().self_signed(&key).unwrap()
}

#[test]
fn first_current_context_of_several_files_wins() {
    let home = Home::new("");
    let list = |texts: &[&str]| -> OsString {
        let paths = texts.iter().enumerate().map(|(i, text)| home.write(&format!("file{i}"), text));
        std::env::join_paths(paths.collect::<Vec<_>>()).unwrap()
    };
    for first in
        ["current-context: \"\"\n", "current-context:\n", "current-context: ~\n", "{}", "", "# nothing\n"]
    {
        let sources = Sources { kubeconfig: Some(list(&[first, FILE])), ..home.sources() };
        assert_eq!(load(&sources, &Overrides::default()).unwrap().context.as_deref(), Some("lab"), "{first}");
    }
    let other = FILE.replace("current-context: lab", "current-context: bare");
    let sources =
        Sources { kubeconfig: Some(list(&["current-context: ''", &other, FILE])), ..home.sources() };
    assert_eq!(load(&sources, &Overrides::default()).unwrap().context.as_deref(), Some("bare"));
}

#[test]
fn empty_choice_is_ignored() {
    let home = Home::new(FILE);
    let overrides = Overrides {
        file: Some(PathBuf::new()),
        context: Some(String::new()),
        namespace: Some(String::new()),
    };
    let settings = load(&home.sources(), &overrides).unwrap();
    assert_eq!(settings.context.as_deref(), Some("lab"));
    assert_eq!(settings.namespace.as_str(), "team-a");
}

#[test]
fn empty_fields_are_not_set() {
    let home = Home::new("");
    let authority = home.write("ca.pem", &certificate().pem());
    let file = with(
        &format!(
            "{SERVER}, certificate-authority: {}, certificate-authority-data: \"\", proxy-url: \"\", \
             tls-server-name: \"\", insecure-skip-tls-verify: null, disable-compression: ~",
            authority.display()
        ),
        "client-certificate: /certificate, client-certificate-data: \"\", client-key: /key, client-key-data: , \
         token: \"\", tokenFile: \"\", username: \"\", password: \"\", as: \"\", as-uid: \"\", as-groups: [\"\"], \
         as-user-extra: {}, exec: null, auth-provider: null",
        ", namespace: \"\"",
    );
    let settings = loaded(&file).unwrap();
    assert_eq!(settings.warnings(), [] as [&str; 0]);
    assert_eq!(settings.namespace.as_str(), "default");
    assert_eq!(settings.config.root_cert.unwrap().len(), 1);
    assert_eq!((settings.config.proxy_url, settings.config.tls_server_name), (None, None));
    let auth = settings.config.auth_info;
    assert_eq!(auth.client_certificate.as_deref(), Some("/certificate"));
    assert!(auth.client_certificate_data.is_none() && auth.client_key_data.is_none());
    assert!(auth.token.is_none() && auth.token_file.is_none() && auth.username.is_none());
    assert!(auth.impersonate.is_none() && auth.impersonate_groups.is_none());
}

#[test]
fn invalid_entries_fail_only_when_used() {
    let entries = "\
contexts:\n- {name: stray, context: {}}\n- {name: bare}\n- {name: odd, context: 7}\n- {}\n- null\n- text\n\
- {name: numbered, context: {cluster: lab, namespace: 0123}}\n\
- {name: listed, context: {cluster: [lab]}}\n\
- {name: broken, context: {cluster: broken}}\n\
- {name: shapeless, context: {cluster: shapeless}}\n";
    let clusters = "\
clusters:\n- {name: broken, cluster: {server: [a], certificate-authority-data: '!', extensions: 7}}\n\
- {name: shapeless, cluster: 7}\n- {name: '', cluster: {}}\n";
    let users = "users:\n- {name: broken, user: {exec: {provideClusterInfo: 7, env: 7}, token: [hunter2]}}\n";
    let file = FILE
        .replace("contexts:\n", entries)
        .replace("clusters:\n", clusters)
        .replace("users:\n", users)
        .replace("kind: Config", "kind: Config\npreferences: 7\nextensions: {a: 1}\nnote: a\nnote: b");
    let home = Home::new(&file);
    assert_eq!(token(&load(&home.sources(), &Overrides::default()).unwrap()), Some("secret-token"));
    for (name, words) in [
        ("stray", "cluster was not specified for context `stray`"),
        ("bare", "cluster was not specified for context `bare`"),
        ("listed", "cluster was not specified for context `listed`"),
        ("odd", "invalid `context` for context `odd` in the kubeconfig: not a mapping"),
        (
            "numbered",
            "invalid `namespace` for context `numbered` in the kubeconfig: not a string; put it in quotes",
        ),
        ("broken", "invalid `server` for cluster `broken` in the kubeconfig: not a string"),
        ("shapeless", "invalid `cluster` for cluster `shapeless` in the kubeconfig: not a mapping"),
    ] {
        let error = load(&home.sources(), &context(name)).unwrap_err();
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

#[test]
fn last_of_duplicate_keys_wins_as_in_kubectl() {
    let twice = with(
        &format!("server: \"https://other.example\", {SERVER}"),
        "token: a, token: b",
        ", namespace: a, namespace: b",
    );
    let settings = loaded(&twice).unwrap();
    assert_eq!(settings.server, "https://lab.example");
    assert_eq!(settings.namespace.as_str(), "b");
    assert_eq!(token(&settings), Some("b"));
}

#[test]
fn yaml_merge_keys_do_not_override_entry() {
    for context in ["<<: *base, namespace: b", "namespace: b, <<: *base", "<<: [*base], namespace: b"] {
        let file = format!("base: &base {{cluster: lab, user: alice, namespace: a}}\n{FILE}");
        let file = file.replace("cluster: lab, user: alice, namespace: team-a", context);
        let settings = loaded(&file).unwrap();
        assert_eq!(settings.namespace.as_str(), "b", "{context}");
        assert_eq!(token(&settings), Some("secret-token"), "{context}");
    }
}

#[test]
fn null_in_credential_plugin_is_not_set() {
    let exec = "exec: {command: /opt/login, provideClusterInfo: null, args: null, env: null, \
                interactiveMode: null, installHint: null, apiVersion: null}";
    assert_eq!(loaded(&with(SERVER, exec, "")).unwrap().credential_plugin.as_deref(), Some("/opt/login"));
    let exec = "exec: {command: login/now, args: [a, null], env: [{name: A, value: null}], provideClusterInfo: true}";
    let cluster = format!(
        "{SERVER}, extensions: [{{name: client.authentication.k8s.io/exec, extension: {{audience: a}}}}]"
    );
    let home = Home::new(&with(&cluster, exec, ""));
    let exec = load(&home.sources(), &Overrides::default()).unwrap().config.auth_info.exec.unwrap();
    // Relative to the file, as everywhere.
    assert_eq!(exec.command, home.0.path().join(".kube/login/now").to_str().map(str::to_owned));
    assert_eq!(exec.args, Some(vec!["a".to_owned(), String::new()]));
    let info = exec.cluster.unwrap();
    assert_eq!(info.server.as_deref(), Some("https://lab.example/"));
    assert_eq!(info.config.unwrap()["audience"], "a");
}

#[test]
fn token_is_trimmed() {
    for written in [r#""t\n""#, r#""t\r\n""#, r#"" t ""#] {
        let settings = loaded(&with(SERVER, &format!("token: {written}"), "")).unwrap();
        assert_eq!(token(&settings), Some("t"), "{written}");
    }
    let block = FILE.replace("user: {token: secret-token}", "user:\n    token: |\n      secret-token\n");
    assert_eq!(token(&loaded(&block).unwrap()), Some("secret-token"));
    for broken in [r#""hunter2\nx""#, r#""hunter2\0""#, r#""hunter2\u007f""#] {
        let error = refused(&with(SERVER, &format!("token: {broken}"), ""));
        assert!(error.contains("invalid `token` for user `u` in the kubeconfig: contains a character that is not valid in a header"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// As in kubectl. Without TLS no credentials are sent.
#[test]
fn server_without_scheme_uses_no_tls() {
    let file = with("server: \"localhost:7107\", certificate-authority: /nowhere", "token: t", "");
    let settings = loaded(&file).unwrap();
    assert_eq!(settings.server, "http://localhost:7107");
    assert!(settings.credentials_unsent && settings.config.auth_info.token.is_none());
    assert_eq!(
        loaded(&with("server: \"https://lab.example\\n\"", "", "")).unwrap().server,
        "https://lab.example"
    );
    for (server, words) in [
        ("", "no `server` found for cluster `k` in the kubeconfig"),
        ("server: \"\"", "no `server` found for cluster `k` in the kubeconfig"),
        (
            "server: \"ftp://lab.example\"",
            "invalid `server` for cluster `k` in the kubeconfig: must start with",
        ),
        (
            "server: \"https://alice:hunter2@lab example\"",
            "invalid `server` for cluster `k` in the kubeconfig: not a URL",
        ),
        (
            "server: \"https://lab.example:99999\"",
            "invalid `server` for cluster `k` in the kubeconfig: port must",
        ),
        (
            "server: 7107",
            "invalid `server` for cluster `k` in the kubeconfig: not a string; put it in quotes",
        ),
    ] {
        let error = refused(&with(server, "token: t", ""));
        assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn utf_16_file_is_read_and_broken_one_is_refused() {
    let home = Home::new("");
    let file = home.0.path().join(".kube/config");
    let encoded = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xFEFF).chain(FILE.encode_utf16()).flat_map(order).collect()
    };
    for whole in [encoded(u16::to_le_bytes), encoded(u16::to_be_bytes)] {
        fs_err::write(&file, &whole).unwrap();
        assert_eq!(token(&load(&home.sources(), &Overrides::default()).unwrap()), Some("secret-token"));
        for broken in
            [&whole[..whole.len() - 1], &[&whole[..], b"\n"].concat(), &[&whole[..], &[0xD8, 0xD8]].concat()]
        {
            fs_err::write(&file, broken).unwrap();
            let error = load(&home.sources(), &Overrides::default()).unwrap_err();
            assert!(error.to_string().ends_with(": not valid UTF-16"), "{error}");
        }
    }
    for (bytes, words) in [
        (&b"\xEF\xBB\xBFcurrent-context: a"[..], "context `a` does not exist in the kubeconfig"),
        (b"current-context: \xFF", ": not valid UTF-8"),
        (b"\xFF\xFE", "current-context is not set in the kubeconfig"),
        (b"hello", ": not a mapping"),
        (b"[1, 2]", ": not a mapping"),
        (b"kind: Pod\napiVersion: v1", "its kind is Pod, expected Config"),
        (b"contexts: {a: 1}", ": `contexts` is not a list"),
    ] {
        fs_err::write(&file, bytes).unwrap();
        let error = load(&home.sources(), &Overrides::default()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    fs_err::remove_file(&file).unwrap();
    fs_err::create_dir(&file).unwrap();
    let error = load(&home.sources(), &Overrides::default()).unwrap_err();
    assert!(error.to_string().ends_with("is a directory"), "{error}");
}

#[test]
fn json_may_be_indented_with_tabs() {
    let file = "{\n\t\"current-context\": \"c\",\n\t\"contexts\": [{\"name\": \"c\", \"context\": {\"cluster\": \"k\"}}],\n\
                \t\"clusters\": [{\"name\": \"k\", \"cluster\": {\"server\": \"https://lab.example\"}}]\n}\n";
    assert_eq!(loaded(file).unwrap().server, "https://lab.example");
}

#[test]
fn data_is_base64_in_any_layout() {
    use base64::Engine as _;
    let pem = certificate().pem();
    let data = base64::engine::general_purpose::STANDARD.encode(&pem);
    let wrapped = |width: usize, indent: &str| -> String {
        let lines: Vec<_> =
            data.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
        lines.join(&format!("\n{indent}"))
    };
    let indent = " ".repeat(6);
    let cluster = |value: &str| {
        FILE.replace(
            "cluster: {server: \"https://lab.example:6443\"}",
            &format!(
                "cluster:\n    server: https://lab.example:6443\n    certificate-authority-data: {value}\n"
            ),
        )
    };
    for value in [
        data.clone(),
        format!("\"{data}\\n\""),
        format!("|\n{indent}{}", wrapped(76, &indent)),
        format!(">\n{indent}{}", wrapped(64, &indent)),
        wrapped(76, &indent),
        format!("!!binary |\n{indent}{}", wrapped(76, &indent)),
        format!("!!binary {data}"),
        format!("|\n{indent}{}", pem.trim_end().replace('\n', &format!("\n{indent}"))),
    ] {
        let settings = loaded(&cluster(&value)).expect(&value);
        assert_eq!(settings.config.root_cert.unwrap().len(), 1, "{value}");
    }
    let key = format!("|\n{indent}{}", wrapped(76, &indent));
    let user = FILE.replace(
        "user: {token: secret-token}",
        &format!("user:\n    client-certificate-data: {key}\n    client-key-data: {key}\n"),
    );
    let auth = loaded(&user).unwrap().config.auth_info;
    assert_eq!(auth.client_certificate_data.as_deref(), Some(data.as_str()));
    assert_eq!(auth.client_key_data.unwrap().expose_secret(), data.as_str());
    assert!(
        refused(&cluster("hunter2!"))
            .contains("invalid `certificate-authority-data` for cluster `lab` in the kubeconfig: not base64")
    );
    assert!(refused(&cluster("aGVsbG8=")).contains("contains no valid certificate"));
}

/// As in kubectl: an unsafe setting must not silently win over a safe one.
#[test]
fn insecure_server_with_authority_is_refused() {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(certificate().pem());
    let cluster = |more: &str| with(&format!("{SERVER}, insecure-skip-tls-verify: true{more}"), "", "");
    for more in
        [format!(", certificate-authority-data: {data}"), ", certificate-authority: /ca.pem".to_owned()]
    {
        let error = refused(&cluster(&more));
        assert!(error.contains("invalid `insecure-skip-tls-verify` for cluster `k`"), "{error}");
    }
    assert!(loaded(&cluster(", certificate-authority-data: \"\"")).unwrap().insecure);
    assert!(loaded(&cluster("")).unwrap().insecure);
    assert!(refused(&cluster("").replace("true", "\"true\"")).contains("must be true or false"));
}

/// Verified with kubectl.
#[test]
fn user_with_token_and_password_is_refused() {
    for (user, fields) in [
        ("token: hunter2, username: alice, password: hunter2", "`token` and `username`"),
        ("token: hunter2, username: alice", "`token` and `username`"),
        ("token: hunter2, password: hunter2", "`token` and `password`"),
        ("tokenFile: /token, username: alice, password: hunter2", "`tokenFile` and `username`"),
    ] {
        let home = Home::new(&with(SERVER, user, ""));
        let error = load(&home.sources(), &Overrides::default()).unwrap_err();
        let file = home.0.path().join(".kube/config");
        let words = "more than one authentication method found for user `u` in";
        let expected = format!("{words} {}: {fields}; remove one", file.display());
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error, KubeconfigError::ConflictingAuth { .. }), "{error:?}");
        // It fails only when it is used.
        let other = "contexts: [{name: other, context: {cluster: k}}, ";
        let home = Home::new(&with(SERVER, user, "").replace("contexts: [", other));
        load(&home.sources(), &context("other")).unwrap();
    }
    for user in [
        "token: t, username: \"\", password: null",
        "token: \"\", username: alice, password: p",
        "tokenFile: /token, password: p",
        "token: t, tokenFile: /token",
        "username: alice",
    ] {
        loaded(&with(SERVER, user, "")).expect(user);
    }
}

#[test]
fn invalid_field_is_named() {
    for (cluster, user, words) in [
        (
            ", tls-server-name: \"a b\"",
            "",
            "invalid `tls-server-name` for cluster `k` in the kubeconfig: not a host name",
        ),
        (
            ", proxy-url: \"proxy.example:3128\"",
            "",
            "invalid `proxy-url` for cluster `k` in the kubeconfig: not a URL",
        ),
        (
            ", proxy-url: \"ftp://a:hunter2@b\"",
            "",
            "invalid `proxy-url` for cluster `k` in the kubeconfig: must start with",
        ),
        ("", "client-certificate: /a", "no `client-key` found for user `u` in the kubeconfig"),
        (
            "",
            "client-certificate-data: hunter2!",
            "invalid `client-certificate-data` for user `u` in the kubeconfig: not base64",
        ),
        ("", "as-groups: [admins]", "invalid `as-groups` for user `u` in the kubeconfig: requires `as`"),
        (
            "",
            "as: \"a\\nb\"",
            "invalid `as` for user `u` in the kubeconfig: contains a character that is not valid",
        ),
        ("", "as: a, as-groups: [\"a\\nb\"]", "`as-groups`"),
        (
            "",
            "as: a, as-user-extra: {k: a}",
            "invalid `as-user-extra.k` for user `u` in the kubeconfig: not a list",
        ),
        ("", "token: 123", "invalid `token` for user `u` in the kubeconfig: not a string; put it in quotes"),
        ("", "exec: {}", "no `exec.command` found for user `u` in the kubeconfig"),
        (
            "",
            "exec: {command: a, interactiveMode: Often}",
            "invalid `exec.interactiveMode` for user `u` in the kubeconfig: must be Never",
        ),
        (
            "",
            "exec: {command: a, args: [1]}",
            "invalid `exec.args` for user `u` in the kubeconfig: not a string; put it in quotes",
        ),
        ("", "exec: {command: a, env: [{value: hunter2}]}", "no `exec.env.name` found for user `u`"),
        ("", "exec: 7", "invalid `exec` for user `u` in the kubeconfig: not a mapping"),
        ("", "auth-provider: {name: oidc}", "no `auth-provider.config` found for user `u`"),
        (
            "",
            "auth-provider: {name: oidc, config: {}}",
            "no `auth-provider.config.id-token` found for user `u`",
        ),
        ("", "auth-provider: {name: gcp}", "the auth provider `gcp` was removed"),
    ] {
        let error = refused(&with(&format!("{SERVER}{cluster}"), user, ""));
        assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
    }
    let many = format!("as: a, as-groups: [{}]", "g,".repeat(2000));
    assert!(refused(&with(SERVER, &many, "")).contains("more than 1000 values"));
}

#[test]
fn yaml_expansion_is_bounded() {
    let deep = format!("contexts: {}", "[".repeat(100_000));
    let wide = format!("a: &a [1]\nb: [{}]\n{FILE}", "*a, ".repeat(50));
    let bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, i| {
        format!("{text}a{i}: &a{i} [{}]\n", format!("*a{}, ", i - 1).repeat(10))
    });
    for text in [deep, bomb, "{\"a\":".repeat(100_000)] {
        let error = refused(&text);
        assert!(
            !error.contains("Options") && !error.contains("AliasAnchorRatio") && error.len() < 200,
            "{error}"
        );
    }
    assert_eq!(loaded(&wide).unwrap().server, "https://lab.example:6443");
}

#[test]
fn install_hint_of_missing_plugin_is_shown() {
    let exec = "exec: {command: no-such-login, installHint: \"Get it from\\n  https://login.example\"}";
    let error = loaded(&with(SERVER, exec, "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the credential plugin `no-such-login` is not installed; install hint from the kubeconfig: Get it from https://login.example"
    );
    let error = refused(&with(SERVER, "exec: {command: no-such-login}", ""));
    assert_eq!(error, "the credential plugin `no-such-login` is not installed");
}
