//! Reads a verified view and writes its pages.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use kf_command::consent_text;
use kf_command::examine::{Bound, examine_texts};
use kf_command::reserved::Reserved;
use kf_command::rights::{Rights, short_lines};
use kf_core::abi::is_supported;
use kf_core::failure::{Failure, Result};
use kf_core::grants::{Strength, sentences};
use kf_core::manifest::Manifest;
use kf_core::size::Decimal;
use kf_core::tree::{CommandTree, PathArguments};
use kf_core::{AuthorId, CommandGroup, Digest, PluginName};
use kf_registry::index::{Listed, Release, Resolved, View, Want};
use kf_registry::trust::{Description, RoleStatus};
use semver::VersionReq;

use crate::help::Help;
use crate::pages::{
    Blocked, CommandPage, Frame, Homepage, IndexPage, Moment, Offered, Owner, PageLink, PinnedRoot, Reach,
    RegistryPage, Role, Row, Section, Version, Yanked,
};
use crate::search::{self, Feed, Index};
use crate::{FORMAT, Text};

/// The commands on one page of the list.
const PER_PAGE: usize = 200;

const STYLE: &str = include_str!("../assets/style.css");
const SEARCH: &str = include_str!("../assets/search.js");

/// The root that users of the registry pin.
#[derive(Clone, Copy, Debug)]
pub struct Pin {
    pub sha256: Digest,
    pub version: u64,
}

/// A verified registry, and what its site needs besides.
pub struct Site<'a> {
    pub view: &'a View,
    pub roles: &'a [RoleStatus],
    pub pin: Pin,
    /// The address that users add, if it is known.
    pub url: Option<&'a str>,
    /// Fetches a release's manifest and command tree, verified.
    pub describe: &'a dyn Fn(&Resolved) -> Result<Description>,
    /// The help of a command.
    pub help: &'a dyn Fn(&PluginName, &CommandTree) -> Vec<Help>,
    /// What commands must not use.
    pub reserved: &'a Reserved,
}

/// The offered release of a command.
struct Selected {
    resolved: Resolved,
    manifest: Manifest,
    rights: Rights,
    tree: CommandTree,
}

impl Site<'_> {
    /// Passes every file of the site to `put`, with its path. The same view gives the same bytes in the same order.
    ///
    /// # Errors
    ///
    /// A release could not be fetched or verified, or `put` failed. A release that kf refuses to add is not an error: its
    /// page says why.
    pub fn write(&self, mut put: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        put("style.css", STYLE.as_bytes())?;
        put("search.js", SEARCH.as_bytes())?;
        let mut rows = Vec::new();
        let mut index = Index::default();
        let mut feed = Vec::new();
        for (name, listed) in &self.view.plugins {
            let release = self.release(name, listed)?;
            let row = row(name, listed, release.as_ref().ok());
            let rights: Vec<Text> = match &release {
                Ok(release) => short_lines(&release.rights).iter().map(Text::line).collect(),
                Err(_) => Vec::new(),
            };
            index.add(&row, &rights);
            feed.push(feed_entry(&row, listed, release.as_ref().ok(), rights));
            rows.push(row);
            put(&format!("commands/{name}.html"), &html(&self.command_page(name, listed, release))?)?;
        }
        self.index_pages(&rows, &mut put)?;
        put("registry.html", &html(&self.registry_page())?)?;
        put("search-index.js", &index.to_script()?)?;
        put("index.json", &self.feed(feed).to_json()?)
    }

    fn frame(&self, up: &'static str, place: &'static str) -> Frame {
        let View { published_as, snapshot, signed, expires, .. } = self.view;
        Frame {
            up,
            place,
            registry: Text::line(published_as),
            snapshot: *snapshot,
            signed: signed.map(Moment::new),
            expires: Moment::new(*expires),
        }
    }

    /// The release that `kf command add` chooses, or why there is none.
    fn release(&self, name: &PluginName, listed: &Listed) -> Result<std::result::Result<Selected, Text>> {
        if listed.releases.is_empty() && listed.problem.is_none() {
            return Ok(Err(Text::line(format_args!("{name} has no version yet."))));
        }
        let is_usable = |release: &Release| release.yanked.is_none() && release.blocked.is_none();
        if listed.problem.is_none() && !listed.releases.values().any(is_usable) {
            return Ok(Err(Text::line(format_args!("Every version of {name} is yanked or blocked."))));
        }
        let newest = Want::Newest(VersionReq::STAR);
        let resolved = match self.view.resolve(name, &newest, &is_supported) {
            Ok(resolved) => resolved,
            Err(error) => return Ok(Err(Text::line(format_args!("kf cannot add {name}: {error}.")))),
        };
        let Description { manifest, commands } = (self.describe)(&resolved)?;
        let ceiling = Bound::Permissions(&resolved.ceiling);
        Ok(match examine_texts(&manifest, &commands, &ceiling, self.reserved) {
            Ok(examined) => Ok(Selected { resolved, manifest, rights: examined.rights, tree: examined.tree }),
            Err(error) => Err(Text::line(format_args!("kf refuses {name} {}: {error}.", resolved.version))),
        })
    }

    fn command_page(
        &self,
        name: &PluginName,
        listed: &Listed,
        release: std::result::Result<Selected, Text>,
    ) -> CommandPage {
        let (version, offered, problem) = match release {
            Ok(release) => (
                Some(Text::line(&release.resolved.version)),
                Some(self.offered(name, &release)),
                Text::default(),
            ),
            Err(problem) => (None, None, problem),
        };
        let entry = &listed.entry;
        CommandPage {
            frame: self.frame("../", ""),
            name: Text::line(name),
            summary: Text::line(&entry.summary),
            version,
            offered,
            problem,
            versions: listed.releases.values().rev().map(version_of).collect(),
            owner: Text::line(&entry.owner),
            homepage: entry.homepage.as_deref().map(Homepage::new),
            keys: listed.keyids.iter().map(Text::line).collect(),
        }
    }

    fn offered(&self, name: &PluginName, release: &Selected) -> Offered {
        let Selected { manifest, rights, tree, .. } = release;
        let paragraphs = consent_text::of_command(name.as_str(), rights, &PathArguments::of(tree));
        let help = (self.help)(name, tree).into_iter().enumerate();
        Offered {
            license: Text::line(&manifest.plugin.license),
            group: manifest.plugin.group.as_ref().map(CommandGroup::as_str).map(Text::line),
            rights: crate::pages::Rights::new(&paragraphs),
            help: help.map(|(at, help)| Section { anchor: format!("help-{at}"), help }).collect(),
        }
    }

    fn index_pages(&self, rows: &[Row], put: &mut impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        let mut chunks: Vec<&[Row]> = rows.chunks(PER_PAGE).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let pages: Vec<PageLink> = (1..)
            .zip(&chunks)
            .map(|(number, rows)| PageLink {
                number,
                path: if number == 1 { "index.html".to_owned() } else { format!("list/{number}.html") },
                first: rows.first().map(|row| row.name.clone()).unwrap_or_default(),
            })
            .collect();
        for (page, rows) in pages.iter().zip(chunks) {
            let up = if page.number == 1 { "" } else { "../" };
            let frame = self.frame(up, "commands");
            let total = self.view.plugins.len();
            put(&page.path, &html(&IndexPage { frame, total, page: page.number, pages: &pages, rows })?)?;
        }
        Ok(())
    }

    fn registry_page(&self) -> RegistryPage {
        let View { plugins, blocked, .. } = self.view;
        let role = |status: &RoleStatus| Role {
            name: Text::line(&status.name),
            signs: match status.name.as_str() {
                "root" => "the keys of each role",
                "timestamp" => "the current snapshot",
                "snapshot" => "the version of each list",
                _ => "the index: owners, ceilings, yanks and blocks",
            },
            version: status.version,
            expires: Some(Moment::new(status.expires)),
        };
        let of_admins = self.roles.iter().filter(|role| !role.name.starts_with("author-"));
        RegistryPage {
            frame: self.frame("", "registry"),
            total: plugins.len(),
            url: Text::line(self.url.unwrap_or("URL")),
            pin: PinnedRoot {
                sha256: self.pin.sha256.to_string(),
                version: self.pin.version,
                is_first: self.pin.version == 1,
            },
            roles: of_admins.map(role).collect(),
            owners: self.owners(),
            yanked: self.yanked(),
            blocked: blocked
                .iter()
                .map(|block| Blocked {
                    release: self.named(block.sha256),
                    reason: Text::line(&block.reason),
                    sha256: block.sha256.to_string(),
                })
                .collect(),
        }
    }

    fn owners(&self) -> Vec<Owner> {
        let expiry: BTreeMap<&str, _> =
            self.roles.iter().map(|role| (role.name.as_str(), role.expires)).collect();
        let mut owners: BTreeMap<&AuthorId, (usize, BTreeSet<&String>)> = BTreeMap::new();
        for listed in self.view.plugins.values() {
            let (count, keys) = owners.entry(&listed.entry.owner).or_default();
            *count = count.saturating_add(1);
            keys.extend(&listed.keyids);
        }
        let owner = |(id, (count, keys)): (&AuthorId, (usize, BTreeSet<&String>))| Owner {
            name: Text::line(id),
            count,
            keys: keys.into_iter().map(Text::line).collect(),
            expires: expiry.get(id.role().as_str()).copied().map(Moment::new),
        };
        owners.into_iter().map(owner).collect()
    }

    fn yanked(&self) -> Vec<Yanked> {
        let of = |(name, listed): (&PluginName, &Listed)| {
            let yanked = listed.releases.values().rev().filter(|release| release.yanked.is_some());
            yanked
                .map(|release| Yanked { name: Text::line(name), version: version_of(release) })
                .collect::<Vec<_>>()
        };
        self.view.plugins.iter().flat_map(of).collect()
    }

    /// The version of a component.
    fn named(&self, sha256: Digest) -> Option<Text> {
        self.view.plugins.iter().find_map(|(name, listed)| {
            let release = listed.releases.values().find(|r| r.parts.program().sha256 == sha256)?;
            Some(Text::line(format_args!("{name} {}", release.version)))
        })
    }

    fn feed(&self, commands: Vec<search::Listed>) -> Feed {
        let View { published_as, snapshot, expires, .. } = self.view;
        Feed {
            format: FORMAT,
            registry: Text::line(published_as),
            snapshot: *snapshot,
            expires: expires.to_string(),
            root_sha256: self.pin.sha256.to_string(),
            commands,
        }
    }
}

fn row(name: &PluginName, listed: &Listed, release: Option<&Selected>) -> Row {
    Row {
        name: Text::line(name),
        version: release.map(|release| Text::line(&release.resolved.version)),
        summary: Text::line(&listed.entry.summary),
        owner: Text::line(&listed.entry.owner),
        group: release.and_then(|r| Some(Text::line(r.manifest.plugin.group.as_ref()?.as_str()))),
        reach: release.map_or(Reach::Unavailable, reach),
    }
}

fn reach(release: &Selected) -> Reach {
    let Selected { rights, tree, .. } = release;
    match sentences(&rights.rules).last().map(|strongest| strongest.strength) {
        None if rights.is_empty() && PathArguments::of(tree).is_empty() => Reach::Nothing,
        None => Reach::NotTheCluster,
        Some(Strength::Asks | Strength::Reads) if rights.switches().is_empty() => Reach::Reads,
        Some(Strength::Asks | Strength::Reads) => Reach::Changes,
        Some(Strength::Changes | Strength::Deletes | Strength::ForwardsPorts) => Reach::Changes,
        Some(Strength::MayRunContainers | Strength::RunsContainers) => Reach::Containers,
        Some(Strength::Dangerous(_)) => Reach::Dangerous,
    }
}

fn version_of(release: &Release) -> Version {
    let program = release.parts.program();
    Version {
        version: Text::line(&release.version),
        signed: release.signed.map(Moment::new),
        abi: Text::line(&release.abi),
        size: Decimal(program.length).to_string(),
        sha256: program.sha256.to_string(),
        yanked: release.yanked.is_some(),
        yank_reason: release.yanked.as_ref().and_then(|yanked| yanked.reason.as_ref()).map(Text::line),
        blocked: release.blocked.as_ref().map(Text::line),
    }
}

fn feed_entry(row: &Row, listed: &Listed, release: Option<&Selected>, rights: Vec<Text>) -> search::Listed {
    search::Listed {
        name: row.name.clone(),
        version: row.version.clone(),
        summary: row.summary.clone(),
        owner: row.owner.clone(),
        license: release.map(|release| Text::line(&release.manifest.plugin.license)),
        homepage: listed.entry.homepage.as_ref().map(Text::line),
        sha256: release.map(|release| release.resolved.parts.program().sha256.to_string()),
        rights,
        page: format!("commands/{}.html", row.name),
    }
}

fn html(page: &impl Template) -> Result<Vec<u8>> {
    let text = page.render();
    Ok(text.map_err(|error| Failure::failed(format!("cannot make a page: {error}")))?.into_bytes())
}
