//! Files that decide what kf trusts. They are read only if no other user could have written them.
//!
//! A receipt, a pinned root or compiled code is trusted because it is in kf's own directories. This requires that no
//! other user could have put it there, so all such files are opened here, with checks like those of sshd's
//! `StrictModes` for `authorized_keys`:
//!
//! * Every directory above kf's own directory ([`OwnPath::new`]) must be owned by the user or root, and not be writable
//!   by other users. Links are followed there, because home directories can be on other disks, and their targets are
//!   checked in the same way. In a directory with the sticky bit, such as `/tmp`, each used entry must be owned by the
//!   user or root.
//! * Below it, each name is opened relative to its open parent directory, and links are refused. Owner and mode are
//!   those of the open file (`fstat`), so nothing can be exchanged between the check and the use.
//! * sshd refuses any write permission of a group. Here a *private* group is allowed: see [`groups`]. Home directories
//!   with mode 0775 and the user's own group are common, and Kubernetes sets such modes on volumes (`fsGroup`).
//!
//! Above kf's own directory the owner of `/` counts as root: in a user namespace the system's root is an unmapped
//! user, and the owner of `/` can replace everything anyway. A process of root does not trust files of the user whose
//! `HOME` it inherited through `sudo`.

mod ancestors;
mod groups;
mod named;
mod own;
mod rules;

pub use named::{
    append_to, check_directory, check_file, check_private_file, read_named, read_private, read_unlinked,
};
pub use own::OwnPath;
pub use rules::Unsafe;
