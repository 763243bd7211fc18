//! Through which proxy a server is reached, as Go's clients decide it.
//!
//! `HTTPS_PROXY` and `NO_PROXY` mean what [`golang.org/x/net/http/httpproxy`] makes of them, so that kf
//! takes the way that kubectl takes. kube's own reading is not used: it compares `NO_PROXY` with the
//! address of the proxy instead of the server's, does not recognise IPv6 addresses, and fails on an
//! empty entry.
//!
//! [`golang.org/x/net/http/httpproxy`]: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

/// The proxy variables of the process's environment, each in upper or lower case.
#[derive(Clone, Debug, Default)]
pub struct ProxyVariables {
    /// `HTTPS_PROXY`: the proxy for servers with TLS.
    pub https: Option<String>,
    /// `HTTP_PROXY`: the proxy for servers without.
    pub http: Option<String>,
    /// `NO_PROXY`: hosts that are reached without a proxy.
    pub no_proxy: Option<String>,
}

impl ProxyVariables {
    pub fn from_env() -> Self {
        let text = |name: &str| std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty());
        let var = |name: &str| text(name).or_else(|| text(&name.to_ascii_lowercase()));
        Self { https: var("HTTPS_PROXY"), http: var("HTTP_PROXY"), no_proxy: var("NO_PROXY") }
    }

    /// The URL of the proxy to a server, not yet parsed.
    pub(super) fn proxy_of(&self, server: &Uri) -> Option<&str> {
        let proxy = if server.scheme() == Some(&http::uri::Scheme::HTTP) { &self.http } else { &self.https };
        proxy.as_deref().filter(|_| !self.bypassed(server))
    }

    /// Whether the server is reached directly: it is this machine, or `NO_PROXY` lists it.
    fn bypassed(&self, server: &Uri) -> bool {
        let Some(host) = server.host() else { return true };
        let host = without_brackets(host).to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        if host == "localhost" || address.is_some_and(|a| a.is_loopback()) {
            return true;
        }
        let default_port = if server.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 };
        let port = server.port_u16().unwrap_or(default_port);
        let list = self.no_proxy.as_deref().unwrap_or_default();
        list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| match address {
            _ if entry == "*" => true,
            Some(address) => covers_address(&entry, address, port),
            None => covers_name(&entry, &host, port),
        })
    }
}

/// Whether an entry, an address with or without a port or a CIDR range, covers an address.
fn covers_address(entry: &str, address: IpAddr, port: u16) -> bool {
    if let Ok(network) = entry.parse::<IpNet>() {
        return network.contains(&address);
    }
    let is_it =
        |text: &str| without_brackets(text).parse().is_ok_and(|a: IpAddr| a.to_canonical() == address);
    is_it(entry) || entry.rsplit_once(':').is_some_and(|(host, listed)| is_it(host) && is_port(listed, port))
}

/// Whether an entry, a name with or without a port, covers a host: `example.com` itself and its
/// subdomains, `.example.com` and `*.example.com` its subdomains only.
fn covers_name(entry: &str, host: &str, port: u16) -> bool {
    let name = match entry.rsplit_once(':') {
        Some((_, listed)) if !is_port(listed, port) => return false,
        Some((name, _)) => name,
        None => entry,
    };
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    let is_subdomain = |domain: &str| {
        !domain.is_empty() && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    match name.strip_prefix('.') {
        Some(domain) => is_subdomain(domain),
        None => host == name || is_subdomain(name),
    }
}

/// Whether the port of an entry, where it has one, is the server's.
fn is_port(listed: &str, port: u16) -> bool {
    listed.is_empty() || listed == port.to_string()
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bypassed(server: &str, no_proxy: &str) -> bool {
        let variables = ProxyVariables { no_proxy: Some(no_proxy.to_owned()), ..ProxyVariables::default() };
        variables.bypassed(&server.parse().unwrap())
    }

    #[test]
    fn this_machine_is_reached_directly() {
        for server in ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]:6443"] {
            assert!(bypassed(server, ""), "{server}");
        }
        assert!(!bypassed("https://k8s.example", ""));
    }

    /// Each line was tried with Go's own `httpproxy`.
    #[test]
    fn no_proxy_means_what_it_means_to_go() {
        for (list, server, expected) in [
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
    fn proxy_is_the_one_of_the_servers_scheme() {
        let variables = ProxyVariables {
            https: Some("http://secure.example:1".into()),
            http: Some("http://plain.example:2".into()),
            no_proxy: Some("direct.example".into()),
        };
        let proxy_of = |server: &str| variables.proxy_of(&server.parse().unwrap()).map(str::to_owned);
        assert_eq!(proxy_of("https://k8s.example").as_deref(), Some("http://secure.example:1"));
        assert_eq!(proxy_of("http://k8s.example").as_deref(), Some("http://plain.example:2"));
        assert_eq!(proxy_of("https://direct.example"), None);
        assert_eq!(ProxyVariables::default().proxy_of(&"https://k8s.example".parse().unwrap()), None);
    }
}
