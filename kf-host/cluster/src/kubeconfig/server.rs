//! The URL of an API server, as kubectl reads it.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Longer ones are refused: with a request's own path they would not be a URL any more.
const MAX_BYTES: usize = 4096;

/// Reads `https://HOST:PORT`, `http://…`, or `HOST:PORT`, which has no TLS. Without user name, password and query:
/// it is told in messages, traces and the audit log. The error is a sentence about the text.
pub(super) fn parse(text: &str) -> Result<Uri, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("it is too long");
    }
    let is_url = text.contains("://");
    let url = if is_url { text.to_owned() } else { format!("http://{text}") };
    let url: Uri = url.parse().map_err(|_| "it is not a URL such as https://HOST:PORT")?;
    if url.scheme() != Some(&Scheme::HTTPS) && url.scheme() != Some(&Scheme::HTTP) {
        return Err("it begins with neither https:// nor http://");
    }
    if !is_url && url.path() != "/" {
        return Err("it is neither a URL nor HOST:PORT");
    }
    has_address(&url)?;
    without_credentials(url).ok_or("it is not a URL such as https://HOST:PORT")
}

/// Whether a URL leads anywhere. The parser takes a port that is none for a URL without one.
pub(super) fn has_address(url: &Uri) -> Result<(), &'static str> {
    let authority = url.authority().ok_or("it has no host")?;
    if authority.host().trim_matches(['[', ']']).is_empty() {
        return Err("it has no host");
    }
    let after_host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let port = after_host.strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
    match port.filter(|port| !port.is_empty()).map(str::parse::<u16>) {
        Some(Ok(0) | Err(_)) => Err("its port is not a number from 1 to 65535"),
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
    fn server_is_read_as_kubectl_reads_it() {
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
            ("https://lab.example:99999", Err("its port")),
            ("https://lab.example:0", Err("its port")),
            ("lab.example:port", Err("")),
            ("https://", Err("")),
            ("https://:6443", Err("")),
            ("https://lab example", Err("not a URL")),
            ("ftp://lab.example", Err("begins with neither")),
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
