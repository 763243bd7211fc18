//! Expired metadata: refused when it is new, replaced when it is old.

use crate::repository::{Repository, days, now};
use crate::user::{User, refused};

/// The new root is trusted, so that the keys it revokes are; nothing else is.
#[test]
fn expired_root_is_stored_and_nothing_below_it() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    user.refresh().unwrap();
    repository.publish(&["root"]);
    user.refresh().unwrap();
    repository.expire("root", now() - days(1));
    repository.publish(&["root", "targets", "snapshot", "timestamp"]);
    refused(user.refresh(), "root metadata expired");
    assert_eq!(user.versions(), [3, 1, 1, 1]);
}

#[test]
fn expired_role_is_refused_and_those_before_are_trusted() {
    for (role, published, trusted) in [
        ("timestamp", &["timestamp"][..], [1, 1, 1, 1]),
        ("snapshot", &["snapshot", "timestamp"], [1, 2, 1, 1]),
        ("targets", &["targets", "snapshot", "timestamp"], [1, 2, 2, 1]),
    ] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        user.refresh().unwrap();
        repository.expire(role, now() - days(5));
        repository.publish(published);
        refused(user.refresh(), &format!("{role} metadata expired"));
        assert_eq!(user.versions(), trusted, "{role}");
    }
}

/// A mirror that serves the same for ever.
#[test]
fn stored_role_expires_without_a_change() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.expire(role, now() + days(7));
        repository.publish(&["targets", "snapshot", "timestamp"]);
        user.refresh_at(now() + days(6)).unwrap();
        refused(user.refresh_at(now() + days(8)), &format!("{role} metadata expired"));
    }
}

#[test]
fn expired_stored_root_is_replaced() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.expire("root", now() + days(7));
    repository.publish(&["root"]);
    user.refresh().unwrap();
    repository.expire("root", now() + days(21));
    repository.publish(&["root"]);
    user.refresh_at(now() + days(18)).unwrap();
    assert_eq!(user.version("root"), 3);
}

#[test]
fn expired_stored_timestamp_is_replaced() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.expire("timestamp", now() + days(7));
    repository.publish(&["timestamp"]);
    user.refresh().unwrap();
    repository.expire("timestamp", now() + days(21));
    repository.publish(&["targets", "snapshot", "timestamp"]);
    user.refresh_at(now() + days(18)).unwrap();
    assert_eq!(user.versions(), [1, 3, 2, 2]);
}

/// It does not count as current, but nothing older is accepted either.
#[test]
fn expired_stored_timestamp_still_prevents_rollback() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.expire("timestamp", now() + days(7));
    repository.publish(&["timestamp"]);
    user.refresh().unwrap();
    repository.start_over("timestamp");
    repository.expire("timestamp", now() + days(21));
    repository.publish(&["timestamp"]);
    refused(user.refresh_at(now() + days(18)), "rollback detected for timestamp");
}
