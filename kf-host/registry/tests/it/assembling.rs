//! What clients see of a publication that is complete, interrupted, or made from a tampered staging folder.

use std::path::PathBuf;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use kf_core::AuthorId;
use kf_registry::Result;
use kf_registry::index::View;
use kf_registry::parts::Parts;
use kf_registry::publish::{Publication, SigningKey, Submission};
use kf_registry::registries::Registry;
use kf_registry::transport::Url;
use kf_registry::trust::{self, Options};
use proptest::prelude::*;
use serde_json::Value;

use crate::fixture::*;

type Files = Vec<(PathBuf, Vec<u8>)>;

fn files(publication: &Publication) -> Files {
    publication.files().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect()
}

/// The commands that a client offers after a refresh.
fn offers(view: &View) -> String {
    format!("{:?} {:?}", view.plugins, view.blocked)
}

/// Refreshes a client whose home is a copy of `home`, if there is one.
fn client(fixture: &Fixture, root: &[u8], home: Option<&str>, now: Timestamp) -> Result<String> {
    let _ = fs_err::remove_dir_all(fixture.path("home"));
    if let Some(home) = home {
        copy_dir(&fixture.path(home), &fixture.path("home"));
        for folder in ["home", "home/data", "home/data/registries", "home/data/registries/team"] {
            let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs_err::set_permissions(fixture.path(folder), own).unwrap();
        }
    }
    let url = Url::parse(&format!("file://{}", fixture.path("published").display())).unwrap();
    let registry = Registry::new("team".parse().unwrap(), vec![url], root.to_vec()).unwrap();
    trust::refresh(&fixture.home(), &registry, &Options::at(now)).map(|session| offers(session.view()))
}

/// Restores the published folder and adds the files.
fn written(fixture: &Fixture, before: &str, files: &[(PathBuf, Vec<u8>)]) {
    let _ = fs_err::remove_dir_all(fixture.path("published"));
    copy_dir(&fixture.path(before), &fixture.path("published"));
    for (path, bytes) in files {
        let path = fixture.path("published").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
}

/// Stops the publication of `staging` before, between and after its files. Each time, clients see the old state or the
/// new one. Where `resume` is true, assembling again publishes it.
fn stop_everywhere(
    fixture: &Fixture,
    staging: &str,
    now: Timestamp,
    online: &[&SigningKey],
    resume: impl Fn(&[(PathBuf, Vec<u8>)]) -> bool,
) {
    let gate = |_: &Submission<'_>| Ok(Vec::new());
    let prepare = |online: &[&SigningKey]| fixture.prepare_with(Some(staging), now, online, &gate);
    let before = format!("{staging}-before");
    fs_err::create_dir_all(fixture.path(&before)).unwrap();
    fixture.save(&before);
    let files = files(&prepare(online).unwrap());
    let root = match fs_err::read(fixture.path("published/metadata/1.root.json")) {
        Ok(root) => root,
        Err(_) => files.iter().find(|(path, _)| path.ends_with("1.root.json")).unwrap().1.clone(),
    };
    let old = client(fixture, &root, None, now);
    let home = old.is_ok().then(|| {
        let home = format!("{staging}-home");
        copy_dir(&fixture.path("home"), &fixture.path(&home));
        home
    });
    written(fixture, &before, &files);
    let new = client(fixture, &root, None, now).unwrap();
    for stop in 0..=files.len() {
        for home in [None, home.as_deref()] {
            written(fixture, &before, &files[..stop]);
            let seen = client(fixture, &root, home, now);
            let expected = match (&seen, &old) {
                (Ok(seen), _) if *seen == new => true,
                (Ok(seen), Ok(old)) => seen == old && stop < files.len(),
                (Err(_), Err(_)) => stop < files.len(),
                _ => false,
            };
            let names: Vec<_> = files.iter().map(|(path, _)| path).collect();
            assert!(expected, "after {stop} of {names:?}: {seen:?}");
        }
        if !resume(&files[stop..]) {
            continue;
        }
        // Once all of it is published, the old keys are no longer valid.
        let known: &[&SigningKey] =
            if stop == files.len() { &[&fixture.keys.snapshot, &fixture.keys.timestamp] } else { online };
        prepare(known).unwrap().write().unwrap();
        assert_eq!(client(fixture, &root, home.as_deref(), now).unwrap(), new, "resumed after {stop}");
    }
}

/// hello 0.1.0 is published; hello 0.2.0, a change of the index and a new root are staged and signed.
fn good_staging() -> &'static Fixture {
    static GOOD: OnceLock<Fixture> = OnceLock::new();
    GOOD.get_or_init(|| {
        let fixture = Fixture::published();
        let later = start() + hours(1);
        fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
        fixture.plugin_toml("audit", "bob", "yanked = [\"1.0.0\"]\n");
        fixture.next_root(later, |_| {});
        fixture.stage("staging", later).unwrap();
        fixture.sign_all("staging");
        fixture.keys.save(&fixture.path("keys")).unwrap();
        fixture
    })
}

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

fn online(fixture: &Fixture) -> [&SigningKey; 2] {
    [&fixture.keys.snapshot, &fixture.keys.timestamp]
}

#[test]
fn first_publication_appears_at_once() {
    let fixture = Fixture::new();
    fixture.stage("staging", start()).unwrap();
    fixture.sign_all("staging");
    stop_everywhere(&fixture, "staging", start(), &online(&fixture), |_| true);
}

#[test]
fn new_version_appears_at_once() {
    let fixture = Fixture::published();
    let later = start() + hours(1);
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.plugin_toml("audit", "bob", "yanked = [\"1.0.0\"]\n");
    fixture.stage("staging", later).unwrap();
    fixture.sign_all("staging");
    let prepared = fixture.prepare(Some("staging"), later).unwrap();
    let names: Vec<String> = files(&prepared)
        .iter()
        .map(|(path, _)| path.display().to_string())
        .filter(|path| path.starts_with("metadata/"))
        .collect();
    drop(prepared);
    assert_eq!(
        names,
        [
            "metadata/2.author-alice.json",
            "metadata/2.targets.json",
            "metadata/2.snapshot.json",
            "metadata/timestamp.json"
        ]
    );
    stop_everywhere(&fixture, "staging", later, &online(&fixture), |_| true);
}

#[test]
fn failed_write_leaves_old_state_and_can_be_repeated() {
    let fixture = Fixture::published();
    let later = start() + hours(1);
    let root = fixture.root();
    let old = client(&fixture, &root, None, later).unwrap();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.plugin_toml("audit", "bob", "yanked = [\"1.0.0\"]\n");
    fixture.next_root(later, |_| {});
    fixture.stage("staging", later).unwrap();
    fixture.sign_all("staging");
    let files = files(&fixture.prepare(Some("staging"), later).unwrap());
    let new_files: Vec<_> =
        files.iter().filter(|(path, _)| !fixture.path("published").join(path).exists()).collect();
    assert_eq!(new_files.len(), 9, "all but the timestamp");
    fixture.save("before");
    for (path, _) in new_files {
        fixture.restore("before");
        // A folder in place of the file makes the write fail.
        let obstacle = fixture.path("published").join(path);
        fs_err::create_dir_all(obstacle.join("full")).unwrap();
        let prepared = fixture.prepare(Some("staging"), later);
        // A root is read before anything is written.
        assert_eq!(prepared.is_err(), path.ends_with("2.root.json"), "{}", path.display());
        if let Ok(prepared) = prepared {
            prepared.write().unwrap_err();
        }
        let timestamp = fs_err::read(fixture.metadata("timestamp.json")).unwrap();
        assert_eq!(timestamp, fs_err::read(fixture.path("before/metadata/timestamp.json")).unwrap());
        fs_err::remove_dir_all(&obstacle).unwrap();
        assert_eq!(client(&fixture, &root, None, later).unwrap(), old, "{}", path.display());
        fixture.assemble("staging", later).unwrap();
        assert_ne!(client(&fixture, &root, None, later).unwrap(), old);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Release { plugin: usize, minor: bool },
    Yank(usize),
    Block(usize),
    AuthorKey(usize),
    RootAdmin(usize),
    TargetsAdmin(usize),
    OnlineKeys,
    Days(i64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..3usize, any::<bool>()).prop_map(|(plugin, minor)| Event::Release { plugin, minor }),
        1 => (0..3usize).prop_map(Event::Yank),
        1 => (0..3usize).prop_map(Event::Block),
        1 => (0..2usize).prop_map(Event::AuthorKey),
        1 => (0..3usize).prop_map(Event::RootAdmin),
        1 => (0..3usize).prop_map(Event::TargetsAdmin),
        1 => Just(Event::OnlineKeys),
        2 => (1..120i64).prop_map(Event::Days),
    ]
}

const PLUGINS: [(&str, &str); 3] = [("hello", "alice"), ("train", "alice"), ("audit", "bob")];

/// A registry that changes over time.
struct History {
    fixture: Fixture,
    now: Timestamp,
    minor: [u64; 3],
    notes: [String; 3],
}

impl History {
    /// Applies an event. Returns replaced keys that may still sign.
    fn apply(&mut self, event: &Event) -> Vec<SigningKey> {
        let fixture = &mut self.fixture;
        self.now += hours(1);
        let now = self.now;
        let swap = |old: &mut SigningKey| std::mem::replace(old, SigningKey::generate().unwrap());
        let exchange = |root: &mut Value, role: &str, old: &SigningKey, new: &SigningKey| {
            let text = root["roles"][role].to_string().replace(old.id(), new.id());
            root["roles"][role] = serde_json::from_str(&text).unwrap();
            root["keys"].as_object_mut().unwrap().remove(old.id());
            root["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
        };
        match *event {
            Event::Release { plugin, minor } => {
                self.minor[plugin] += 1 + u64::from(minor);
                let version = format!("0.{}.0", self.minor[plugin]);
                let (name, _) = PLUGINS[plugin];
                fixture.artifact(name, &version, format!("\0asm {name} {version}").as_bytes());
            }
            Event::Yank(plugin) => {
                let line = format!("yanked = [\"0.{}.0\"]\n", self.minor[plugin]);
                let blocked = self.notes[plugin].find("[[blocked]]").unwrap_or(self.notes[plugin].len());
                self.notes[plugin].replace_range(..blocked, &line);
                fixture.plugin_toml(PLUGINS[plugin].0, PLUGINS[plugin].1, &self.notes[plugin]);
            }
            Event::Block(plugin) => {
                let sha256 = kf_core::Digest::of(&self.now.to_string().into_bytes());
                self.notes[plugin] += &format!("[[blocked]]\nsha256 = \"{sha256}\"\nreason = \"bad\"\n");
                fixture.plugin_toml(PLUGINS[plugin].0, PLUGINS[plugin].1, &self.notes[plugin]);
            }
            Event::AuthorKey(author) => {
                let id = AuthorId::parse(["alice", "bob"][author]).unwrap();
                swap(fixture.keys.authors.get_mut(&id).unwrap());
            }
            Event::RootAdmin(n) => {
                let old = swap(&mut fixture.keys.root[n]);
                fixture.next_root(now, |root| exchange(root, "root", &old, &fixture.keys.root[n]));
            }
            Event::TargetsAdmin(n) => {
                let old = swap(&mut fixture.keys.targets[n]);
                fixture.next_root(now, |root| exchange(root, "targets", &old, &fixture.keys.targets[n]));
            }
            Event::OnlineKeys => {
                let old = [swap(&mut fixture.keys.snapshot), swap(&mut fixture.keys.timestamp)];
                fixture.next_root(now, |root| {
                    exchange(root, "snapshot", &old[0], &fixture.keys.snapshot);
                    exchange(root, "timestamp", &old[1], &fixture.keys.timestamp);
                });
                return old.into();
            }
            Event::Days(n) => self.now += days(n),
        }
        Vec::new()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn clients_accept_every_publication_stopped_at_any_file(events in prop::collection::vec(event(), 1..4)) {
        let fixture = Fixture::published();
        let mut history = History { fixture, now: start(), minor: [1, 0, 0], notes: Default::default() };
        for (n, event) in events.iter().enumerate() {
            let old = history.apply(event);
            let staging = format!("staging-{n}");
            history.fixture.stage(&staging, history.now).unwrap();
            history.fixture.sign_all(&staging);
            let keys: Vec<&SigningKey> = online(&history.fixture).into_iter().chain(&old).collect();
            // Before clients see any of it, and between the files that they see.
            let resume = |left: &[(PathBuf, Vec<u8>)]| left.len() < 3;
            stop_everywhere(&history.fixture, &staging, history.now, &keys, resume);
        }
    }
}

/// One change of a JSON document.
#[derive(Clone, Debug)]
struct Mutation {
    at: prop::sample::Index,
    other: prop::sample::Index,
    kind: u8,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..7u8)
        .prop_map(|(at, other, kind)| Mutation { at, other, kind })
}

fn pointers(at: String, value: &Value, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in below {
        pointers(format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), value, found);
    }
    found.push(at);
}

impl Mutation {
    fn apply(&self, document: &mut Value) {
        let mut found = Vec::new();
        pointers(String::new(), document, &mut found);
        let other: &String = self.other.get(&found);
        let other = document.pointer(other).unwrap().clone();
        let at: &String = self.at.get(&found);
        let (parent, name) = at.rsplit_once('/').unwrap_or_default();
        let name = name.replace("~1", "/").replace("~0", "~");
        match (self.kind, document.pointer_mut(parent).unwrap()) {
            // Remove or rename a field.
            (0, Value::Object(fields)) => drop(fields.remove(&name)),
            (1, Value::Object(fields)) => {
                if let Some(value) = fields.remove(&name) {
                    fields.insert(name.replace("hello", "train").replace("0.2.0", "0.3.0") + "x", value);
                }
            }
            (0 | 1, Value::Array(items)) => drop(items.pop()),
            (2, Value::Array(items)) => items.push(other),
            (2, Value::Object(fields)) => drop(fields.insert("x-more".into(), other)),
            (3, _) => *document.pointer_mut(at).unwrap() = Value::Null,
            (4, _) => *document.pointer_mut(at).unwrap() = other,
            (_, _) => match document.pointer_mut(at).unwrap() {
                Value::String(text) => *text = text.replace("hello", "train").replace('a', "b"),
                Value::Number(number) => *number = (number.as_u64().unwrap() + u64::from(self.kind)).into(),
                Value::Bool(yes) => *yes = !*yes,
                other => *other = serde_json::json!([]),
            },
        }
    }
}

fn releases(view: &View) -> Vec<(String, Parts)> {
    let listed = view.plugins.iter();
    let releases =
        listed.flat_map(|(name, listed)| listed.releases.values().map(move |release| (name, release)));
    releases.map(|(name, release)| (format!("{name} {}", release.version), release.parts.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// Even if it has all required signatures.
    #[test]
    fn tampered_staging_is_refused_or_accepted_by_clients(
        role in prop::sample::select(vec!["root", "targets", "author-alice"]),
        mutations in prop::collection::vec(mutation(), 1..3),
    ) {
        let good = good_staging();
        let fixture = Fixture::with_keys_of(good);
        for folder in ["published", "staging", "source"] {
            copy_dir(&good.path(folder), &fixture.path(folder));
        }
        let now = start() + hours(1);
        let path = fixture.path(&format!("staging/roles/{role}.json"));
        let mut body: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        for mutation in &mutations {
            mutation.apply(&mut body);
        }
        fs_err::write(&path, body.to_string()).unwrap();
        let canonical = sigstore_tuf::canonical_json::to_canonical_bytes(&body).unwrap();
        for key in fixture.keys.of(&role.parse().unwrap()) {
            fixture.write(&format!("staging/signatures/{role}/{}", key.id()), &key.sign(&canonical));
        }
        let before = tree(&fixture.path("published"));
        let old = fixture.refresh(now).unwrap();
        let old = releases(old.view());
        match fixture.assemble("staging", now) {
            Err(_) => prop_assert_eq!(tree(&fixture.path("published")), before),
            Ok(_) => {
                let seen = fixture.refresh(now).unwrap();
                fs_err::remove_dir_all(fixture.path("home")).unwrap();
                let session = fixture.refresh(now).unwrap();
                prop_assert_eq!(offers(session.view()), offers(seen.view()));
                let new = releases(session.view());
                // No published release is removed or changed, and the new one is available.
                prop_assert!(old.iter().all(|release| new.contains(release)), "{:?} {:?}", old, new);
                let fetched = fetch(&session, "hello").unwrap();
                prop_assert_eq!(fetched.program(), b"\0asm hello 2");
            }
        }
    }
}
