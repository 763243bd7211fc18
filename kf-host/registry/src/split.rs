//! How a large registry is split, so that a client reads only the parts that it needs.
//!
//! In a small registry the targets role signs one index and delegates every name to its author. Both grow with every
//! name, and everyone fetches them. Beyond [`MAX_UNSPLIT`] names, targets delegates to one role for each *shard* instead, which
//! has the names with some prefixes:
//!
//! ```text
//! targets ────────── index/plugins.json, blocks and collections only
//!  ├─ names-a ────── index/names/a.json, plugins/a*/*/*, plugins/b*/*/* and plugins/c*/*/*
//!  └─ names-tr ───── index/names/tr.json, plugins/tr/*/* (the name tr itself) and plugins/tra*/*/*
//!      ├─ author-X ── plugins/train/*/*
//!      └─ author-Y ── plugins/trace/*/*
//! ```
//!
//! The admins sign these roles with the same keys and threshold as targets, so a split changes who is read, not who is
//! trusted. The paths of releases stay, so authors do not sign again. A prefix with more than [`MAX_NAMES`] names is split by
//! its next letter, and neighbours with few names share a shard.
//!
//! Prefixes of names and not of digests: delegations of TUF match a path or the digest of a path, and the files of one
//! command have many digests.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use kf_core::PluginName;
use kf_core::names::NameError;
use sigstore_tuf::metadata::{DelegatedRole, Targets};

/// The largest number of names in a registry that is not split. A split one has more roles for admins to sign.
pub const MAX_UNSPLIT: usize = 500;

/// The largest number of names in a shard. With some 700 bytes for a name, the client reads less than 100 KB of them.
pub const MAX_NAMES: usize = 128;

const ROLE: &str = "names-";

/// The first letters of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// 1 to 40 of `a-z`, `0-9` and hyphens, starting with a letter.
    ///
    /// # Errors
    ///
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let is_valid = (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        match is_valid {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError {
                kind: "prefix of command names",
                value: text.to_owned(),
                why: "must be 1 to 40 of a-z, 0-9 and hyphens, starting with a letter",
            }),
        }
    }

    /// The role that the admins sign for it.
    pub fn role(&self) -> String {
        format!("{ROLE}{self}")
    }

    /// The prefix of a role's name, if it is one for a shard.
    pub fn of_role(role: &str) -> Option<Self> {
        Self::parse(role.strip_prefix(ROLE)?).ok()
    }

    /// The path of its index among the targets.
    pub fn index_path(&self) -> String {
        format!("index/names/{self}.json")
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Names with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Branch {
    prefix: Prefix,
    /// Whether it has only the name that equals the prefix, because longer names are in other branches.
    is_exact: bool,
}

impl Branch {
    fn path(&self) -> String {
        let more = if self.is_exact { "" } else { "*" };
        format!("plugins/{}{more}/*/*", self.prefix)
    }

    fn of_path(path: &str) -> Option<Self> {
        let name = path.strip_prefix("plugins/")?.strip_suffix("/*/*")?;
        let (prefix, is_exact) = name.strip_suffix('*').map_or((name, true), |prefix| (prefix, false));
        Some(Self { prefix: Prefix::parse(prefix).ok()?, is_exact })
    }

    fn has(&self, name: &str) -> bool {
        match self.is_exact {
            true => name == self.prefix.0,
            false => name.starts_with(&self.prefix.0),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.prefix == other.prefix || self.has(&other.prefix.0) || other.has(&self.prefix.0)
    }
}

/// A part of a large registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shard {
    /// Its first prefix, after which its role is named.
    pub(crate) prefix: Prefix,
    branches: Vec<Branch>,
}

impl Shard {
    fn new(branches: Vec<Branch>) -> Option<Self> {
        Some(Self { prefix: branches.first()?.prefix.clone(), branches })
    }

    /// The paths that targets delegates to its role.
    pub(crate) fn paths(&self) -> Vec<String> {
        std::iter::once(self.prefix.index_path()).chain(self.branches.iter().map(Branch::path)).collect()
    }

    /// The shard that a role of targets is for; none if the role or its paths have another form.
    pub(crate) fn of(role: &DelegatedRole) -> Option<Self> {
        let paths = role.paths.as_ref().filter(|_| role.path_hash_prefixes.is_none())?;
        let branches = paths.iter().skip(1).map(|path| Branch::of_path(path)).collect::<Option<Vec<_>>>()?;
        let shard = Self::new(branches)?;
        (shard.prefix.role() == role.name && shard.paths() == *paths).then_some(shard)
    }

    pub(crate) fn has(&self, name: &PluginName) -> bool {
        self.branches.iter().any(|branch| branch.has(name.as_str()))
    }

    /// Whether a name could be in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.branches.iter().any(|one| other.branches.iter().any(|other| one.overlaps(other)))
    }
}

/// The shards of a registry with these names; none if it is not split.
pub(crate) fn split<'a>(names: impl IntoIterator<Item = &'a PluginName>) -> Vec<Shard> {
    let mut names: Vec<&str> = names.into_iter().map(PluginName::as_str).collect();
    names.sort_unstable();
    let mut shards = Vec::new();
    if names.len() > MAX_UNSPLIT {
        split_further("", &names, &mut shards);
    }
    shards
}

fn split_further(prefix: &str, names: &[&str], shards: &mut Vec<Shard>) {
    let longer = |name: &&str| first(name, prefix.len() + 1).map(str::to_owned);
    let (mut branches, mut size) = (Vec::new(), 0);
    for group in names.chunk_by(|one, other| longer(one) == longer(other)) {
        if size + group.len() > MAX_NAMES {
            shards.extend(Shard::new(std::mem::take(&mut branches)));
            size = 0;
        }
        // Without a next letter, it is the name that equals the prefix.
        match group.first().and_then(longer) {
            Some(longer) if group.len() > MAX_NAMES => split_further(&longer, group, shards),
            longer => {
                let is_exact = longer.is_none();
                let prefix = Prefix(longer.unwrap_or_else(|| prefix.to_owned()));
                branches.push(Branch { prefix, is_exact });
                size += group.len();
            }
        }
    }
    shards.extend(Shard::new(branches));
}

/// The first letters of a name; none if it is shorter.
fn first(name: &str, letters: usize) -> Option<&str> {
    name.get(..letters)
}

/// The shards that a targets role delegates to.
pub(crate) fn shards(targets: &Targets) -> impl Iterator<Item = Shard> {
    targets.delegations.iter().flat_map(|delegations| &delegations.roles).filter_map(Shard::of)
}

/// The entries of a sorted map whose keys start with `prefix`.
pub(crate) fn starting_with<T>(
    map: &BTreeMap<String, T>,
    prefix: String,
) -> impl Iterator<Item = (&String, &T)> {
    map.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn names(count: usize, name: impl Fn(usize) -> String) -> Vec<PluginName> {
        (0..count).map(|at| PluginName::parse(name(at)).unwrap()).collect()
    }

    #[test]
    fn small_registry_is_not_split() {
        assert!(split(&names(MAX_UNSPLIT, |at| format!("train-{at}"))).is_empty());
        assert!(split(&[]).is_empty());
    }

    #[test]
    fn prefix_with_many_names_is_split_by_next_letter() {
        let mut all = names(MAX_NAMES, |at| format!("audit-{at}"));
        all.extend(names(MAX_UNSPLIT, |at| format!("tr{}{at}", ["a", "i", "u"][at % 3])));
        all.extend(names(1, |_| "tr".to_owned()));
        all.extend(names(3, |at| format!("{}ork", ["w", "x", "y"][at])));
        let shards: Vec<String> = split(&all).iter().map(|shard| shard.paths().join(" ")).collect();
        assert_eq!(
            shards,
            [
                "index/names/a.json plugins/a*/*/*",
                "index/names/tr.json plugins/tr/*/*",
                "index/names/tra0.json plugins/tra0*/*/* plugins/tra1*/*/* plugins/tra2*/*/* plugins/tra3*/*/*",
                "index/names/tra4.json plugins/tra4*/*/* plugins/tra5*/*/* plugins/tra6*/*/* plugins/tra7*/*/* \
                 plugins/tra8*/*/* plugins/tra9*/*/*",
                "index/names/tri1.json plugins/tri1*/*/* plugins/tri2*/*/* plugins/tri3*/*/*",
                "index/names/tri4.json plugins/tri4*/*/* plugins/tri5*/*/* plugins/tri6*/*/* plugins/tri7*/*/* \
                 plugins/tri8*/*/* plugins/tri9*/*/*",
                "index/names/tru1.json plugins/tru1*/*/* plugins/tru2*/*/* plugins/tru3*/*/*",
                "index/names/tru4.json plugins/tru4*/*/* plugins/tru5*/*/* plugins/tru6*/*/* plugins/tru7*/*/* \
                 plugins/tru8*/*/* plugins/tru9*/*/*",
                "index/names/w.json plugins/w*/*/* plugins/x*/*/* plugins/y*/*/*",
            ]
        );
    }

    #[test]
    fn shards_are_filled() {
        // As many names as a large registry has: two words each.
        let words = [
            "audit", "cost", "data", "drift", "eval", "job", "model", "node", "pod", "queue", "run", "train",
        ];
        let all = names(10_000, |at| format!("{}-{}-{}", words[at % 12], words[at / 12 % 12], at / 144));
        let shards = split(&all);
        assert!(shards.len() < 3 * all.len() / MAX_NAMES, "{} shards", shards.len());
    }

    #[test]
    fn prefixes_are_names_of_files() {
        for text in ["", "-a", "1a", "A", "a/b", "a.b", "a*", "ä", &"a".repeat(41)] {
            assert!(Prefix::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Prefix::of_role("names-kf-").unwrap().role(), "names-kf-");
        for role in ["names", "names-", "author-a", "targets"] {
            assert_eq!(Prefix::of_role(role), None, "{role}");
        }
    }

    #[test]
    fn delegation_with_other_paths_is_no_shard() {
        let role = |fields: serde_json::Value| -> DelegatedRole {
            let mut role = json!({ "name": "names-t", "keyids": [], "threshold": 1, "terminating": true });
            role.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            serde_json::from_value(role).unwrap()
        };
        assert!(Shard::of(&role(json!({ "paths": ["index/names/t.json", "plugins/t*/*/*"] }))).is_some());
        let two = json!({ "paths": ["index/names/t.json", "plugins/t/*/*", "plugins/ta*/*/*"] });
        assert!(Shard::of(&role(two)).is_some());
        for other in [
            json!({ "paths": ["index/names/t.json", "plugins/ta*/*/*", "plugins/t/*/*"] }),
            json!({ "paths": ["index/names/t.json", "plugins/t**/*/*"] }),
            json!({ "paths": ["index/names/t.json", "plugins/t*/*"] }),
            json!({ "paths": [] }),
            json!({ "paths": ["index/names/t.json", "plugins/*/*/*"] }),
            json!({ "paths": ["index/names/t.json"] }),
            json!({ "paths": ["plugins/t*/*/*", "index/names/t.json"] }),
            json!({ "paths": ["index/names/t.json", "plugins/t*/*/*", "index/plugins.json"] }),
            json!({ "path_hash_prefixes": ["00"] }),
            json!({}),
        ] {
            assert_eq!(Shard::of(&role(other.clone())), None, "{other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_name_is_in_one_small_shard(
            names in prop::collection::btree_set("[a-c][a-c]{0,2}(-[a-b])?[a-c0-1]{1,4}", 0..1500),
        ) {
            let names: BTreeSet<PluginName> =
                names.into_iter().filter_map(|name| PluginName::parse(name).ok()).collect();
            let shards = split(&names);
            prop_assert_eq!(shards.is_empty(), names.len() <= MAX_UNSPLIT);
            for (at, shard) in shards.iter().enumerate() {
                let held = names.iter().filter(|name| shard.has(name)).count();
                prop_assert!((1..=MAX_NAMES).contains(&held), "{:?} has {}", shard, held);
                prop_assert!(shards.iter().skip(at + 1).all(|other| !shard.overlaps(other)));
            }
            if !shards.is_empty() {
                for name in &names {
                    prop_assert_eq!(shards.iter().filter(|shard| shard.has(name)).count(), 1);
                }
            }
        }

        #[test]
        fn shards_overlap_if_a_name_fits_both(
            one in "[a-b]{1,3}", other in "[a-b]{1,3}", exact: bool, other_exact: bool, name in "[a-b]{2,4}",
        ) {
            let shard = |prefix: &str, is_exact| {
                Shard::new(vec![Branch { prefix: Prefix::parse(prefix).unwrap(), is_exact }]).unwrap()
            };
            let (one, other) = (shard(&one, exact), shard(&other, other_exact));
            let name = PluginName::parse(name).unwrap();
            prop_assert_eq!(one.overlaps(&other), other.overlaps(&one));
            prop_assert!(!(one.has(&name) && other.has(&name)) || one.overlaps(&other));
        }
    }
}
