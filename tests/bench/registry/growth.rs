//! Registries larger than those that are measured in full.
//!
//! Every owner signs, and the index has every plugin, but only the authors of the added commands publish versions. What
//! others have published is no part of a first `add` if authors are loaded one by one.

use std::io::Result;
use std::path::Path;

use crate::COMMITS_OF_GROWN;
use crate::catalog::{ADDED, plugins};
use crate::krew::Index;
use crate::measure::{CLONE, COLD, FETCH, IDLE, Published, SHALLOW, Scene};
use crate::published::{Component, Registry, Versions};
use crate::report::Size;

/// How the bytes of a larger registry are known.
pub(crate) enum Basis {
    /// kf fetched them.
    Fetched,
    /// From two smaller registries, in a straight line, for this reason.
    Scaled(String),
}

/// A registry that is larger than those that are measured in full.
pub(crate) struct Growth {
    pub(crate) size: Size,
    pub(crate) basis: Basis,
    /// The bytes of a first `add` and of a refresh without news.
    pub(crate) cold: Option<u64>,
    pub(crate) idle: Option<u64>,
}

/// Measures what can be measured of `count` plugins, and scales the rest from the results of smaller registries.
pub(crate) fn grow(
    kf: &Path,
    component: &Component,
    count: usize,
    fast: &Path,
    folder: &Path,
    smaller: &[Size],
) -> Result<Growth> {
    let plugins = plugins(count)?;
    let registry = Registry::new(&fast.join("registry"), &plugins, component)?;
    let mut published =
        registry.publish_all(&plugins, Versions::OfAddedCommands).map_err(|error| error.to_string());
    let git = fast.join("git");
    Index::create(&git.join("before"), &plugins, COMMITS_OF_GROWN)?;
    let scene = Scene::new(kf, folder, &git)?;
    let served =
        Published { before: registry.published(), after: registry.published(), root: registry.root() };
    if published.is_ok()
        && let Err(error) = scene.prepare_homes(&served)
    {
        published = Err(error.to_string());
    }
    let only = [COLD, IDLE, CLONE, SHALLOW, FETCH];
    let actions = scene.measure(1, published.as_ref().ok().map(|_| &served), Some(&only))?;
    let authors = registry.authors();
    let size = Size { plugins: count, authors, published, actions };
    let basis = match (&size.published, size.kf(COLD)) {
        (Err(error), _) => Basis::Scaled(error.clone()),
        (Ok(_), Some(cost)) if cost.author_roles > ADDED.len() => {
            Basis::Scaled(format!("kf fetched the roles of {} authors", cost.author_roles))
        }
        (Ok(_), Some(_)) => Basis::Fetched,
        (Ok(_), None) => Basis::Scaled("kf cannot add a command".to_owned()),
    };
    let bytes = |size: &Size, name: &str| size.kf(name).map(|cost| cost.bytes);
    let known = |name: &str| match &basis {
        Basis::Fetched => bytes(&size, name),
        Basis::Scaled(_) => scaled(smaller, count, |size| bytes(size, name)),
    };
    let (cold, idle) = (known(COLD), known(IDLE));
    Ok(Growth { size, basis, cold, idle })
}

/// The bytes for `count` plugins on a line through the two largest results.
fn scaled(smaller: &[Size], count: usize, bytes: impl Fn(&Size) -> Option<u64>) -> Option<u64> {
    let known: Vec<(usize, u64)> =
        smaller.iter().filter_map(|size| Some((size.plugins, bytes(size)?))).collect();
    let [.., (few, low), (many, high)] = known.as_slice() else { return None };
    let slope = (*high as f64 - *low as f64) / (*many as f64 - *few as f64);
    Some((*high as f64 + slope * (count as f64 - *many as f64)) as u64)
}
