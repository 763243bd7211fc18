//! Why an image cannot be pulled.

use super::cause;

/// Explains why an image cannot be pulled, from the reason and message of the container and the message of the pod's
/// last warning event.
pub(super) fn pull_reason(reason: &str, message: &str, event: &str) -> String {
    match reason {
        "InvalidImageName" => return "invalid image name".to_owned(),
        "ErrImageNeverPull" => return "not on the node, and imagePullPolicy is Never".to_owned(),
        _ => {}
    }
    let text = format!("{message} {event}");
    let words = runtime_words(&text);
    let plain = CAUSES.iter().find(|(signs, _)| signs.iter().any(|sign| words.contains(sign)));
    match plain {
        Some((_, cause)) => (*cause).to_owned(),
        None => cause(if message.is_empty() { event } else { message }, 80),
    }
}

/// Messages of runtimes and registries and what they mean; the first match wins. Specific messages come before those
/// that only say "not found".
const CAUSES: [(&[&str], &str); 9] = [
    (
        &["no match for platform", "no matching manifest for", "exec format error"],
        "not built for the node's platform",
    ),
    (&["toomanyrequests", "too many requests", "rate limit"], "image registry rate limit exceeded"),
    (&["no space left", "disk quota exceeded", "disk pressure"], "no disk space left on the node"),
    (
        &["x509: ", "certificate signed by unknown", "certificate has expired"],
        "the node does not trust the image registry's certificate",
    ),
    (&["http response to https client"], "the image registry serves HTTP, but the node expects HTTPS"),
    (
        &[
            "unauthorized",
            "access denied",
            "permission denied",
            "denied:",
            "forbidden",
            "authorization failed",
            "no basic auth",
        ],
        "access denied, or image not found",
    ),
    (
        &[
            "lookup ",
            "no such host",
            "i/o timeout",
            "dial tcp",
            "connection refused",
            "connection reset",
            "network is unreachable",
            "context deadline exceeded",
            "client.timeout",
            "tls handshake timeout",
        ],
        "image registry unreachable",
    ),
    (
        &["internal server error", "bad gateway", "service unavailable", "gateway timeout"],
        "image registry error",
    ),
    (&["not found", "notfound", "manifest unknown", "name unknown", "does not exist"], "image not found"),
];

/// Lower-cases a message and removes quoted text, image names, digests and addresses, which can contain any word.
fn runtime_words(message: &str) -> String {
    let unquoted: String = message.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let is_reference =
        |word: &str| word.contains(['/', '@']) && word != "i/o" || word.trim_end_matches(':').contains(':');
    let words = unquoted.split_whitespace().filter(|word| !is_reference(word));
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(message: &str) -> String {
        pull_reason("ErrImagePull", message, "")
    }

    #[test]
    fn cause_is_found_in_message_and_not_in_names() {
        let pull = "rpc error: code = Unknown desc = failed to pull and unpack image";
        for (message, expected) in [
            (
                "rpc error: code = NotFound desc = failed to pull and unpack image \"r.io/a/b@sha256:403ab401denied\": failed to resolve reference \"r.io/a/b@sha256:403ab401\": r.io/a/b@sha256:403ab401: not found".to_owned(),
                "image not found",
            ),
            (
                format!("{pull} \"docker.io/x/y:1\": no match for platform in manifest: not found"),
                "not built for the node's platform",
            ),
            (
                format!(
                    "{pull} \"r.io/forbidden/denied:403\": failed to do request: Head \"https://r.io/v2/forbidden/denied/manifests/403\": dial tcp: lookup r.io: no such host"
                ),
                "image registry unreachable",
            ),
            (
                format!(
                    "{pull} \"r.io/lookup/x:1\": failed to resolve reference \"r.io/lookup/x:1\": unexpected status from HEAD request to https://r.io/v2/lookup/x/manifests/1: 403 Forbidden"
                ),
                "access denied, or image not found",
            ),
            (
                format!(
                    "{pull} \"x:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
                ),
                "access denied, or image not found",
            ),
            (
                format!(
                    "{pull} \"x:1\": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://auth/token: 401 Unauthorized"
                ),
                "access denied, or image not found",
            ),
            (
                format!(
                    "{pull} \"x:1\": httpReadSeeker: failed open: unexpected status code https://r.io/v2/x/blobs/sha256:aa: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."
                ),
                "image registry rate limit exceeded",
            ),
            (
                format!(
                    "{pull} \"x:1\": failed to extract layer sha256:403: write /var/lib/x: no space left on device"
                ),
                "no disk space left on the node",
            ),
            (
                format!(
                    "{pull} \"r:5000/x:1\": failed to do request: Head \"https://r:5000/v2/x/manifests/1\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
                ),
                "the node does not trust the image registry's certificate",
            ),
            (
                format!(
                    "{pull} \"r:5000/x:1\": failed to do request: Head \"https://r:5000/v2/x/manifests/1\": http: server gave HTTP response to HTTPS client"
                ),
                "the image registry serves HTTP, but the node expects HTTPS",
            ),
            (
                "Error response from daemon: manifest for x:1 not found: manifest unknown: manifest unknown"
                    .to_owned(),
                "image not found",
            ),
            (
                format!(
                    "{pull} \"x:1\": failed to copy: read tcp 10.0.0.1:403->10.0.0.2:443: read: connection reset by peer"
                ),
                "image registry unreachable",
            ),
            (
                format!(
                    "{pull} \"x:1\": unexpected status from HEAD request to https://r.io/v2/x: 503 Service Unavailable"
                ),
                "image registry error",
            ),
            (
                "Error response from daemon: manifest for forbidden:401 not found".to_owned(),
                "image not found",
            ),
            (format!("{pull} \"x:1\": short-name resolution enforced"), "short-name resolution enforced"),
        ] {
            assert_eq!(explained(&message), expected, "{message}");
        }
    }

    #[test]
    fn back_off_message_falls_back_to_event() {
        let back_off = "Back-off pulling image \"registry/401/train:403\"";
        assert_eq!(
            pull_reason("ImagePullBackOff", back_off, "401 Unauthorized"),
            "access denied, or image not found"
        );
        assert_eq!(
            pull_reason("ImagePullBackOff", "Back-off pulling image \"x:1\": ErrImagePull: x: not found", ""),
            "image not found"
        );
        assert_eq!(explained("nothing known"), "nothing known");
        assert_eq!(pull_reason("ErrImagePull", "", ""), "");
    }
}
