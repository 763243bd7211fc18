//! The proxy for a server, chosen as Go's clients do.
//!
//! `HTTPS_PROXY` and `NO_PROXY` have the semantics of [`golang.org/x/net/http/httpproxy`], so that kf uses the same
//! proxy as kubectl. kube's implementation is not used: it compares `NO_PROXY` with the address of the proxy instead
//! of the server's, does not recognise IPv6 addresses, and fails on an empty entry.
//!
//! [`golang.org/x/net/http/httpproxy`]: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config

use http::Uri;
use http::uri::PathAndQuery;
use kf_core::no_proxy;

use super::KubeconfigError;
use super::server::has_address;

/// The proxy variables of the environment, each in upper or lower case.
#[derive(Clone, Debug, Default)]
pub struct ProxyVariables {
    /// `HTTPS_PROXY`: the proxy for servers with TLS.
    pub https: Option<String>,
    /// `HTTP_PROXY`: the proxy for servers without.
    pub http: Option<String>,
    /// `NO_PROXY`: hosts to connect to without a proxy.
    pub no_proxy: Option<String>,
}

impl ProxyVariables {
    pub fn from_env() -> Self {
        let text = |name: &str| std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty());
        let var = |name: &str| text(name).or_else(|| text(&name.to_ascii_lowercase()));
        Self { https: var("HTTPS_PROXY"), http: var("HTTP_PROXY"), no_proxy: var("NO_PROXY") }
    }

    /// The proxy for a server. As in Go, the default scheme is `http`.
    pub(super) fn proxy_of(&self, server: &Uri) -> Result<Option<Uri>, KubeconfigError> {
        let is_plain = server.scheme() == Some(&http::uri::Scheme::HTTP);
        let (variable, proxy) =
            if is_plain { ("HTTP_PROXY", &self.http) } else { ("HTTPS_PROXY", &self.https) };
        let Some(proxy) = proxy.as_deref().map(str::trim).filter(|proxy| !proxy.is_empty()) else {
            return Ok(None);
        };
        if self.bypassed(server) {
            return Ok(None);
        }
        let parsed = match proxy.contains("://") {
            true => parse(proxy),
            false => parse(&format!("http://{proxy}")),
        };
        parsed.map(Some).map_err(|why| KubeconfigError::ProxyVariable { variable, why })
    }

    /// Whether to connect directly: the server is this machine, or `NO_PROXY` lists it.
    fn bypassed(&self, server: &Uri) -> bool {
        let Some(host) = server.host() else { return true };
        let default_port = if server.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 };
        let port = server.port_u16().unwrap_or(default_port);
        no_proxy::bypasses(self.no_proxy.as_deref().unwrap_or_default(), host, port)
    }
}

/// Parses the URL of a proxy. The error does not repeat the text, which may contain a password.
pub(super) fn parse(text: &str) -> Result<Uri, &'static str> {
    const NOT_A_URL: &str = "not a URL such as http://HOST:PORT";
    if !text.contains("://") {
        return Err(NOT_A_URL);
    }
    let url: Uri = text.parse().map_err(|_| NOT_A_URL)?;
    has_address(&url)?;
    let (scheme, default_port) = match url.scheme_str().map(str::to_ascii_lowercase).as_deref() {
        Some("http") => ("http", None),
        Some("https") => ("https", None),
        // With both the proxy resolves names, in Go and here.
        Some("socks5" | "socks5h") => ("socks5", Some(1080)),
        _ => return Err("must start with http://, https:// or socks5://"),
    };
    let mut parts = url.into_parts();
    parts.scheme = Some(scheme.parse().map_err(|_| NOT_A_URL)?);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    if let (Some(port), Some(authority)) = (default_port, &parts.authority)
        && authority.port().is_none()
    {
        let authority = format!("{}:{port}", authority.as_str().trim_end_matches(':'));
        parts.authority = Some(authority.parse().map_err(|_| NOT_A_URL)?);
    }
    Uri::from_parts(parts).map_err(|_| NOT_A_URL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bypassed(server: &str, no_proxy: &str) -> bool {
        let variables = ProxyVariables { no_proxy: Some(no_proxy.to_owned()), ..ProxyVariables::default() };
        variables.bypassed(&server.parse().unwrap())
    }

    #[test]
    fn loopback_server_bypasses_proxy() {
        for server in ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"] {
            assert!(bypassed(server, ""), "{server}");
        }
        assert!(!bypassed("https://k8s.example", ""));
    }

    /// Verified with Go's own `httpproxy`.
    #[test]
    fn no_proxy_has_semantics_of_go() {
        for (list, server, expected) in [
            ("k8s.example,", "https://k8s.example", true),
            (" a , k8s.example ", "https://k8s.example", true),
            ("http://k8s.example/path,k8s.example", "https://k8s.example", true),
            ("k8s.example/path,b", "https://k8s.example", false),
            ("k8s.example/path", "https://k8s.example", false),
            ("*", "https://k8s.example", true),
            ("*", "https://10.1.2.3", true),
            ("a,,k8s.example", "https://k8s.example", true),
            ("a,,b", "https://k8s.example", false),
            (",", "https://k8s.example", false),
            (" corp.example , direct.example ", "https://direct.example", true),
            ("direct.example", "https://a.direct.example", true),
            ("direct.example", "https://notdirect.example", false),
            ("DIRECT.example", "https://direct.EXAMPLE", true),
            (".corp.example", "https://k8s.corp.example", true),
            (".corp.example", "https://corp.example", false),
            ("*.corp.example", "https://k8s.corp.example", true),
            ("*.corp.example", "https://corp.example", false),
            ("*corp.example", "https://k8s.corp.example", false),
            (".", "https://k8s.example", false),
            ("direct.example:6443", "https://direct.example:6443", true),
            ("direct.example:6443", "https://direct.example", false),
            ("direct.example:443", "https://direct.example", true),
            ("direct.example:", "https://direct.example", true),
            ("direct.example:0443", "https://direct.example", false),
            (":443", "https://direct.example", false),
            ("direct.example.", "https://direct.example", false),
            ("10.1.2.3", "https://10.1.2.3", true),
            ("10.1.2.3", "https://10.1.2.30", false),
            ("10.1.2.3:6443", "https://10.1.2.3:6443", true),
            ("10.1.2.3:6443", "https://10.1.2.3:443", false),
            ("10.0.0.0/8", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("10.0.0.0/33", "https://10.1.2.3", false),
            ("2001:db8::1", "https://[2001:db8::1]:6443", true),
            ("2001:db8::1", "https://[2001:db8::2]:6443", false),
            ("[2001:db8::1]:6443", "https://[2001:db8::1]:6443", true),
            ("[2001:db8::1]:6443", "https://[2001:db8::1]:443", false),
            ("2001:db8::/32", "https://[2001:db8::1]:6443", true),
            ("2001:db8::/32", "https://[2001:db9::1]:6443", false),
            ("10.1.2.3", "https://[::ffff:10.1.2.3]", true),
        ] {
            assert_eq!(bypassed(server, list), expected, "NO_PROXY={list} {server}");
        }
    }

    #[test]
    fn proxy_variable_is_chosen_by_scheme_of_server() {
        let variables = ProxyVariables {
            https: Some("http://secure.example:1".into()),
            http: Some("http://plain.example:2".into()),
            no_proxy: Some("direct.example".into()),
        };
        assert_eq!(proxy_of(&variables, "https://k8s.example").as_deref(), Some("http://secure.example:1/"));
        assert_eq!(proxy_of(&variables, "http://k8s.example").as_deref(), Some("http://plain.example:2/"));
        assert_eq!(proxy_of(&variables, "https://direct.example"), None);
        assert_eq!(proxy_of(&ProxyVariables::default(), "https://k8s.example"), None);
    }

    fn proxy_of(variables: &ProxyVariables, server: &str) -> Option<String> {
        variables.proxy_of(&server.parse().unwrap()).unwrap().map(|proxy| proxy.to_string())
    }

    #[test]
    fn proxy_variable_without_scheme_uses_http() {
        for (proxy, read) in [
            ("proxy.example:3128", Some("http://proxy.example:3128/")),
            ("proxy.example", Some("http://proxy.example/")),
            ("10.1.2.3:3128", Some("http://10.1.2.3:3128/")),
            ("[2001:db8::1]:3128", Some("http://[2001:db8::1]:3128/")),
            ("alice:hunter2@proxy.example:3128", Some("http://alice:hunter2@proxy.example:3128/")),
            (" proxy.example:3128 ", Some("http://proxy.example:3128/")),
            ("HTTP://proxy.example:3128/path", Some("http://proxy.example:3128/")),
            ("https://proxy.example", Some("https://proxy.example/")),
            ("socks5://proxy.example", Some("socks5://proxy.example:1080/")),
            ("SOCKS5H://proxy.example:9050", Some("socks5://proxy.example:9050/")),
            ("", None),
        ] {
            let variables = ProxyVariables { https: Some(proxy.to_owned()), ..ProxyVariables::default() };
            assert_eq!(proxy_of(&variables, "https://k8s.example").as_deref(), read, "{proxy:?}");
        }
        for proxy in
            ["ftp://proxy.example:hunter2", "http://hunter2:99999", "http://", ":hunter2", "hunter2 b"]
        {
            let variables = ProxyVariables { https: Some(proxy.to_owned()), ..ProxyVariables::default() };
            let error = variables.proxy_of(&"https://k8s.example".parse().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with("invalid HTTPS_PROXY: "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
