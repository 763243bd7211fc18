//! Rotation of keys: every new root needs the keys of the old and of the new one.

use crate::repository::{BELOW_ROOT, Repository, Signer};
use crate::user::{User, refused};

/// A version of a role: its keys, its threshold, and the keys that signed it.
struct Version(&'static [usize], u64, &'static [usize]);

fn signers() -> Vec<Signer> {
    (0..10).map(|_| Signer::new()).collect()
}

/// Changes the keys of a role as described.
fn apply(repository: &mut Repository, role: &str, version: &Version, signers: &[Signer]) {
    let Version(keys, threshold, signed) = version;
    repository.remove_keys(role);
    for key in *keys {
        repository.list_key(role, &signers[*key]);
    }
    repository.set_threshold(role, *threshold);
    *repository.signers(role) = signed.iter().map(|key| signers[*key].clone()).collect();
}

#[test]
fn root_is_followed_while_old_and_new_thresholds_are_reached() {
    let all: &[usize] = &[0, 1, 2, 3, 4];
    let one_new: &[usize] = &[0, 1, 3, 4, 5];
    for (case, versions, last) in [
        ("1 of 1", vec![Version(&[1], 1, &[1]), Version(&[2], 1, &[2, 1]), Version(&[2], 1, &[2])], 3),
        (
            "1 of 1 with more signatures",
            vec![Version(&[1], 1, &[3, 1, 4]), Version(&[2], 1, &[3, 2, 1, 4]), Version(&[2], 1, &[3, 2, 4])],
            3,
        ),
        (
            "3 of 5 by different keys",
            vec![
                Version(all, 3, &[0, 2, 4]),
                Version(all, 3, &[0, 4, 1]),
                Version(all, 3, &[0, 1, 3]),
                Version(all, 3, &[0, 1, 3]),
            ],
            4,
        ),
        ("3 of 5 with one new", vec![Version(all, 3, &[0, 2, 4]), Version(one_new, 3, &[0, 4, 1])], 2),
        (
            "3 of 5 with one new, which then signs",
            vec![
                Version(all, 3, &[0, 2, 4]),
                Version(one_new, 3, &[0, 2, 4, 5]),
                Version(one_new, 3, &[0, 4, 5]),
            ],
            3,
        ),
        (
            "3 of 5 all new",
            vec![
                Version(all, 3, &[0, 2, 4]),
                Version(&[5, 6, 7, 8, 9], 3, &[0, 2, 4, 5, 6, 7]),
                Version(&[5, 6, 7, 8, 9], 3, &[5, 6, 7]),
            ],
            3,
        ),
        ("1 of 3 to 2 of 3", vec![Version(&[1, 2, 3], 1, &[1]), Version(&[1, 2, 3], 2, &[1, 2])], 2),
        (
            "2 of 3 to 1 of 3",
            vec![
                Version(&[1, 2, 3], 2, &[1, 2]),
                Version(&[1, 2, 3], 1, &[1, 2]),
                Version(&[1, 2, 3], 1, &[1]),
            ],
            3,
        ),
        ("1 of 1 to 2 of 2", vec![Version(&[1], 1, &[1]), Version(&[1, 2], 2, &[1, 2])], 2),
        ("not by the old key", vec![Version(&[1], 1, &[1]), Version(&[2], 1, &[2, 3, 4])], 1),
        ("not by the new key", vec![Version(&[1], 1, &[1]), Version(&[2], 1, &[1, 3, 4])], 1),
        ("by 2 of the new keys", vec![Version(all, 3, &[0, 2, 4]), Version(one_new, 3, &[0, 2, 4])], 1),
        ("by 2 of the old keys", vec![Version(all, 3, &[0, 2, 4]), Version(one_new, 3, &[0, 4, 5])], 1),
        ("below the new threshold", vec![Version(&[1, 2, 3], 1, &[1]), Version(&[1, 2, 3], 2, &[2])], 1),
        ("below the old threshold", vec![Version(&[1, 2, 3], 2, &[1, 2]), Version(&[1, 2, 3], 1, &[1])], 1),
    ] {
        let mut repository = Repository::new();
        let signers = signers();
        repository.start_over("root");
        for version in &versions {
            apply(&mut repository, "root", version, &signers);
            repository.publish(&["root"]);
        }
        repository.publish(&["targets", "snapshot", "timestamp"]);
        let user = User::new(&repository);
        let refreshed = user.refresh();
        if last == versions.len() {
            refreshed.unwrap();
        } else {
            refused(refreshed, "threshold");
        }
        assert_eq!(user.trusted("root").as_deref(), Some(&*repository.versions("root")[last - 1]), "{case}");
    }
}

#[test]
fn role_below_root_needs_threshold_of_its_new_keys() {
    let all: &[usize] = &[0, 1, 2, 3, 4];
    let one_new: &[usize] = &[0, 1, 3, 4, 5];
    for (case, version, is_trusted) in [
        ("new key", Version(&[2], 1, &[2]), true),
        ("more signatures", Version(&[1], 1, &[3, 1, 4]), true),
        ("not by the new key", Version(&[2], 1, &[1, 3, 4]), false),
        ("by a key that was removed", Version(one_new, 3, &[0, 2, 4]), false),
        ("2 signatures of 3", Version(one_new, 3, &[0, 4]), false),
        ("3 of 5", Version(all, 3, &[0, 2, 4]), true),
        ("3 other of 5", Version(all, 3, &[0, 4, 1]), true),
        ("the first of 5", Version(all, 3, &[0, 1, 3]), true),
        ("the middle of 5", Version(all, 3, &[1, 2, 3]), true),
        ("the last of 5", Version(all, 3, &[2, 3, 4]), true),
    ] {
        for role in BELOW_ROOT {
            let mut repository = Repository::new();
            let user = User::new(&repository);
            user.refresh().unwrap();
            apply(&mut repository, role, &version, &signers());
            repository.publish(&["root", "targets", "snapshot", "timestamp"]);
            let refreshed = user.refresh();
            if is_trusted {
                refreshed.unwrap();
                assert_eq!(user.trusted(role), Some(repository.newest(role)), "{case}: {role}");
            } else {
                refused(refreshed, "threshold");
                assert_eq!(user.version(role), 1, "{case}: {role}");
            }
        }
    }
}

/// More than 32 roots at once could be a mirror without end.
#[test]
fn endless_chain_of_roots_is_refused() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    for _ in 0..31 {
        repository.publish(&["root"]);
    }
    user.refresh().unwrap();
    assert_eq!(user.version("root"), 32);
    for _ in 0..32 {
        repository.publish(&["root"]);
    }
    user.refresh().unwrap_err();
    // The roots so far are valid, so the next refresh continues from there.
    assert_eq!(user.version("root"), 64);
    user.refresh().unwrap();
}
