//! A small registry with its keys, a user's home, and functions to tamper with both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kf_core::{AuthorId, Digest, Kind, PluginName, RegistryId};
use kf_home::Home;
use kf_home::lock::NameLock;
use kf_registry::Result;
use kf_registry::index::{Resolved, Want};
use kf_registry::publish::{
    self, Artifacts, AssembleInput, BuildInput, Built, KeyRing, PublicKeys, Publication, RoleName,
    SigningKey, StageInput, Staged, Submission,
};
use kf_registry::receipt::{self, Receipt};
use kf_registry::registries::Registry;
use kf_registry::source::Source;
use kf_registry::store::Store;
use kf_registry::transport::Url;
use kf_registry::trust::{self, Fetched, Options, Session};
use serde_json::{Value, json};

/// The time when every test starts.
pub(crate) fn start() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

pub(crate) fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

pub(crate) fn name(text: &str) -> PluginName {
    PluginName::parse(text).unwrap()
}

pub(crate) fn newest() -> Want {
    Want::Newest(semver::VersionReq::STAR)
}

/// A registry under construction: `alice` owns hello and train, `bob` owns audit.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) keys: KeyRing,
}

impl Fixture {
    /// With hello 0.1.0 built, not published yet.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let alice = AuthorId::parse("alice").unwrap();
        let bob = AuthorId::parse("bob").unwrap();
        let fixture = Self { keys: KeyRing::generate([&alice, &bob]).unwrap(), dir };
        fixture.write(
            "source/registry.toml",
            "format = 1\nname = \"team\"\n[expiry]\nroot-days = 365\ntargets-days = 90\nauthor-days = 180\n\
             snapshot-days = 7\ntimestamp-days = 1\n",
        );
        fixture.write(
            "source/authors/alice.toml",
            "format = 1\nid = \"alice\"\ncontact = \"alice@example.org\"\nplugins = [\"hello\", \"train\"]\n",
        );
        fixture.write(
            "source/authors/bob.toml",
            "format = 1\nid = \"bob\"\ncontact = \"bob@example.org\"\nplugins = [\"audit\"]\n",
        );
        for (plugin, owner) in [("hello", "alice"), ("train", "alice"), ("audit", "bob")] {
            fixture.plugin_toml(plugin, owner, "");
        }
        fixture.artifact("hello", "0.1.0", b"\0asm hello");
        fixture
    }

    /// The same, published at [`start`].
    pub(crate) fn published() -> Self {
        let fixture = Self::new();
        fixture.build(start()).unwrap();
        fixture
    }

    /// An empty one with the keys that another saved in its folder `keys`.
    pub(crate) fn with_keys_of(other: &Self) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), keys: KeyRing::load(&other.path("keys")).unwrap() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    pub(crate) fn plugin_toml(&self, plugin: &str, owner: &str, more: &str) {
        self.write(
            &format!("source/plugins/{plugin}.toml"),
            &format!("format = 1\nname = \"{plugin}\"\nsummary = \"The {plugin} command\"\nowner = \"{owner}\"\n{more}"),
        );
    }

    pub(crate) fn author(&self, id: &str, plugins: &[&str], keys: &[&SigningKey]) {
        let keys: Vec<String> = keys.iter().map(|key| key.public_hex()).collect();
        let text = format!(
            "format = 1\nid = \"{id}\"\ncontact = \"{id}@example.org\"\nplugins = {plugins:?}\nkeys = {keys:?}\n"
        );
        self.write(&format!("source/authors/{id}.toml"), &text);
    }

    pub(crate) fn artifact(&self, plugin: &str, version: &str, wasm: &[u8]) {
        self.artifact_with(plugin, version, wasm, "");
    }

    pub(crate) fn artifact_with(&self, plugin: &str, version: &str, wasm: &[u8], permissions: &str) {
        let dir = format!("artifacts/{plugin}");
        self.write(
            &format!("{dir}/plugin.toml"),
            &format!(
                "format = 1\n[plugin]\nname = \"{plugin}\"\nversion = \"{version}\"\nabi = \"0.1.0\"\n\
                 summary = \"The {plugin} command\"\nlicense = \"Apache-2.0\"\n{permissions}"
            ),
        );
        fs_err::write(self.path(&dir).join("plugin.wasm"), wasm).unwrap();
    }

    pub(crate) fn build(&self, now: Timestamp) -> Result<Built> {
        self.build_with(now, &|_: &Submission<'_>| Ok(Vec::new()))
    }

    pub(crate) fn build_with(&self, now: Timestamp, gate: &dyn publish::Gate) -> Result<Built> {
        self.build_by(now, &describe, gate)
    }

    pub(crate) fn build_describing(&self, now: Timestamp, describe: &dyn publish::Describe) -> Result<Built> {
        self.build_by(now, describe, &|_: &Submission<'_>| Ok(Vec::new()))
    }

    fn build_by(
        &self,
        now: Timestamp,
        describe: &dyn publish::Describe,
        gate: &dyn publish::Gate,
    ) -> Result<Built> {
        publish::build(&BuildInput {
            source: &self.path("source"),
            artifacts: &self.path("artifacts"),
            published: &self.path("published"),
            keys: &self.keys,
            pinned_root: self.pinned().as_deref(),
            approve_grants: false,
            now,
            describe,
            gate,
        })
    }

    /// Stages everything that is new into the folder `to`.
    pub(crate) fn stage(&self, to: &str, now: Timestamp) -> Result<Staged> {
        self.stage_only(None, Some(&self.keys.public()), to, now)
    }

    pub(crate) fn stage_only(
        &self,
        only: Option<&[&str]>,
        keys: Option<&PublicKeys>,
        to: &str,
        now: Timestamp,
    ) -> Result<Staged> {
        let only: Option<BTreeSet<RoleName>> =
            only.map(|roles| roles.iter().map(|role| role.parse().unwrap()).collect());
        publish::stage(&StageInput {
            source: &self.path("source"),
            artifacts: Some(Artifacts::Below(&self.path("artifacts"))),
            published: &self.path("published"),
            staging: &self.path(to),
            only: only.as_ref(),
            keys,
            pinned_root: self.pinned().as_deref(),
            now,
            describe: &describe,
            gate: &|_: &Submission<'_>| Ok(Vec::new()),
        })
    }

    /// Signs every staged role with all of its keys in the ring.
    pub(crate) fn sign_all(&self, staging: &str) {
        let opened = publish::Staging::open(&self.path(staging)).unwrap();
        for role in opened.roles() {
            for key in self.keys.of(role) {
                opened.sign(role, key).unwrap();
            }
        }
    }

    pub(crate) fn assemble(&self, staging: &str, now: Timestamp) -> Result<Built> {
        self.prepare(Some(staging), now)?.write()
    }

    pub(crate) fn prepare(&self, staging: Option<&str>, now: Timestamp) -> Result<Publication> {
        let online = [&self.keys.snapshot, &self.keys.timestamp];
        self.prepare_with(staging, now, &online, &|_: &Submission<'_>| Ok(Vec::new()))
    }

    pub(crate) fn prepare_with(
        &self,
        staging: Option<&str>,
        now: Timestamp,
        online: &[&SigningKey],
        gate: &dyn publish::Gate,
    ) -> Result<Publication> {
        Publication::prepare(&AssembleInput {
            staging: staging.map(|staging| self.path(staging)).as_deref(),
            published: &self.path("published"),
            pinned_root: self.pinned().as_deref(),
            keys: Some(&self.keys.public()),
            online,
            expiry: Source::read(&self.path("source"))?.registry.expiry,
            now,
            gate,
        })
    }

    /// Adds the next root to the reviewed text: the published one with a change, without signatures.
    pub(crate) fn next_root(&self, now: Timestamp, change: impl FnOnce(&mut Value)) {
        let mut body = self.body("root.json");
        let version = body["version"].as_u64().unwrap() + 1;
        body["version"] = version.into();
        let expires = Timestamp::from_second((now + days(365)).as_second()).unwrap();
        body["expires"] = expires.to_string().into();
        change(&mut body);
        let file = json!({ "signed": body, "signatures": [] });
        self.write(&format!("source/root/{version}.root.json"), &file.to_string());
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        fs_err::read(self.path("published/metadata/1.root.json")).unwrap()
    }

    /// The first root as it is pinned, if there is one.
    pub(crate) fn pinned(&self) -> Option<Vec<u8>> {
        let places = ["published/metadata/1.root.json", "source/root/1.root.json"];
        places.iter().find_map(|place| fs_err::read(self.path(place)).ok())
    }

    pub(crate) fn registry_at(&self, url: &str) -> Registry {
        let id = RegistryId::parse("team").unwrap();
        Registry::new(id, vec![Url::parse(url).unwrap()], self.root()).unwrap()
    }

    pub(crate) fn registry(&self) -> Registry {
        self.registry_at(&format!("file://{}", self.path("published").display()))
    }

    pub(crate) fn home(&self) -> Home {
        Home::under(self.path("home"))
    }

    pub(crate) fn refresh(&self, now: Timestamp) -> Result<Session> {
        trust::refresh(&self.home(), &self.registry(), &Options::at(now))
    }

    /// Copies the published folder, to serve it again later.
    pub(crate) fn save(&self, to: &str) {
        self.save_dir("published", to);
    }

    pub(crate) fn save_dir(&self, from: &str, to: &str) {
        copy_dir(&self.path(from), &self.path(to));
    }

    pub(crate) fn restore(&self, from: &str) {
        fs_err::remove_dir_all(self.path("published")).unwrap();
        copy_dir(&self.path(from), &self.path("published"));
    }

    /// The newest published metadata file of a role, by name without version.
    pub(crate) fn metadata(&self, role: &str) -> PathBuf {
        let dir = self.path("published/metadata");
        if role == "timestamp.json" {
            return dir.join(role);
        }
        let version = (1..).take_while(|v| dir.join(format!("{v}.{role}")).exists()).last().unwrap();
        dir.join(format!("{version}.{role}"))
    }

    pub(crate) fn body(&self, role: &str) -> Value {
        let value: Value = serde_json::from_slice(&fs_err::read(self.metadata(role)).unwrap()).unwrap();
        value["signed"].clone()
    }

    /// Publishes an attacker's `body` as the next version of `role`, with a valid snapshot and timestamp, as with
    /// stolen online keys.
    pub(crate) fn publish_role(&self, role: &str, body: &Value, keys: &[&SigningKey]) {
        let bytes = signed(body, keys);
        let version = body["version"].as_u64().unwrap();
        fs_err::write(self.path("published/metadata").join(format!("{version}.{role}")), &bytes).unwrap();
        let mut snapshot = self.body("snapshot.json");
        snapshot["meta"][role] = pin(version, &bytes);
        self.publish_snapshot(snapshot);
    }

    pub(crate) fn publish_snapshot(&self, mut snapshot: Value) {
        let version = self.body("snapshot.json")["version"].as_u64().unwrap() + 1;
        snapshot["version"] = version.into();
        let bytes = signed(&snapshot, &[&self.keys.snapshot]);
        fs_err::write(self.path("published/metadata").join(format!("{version}.snapshot.json")), &bytes)
            .unwrap();
        let mut timestamp = self.body("timestamp.json");
        timestamp["version"] = (timestamp["version"].as_u64().unwrap() + 1).into();
        timestamp["meta"]["snapshot.json"] = pin(version, &bytes);
        let bytes = signed(&timestamp, &[&self.keys.timestamp]);
        fs_err::write(self.metadata("timestamp.json"), &bytes).unwrap();
    }

    pub(crate) fn alice(&self) -> &SigningKey {
        &self.keys.authors[&AuthorId::parse("alice").unwrap()]
    }

    pub(crate) fn bob(&self) -> &SigningKey {
        &self.keys.authors[&AuthorId::parse("bob").unwrap()]
    }

    /// The stored file of a target.
    pub(crate) fn target(&self, path: &str) -> PathBuf {
        let (folder, file) = path.rsplit_once('/').unwrap();
        let dir = self.path("published/targets").join(folder);
        let found = fs_err::read_dir(dir).unwrap().map(|e| e.unwrap().path());
        found.into_iter().find(|p| p.to_string_lossy().ends_with(file)).unwrap()
    }
}

/// Stands in for the sandbox.
fn describe(_: &PluginName, _: &[u8]) -> Result<Vec<u8>, String> {
    Ok(json!({ "format": 1, "commands": [] }).to_string().into_bytes())
}

/// A metadata file with `body`, signed with `keys`.
pub(crate) fn signed(body: &Value, keys: &[&SigningKey]) -> Vec<u8> {
    let canonical = sigstore_tuf::canonical_json::to_canonical_bytes(body).unwrap();
    let signatures: Vec<Value> =
        keys.iter().map(|key| json!({ "keyid": key.id(), "sig": key.sign(&canonical) })).collect();
    serde_json::to_vec_pretty(&json!({ "signed": body, "signatures": signatures })).unwrap()
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Untrusted, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

pub(crate) fn pin(version: u64, bytes: &[u8]) -> Value {
    json!({ "version": version, "length": bytes.len(), "hashes": { "sha256": Digest::of(bytes) } })
}

pub(crate) fn any_abi(_: &semver::Version) -> bool {
    true
}

pub(crate) fn resolve(session: &Session, plugin: &str) -> Result<Resolved> {
    session.view().resolve(&name(plugin), &newest(), &any_abi)
}

pub(crate) fn fetch(session: &Session, plugin: &str) -> Result<Fetched> {
    session.fetch(&resolve(session, plugin)?)
}

/// What `kf command add` does after consent.
pub(crate) fn install(home: &Home, fetched: &Fetched, now: Timestamp) -> Result<Receipt> {
    let lock = NameLock::acquire(home, &fetched.resolved.name, |_| {})?;
    Store::open(home)?.put(fetched)?;
    let receipt = Receipt::new(fetched, None, now)?;
    receipt::write(home, &lock, &receipt)?;
    Ok(receipt)
}

pub(crate) fn add(fixture: &Fixture, plugin: &str, now: Timestamp) -> Result<Receipt> {
    let session = fixture.refresh(now)?;
    install(&fixture.home(), &fetch(&session, plugin)?, now)
}

pub(crate) fn quick(now: Timestamp, limit: Duration) -> Options {
    Options { refresh_limit: limit, fetch_limit: limit, ..Options::at(now) }
}

/// Every file below `dir` with its bytes, to check that nothing changed.
pub(crate) fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs_err::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), fs_err::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    for (path, bytes) in tree(from) {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
}
