//! Servers that behave badly.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::Home;

/// A server that accepts connections and never responds; returns its address.
pub fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let connections: Vec<_> = listener.incoming().collect();
        drop(connections);
    });
    address.to_string()
}

/// An address that refuses connections.
pub fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A certificate that expired years ago, and its key.
pub fn expired_identity() -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap(), key)
}

/// A TLS server with an expired certificate; returns its address and the certificate.
pub fn with_expired_certificate() -> (String, String) {
    let (certificate, key) = expired_identity();
    (presenting(&certificate, &key), certificate.pem())
}

/// A TLS server with this certificate that closes after the handshake; returns its address.
pub fn presenting(certificate: &rcgen::Certificate, key: &KeyPair) -> String {
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // The client may disconnect.
            let _ = connection.complete_io(&mut stream);
        }
    });
    address
}

/// A registry's files over HTTP, where files of one kind never end.
pub struct EndlessServer {
    pub url: String,
}

impl EndlessServer {
    /// `endless` is the suffix of the files that never end.
    pub fn serve(folder: &Path, endless: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = folder.to_owned();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let folder = folder.clone();
                thread::spawn(move || {
                    let path = request(&mut stream)?;
                    let Ok(content) = fs_err::read(folder.join(path.trim_start_matches('/'))) else {
                        return stream
                            .write_all(
                                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                            )
                            .ok();
                    };
                    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").ok()?;
                    stream.write_all(&content).ok()?;
                    while path.ends_with(endless) {
                        stream.write_all(&[b' '; 4096]).ok()?;
                    }
                    Some(())
                });
            }
        });
        Self { url }
    }
}

/// A registry's files over HTTP, where files of one kind stall halfway.
pub struct StallingServer {
    pub url: String,
    reached: Receiver<()>,
}

impl StallingServer {
    /// `stalled` is the suffix of the files that stall.
    pub fn serve(folder: &Path, stalled: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let folder = folder.to_owned();
        let (sender, reached) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (folder, sender) = (folder.clone(), sender.clone());
                let reached = move || {
                    let _ = sender.send(());
                };
                thread::spawn(move || answer(stream, &folder, stalled, reached));
            }
        });
        Self { url, reached }
    }

    /// Waits until kf is waiting for a stalled file.
    pub fn wait_until_stalled(&self) {
        self.reached.recv_timeout(super::TIMEOUT).unwrap();
    }
}

/// Answers requests until the client disconnects.
fn answer(mut stream: TcpStream, folder: &Path, stalled: &str, reached: impl Fn()) {
    while let Some(path) = request(&mut stream) {
        let file: PathBuf = folder.join(path.trim_start_matches('/'));
        let Ok(content) = fs_err::read(&file) else {
            let _gone = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
            continue;
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", content.len());
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        if path.ends_with(stalled) {
            let _gone = stream.write_all(&content[..content.len() / 2]);
            reached();
            // Wait until the other end closes.
            let _ = stream.read(&mut [0; 1]);
            return;
        }
        let _gone = stream.write_all(&content);
    }
}

/// The path of the next request.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend(byte);
    }
    String::from_utf8(head).ok()?.split(' ').nth(1).map(str::to_owned)
}

/// A proxy in front of an API server that can be disconnected: open connections break, new ones are refused.
pub struct Proxy {
    /// Holds the kubeconfig.
    _folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    is_disconnected: Arc<AtomicBool>,
    /// Receives a message for every refused connection.
    tried: Receiver<()>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// In front of the server of this kubeconfig, which must be at a loopback address for its certificate to be
    /// valid.
    pub fn in_front_of(kubeconfig: &Path) -> Self {
        let text = fs_err::read_to_string(kubeconfig).unwrap();
        let server = text.split("https://").nth(1).unwrap();
        let server = server.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = text.replace(server, &listener.local_addr().unwrap().to_string());
        let path = folder.path().join("kubeconfig");
        fs_err::write(&path, text).unwrap();
        let (refused, tried) = channel();
        let (is_disconnected, open) = (Arc::default(), Arc::default());
        let proxy = Self { _folder: folder, kubeconfig: path, is_disconnected, tried, open };
        let (is_disconnected, open, server) =
            (Arc::clone(&proxy.is_disconnected), Arc::clone(&proxy.open), server.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_disconnected.load(Ordering::SeqCst) {
                    let _test_is_over = refused.send(());
                } else {
                    forward(client, TcpStream::connect(&server).unwrap(), &open);
                }
            }
        });
        proxy
    }

    /// The kubeconfig, with the proxy as its server.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub fn disconnect(&self) {
        self.tried.try_iter().for_each(drop);
        self.is_disconnected.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until a connection has been refused since it was disconnected.
    #[track_caller]
    pub fn wait_until_tried(&self) {
        self.tried.recv_timeout(super::TIMEOUT).unwrap();
    }

    pub fn reconnect(&self) {
        self.is_disconnected.store(false, Ordering::SeqCst);
    }
}

fn forward(client: TcpStream, server: TcpStream, open: &Mutex<Vec<TcpStream>>) {
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        open.lock().unwrap().push(from.try_clone().unwrap());
        thread::spawn(move || {
            let _broken = std::io::copy(&mut from, &mut to);
            let _gone = to.shutdown(Shutdown::Both);
        });
    }
}

/// A kubeconfig for a server, with a token.
pub fn kubeconfig_for(home: &Home, server: &str, authority: Option<&str>) -> String {
    let authority_file = home.path().join("authority.pem");
    fs_err::write(&authority_file, authority.unwrap_or_default()).unwrap();
    let authority = match authority {
        Some(_) => format!(", certificate-authority: {}", authority_file.display()),
        None => String::new(),
    };
    let file = home.path().join("kubeconfig");
    fs_err::write(
        &file,
        format!(
            "apiVersion: v1
kind: Config
current-context: lab
clusters: [{{name: lab, cluster: {{server: '{server}'{authority}}}}}]
users: [{{name: ada, user: {{token: secret-token}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: ada, namespace: team-a}}}}]
"
        ),
    )
    .unwrap();
    file.display().to_string()
}
