//! Registries of invented plugins, published as real ones are: staged, signed by everyone, assembled.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kf_core::{AuthorId, PluginName};
use kf_registry::publish::{
    Artifacts, AssembleInput, KeyRing, RoleName, SigningKey, StageInput, Staging, Submission, assemble, stage,
};
use kf_registry::source::Source;

use crate::catalog::{PLUGINS_PER_AUTHOR, Plugin};

/// The component that is really run, and its command tree.
pub(crate) struct Component {
    pub(crate) wasm: Vec<u8>,
    pub(crate) commands: Vec<u8>,
}

impl Component {
    /// `hello` of the first-party commands, with the command tree that `kf` publishes for it.
    pub(crate) fn hello(kf: &Path, artifacts: &Path, work: &Path) -> Result<Self> {
        let (index, only) = (work.join("index"), work.join("artifacts"));
        write(&index.join("registry.toml"), REGISTRY_TOML)?;
        write(
            &index.join("authors/us.toml"),
            "format = 1\nid = \"us\"\ncontact = \"x\"\nplugins = [\"hello\"]\n",
        )?;
        let entry = "format = 1\nname = \"hello\"\nsummary = \"Say hello\"\nowner = \"us\"\n";
        write(&index.join("plugins/hello.toml"), entry)?;
        let component = artifacts.join("hello/plugin.wasm");
        fs_err::create_dir_all(only.join("hello"))?;
        for file in ["plugin.wasm", "plugin.toml"] {
            fs_err::copy(artifacts.join("hello").join(file), only.join("hello").join(file))?;
        }
        let published = work.join("published");
        let mut build = Command::new(kf);
        build
            .args(["registry", "build"])
            .arg(index)
            .arg("--artifacts")
            .arg(only)
            .arg("--out")
            .arg(&published);
        build.arg("--keys").arg(work.join("keys")).arg("--create-keys");
        let built = build.env_clear().env("KF_HOME", work.join("home")).output()?;
        if !built.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&built.stderr).into_owned()));
        }
        let mut files = fs_err::read_dir(published.join("targets/plugins/hello/0.1.0"))?
            .map(|file| file.map(|file| file.path()))
            .collect::<Result<Vec<_>>>()?;
        files.retain(|file| file.to_string_lossy().ends_with("command.json"));
        let commands =
            files.first().ok_or_else(|| Error::other("hello was published without command.json"))?;
        Ok(Self { wasm: fs_err::read(component)?, commands: fs_err::read(commands)? })
    }
}

const REGISTRY_TOML: &str = "format = 1\nname = \"bench\"\n[expiry]\nroot-days = 365\ntargets-days = 90\n\
                             author-days = 180\nsnapshot-days = 7\ntimestamp-days = 1\n";

/// Whose versions are published.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    /// Two of every plugin.
    All,
    /// Two of every plugin of the authors whose commands are added. The others own names and have signed, but have no
    /// versions.
    OfAddedCommands,
}

/// How long each step of a publication took.
pub(crate) struct Took {
    pub(crate) stage: Duration,
    pub(crate) sign: Duration,
    pub(crate) assemble: Duration,
}

/// A registry with the keys of everyone.
pub(crate) struct Registry<'a> {
    work: PathBuf,
    component: &'a Component,
    keys: KeyRing,
}

impl<'a> Registry<'a> {
    /// Writes the reviewed text of these plugins into the folder `work`.
    pub(crate) fn new(work: &Path, plugins: &[Plugin], component: &'a Component) -> Result<Self> {
        let source = work.join("source");
        write(&source.join("registry.toml"), REGISTRY_TOML)?;
        let mut authors = Vec::new();
        for owned in plugins.chunks(PLUGINS_PER_AUTHOR) {
            let Some(Plugin { author, .. }) = owned.first() else { continue };
            let names: Vec<&str> = owned.iter().map(|plugin| plugin.name.as_str()).collect();
            let text = format!(
                "format = 1\nid = \"{author}\"\ncontact = \"https://github.com/{author}\"\nplugins = {names:?}\n"
            );
            write(&source.join(format!("authors/{author}.toml")), &text)?;
            authors.push(AuthorId::parse(author).map_err(Error::other)?);
        }
        for plugin in plugins {
            let Plugin { name, author, summary, homepage, .. } = plugin;
            let text = format!(
                "format = 1\nname = \"{name}\"\nsummary = \"{summary}\"\nowner = \"{author}\"\nhomepage = \"{homepage}\"\n{}",
                plugin.rules("ceiling")
            );
            write(&source.join(format!("plugins/{name}.toml")), &text)?;
        }
        let keys = KeyRing::generate(&authors).map_err(Error::other)?;
        Ok(Self { work: work.to_owned(), component, keys })
    }

    pub(crate) fn authors(&self) -> usize {
        self.keys.authors.len()
    }

    /// The folder that is served.
    pub(crate) fn published(&self) -> PathBuf {
        self.work.join("published")
    }

    /// The first root.
    pub(crate) fn root(&self) -> PathBuf {
        self.published().join("metadata/1.root.json")
    }

    /// Publishes the first two versions of the plugins.
    pub(crate) fn publish_all(&self, plugins: &[Plugin], versions: Versions) -> Result<Took> {
        let added: Vec<&str> =
            plugins.iter().filter(|plugin| plugin.is_added()).map(|plugin| plugin.author.as_str()).collect();
        let publishing = plugins
            .iter()
            .filter(|plugin| versions == Versions::All || added.contains(&plugin.author.as_str()));
        let mut folders = Vec::new();
        for plugin in publishing {
            for version in ["0.1.0", "0.2.0"] {
                folders.push(self.artifact(plugin, version)?);
            }
        }
        self.publish(&folders)
    }

    /// Publishes another version of one plugin, after a copy of the published folder at `before`.
    pub(crate) fn publish_one(&self, plugin: &Plugin, before: &Path) -> Result<Took> {
        // Publishing replaces files and never changes them, so links are enough.
        let copied = Command::new("cp").arg("-al").arg(self.published()).arg(before).status()?;
        if !copied.success() {
            return Err(Error::other("cannot copy the published registry"));
        }
        self.publish(&[self.artifact(plugin, "0.3.0")?])
    }

    fn artifact(&self, plugin: &Plugin, version: &str) -> Result<PathBuf> {
        let Plugin { name, summary, homepage, .. } = plugin;
        let folder = self.work.join(format!("artifacts/{name}-{version}"));
        let (wasm, rules) = match plugin.is_added() {
            // It needs no consent.
            true => (self.component.wasm.clone(), String::new()),
            false => (format!("\0asm {name} {version}").into_bytes(), plugin.rules("permissions")),
        };
        let manifest = format!(
            "format = 1\n\n[plugin]\nname = \"{name}\"\nversion = \"{version}\"\nabi = \"0.1.0\"\n\
             summary = \"{summary}\"\nlicense = \"Apache-2.0\"\nhomepage = \"{homepage}\"\n{rules}"
        );
        write(&folder.join("plugin.toml"), &manifest)?;
        fs_err::write(folder.join("plugin.wasm"), wasm)?;
        Ok(folder)
    }

    fn publish(&self, artifacts: &[PathBuf]) -> Result<Took> {
        let (now, source) = (Timestamp::now(), self.work.join("source"));
        let staging = self.work.join("staging");
        let root = fs_err::read(self.root()).ok();
        let (describe, keys) = (self.describe(), self.keys.public());
        let started = Instant::now();
        let staged = stage(&StageInput {
            source: &source,
            artifacts: Some(Artifacts::Folders(artifacts)),
            published: &self.published(),
            staging: &staging,
            only: None,
            keys: Some(&keys),
            pinned_root: root.as_deref(),
            now,
            describe: &describe,
            gate: &accept,
        });
        let staged = staged.map_err(Error::other)?;
        let stage = started.elapsed();

        let started = Instant::now();
        let opened = Staging::open(&staging).map_err(Error::other)?;
        for role in &staged.roles {
            for key in self.signers(role) {
                opened.sign(role, key).map_err(Error::other)?;
            }
        }
        let sign = started.elapsed();

        let started = Instant::now();
        let expiry = Source::read(&source).map_err(Error::other)?.registry.expiry;
        assemble(&AssembleInput {
            staging: Some(&staging),
            published: &self.published(),
            pinned_root: root.as_deref(),
            keys: Some(&keys),
            online: &[&self.keys.snapshot, &self.keys.timestamp],
            expiry,
            now,
            gate: &accept,
        })
        .map_err(Error::other)?;
        let took = Took { stage, sign, assemble: started.elapsed() };
        fs_err::remove_dir_all(&staging)?;
        Ok(took)
    }

    /// The keys that sign a role. What neither all admins nor an author signs is signed by the admins of targets.
    fn signers(&self, role: &RoleName) -> Vec<&SigningKey> {
        match role {
            RoleName::Root | RoleName::Author(_) => self.keys.of(role),
            _ => self.keys.targets.iter().take(KeyRing::THRESHOLD).collect(),
        }
    }

    /// Only the commands that are added have a command tree.
    fn describe(&self) -> impl Fn(&PluginName, &[u8]) -> std::result::Result<Vec<u8>, String> {
        |_, wasm| match wasm == self.component.wasm {
            true => Ok(self.component.commands.clone()),
            false => Ok(br#"{"format":1,"commands":[]}"#.to_vec()),
        }
    }
}

/// Components are checked when they are added.
fn accept(_: &Submission<'_>) -> std::result::Result<Vec<String>, String> {
    Ok(Vec::new())
}

/// Writes a file and its folders.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(path, text)
}
