//! The URL of an API server, as kubectl reads it.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// A longer URL would become invalid with the path of a request.
const MAX_BYTES: usize = 4096;

/// Parses `https://HOST:PORT`, `http://…`, or `HOST:PORT`, which does not use TLS. User name, password and query are
/// removed, as the URL appears in messages, traces and the audit log.
pub(super) fn parse(text: &str) -> Result<Uri, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("too long");
    }
    let is_url = text.contains("://");
    let url = if is_url { text.to_owned() } else { format!("http://{text}") };
    let url: Uri = url.parse().map_err(|_| "not a URL such as https://HOST:PORT")?;
    if url.scheme() != Some(&Scheme::HTTPS) && url.scheme() != Some(&Scheme::HTTP) {
        return Err("must start with https:// or http://");
    }
    if !is_url && url.path() != "/" {
        return Err("neither a URL nor HOST:PORT");
    }
    has_address(&url)?;
    without_credentials(url).ok_or("not a URL such as https://HOST:PORT")
}

/// Checks that a URL has a host and a valid port. The parser ignores an invalid port.
pub(super) fn has_address(url: &Uri) -> Result<(), &'static str> {
    let authority = url.authority().ok_or("no host")?;
    if authority.host().trim_matches(['[', ']']).is_empty() {
        return Err("no host");
    }
    let after_host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let port = after_host.strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
    match port.filter(|port| !port.is_empty()).map(str::parse::<u16>) {
        Some(Ok(0) | Err(_)) => Err("port must be from 1 to 65535"),
        _ => Ok(()),
    }
}

fn without_credentials(server: Uri) -> Option<Uri> {
    let mut parts = server.into_parts();
    if let Some((_, host)) = parts.authority.as_ref().and_then(|all| all.as_str().rsplit_once('@')) {
        parts.authority = Some(host.parse::<Authority>().ok()?);
    }
    if let Some(path) = parts.path_and_query.take() {
        parts.path_and_query = Some(path.path().parse::<PathAndQuery>().ok()?);
    }
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_url_is_parsed_as_by_kubectl() {
        for (text, read) in [
            ("https://lab.example:6443", Ok("https://lab.example:6443/")),
            ("HTTPS://lab.example", Ok("https://lab.example/")),
            (
                "https://alice:hunter2@lab.example/k8s/clusters/c-1?token=hunter2",
                Ok("https://lab.example/k8s/clusters/c-1"),
            ),
            ("https://[2001:db8::1]:6443", Ok("https://[2001:db8::1]:6443/")),
            ("localhost:7107", Ok("http://localhost:7107/")),
            ("127.0.0.1", Ok("http://127.0.0.1/")),
            ("[::1]:8080", Ok("http://[::1]:8080/")),
            ("lab.example:6443/", Ok("http://lab.example:6443/")),
            ("lab.example:6443/k8s", Err("neither a URL nor HOST:PORT")),
            ("https://lab.example:99999", Err("port must")),
            ("https://lab.example:0", Err("port must")),
            ("lab.example:port", Err("")),
            ("https://", Err("")),
            ("https://:6443", Err("")),
            ("https://lab example", Err("not a URL")),
            ("ftp://lab.example", Err("must start with")),
            ("unix:///var/run/kube.sock", Err("")),
            ("/etc/kubernetes", Err("")),
        ] {
            match (parse(text), read) {
                (Ok(url), Ok(expected)) => assert_eq!(url.to_string(), expected, "{text}"),
                (Err(error), Err(words)) => assert!(error.contains(words), "{text}: {error}"),
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
        assert!(parse(&format!("https://lab.example/{}", "x".repeat(70_000))).is_err());
    }
}
