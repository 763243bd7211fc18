//! Loading commands into a session: the index that lists them, and the roles of their authors.
//!
//! A refresh loads what is installed. Anything else is loaded when it is asked for, so that the size of a registry does not
//! matter to someone who uses a few of its commands.

use std::collections::BTreeSet;

use kf_core::PluginName;
use kf_core::nearest::nearest;
use semver::Version;

use super::view::{Place, Reader};
use super::{Session, State};
use crate::error::{Error, Result};
use crate::index::{Entry, Index, Listed, Resolved, Want};
use crate::split::{self, Shard};

/// The commands to load with a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// Those that are installed from the registry.
    Installed,
}

impl Session {
    /// A command of the registry; none if it lists no such command.
    pub fn plugin(&mut self, name: &PluginName) -> Result<Option<&Listed>> {
        self.load([name])?;
        Ok(self.view.plugins.get(name))
    }

    /// Loads commands. Those that the registry does not list are skipped.
    ///
    /// # Errors
    ///
    /// The index that would list them cannot be fetched or verified. What is wrong with an author's role is part of the
    /// [command](Listed::problem).
    pub fn load<'n>(&mut self, names: impl IntoIterator<Item = &'n PluginName>) -> Result<()> {
        let names: Vec<&PluginName> =
            names.into_iter().filter(|name| !self.view.plugins.contains_key(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.deadline.restart(self.fetch_limit);
        let loaded = names.into_iter().try_for_each(|name| match self.load_one(name) {
            Err(Error::Unreachable { registry, .. }) if self.transport.is_none() => {
                let reason = format!("{name} was never fetched on this machine");
                Err(Error::Unreachable { registry, reason })
            }
            result => result,
        });
        self.keep()?;
        loaded
    }

    /// Loads every command.
    pub fn load_all(&mut self) -> Result<()> {
        self.deadline.restart(self.fetch_limit);
        let loaded = self.load_everything();
        self.keep()?;
        loaded
    }

    /// Loads the indexes of all shards; of a session that cannot fetch, only those that it has.
    pub(crate) fn load_shards(&mut self) -> Result<()> {
        if self.transport.is_some() {
            self.deadline.restart(self.fetch_limit);
            self.load_all_shards()?;
        }
        self.keep()
    }

    fn load_all_shards(&mut self) -> Result<()> {
        let shards: Vec<Shard> = split::shards(self.targets()?).collect();
        shards.iter().try_for_each(|shard| self.shard(shard).map(drop))
    }

    pub(super) fn load_everything(&mut self) -> Result<()> {
        self.load_all_shards()?;
        let names: Vec<PluginName> = self.listed().map(|(name, _)| name.clone()).collect();
        names.iter().try_for_each(|name| self.load_one(name))
    }

    /// Loads the commands that a session without a connection has the roles of, in their current version.
    pub(super) fn load_known(&mut self) -> Result<()> {
        let skip_unknown = |loaded: Result<()>| match loaded {
            Err(Error::Unreachable { .. }) => Ok(()),
            loaded => loaded,
        };
        let shards: Vec<Shard> = split::shards(self.targets()?).collect();
        shards.iter().try_for_each(|shard| skip_unknown(self.shard(shard).map(drop)))?;
        let names: Vec<PluginName> = self.listed().map(|(name, _)| name.clone()).collect();
        names.iter().try_for_each(|name| skip_unknown(self.load_one(name)))
    }

    /// The names and summaries in the indexes that were read so far.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&PluginName, &Entry)> {
        std::iter::once(&self.index).chain(self.shards.values()).flat_map(|index| &index.plugins)
    }

    /// Resolves `want`, as [`View::resolve`](crate::index::View::resolve) does with all commands.
    pub fn resolve(
        &mut self,
        name: &PluginName,
        want: &Want,
        supported: &dyn Fn(&Version) -> bool,
    ) -> Result<Resolved> {
        self.load([name])?;
        match self.view.resolve(name, want, supported) {
            Err(Error::UnknownPlugin { registry, name, .. }) => {
                let nearest = self.nearest(&name);
                Err(Error::UnknownPlugin { registry, name, nearest })
            }
            result => result,
        }
    }

    /// The version to upgrade `installed` to, or `None` if there is no newer one.
    pub fn newer(
        &mut self,
        name: &PluginName,
        installed: &Version,
        supported: &dyn Fn(&Version) -> bool,
    ) -> Result<Option<Resolved>> {
        self.load([name])?;
        self.view.newer(name, installed, supported)
    }

    /// Similar names. Without the list of all commands, those of the index in which the name would be.
    fn nearest(&mut self, name: &PluginName) -> Vec<String> {
        let offers = self.offers().unwrap_or_default();
        let known: BTreeSet<&str> =
            offers.keys().chain(self.listed().map(|(name, _)| name)).map(PluginName::as_str).collect();
        nearest(name.as_str(), known).into_iter().map(str::to_owned).collect()
    }

    pub(super) fn load_one(&mut self, name: &PluginName) -> Result<()> {
        if self.view.plugins.contains_key(name) {
            return Ok(());
        }
        let place = match self.index.plugins.contains_key(name) {
            true => Place::Targets,
            false => self.reader().place(name)?,
        };
        let index = match &place {
            Place::Targets => &self.index,
            Place::Shard(shard) => self.shard(shard)?,
        };
        let Some(entry) = index.plugins.get(name).cloned() else { return Ok(()) };
        let blocked = std::mem::take(&mut self.view.blocked);
        let listed = self.reader().listed(name, entry, &place, &blocked);
        self.view.blocked = blocked;
        self.view.plugins.insert(name.clone(), listed?);
        Ok(())
    }

    /// The index of a shard, fetched unless that was done before.
    fn shard(&mut self, shard: &Shard) -> Result<&Index> {
        if !self.shards.contains_key(&shard.prefix) {
            let published_as = self.view.published_as.clone();
            let (index, expires) = self.reader().shard(shard, &published_as)?;
            self.view.expires = self.view.expires.min(expires);
            self.shards.insert(shard.prefix.clone(), index);
        }
        let missing = || Error::Untrusted {
            registry: self.registry.clone(),
            reason: format!("role {} is missing", shard.prefix.role()),
        };
        self.shards.get(&shard.prefix).ok_or_else(missing)
    }

    fn reader(&mut self) -> Reader<'_> {
        Reader {
            registry: &self.registry,
            updater: &mut self.client.updater,
            last_file: &self.last_file,
            now: self.now,
        }
    }

    /// Stores what was fetched since the refresh, so that it is known without fetching it again.
    fn keep(&self) -> Result<()> {
        match &self.home {
            Some(home) if self.memory.take_changed() => {
                State::commit(home, &self.registry, &self.memory, self.now)
            }
            _ => Ok(()),
        }
    }
}
