//! Headless Chromium, and a server for the pages that it shows.
//!
//! Chromium is driven by its DevTools protocol, JSON over a WebSocket, with the WebSocket client that kube uses. Crates that
//! wrap the protocol were compared: headless_chrome needs 37 more packages, among them a second TLS provider, and changes
//! features of packages that the engine is compiled with, so that the tests' kf would differ from the released one;
//! fantoccini needs a crate whose licence deny.toml does not allow, and another program from Debian. The tests use a dozen
//! methods of the protocol.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kf_toolchains::chromium::{self, Chromium};
use kf_toolchains::locations;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::{TIMEOUT, until};

/// Runs in each page before its own scripts: keeps violations of the policy, and errors.
const OBSERVER: &str = "globalThis.kfViolations = [];
addEventListener('securitypolicyviolation', (event) =>
  kfViolations.push(event.effectiveDirective + ' ' + event.blockedURI));
addEventListener('error', (event) => event.message && kfViolations.push('error ' + event.message));";

/// The height of a window.
const HEIGHT: u32 = 800;

/// The browser, unless it cannot be fetched.
pub fn fetched() -> Result<Chromium, kf_toolchains::Error> {
    chromium::fetched(|_| {})
}

/// A running browser. Each test has its own.
pub struct Session {
    process: Child,
    devtools: Arc<Mutex<DevTools>>,
    _home: tempfile::TempDir,
}

/// How a page is shown.
#[derive(Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub dark: bool,
    /// Whether scripts run.
    pub scripts: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1100, dark: false, scripts: true }
    }
}

/// A connection with the browser.
struct DevTools {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    /// What was received and is not used yet.
    events: VecDeque<Value>,
}

impl DevTools {
    /// Calls a method of the browser, or of a tab, and returns its result.
    #[track_caller]
    fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut call = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let mut answer = self.receive();
            if answer["id"] == self.last_id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.events.push_back(answer);
        }
    }

    fn receive(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Waits for an event that was not used yet. The events before it are left.
    fn wait_for(&mut self, session: &str, method: &str) {
        let is_it = |event: &Value| event["sessionId"] == session && event["method"] == method;
        loop {
            if let Some(at) = self.events.iter().position(is_it) {
                self.events.remove(at);
                return;
            }
            let event = self.receive();
            self.events.push_back(event);
        }
    }
}

impl Session {
    pub fn start(chromium: &Chromium) -> Self {
        let home = tempfile::Builder::new().prefix("kf-chromium-").tempdir().unwrap();
        let mut process = Command::new(chromium.program())
            .env_clear()
            .envs(chromium.environment(home.path()).unwrap())
            .args([
                "--remote-debugging-port=0",
                // Root has no user namespace to put the browser in, and it sees only pages of the tests.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--hide-scrollbars",
                "--no-first-run",
                // It reaches no other machine, whatever a page does.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ])
            .arg(format!("--user-data-dir={}", home.path().join("profile").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let url = loop {
            let line =
                log.next().unwrap_or_else(|| panic!("Chromium did not start: {}", seen.join("\n"))).unwrap();
            match line.strip_prefix("DevTools listening on ") {
                Some(url) => break url.to_owned(),
                None => seen.push(line),
            }
        };
        // So that it never waits for a full pipe.
        thread::spawn(move || log.for_each(drop));
        let address = url.trim_start_matches("ws://").split('/').next().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let (socket, _) = client(&url, stream).unwrap();
        let devtools = DevTools { socket, last_id: 0, events: VecDeque::new() };
        Self { process, devtools: Arc::new(Mutex::new(devtools)), _home: home }
    }

    pub fn open(&self, url: &str, look: Look) -> Page {
        let mut devtools = self.devtools.lock().unwrap();
        let target = devtools.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = devtools.call(None, "Target.attachToTarget", attach);
        drop(devtools);
        let id = attached["sessionId"].as_str().unwrap().to_owned();
        let page = Page { devtools: Arc::clone(&self.devtools), id };
        page.call("Page.enable", json!({}));
        page.call("Network.enable", json!({}));
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": OBSERVER }));
        page.look(look);
        page.go(url);
        page
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// A tab.
pub struct Page {
    devtools: Arc<Mutex<DevTools>>,
    id: String,
}

impl Page {
    fn devtools(&self) -> MutexGuard<'_, DevTools> {
        self.devtools.lock().unwrap()
    }

    #[track_caller]
    fn call(&self, method: &str, parameters: Value) -> Value {
        self.devtools().call(Some(&self.id), method, parameters)
    }

    pub fn look(&self, look: Look) {
        let Look { width, dark, scripts } = look;
        self.resize(width, HEIGHT);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !scripts }));
    }

    fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Opens an address, and waits until the page is loaded.
    #[track_caller]
    pub fn go(&self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        self.devtools().wait_for(&self.id, "Page.loadEventFired");
    }

    /// The value of an expression.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        let mut answer = self.evaluate(expression);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    #[track_caller]
    fn evaluate(&self, expression: &str) -> Value {
        self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }))
    }

    #[track_caller]
    pub fn text(&self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    #[track_caller]
    pub fn is(&self, expression: &str) -> bool {
        self.value(expression) == true
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait(&self, expression: &str) {
        until(|| match self.evaluate(expression) {
            answer if answer["result"]["value"] == true => Ok(()),
            answer => Err(format!("{expression}: {answer}")),
        });
    }

    /// Presses Tab or Enter.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => panic!("no code of the key {key}"),
        };
        let mut event =
            json!({ "type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if !text.is_empty() {
            event["type"] = "keyDown".into();
            event["text"] = text.into();
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Types a text, one character after the other.
    pub fn type_text(&self, text: &str) {
        for character in text.chars() {
            self.call("Input.insertText", json!({ "text": character }));
        }
    }

    /// Every address that was requested or tried so far.
    pub fn requests(&self) -> Vec<String> {
        // An answer comes after all events before it.
        self.evaluate("0");
        let devtools = self.devtools();
        let events = devtools.events.iter().filter(|event| event["sessionId"] == *self.id);
        let sent = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// Violations of the content security policy, and errors of scripts.
    pub fn violations(&self) -> Value {
        self.value("kfViolations")
    }

    /// Keeps a picture of the whole page.
    pub fn screenshot(&self, name: &str, look: Look) {
        const MAX_HEIGHT: u32 = 4000;
        let height = self.value("document.documentElement.scrollHeight").as_u64().unwrap();
        self.resize(look.width, u32::try_from(height).unwrap().min(MAX_HEIGHT));
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        self.resize(look.width, HEIGHT);
        let folder = screenshots();
        fs_err::create_dir_all(&folder).unwrap();
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        fs_err::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }
}

/// Where pictures are kept.
pub fn screenshots() -> PathBuf {
    locations::target().join("screenshots")
}

/// Serves a folder from this machine, until the program ends; returns the URL.
pub fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let folder = folder.clone();
            thread::spawn(move || answer(stream, &folder));
        }
    });
    url
}

/// Answers one request.
fn answer(mut stream: TcpStream, folder: &Path) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.split('?').next()?.trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let kind = match path.rsplit_once('.')?.1 {
        "html" => "text/html",
        "css" => "text/css",
        "js" => "text/javascript",
        "json" => "application/json",
        _ => "application/octet-stream",
    };
    let (status, body) = match fs_err::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nx-content-type-options: nosniff\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()
}
