//! A TUF repository in memory, its keys, and a server on this machine that records what is requested.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256, RsaKeyPair,
};
use jiff::{SignedDuration, Timestamp};
use kf_core::Digest;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use sigstore_tuf::canonical_json::to_canonical_bytes;

/// The time of every test.
pub fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

pub fn days(n: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * n)
}

/// The roles other than root, in the order in which they are published.
pub const BELOW_ROOT: [&str; 3] = ["targets", "snapshot", "timestamp"];

#[derive(Clone)]
enum Private {
    Ed25519(Arc<Ed25519KeyPair>),
    Ecdsa(Arc<EcdsaKeyPair>),
    Rsa(Arc<RsaKeyPair>),
}

/// A key pair.
#[derive(Clone)]
pub struct Signer {
    private: Private,
    public: Value,
}

#[derive(Clone, Copy, Debug)]
pub enum KeyType {
    Ed25519,
    Ecdsa,
    Rsa,
}

impl Signer {
    pub fn new() -> Self {
        Self::of_type(KeyType::Ed25519)
    }

    pub fn of_type(kind: KeyType) -> Self {
        let (private, keytype, scheme, public) = match kind {
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let public = hex(pair.public_key().as_ref());
                (Private::Ed25519(Arc::new(pair)), "ed25519", "ed25519", public)
            }
            KeyType::Ecdsa => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
                let der = pair.serialize_der();
                let private = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).unwrap();
                (Private::Ecdsa(Arc::new(private)), "ecdsa", "ecdsa-sha2-nistp256", pair.public_key_pem())
            }
            KeyType::Rsa => {
                let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
                let private = RsaKeyPair::from_pkcs8(&pair.serialize_der()).unwrap();
                (Private::Rsa(Arc::new(private)), "rsa", "rsassa-pss-sha256", pair.public_key_pem())
            }
        };
        let public = json!({ "keytype": keytype, "scheme": scheme, "keyval": { "public": public } });
        Self { private, public }
    }

    /// The same key with one more field, and therefore another id.
    pub fn with_field(&self, name: &str, value: Value) -> Self {
        let mut other = self.clone();
        other.public[name] = value;
        other
    }

    pub fn id(&self) -> String {
        Digest::of(&to_canonical_bytes(&self.public).unwrap()).to_string()
    }

    fn sign(&self, body: &Value) -> Option<Value> {
        let bytes = to_canonical_bytes(body).ok()?;
        let random = SystemRandom::new();
        let sig = match &self.private {
            Private::Ed25519(pair) => hex(pair.sign(&bytes).as_ref()),
            Private::Ecdsa(pair) => hex(pair.sign(&random, &bytes).unwrap().as_ref()),
            Private::Rsa(pair) => {
                let mut sig = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, &bytes, &mut sig).unwrap();
                hex(&sig)
            }
        };
        Some(json!({ "keyid": self.id(), "sig": sig }))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the server has, and what was requested of it.
#[derive(Default)]
pub struct Served {
    /// By the path of the request.
    pub files: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
}

/// A delegation of a role, to all paths with one segment by default.
#[derive(Clone)]
pub struct Delegation {
    pub from: &'static str,
    pub to: &'static str,
    pub paths: &'static [&'static str],
    pub terminating: bool,
}

impl Delegation {
    pub const fn new(from: &'static str, to: &'static str) -> Self {
        Self { from, to, paths: &["*"], terminating: false }
    }

    pub const fn paths(self, paths: &'static [&'static str]) -> Self {
        Self { paths, ..self }
    }

    pub const fn terminating(self) -> Self {
        Self { terminating: true, ..self }
    }
}

/// A repository under construction. Its roles have one key each and expire in 30 days.
pub struct Repository {
    bodies: BTreeMap<String, Value>,
    signers: BTreeMap<String, Vec<Signer>>,
    /// The versions that were published, oldest first.
    published: BTreeMap<String, Vec<Vec<u8>>>,
    /// Whether snapshot and timestamp pin files by length and hash, besides the version.
    pub pins_hashes: bool,
    served: Arc<Mutex<Served>>,
    pub url: String,
}

impl Repository {
    /// With version 1 of root, targets, snapshot and timestamp published.
    pub fn new() -> Self {
        let served = Arc::<Mutex<Served>>::default();
        let url = serve(Arc::clone(&served));
        let mut repository = Self {
            bodies: BTreeMap::new(),
            signers: BTreeMap::new(),
            published: BTreeMap::new(),
            pins_hashes: false,
            served,
            url,
        };
        let body = |role: &str| {
            json!({
                "_type": role, "spec_version": "1.0.31", "version": 1,
                "expires": (now() + days(30)).to_string(),
            })
        };
        for role in ["root", "timestamp", "snapshot", "targets"] {
            repository.bodies.insert(role.into(), body(role));
        }
        let root = repository.body("root");
        root["consistent_snapshot"] = true.into();
        root["keys"] = json!({});
        root["roles"] = json!({});
        for role in ["root", "timestamp", "snapshot", "targets"] {
            root["roles"][role] = json!({ "keyids": [], "threshold": 1 });
        }
        repository.body("targets")["targets"] = json!({});
        repository.body("snapshot")["meta"] = json!({});
        repository.body("timestamp")["meta"] = json!({});
        for role in ["root", "timestamp", "snapshot", "targets"] {
            repository.add_key(role, &Signer::new());
        }
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        repository
    }

    /// The next version of a role, to change it.
    pub fn body(&mut self, role: &str) -> &mut Value {
        self.bodies.get_mut(role).unwrap()
    }

    pub fn version(&self, role: &str) -> u64 {
        self.bodies[role]["version"].as_u64().unwrap()
    }

    /// The keys that sign a role.
    pub fn signers(&mut self, role: &str) -> &mut Vec<Signer> {
        self.signers.entry(role.into()).or_default()
    }

    /// Lists a key for a role of the root, and signs with it.
    pub fn add_key(&mut self, role: &str, signer: &Signer) {
        self.list_key(role, signer);
        self.signers(role).push(signer.clone());
    }

    /// Lists a key for a role of the root.
    pub fn list_key(&mut self, role: &str, signer: &Signer) {
        let root = self.body("root");
        root["keys"][signer.id()] = signer.public.clone();
        root["roles"][role]["keyids"].as_array_mut().unwrap().push(signer.id().into());
    }

    /// Removes every key of a role from the root and from what signs it.
    pub fn remove_keys(&mut self, role: &str) {
        self.body("root")["roles"][role]["keyids"] = json!([]);
        self.signers(role).clear();
    }

    pub fn rotate_keys(&mut self, role: &str) {
        self.remove_keys(role);
        self.add_key(role, &Signer::new());
    }

    pub fn set_threshold(&mut self, role: &str, threshold: u64) {
        self.body("root")["roles"][role]["threshold"] = threshold.into();
    }

    pub fn expire(&mut self, role: &str, at: Timestamp) {
        self.body(role)["expires"] = at.to_string().into();
    }

    /// Delegates to a role with a key of its own. A new role signs nothing yet.
    pub fn delegate(&mut self, delegation: &Delegation) {
        let Delegation { from, to, paths, terminating } = delegation;
        if !self.bodies.contains_key(*to) {
            let body = json!({
                "_type": "targets", "spec_version": "1.0.31", "version": 1,
                "expires": (now() + days(30)).to_string(), "targets": {},
            });
            self.bodies.insert((*to).into(), body);
        }
        let signer = Signer::new();
        let body = self.body(from);
        if body["delegations"].is_null() {
            body["delegations"] = json!({ "keys": {}, "roles": [] });
        }
        body["delegations"]["keys"][signer.id()] = signer.public.clone();
        body["delegations"]["roles"].as_array_mut().unwrap().push(json!({
            "name": to, "keyids": [signer.id()], "threshold": 1, "terminating": terminating, "paths": paths,
        }));
        self.signers(to).push(signer);
    }

    /// Has a role sign a target, with these hashes.
    pub fn sign_target(&mut self, role: &str, path: &str, content: &[u8], hashes: Value) {
        let (folder, file) = path
            .rsplit_once('/')
            .map_or((String::new(), path), |(folder, file)| (format!("{folder}/"), file));
        for hash in hashes.as_object().unwrap().values() {
            let stored = format!("/targets/{folder}{}.{file}", hash.as_str().unwrap());
            self.served().files.insert(stored, content.to_vec());
        }
        self.body(role)["targets"][path] = json!({ "length": content.len(), "hashes": hashes });
    }

    pub fn add_target(&mut self, role: &str, path: &str, content: &[u8]) {
        self.sign_target(role, path, content, json!({ "sha256": Digest::of(content) }));
    }

    /// Signs and serves the next version of each role, and pins it in the role above.
    pub fn publish(&mut self, roles: &[&str]) {
        for role in roles {
            if self.published.contains_key(*role) {
                let next = self.version(role) + 1;
                self.body(role)["version"] = next.into();
            }
            self.publish_unchanged(role);
        }
    }

    /// The same, without a new version.
    pub fn publish_unchanged(&mut self, role: &str) {
        let bytes = self.signed(role, &self.bodies[role].clone());
        let version = self.version(role);
        self.serve(role, version, bytes.clone());
        let mut pin = json!({ "version": version });
        if self.pins_hashes {
            pin["length"] = bytes.len().into();
            pin["hashes"] = json!({ "sha256": Digest::of(&bytes) });
        }
        match role {
            "root" | "timestamp" => {}
            "snapshot" => self.body("timestamp")["meta"]["snapshot.json"] = pin,
            _ => self.body("snapshot")["meta"][format!("{role}.json")] = pin,
        }
        self.published.entry(role.into()).or_default().push(bytes);
    }

    /// A metadata file with this content, signed by the keys of a role. Content with fractions has no signatures.
    pub fn signed(&mut self, role: &str, body: &Value) -> Vec<u8> {
        let signatures: Vec<Value> =
            self.signers(role).iter().filter_map(|signer| signer.sign(body)).collect();
        serde_json::to_vec_pretty(&json!({ "signed": body, "signatures": signatures })).unwrap()
    }

    /// Serves these bytes as a version of a role.
    pub fn serve(&self, role: &str, version: u64, bytes: Vec<u8>) {
        self.served().files.insert(path(role, version), bytes);
    }

    /// What is served as the newest version of a role.
    pub fn newest(&self, role: &str) -> Vec<u8> {
        self.served().files[&path(role, self.version(role))].clone()
    }

    /// Changes what is served as the newest version of a role, and signs nothing again.
    pub fn tamper(&self, role: &str, change: impl FnOnce(&mut Value)) {
        let mut file: Value = serde_json::from_slice(&self.newest(role)).unwrap();
        change(&mut file);
        self.serve(role, self.version(role), serde_json::to_vec(&file).unwrap());
    }

    /// Serves no version of a role any more, and continues with version 1.
    pub fn start_over(&mut self, role: &str) {
        let (timestamp, ending) = (role == "timestamp", format!(".{role}.json"));
        let is_of_role =
            |path: &str| path.ends_with(&ending) || timestamp && path.ends_with("/timestamp.json");
        self.served().files.retain(|path, _| !is_of_role(path));
        self.published.remove(role);
        self.body(role)["version"] = 1.into();
    }

    /// Every version of a role that was published, oldest first.
    pub fn versions(&self, role: &str) -> &[Vec<u8>] {
        &self.published[role]
    }

    pub fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap()
    }

    /// What was requested since the last call: metadata by file name, targets as `targets/…`.
    pub fn requests(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.served().requests);
        let name = |path: String| path.trim_start_matches("/metadata/").trim_start_matches('/').to_owned();
        requests.into_iter().map(name).collect()
    }
}

/// The path of a version of a role.
fn path(role: &str, version: u64) -> String {
    let encoded: String = role
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect();
    match role {
        "timestamp" => "/metadata/timestamp.json".to_owned(),
        _ => format!("/metadata/{version}.{encoded}.json"),
    }
}

/// Serves from this machine and returns the address.
fn serve(served: Arc<Mutex<Served>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let served = Arc::clone(&served);
            thread::spawn(move || answer(&stream, &served));
        }
    });
    url
}

/// Answers requests until the client disconnects.
fn answer(mut stream: &TcpStream, served: &Mutex<Served>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    loop {
        let first = lines.next()?;
        while !lines.next()?.is_empty() {}
        let path = first.split(' ').nth(1)?.to_owned();
        let found = {
            let mut served = served.lock().unwrap();
            served.requests.push(path.clone());
            served.files.get(&path).cloned()
        };
        let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
    }
}
