//! The proxy for a registry, from the environment.
//!
//! `HTTPS_PROXY` is for `https://` and `HTTP_PROXY` for `http://`, in upper or lower case. `ALL_PROXY` is for both if
//! neither is set, as in curl. `NO_PROXY` has the semantics of Go, as for clusters: names with their subdomains, addresses,
//! CIDR ranges, and ports. ureq's own choice is not used: it takes `HTTPS_PROXY` for every address, ignores an invalid one
//! and then connects directly, and knows no ranges, ports or spaces in `NO_PROXY`.

use kf_core::no_proxy;
use ureq::Proxy;

use crate::error::{Error, Result};
use crate::transport::Host;

/// The proxy variables of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProxyVariables {
    pub(crate) https: Option<String>,
    pub(crate) http: Option<String>,
    pub(crate) all: Option<String>,
    pub(crate) no_proxy: Option<String>,
}

impl ProxyVariables {
    pub(crate) fn from_env() -> Self {
        let text =
            |name: &str| std::env::var_os(name)?.into_string().ok().filter(|value| !value.trim().is_empty());
        let either = |name: &str| text(name).or_else(|| text(&name.to_ascii_lowercase()));
        Self {
            https: either("HTTPS_PROXY"),
            http: either("HTTP_PROXY"),
            all: either("ALL_PROXY"),
            no_proxy: either("NO_PROXY"),
        }
    }

    /// The proxy for a host; none to connect directly.
    ///
    /// # Errors
    ///
    /// The variable is not the URL of a proxy. Its value is not repeated, because it may contain a password.
    pub(crate) fn proxy_of(&self, host: &Host) -> Result<Option<Proxy>> {
        let (variable, own) =
            if host.is_tls { ("HTTPS_PROXY", &self.https) } else { ("HTTP_PROXY", &self.http) };
        let (variable, text) = match (own, &self.all) {
            (Some(own), _) => (variable, own),
            (None, Some(all)) => ("ALL_PROXY", all),
            (None, None) => return Ok(None),
        };
        if no_proxy::bypasses(self.no_proxy.as_deref().unwrap_or_default(), &host.name, host.port) {
            return Ok(None);
        }
        Proxy::new(text.trim()).map(Some).map_err(|_| Error::BadProxy { variable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(url: &str) -> Host {
        crate::transport::Url::parse(url).unwrap().host().unwrap()
    }

    fn chosen(variables: &ProxyVariables, url: &str) -> Option<String> {
        let proxy = variables.proxy_of(&host(url)).unwrap()?;
        Some(format!("{}:{}", proxy.host(), proxy.port()))
    }

    fn all() -> ProxyVariables {
        ProxyVariables {
            https: Some("http://secure.example:3128".into()),
            http: Some("plain.example:8080".into()),
            all: Some("socks5h://all.example".into()),
            no_proxy: None,
        }
    }

    #[test]
    fn variable_of_scheme_takes_precedence_over_all_proxy() {
        assert_eq!(chosen(&all(), "https://r.example").as_deref(), Some("secure.example:3128"));
        assert_eq!(chosen(&all(), "http://r.example").as_deref(), Some("plain.example:8080"));
        let only_all = ProxyVariables { https: None, http: None, ..all() };
        assert_eq!(chosen(&only_all, "https://r.example").as_deref(), Some("all.example:1080"));
        let only_http = ProxyVariables { https: None, all: None, ..all() };
        assert_eq!(chosen(&only_http, "https://r.example"), None);
        assert_eq!(chosen(&ProxyVariables::default(), "https://r.example"), None);
    }

    #[test]
    fn no_proxy_covers_suffixes_ports_ranges_and_loopback() {
        let bypassed = |list: &str, url: &str| {
            chosen(&ProxyVariables { no_proxy: Some(list.into()), ..all() }, url).is_none()
        };
        assert!(bypassed("other.example, example", "https://r.example"));
        assert!(bypassed(".example", "https://r.example"));
        assert!(bypassed("r.example:8443", "https://r.example:8443"));
        assert!(!bypassed("r.example:8443", "https://r.example"));
        assert!(bypassed("10.0.0.0/8", "https://10.1.2.3"));
        assert!(!bypassed("10.0.0.0/8", "https://11.1.2.3"));
        assert!(bypassed("*", "https://r.example"));
        assert!(!bypassed("", "https://r.example"));
        assert!(bypassed("", "http://127.0.0.1:8080"));
        assert!(bypassed("", "http://[::1]:8080"));
    }

    #[test]
    fn invalid_proxy_is_refused_without_repeating_it() {
        for value in ["ftp://me:hunter2@p.example", "http://me:hunter2@", "http://me:%ff@hunter2"] {
            let variables = ProxyVariables { https: Some(value.into()), ..ProxyVariables::default() };
            let error = variables.proxy_of(&host("https://r.example")).unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("hunter2"), "{error}");
        }
    }
}
