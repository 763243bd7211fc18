//! Private groups: groups whose only members are the user and root.
//!
//! Many systems give each user their own group and a umask of 002, so that directories have mode 0775 and no other user
//! can write to them. Containers do the same with a group such as `users`. sshd refuses such a home directory, except
//! Debian's, which checks the members of the group, as this module does.
//!
//! A group is private if it is in `/etc/group`, and neither this file nor `/etc/passwd` has members other than the user
//! and root. Members from a directory service (LDAP, SSSD) are in neither file. So if `nsswitch.conf` configures one, a
//! group is private only if it is root's, or if it is the primary group of the user's local account and has the same
//! name. Some systems put their own accounts, such as `halt`, in root's group; these count as root. If the files cannot
//! be read, no group is private.

use std::io::Read as _;
use std::sync::OnceLock;

/// Accounts below it belong to the system.
const FIRST_UID: u32 = 100;

const MAX_BYTES: u64 = 4 << 20;

/// Sources of accounts that are local files or contain no human users.
const LOCAL_SOURCES: [&str; 4] = ["files", "systemd", "altfiles", "mymachines"];

/// The contents of the files that define the members of groups.
struct Accounts {
    passwd: String,
    group: String,
    /// Empty if the file does not exist: then all accounts are local.
    nsswitch: String,
}

/// Whether `user` and root are the only members of group `gid`.
pub(super) fn is_private(gid: u32, user: u32) -> bool {
    static ACCOUNTS: OnceLock<Option<Accounts>> = OnceLock::new();
    let accounts = ACCOUNTS.get_or_init(|| {
        Some(Accounts {
            passwd: read("/etc/passwd")?,
            group: read("/etc/group")?,
            nsswitch: read("/etc/nsswitch.conf").unwrap_or_default(),
        })
    });
    accounts.as_ref().is_some_and(|accounts| accounts.is_private(gid, user))
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    let read = fs_err::File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    ((read as u64) < MAX_BYTES).then_some(text)
}

impl Accounts {
    fn is_private(&self, gid: u32, user: u32) -> bool {
        let trusted = |uid: u32| uid == user || uid == 0 || gid == 0 && uid < FIRST_UID;
        // name:password:uid:gid:…
        let accounts: Vec<(&str, u32, u32)> = lines(&self.passwd)
            .filter_map(|fields| match fields.as_slice() {
                [name, _, uid, gid, ..] => Some((*name, uid.parse().ok()?, gid.parse().ok()?)),
                _ => None,
            })
            .collect();
        // name:password:gid:members
        let mut groups = lines(&self.group).filter_map(|fields| match fields.as_slice() {
            [name, _, number, members, ..] if number.parse() == Ok(gid) => Some((*name, *members)),
            _ => None,
        });
        let Some((name, members)) = groups.next() else { return false };
        let is_trusted = |member: &str| {
            accounts.iter().find(|(name, ..)| *name == member).is_some_and(|(_, uid, _)| trusted(*uid))
        };
        let named_like_user =
            accounts.iter().any(|(account, uid, own)| *account == name && *uid == user && *own == gid);
        groups.next().is_none()
            && accounts.iter().all(|(_, uid, own)| *own != gid || trusted(*uid))
            && members.split(',').filter(|member| !member.is_empty()).all(is_trusted)
            && (gid == 0 || named_like_user || self.are_local())
    }

    fn are_local(&self) -> bool {
        let databases = self.nsswitch.lines().filter_map(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let (database, sources) = line.split_once(':')?;
            ["passwd", "group", "initgroups"].contains(&database.trim()).then_some(sources)
        });
        let mut sources = databases.flat_map(|sources| sources.split_whitespace());
        // `[NOTFOUND=return]` is not a source.
        sources.all(|source| source.starts_with('[') || LOCAL_SOURCES.contains(&source))
    }
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u32 = 1000;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n\
                     bob:x:1001:1001::/home/bob:/bin/sh\ncarol:x:1002:100::/home/carol:/bin/sh\n"
                .into(),
            group: "root:x:0:\nusers:x:100:\nalice:x:1000:\nbob:x:1001:\nteam:x:2000:alice,bob\n\
                    mine:x:2001:alice\nghosts:x:2002:alice,dave\ntwice:x:2003:\nagain:x:2003:bob\n"
                .into(),
            nsswitch: "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd # local\nhosts: dns\n"
                .into(),
        }
    }

    #[test]
    fn group_is_private_only_without_other_members() {
        let private = |gid| accounts().is_private(gid, ALICE);
        assert!(private(1000), "the user's own");
        assert!(private(2001), "one the user is alone in");
        assert!(private(0), "root's");
        assert!(!private(1001), "bob's own");
        assert!(!private(2000), "bob is in it");
        assert!(!private(100), "it is carol's primary group");
        assert!(!private(2002), "a member without an account");
        assert!(!private(2003), "two groups with one number");
        assert!(!private(4000), "not a group of this machine");
    }

    #[test]
    fn with_directory_service_only_own_group_is_private() {
        for nsswitch in ["passwd: files sss\n", "group: files ldap\n", "passwd:\tcompat\n", "initgroups: sss"]
        {
            let accounts = Accounts { nsswitch: nsswitch.into(), ..accounts() };
            assert!(accounts.is_private(1000, ALICE), "{nsswitch}");
            assert!(accounts.is_private(0, ALICE), "{nsswitch}");
            assert!(!accounts.is_private(2001, ALICE), "{nsswitch}");
        }
        let accounts = Accounts { nsswitch: String::new(), ..accounts() };
        assert!(accounts.is_private(2001, ALICE), "without nsswitch.conf all accounts are local");
    }

    #[test]
    fn user_without_account_trusts_only_groups_without_members() {
        assert!(accounts().is_private(0, 1_000_680_000));
        assert!(!accounts().is_private(1000, 1_000_680_000));
    }

    #[test]
    fn unreadable_accounts_make_no_group_private() {
        let empty = Accounts { passwd: String::new(), group: String::new(), nsswitch: String::new() };
        assert!(!empty.is_private(0, ALICE));
        let broken = Accounts { passwd: ":\n::\nx:x:y:z\n".into(), group: "alice:x\n".into(), ..accounts() };
        assert!(!broken.is_private(1000, ALICE));
    }

    #[test]
    fn system_accounts_in_root_group_keep_it_private() {
        let passwd = |more: &str| Accounts { passwd: format!("{}{more}", accounts().passwd), ..accounts() };
        let halt = "halt:x:7:0:halt:/sbin:/sbin/halt\noperator:x:11:0::/root:/sbin/nologin\n";
        assert!(passwd(halt).is_private(0, ALICE));
        assert!(!passwd("mallory:x:1003:0::/:/bin/sh\n").is_private(0, ALICE));
        assert!(!passwd("halt:x:7:1000:halt:/sbin:/sbin/halt\n").is_private(1000, ALICE));
    }
}
