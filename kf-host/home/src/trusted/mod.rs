//! Files that decide what kf trusts, read only if nobody else could have written them.
//!
//! A receipt, a pinned root or compiled code is believed because it lies in kf's own directories. That holds
//! only if no other user could have put it there, so everything of the kind is opened here, as sshd's
//! `StrictModes` does for `authorized_keys`:
//!
//! * Above kf's own directory ([`OwnPath::new`]) every directory must belong to the user or to root, and nobody
//!   else may write to it. Links are followed there, because homes live on other disks, and what they lead to is held
//!   to the same rules. In a directory such as `/tmp`, where the sticky bit keeps users from each other's files,
//!   whatever is used must belong to the user or to root.
//! * From there on each step opens one name in the directory that is open already, and never a link. Owner and
//!   mode are those of what is open (`fstat`), so nothing can be exchanged between the check and the use.
//! * Of a group's write permission sshd makes an error. Here a *private* group is no other user: see [`groups`].
//!   Homes of mode 0775 with a group of one's own are common, and Kubernetes sets such modes on volumes
//!   (`fsGroup`).
//!
//! The owner of `/` counts as root above kf's own directory: in a user namespace the system's root is an unmapped
//! user, and the owner of `/` can replace everything anyway. A process of root does not trust files of the user whose
//! `HOME` it inherited from `sudo`.

mod ancestors;
mod groups;
mod named;
mod own;
mod rules;

pub use named::{append_to, check_directory, check_file, check_private_file, read_named, read_private};
pub use own::OwnPath;
pub use rules::Unsafe;
