//! Why an image cannot be pulled, in words a person can act on.

use super::cause;

/// The part of a puller's message that says what to do. `reason` is the container's, `message` the
/// container's too, `event` the pod's last warning.
pub(super) fn pull_reason(reason: &str, message: &str, event: &str) -> String {
    match reason {
        "InvalidImageName" => return "the name is not valid".to_owned(),
        "ErrImageNeverPull" => return "it is not on the node, and the policy is never to pull".to_owned(),
        _ => {}
    }
    let said = format!("{message} {event}");
    let words = runtime_words(&said);
    let plain = CAUSES.iter().find(|(signs, _)| signs.iter().any(|sign| words.contains(sign)));
    match plain {
        Some((_, cause)) => (*cause).to_owned(),
        None => cause(if message.is_empty() { event } else { message }, 80),
    }
}

/// What runtimes and registries write, and what it means; the first that is found counts. What has words of
/// its own comes before what also says "not found".
const CAUSES: [(&[&str], &str); 9] = [
    (
        &["no match for platform", "no matching manifest for", "exec format error"],
        "it is not built for the node's platform",
    ),
    (&["toomanyrequests", "too many requests", "rate limit"], "the image registry's rate limit is reached"),
    (&["no space left", "disk quota exceeded", "disk pressure"], "the node's disk is full"),
    (
        &["x509: ", "certificate signed by unknown", "certificate has expired"],
        "the node does not trust the image registry's certificate",
    ),
    (&["http response to https client"], "the image registry speaks HTTP, and the node expects HTTPS"),
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
        "access denied, or there is no such image",
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
        "the image registry does not answer",
    ),
    (
        &["internal server error", "bad gateway", "service unavailable", "gateway timeout"],
        "the image registry fails",
    ),
    (
        &["not found", "notfound", "manifest unknown", "name unknown", "does not exist"],
        "there is no such image",
    ),
];

/// The words of a message in lower case, without what is quoted, names of images, digests and addresses:
/// those hold any word and any number.
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

    fn told(message: &str) -> String {
        pull_reason("ErrImagePull", message, "")
    }

    #[test]
    fn cause_is_what_the_runtime_says_and_not_what_is_in_a_name() {
        let pull = "rpc error: code = Unknown desc = failed to pull and unpack image";
        for (message, expected) in [
            (
                "rpc error: code = NotFound desc = failed to pull and unpack image \"r.io/a/b@sha256:403ab401denied\": failed to resolve reference \"r.io/a/b@sha256:403ab401\": r.io/a/b@sha256:403ab401: not found".to_owned(),
                "there is no such image",
            ),
            (
                format!("{pull} \"docker.io/x/y:1\": no match for platform in manifest: not found"),
                "it is not built for the node's platform",
            ),
            (
                format!(
                    "{pull} \"r.io/forbidden/denied:403\": failed to do request: Head \"https://r.io/v2/forbidden/denied/manifests/403\": dial tcp: lookup r.io: no such host"
                ),
                "the image registry does not answer",
            ),
            (
                format!(
                    "{pull} \"r.io/lookup/x:1\": failed to resolve reference \"r.io/lookup/x:1\": unexpected status from HEAD request to https://r.io/v2/lookup/x/manifests/1: 403 Forbidden"
                ),
                "access denied, or there is no such image",
            ),
            (
                format!(
                    "{pull} \"x:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
                ),
                "access denied, or there is no such image",
            ),
            (
                format!(
                    "{pull} \"x:1\": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://auth/token: 401 Unauthorized"
                ),
                "access denied, or there is no such image",
            ),
            (
                format!(
                    "{pull} \"x:1\": httpReadSeeker: failed open: unexpected status code https://r.io/v2/x/blobs/sha256:aa: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."
                ),
                "the image registry's rate limit is reached",
            ),
            (
                format!(
                    "{pull} \"x:1\": failed to extract layer sha256:403: write /var/lib/x: no space left on device"
                ),
                "the node's disk is full",
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
                "the image registry speaks HTTP, and the node expects HTTPS",
            ),
            (
                "Error response from daemon: manifest for x:1 not found: manifest unknown: manifest unknown"
                    .to_owned(),
                "there is no such image",
            ),
            (
                format!(
                    "{pull} \"x:1\": failed to copy: read tcp 10.0.0.1:403->10.0.0.2:443: read: connection reset by peer"
                ),
                "the image registry does not answer",
            ),
            (
                format!(
                    "{pull} \"x:1\": unexpected status from HEAD request to https://r.io/v2/x: 503 Service Unavailable"
                ),
                "the image registry fails",
            ),
            (
                "Error response from daemon: manifest for forbidden:401 not found".to_owned(),
                "there is no such image",
            ),
            (format!("{pull} \"x:1\": short-name resolution enforced"), "short-name resolution enforced"),
        ] {
            assert_eq!(told(&message), expected, "{message}");
        }
    }

    #[test]
    fn message_that_only_backs_off_leaves_it_to_the_event() {
        let back_off = "Back-off pulling image \"registry/401/train:403\"";
        assert_eq!(
            pull_reason("ImagePullBackOff", back_off, "401 Unauthorized"),
            "access denied, or there is no such image"
        );
        assert_eq!(
            pull_reason("ImagePullBackOff", "Back-off pulling image \"x:1\": ErrImagePull: x: not found", ""),
            "there is no such image"
        );
        assert_eq!(told("nothing known"), "nothing known");
        assert_eq!(pull_reason("ErrImagePull", "", ""), "");
    }
}
