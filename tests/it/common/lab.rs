//! A registry with all of its keys, to sign what an attacker with some of them could sign.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use kf_core::{AuthorId, Digest};
use kf_registry::publish::{KeyRing, SigningKey};
use kf_tests::file_server::FileServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::registry::{build, copy, only};
use super::{Home, Ran};

/// The registry `lab`: alice owns hello, which is published, and bob owns audit. It is served over HTTP to a home that
/// trusts its first root.
pub struct Lab {
    out: TempDir,
    pub keys: KeyRing,
    server: FileServer,
    pub home: Home,
}

const REGISTRY: &str = "format = 1
name = \"lab\"
[expiry]
root-days = 365
targets-days = 90
author-days = 180
snapshot-days = 7
timestamp-days = 1
";

/// The registry as published, with its keys.
fn published() -> &'static Path {
    static PUBLISHED: OnceLock<TempDir> = OnceLock::new();
    let folder = PUBLISHED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        write(&out.join("index/registry.toml"), REGISTRY);
        for (author, plugin) in [("alice", "hello"), ("bob", "audit")] {
            let text = format!(
                "format = 1\nid = \"{author}\"\ncontact = \"{author}@example.org\"\nplugins = [\"{plugin}\"]\n"
            );
            write(&out.join(format!("index/authors/{author}.toml")), &text);
            let text =
                format!("format = 1\nname = \"{plugin}\"\nsummary = \"The {plugin}\"\nowner = \"{author}\"\n");
            write(&out.join(format!("index/plugins/{plugin}.toml")), &text);
        }
        build(&out.join("index"), &only("hello", out), out);
        folder
    });
    folder.path()
}

fn write(path: &Path, text: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

impl Lab {
    pub fn new() -> Self {
        let out = tempfile::tempdir().unwrap();
        copy(&published().join("."), out.path());
        let server = FileServer::serve(&out.path().join("published")).unwrap();
        let home = Home::empty();
        let lab = Self { keys: KeyRing::load(&out.path().join("keys")).unwrap(), server, home, out };
        lab.home.run(["registry", "add", "lab", &lab.server.url, "--root", &lab.root()]).success();
        lab
    }

    /// The same, with hello added.
    pub fn with_hello() -> Self {
        let lab = Self::new();
        lab.home.run(["command", "add", "hello"]).success();
        lab
    }

    pub fn root(&self) -> String {
        self.path("published/metadata/1.root.json").display().to_string()
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.out.path().join(path)
    }

    pub fn alice(&self) -> &SigningKey {
        &self.keys.authors[&AuthorId::parse("alice").unwrap()]
    }

    pub fn bob(&self) -> &SigningKey {
        &self.keys.authors[&AuthorId::parse("bob").unwrap()]
    }

    /// Enough keys of the admins to sign targets.
    pub fn admins(&self) -> [&SigningKey; 2] {
        [&self.keys.targets[0], &self.keys.targets[1]]
    }

    /// Publishes another version of hello as its author and the admins do.
    pub fn publish_hello(&self, version: &str, permissions: &str) {
        let manifest = self.path("artifacts/hello/plugin.toml");
        let text = fs_err::read_to_string(&manifest).unwrap();
        let (head, tail) = text.split_once("version = \"").unwrap();
        let (_, tail) = tail.split_once('"').unwrap();
        fs_err::write(&manifest, format!("{head}version = \"{version}\"{tail}{permissions}")).unwrap();
        self.build();
    }

    /// Changes a file of the reviewed text and publishes it.
    pub fn review(&self, file: &str, change: impl FnOnce(String) -> String) {
        let file = self.path("index").join(file);
        let text = fs_err::read_to_string(&file).unwrap();
        fs_err::write(&file, change(text)).unwrap();
        self.build();
    }

    fn build(&self) {
        build(&self.path("index"), &self.path("artifacts"), self.out.path());
    }

    /// Copies what is published, to serve it again later.
    pub fn save(&self, to: &str) {
        copy(&self.path("published"), &self.path(to));
    }

    /// Serves what was saved.
    pub fn restore(&self, from: &str) {
        fs_err::remove_dir_all(self.path("published")).unwrap();
        copy(&self.path(from), &self.path("published"));
    }

    /// The newest published file of a role.
    pub fn metadata(&self, role: &str) -> PathBuf {
        let folder = self.path("published/metadata");
        if role == "timestamp" {
            return folder.join("timestamp.json");
        }
        let path = |version: u64| folder.join(format!("{version}.{role}.json"));
        (1..).map(path).take_while(|path| path.exists()).last().unwrap()
    }

    /// What the newest published file of a role says.
    pub fn body(&self, role: &str) -> Value {
        let file: Value = serde_json::from_slice(&fs_err::read(self.metadata(role)).unwrap()).unwrap();
        file["signed"].clone()
    }

    /// Signs and serves the next version of root or timestamp.
    pub fn publish(&self, role: &str, keys: &[&SigningKey], change: impl FnOnce(&mut Value)) {
        let (body, bytes) = self.next(role, keys, change);
        self.serve(role, &body, &bytes);
    }

    /// Signs and serves the next version of a role, with a snapshot and a timestamp that list it.
    pub fn publish_listed(&self, role: &str, keys: &[&SigningKey], change: impl FnOnce(&mut Value)) {
        let (body, bytes) = self.next(role, keys, change);
        self.serve(role, &body, &bytes);
        self.publish_snapshot(|meta| meta[format!("{role}.json")] = pin(&body, &bytes));
    }

    /// Signs and serves the next snapshot, with a timestamp that lists it.
    pub fn publish_snapshot(&self, change: impl FnOnce(&mut Value)) {
        self.publish_snapshot_body(|body| change(&mut body["meta"]));
    }

    fn publish_snapshot_body(&self, change: impl FnOnce(&mut Value)) {
        let (body, bytes) = self.next("snapshot", &[&self.keys.snapshot], change);
        self.serve("snapshot", &body, &bytes);
        let pinned = pin(&body, &bytes);
        self.publish("timestamp", &[&self.keys.timestamp], |body| body["meta"]["snapshot.json"] = pinned);
    }

    fn next(&self, role: &str, keys: &[&SigningKey], change: impl FnOnce(&mut Value)) -> (Value, Vec<u8>) {
        let mut body = self.body(role);
        body["version"] = (body["version"].as_u64().unwrap() + 1).into();
        change(&mut body);
        let bytes = signed(&body, keys);
        (body, bytes)
    }

    fn serve(&self, role: &str, body: &Value, bytes: &[u8]) {
        let name = match role {
            "timestamp" => "timestamp.json".to_owned(),
            _ => format!("{}.{role}.json", body["version"]),
        };
        fs_err::write(self.path("published/metadata").join(name), bytes).unwrap();
    }

    /// Has the admins sign a changed index.
    pub fn publish_index(&self, change: impl FnOnce(&mut Value)) {
        let mut index: Value =
            serde_json::from_slice(&fs_err::read(self.target("index/plugins.json")).unwrap()).unwrap();
        change(&mut index);
        let bytes = serde_json::to_vec(&index).unwrap();
        let digest = Digest::of(&bytes);
        fs_err::write(self.path(&format!("published/targets/index/{digest}.plugins.json")), &bytes).unwrap();
        let target = json!({ "length": bytes.len(), "hashes": { "sha256": digest } });
        self.publish_listed("targets", &self.admins(), |body| body["targets"]["index/plugins.json"] = target);
    }

    /// Serves a changed catalogue, as a thief of the online keys can.
    pub fn publish_catalogue(&self, change: impl FnOnce(&mut Value)) {
        let folder = self.path("published/targets/catalogue");
        let old = self.body("snapshot")["x-kf-catalogue"]["sha256"].as_str().unwrap().to_owned();
        let bytes = fs_err::read(folder.join(format!("{old}.commands.json"))).unwrap();
        let mut catalogue: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut catalogue["commands"]);
        let bytes = serde_json::to_vec(&catalogue).unwrap();
        let sha256 = Digest::of(&bytes);
        fs_err::write(folder.join(format!("{sha256}.commands.json")), &bytes).unwrap();
        let pin = json!({ "commands": 3, "length": bytes.len(), "sha256": sha256 });
        self.publish_snapshot_body(|body| body["x-kf-catalogue"] = pin);
    }

    /// The newest published file of a target.
    pub fn target(&self, path: &str) -> PathBuf {
        let (folder, file) = path.rsplit_once('/').unwrap();
        let role = if folder == "index" { "targets" } else { "author-alice" };
        let digest = self.body(role)["targets"][path]["hashes"]["sha256"].as_str().unwrap().to_owned();
        self.path("published/targets").join(folder).join(format!("{digest}.{file}"))
    }

    /// Runs kf and asserts that it changed nothing but what it knows of the registry.
    #[track_caller]
    pub fn refused(&self, words: &[&str]) -> Ran {
        let ran = self.home.run_unchanged(words).code(8);
        assert_eq!(
            ran.stderr.lines().filter(|line| line.starts_with("error:")).count(),
            1,
            "{}",
            ran.transcript()
        );
        ran
    }

    /// Refreshes what the home knows of the registry.
    pub fn refresh(&self) {
        self.home.run(["command", "list", "--available"]).success();
    }
}

/// A metadata file, signed with these keys.
pub fn signed(body: &Value, keys: &[&SigningKey]) -> Vec<u8> {
    let canonical = sigstore_tuf::canonical_json::to_canonical_bytes(body).unwrap();
    let signatures: Vec<Value> =
        keys.iter().map(|key| json!({ "keyid": key.id(), "sig": key.sign(&canonical) })).collect();
    serde_json::to_vec_pretty(&json!({ "signed": body, "signatures": signatures })).unwrap()
}

pub fn pin(body: &Value, bytes: &[u8]) -> Value {
    json!({ "version": body["version"], "length": bytes.len(), "hashes": { "sha256": Digest::of(bytes) } })
}

/// The time this many days from now, in the form that TUF has.
pub fn in_days(days: i64) -> Value {
    let time = Timestamp::now() + SignedDuration::from_hours(24 * days);
    Timestamp::from_second(time.as_second()).unwrap().to_string().into()
}
