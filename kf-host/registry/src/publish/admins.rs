//! The roles that admins sign below the root, and what they delegate to authors.

use kf_core::AuthorId;
use sigstore_tuf::metadata::Targets;

use super::metadata::{Authority, Signed};

/// The targets role, and in a [split](crate::split) registry the role of each shard.
#[derive(Debug)]
pub(super) struct Admins<'a> {
    pub(super) targets: &'a Targets,
    shards: Vec<(String, &'a Targets)>,
}

impl<'a> Admins<'a> {
    /// `shards` are the names of their roles, and the roles.
    pub(super) fn new(targets: &'a Targets, shards: impl IntoIterator<Item = (String, &'a Targets)>) -> Self {
        Self { targets, shards: shards.into_iter().collect() }
    }

    /// The roles that delegate to `author`, by name. Those of several shards must delegate to the same keys.
    pub(super) fn delegators(&self, author: &AuthorId) -> impl Iterator<Item = (&str, Authority)> {
        let role = author.role();
        let all = std::iter::once(("targets", self.targets));
        let all = all.chain(self.shards.iter().map(|(name, shard)| (name.as_str(), *shard)));
        all.filter_map(move |(name, admins)| Some((name, Authority::in_targets(admins, &role)?)))
    }

    /// The authority for an author's role; none if no role delegates to it.
    pub(super) fn authority(&self, author: &AuthorId) -> Option<Authority> {
        self.delegators(author).map(|(_, authority)| authority).next()
    }

    /// Whether an author's role is signed as it is delegated, by every role that delegates to it.
    pub(super) fn is_signed(&self, author: &AuthorId, role: &Signed<Targets>) -> bool {
        let name = author.role();
        let mut delegators = self.delegators(author).peekable();
        delegators.peek().is_some()
            && delegators.all(|(_, authority)| authority.verify(&role.metadata, &name).is_ok())
    }
}
