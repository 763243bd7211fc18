//! A registry over HTTP, and malicious servers.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kf_core::{Digest, Kind, RegistryId};
use kf_registry::built_in::BuiltIns;
use kf_registry::registries::{self, Pin};
use kf_registry::transport::Url;
use kf_registry::{Error, trust};

use crate::fixture::*;

/// How the server answers a request for a file.
#[derive(Clone, Copy)]
enum Behaviour {
    Serve,
    /// Sends the file and then spaces until the client disconnects.
    Endless,
    /// Announces a terabyte.
    Huge,
    /// Sends one byte at a time and never ends.
    Drip,
    /// Accepts the request and sends nothing.
    Silent,
    Answer(&'static str),
}

struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// Serves `dir` from this machine; files whose path contains `which` get `behaviour`.
    fn start(dir: PathBuf, which: &'static str, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/registry", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (dir, counter) = (dir.clone(), counter.clone());
                std::thread::spawn(move || {
                    // In most of these tests the client disconnects.
                    let _ = answer(stream, &dir, which, behaviour, &counter);
                });
            }
        });
        Self { url, requests }
    }
}

fn answer(
    mut stream: TcpStream,
    dir: &std::path::Path,
    which: &str,
    behaviour: Behaviour,
    requests: &AtomicUsize,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    requests.fetch_add(1, Ordering::SeqCst);
    let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches("/registry/");
    let Ok(bytes) = fs_err::read(dir.join(path)) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let behaviour = if path.contains(which) { behaviour } else { Behaviour::Serve };
    let head = |length: Option<usize>| {
        let length = length.map(|n| format!("Content-Length: {n}\r\n")).unwrap_or_default();
        format!("HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n")
    };
    match behaviour {
        Behaviour::Serve => {
            stream.write_all(head(Some(bytes.len())).as_bytes())?;
            stream.write_all(&bytes)
        }
        Behaviour::Endless => {
            stream.write_all(head(None).as_bytes())?;
            stream.write_all(&bytes)?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
        Behaviour::Huge => {
            stream.write_all(head(Some(1 << 40)).as_bytes())?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
        Behaviour::Drip => {
            stream.write_all(head(None).as_bytes())?;
            loop {
                stream.write_all(b" ")?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Behaviour::Silent => {
            std::thread::sleep(Duration::from_secs(3600));
            Ok(())
        }
        Behaviour::Answer(status) => stream.write_all(
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        ),
    }
}

fn serve(fixture: &Fixture, which: &'static str, behaviour: Behaviour) -> Server {
    Server::start(fixture.path("published"), which, behaviour)
}

fn refresh(fixture: &Fixture, server: &Server, limit: Duration) -> kf_registry::Result<trust::Session> {
    trust::refresh(&fixture.home(), &fixture.registry_at(&server.url), &quick(start(), limit))
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(400);

#[test]
fn registry_is_fetched_over_http() {
    let fixture = Fixture::published();
    let server = serve(&fixture, "", Behaviour::Serve);
    let session = refresh(&fixture, &server, LONG).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello");
}

#[test]
fn refresh_without_changes_makes_two_requests() {
    let fixture = Fixture::published();
    let server = serve(&fixture, "", Behaviour::Serve);
    refresh(&fixture, &server, LONG).unwrap();
    let before = server.requests.load(Ordering::SeqCst);
    refresh(&fixture, &server, LONG).unwrap();
    // The next root and the timestamp.
    assert_eq!(server.requests.load(Ordering::SeqCst) - before, 2);
    let before = server.requests.load(Ordering::SeqCst);
    let cached = trust::cached(&fixture.home(), &fixture.registry_at(&server.url), start()).unwrap();
    assert_eq!(cached.view().plugins.len(), 3);
    assert_eq!(server.requests.load(Ordering::SeqCst), before, "offline means offline");
}

#[test]
fn t8_endless_file_is_refused_at_size_limit() {
    for which in ["timestamp.json", "1.snapshot.json", "1.targets.json", "plugins.json", "author-alice"] {
        for behaviour in [Behaviour::Endless, Behaviour::Huge] {
            let fixture = Fixture::published();
            let server = serve(&fixture, which, behaviour);
            let result = refresh(&fixture, &server, LONG).and_then(|session| fetch(&session, "hello"));
            let error = result.unwrap_err();
            assert_eq!(error.kind(), Kind::Untrusted, "{which}: {error}");
            assert!(error.to_string().contains("longer than"), "{which}: {error}");
        }
    }
    let fixture = Fixture::published();
    let server = serve(&fixture, "plugin.wasm", Behaviour::Endless);
    let error = fetch(&refresh(&fixture, &server, LONG).unwrap(), "hello").unwrap_err();
    assert!(error.to_string().contains("longer than 10 bytes"), "{error}");
}

#[test]
fn t8_slow_or_silent_server_times_out() {
    for behaviour in [Behaviour::Drip, Behaviour::Silent] {
        for which in ["timestamp.json", "1.targets.json"] {
            let fixture = Fixture::published();
            let server = serve(&fixture, which, behaviour);
            let error = refresh(&fixture, &server, SHORT).unwrap_err();
            assert_eq!(error.kind(), Kind::TimedOut, "{which}: {error}");
            assert!(!fixture.path("home/data").exists());
        }
    }
}

#[test]
fn next_mirror_is_tried_and_untrusted_error_is_reported_first() {
    let fixture = Fixture::published();
    let good = serve(&fixture, "", Behaviour::Serve);
    let failing = serve(&fixture, "timestamp.json", Behaviour::Answer("500 Internal Server Error"));
    let mut registry = fixture.registry_at(&failing.url);
    registry.urls.push(Url::parse(&good.url).unwrap());
    trust::refresh(&fixture.home(), &registry, &quick(start(), LONG)).unwrap();

    let endless = serve(&fixture, "timestamp.json", Behaviour::Endless);
    registry.urls = vec![Url::parse(&endless.url).unwrap(), Url::parse(&failing.url).unwrap()];
    let error = trust::refresh(&fixture.home(), &registry, &quick(start(), LONG)).unwrap_err();
    assert_eq!(error.kind(), Kind::Untrusted, "{error}");
}

#[test]
fn closed_port_is_unreachable_and_changes_nothing() {
    let fixture = Fixture::published();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error =
        trust::refresh(&fixture.home(), &fixture.registry_at(&url), &quick(start(), LONG)).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(!fixture.path("home/data").exists());
}

#[test]
fn root_with_other_digest_is_refused() {
    let fixture = Fixture::published();
    let server = serve(&fixture, "", Behaviour::Serve);
    let home = fixture.home();
    let id = RegistryId::parse("team").unwrap();
    let wrong = Pin::Sha256(Digest::of(b"another root"));
    let error = registries::add(&home, id.clone(), &[&server.url], wrong, LONG).unwrap_err();
    assert!(matches!(error, Error::WrongRoot { .. }), "{error}");
    assert!(registries::list(&home, BuiltIns::default()).unwrap().is_empty());

    let right = Pin::Sha256(Digest::of(&fixture.root()));
    registries::add(&home, id.clone(), &[&server.url], right, LONG).unwrap();
    let registry = registries::load(&home, BuiltIns::default(), &id).unwrap();
    trust::refresh(&home, &registry, &quick(start(), LONG)).unwrap();
    assert_eq!(registries::list(&home, BuiltIns::default()).unwrap(), std::slice::from_ref(&id));
    let again = registries::add(&home, id.clone(), &[&server.url], right, LONG);
    assert!(matches!(again, Err(Error::RegistryExists(_))));

    fs_err::write(home.registry_config(&id).join("root.json"), "{}").unwrap();
    assert!(matches!(registries::load(&home, BuiltIns::default(), &id), Err(Error::WrongRoot { .. })));
    registries::remove(&home, BuiltIns::default(), &id).unwrap();
    assert!(matches!(registries::load(&home, BuiltIns::default(), &id), Err(Error::NoRegistry(_))));
}

#[test]
fn invalid_urls_are_refused_without_repeating_credentials() {
    let error = Url::parse("https://me:secret@example.org/x").unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
    for bad in [
        "",
        "example.org",
        "ftp://x",
        "file://relative",
        "https://",
        "http://a/?q",
        "http://a/#f",
        "http://a b",
    ] {
        assert!(Url::parse(bad).is_err(), "{bad:?}");
    }
    assert_eq!(Url::parse("https://example.org/kf/").unwrap().to_string(), "https://example.org/kf");
}
