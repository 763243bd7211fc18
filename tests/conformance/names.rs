//! Role names that mean something in a URL or a path.

use crate::repository::{Delegation, Repository};
use crate::user::User;

#[test]
fn role_name_is_encoded_in_requests_and_files() {
    for (name, requested) in [
        ("?", "1.%3F.json"),
        ("#", "1.%23.json"),
        ("/delegated", "1.%2Fdelegated.json"),
        ("../delegated", "1...%2Fdelegated.json"),
        ("%2e%2e/x", "1.%252e%252e%2Fx.json"),
        ("a b", "1.a%20b.json"),
        ("naïve", "1.na%C3%AFve.json"),
        ("\u{202e}", "1.%E2%80%AE.json"),
    ] {
        let mut repository = Repository::new();
        repository.delegate(&Delegation::new("targets", name));
        repository.publish(&[name, "targets", "snapshot", "timestamp"]);
        let user = User::new(&repository);
        user.download("missing").unwrap_err();
        assert_eq!(repository.requests().last().unwrap(), requested, "{name:?}");
        assert_eq!(user.roles(), 5, "{name:?}: root, timestamp, snapshot, targets and this");
    }
}
