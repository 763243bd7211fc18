//! A recording screen and cluster, and functions that run an attack with them.

use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use kf_core::api::{
    AccessQuestion, ApiError, ByteStream, DeleteOptions, ErrorCode, EventStream, Identity, KubeApi,
    LogOptions, ObjectRef, Page, PatchKind, PodRef, PodRequest, PodResponse, PortForward, PortPair,
    Selection, ServedKind, Session, SessionEnded, SessionInput, SessionOptions, SessionOutput, SessionWriter,
    TerminalSize, Trouble, Verdict, WriteOptions,
};
use kf_core::grants::{Layer, MissingRule, Refusal};
use kf_core::terminal::{Input, Stream, Terminal};
use kf_core::ui::{Column, Format, Row, Ui, WidgetId};
use kf_sandbox::{
    Candidate, Code, CompletionRequest, Context, Fault, FileGrant, Granted, Kube, Limits, Outcome, Run,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::guests;

/// Records what a user would have seen.
#[derive(Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Seen>>);

#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) stdout: Vec<u8>,
    pub(crate) notes: Vec<String>,
    /// Notes of the host itself.
    pub(crate) host_notes: Vec<String>,
    pub(crate) rows: usize,
    /// All other texts, in order.
    pub(crate) words: Vec<String>,
}

impl Screen {
    pub(crate) fn seen(&self) -> Seen {
        self.0.lock().unwrap().clone()
    }

    fn words(&self, words: impl IntoIterator<Item = String>) {
        self.0.lock().unwrap().words.extend(words);
    }

    fn rows(&self, columns: &[Column], rows: &[Row]) {
        self.0.lock().unwrap().rows += rows.len();
        self.words(columns.iter().map(|column| column.title.clone()));
        for row in rows {
            self.words(row.cells.iter().map(|cell| cell.text.clone()));
            self.words([row.name.clone()]);
        }
    }
}

impl Ui for Screen {
    fn output_format(&self) -> Format {
        Format::Table
    }

    fn print(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().stdout.extend_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn note(&mut self, text: &str) {
        self.0.lock().unwrap().notes.push(text.to_owned());
    }

    fn warn(&mut self, text: &str) {
        self.note(text);
    }

    fn host_note(&mut self, text: &str) {
        self.0.lock().unwrap().host_notes.push(text.to_owned());
    }

    fn host_warn(&mut self, text: &str) {
        self.host_note(text);
    }

    fn table(&mut self, columns: &[Column], rows: &[Row]) -> io::Result<()> {
        self.rows(columns, rows);
        Ok(())
    }

    fn record(&mut self, fields: &[Column], value: &Row) -> io::Result<()> {
        self.table(fields, std::slice::from_ref(value))
    }

    fn live_table(&mut self, _: WidgetId, columns: &[Column]) {
        self.rows(columns, &[]);
    }

    fn live_table_update(&mut self, _: WidgetId, rows: &[Row]) -> io::Result<()> {
        self.table(&[], rows)
    }

    fn live_table_end(&mut self, _: WidgetId) {}

    fn progress(&mut self, _: WidgetId, label: &str, _: Option<u64>) {
        self.words([label.to_owned()]);
    }

    fn progress_set(&mut self, _: WidgetId, label: &str, _: u64) {
        self.words([label.to_owned()]);
    }

    fn progress_end(&mut self, _: WidgetId) {
        self.words(["end of progress".to_owned()]);
    }

    fn confirm(&mut self, question: &str, _: bool) -> bool {
        self.words([question.to_owned()]);
        false
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }

    fn terminal(&mut self) -> Option<Arc<dyn Terminal>> {
        Some(Arc::new(self.clone()))
    }
}

/// An empty pipe.
impl Terminal for Screen {
    fn is_interactive(&self) -> bool {
        false
    }

    fn size(&self) -> Option<TerminalSize> {
        None
    }

    fn raw(&self) -> io::Result<Box<dyn Send>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn input(&self) -> io::Result<Input> {
        let chunks = futures_util::stream::empty().boxed();
        Ok(Input { chunks, held: Box::new(()) })
    }

    fn write(&self, _: Stream, _: bool, data: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().stdout.extend_from_slice(data);
        Ok(())
    }

    fn open_page(&self, url: &str) -> bool {
        self.words([format!("page {url}")]);
        true
    }
}

/// A cluster with one readable pod, `web`, and the logs of five others. Any other call is recorded and
/// refused by the manifest layer.
#[derive(Clone, Default)]
pub(crate) struct Cluster {
    calls: Arc<Mutex<Vec<String>>>,
    /// Notified once the log of `web-open` has been copied.
    copied: Arc<Notify>,
}

/// The log of a pod: its own name, that of another pod, and an unfinished last line.
fn log_of(pod: &str) -> Vec<Vec<u8>> {
    let other = if pod == "web-0" { "web-1" } else { "web-0" };
    let lines =
        [format!("{pod} 1\n{pod} "), format!("2\n[{other}] "), "forged\r\n".to_owned(), format!("{pod} 3")];
    lines.map(String::into_bytes).to_vec()
}

impl Cluster {
    /// The calls in order, each as a verb and its arguments.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn called(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn refuse<T>(&self, verb: &str, resource: &str) -> Result<T, ApiError> {
        let rule = MissingRule {
            verb: verb.to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            name: None,
            namespace: Some("team-a".to_owned()),
        };
        let refusal = Refusal { layer: Layer::Manifest, rule, user: Some("alice@example.org".to_owned()) };
        Err(ApiError {
            code: ErrorCode::Forbidden,
            message: format!("not allowed to {verb} {resource}"),
            hint: None,
            refusal: Some(Box::new(refusal)),
        })
    }
}

/// Input that is not read.
struct Unread(tokio::sync::mpsc::Sender<SessionInput>);

#[async_trait]
impl SessionWriter for Unread {
    async fn send(&self, input: SessionInput) -> Result<(), SessionEnded> {
        self.0.send(input).await.map_err(|_| SessionEnded)
    }
}

#[async_trait]
impl KubeApi for Cluster {
    async fn get(&self, object: ObjectRef) -> Result<Value, ApiError> {
        self.called(format!("get {object:?}"));
        let pod = object.kind.group.is_empty() && object.kind.version.is_none() && object.kind.kind == "Pod";
        if pod && object.namespace.is_none() && object.name == "web" {
            return Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}));
        }
        self.refuse("get", &object.kind.kind)
    }

    async fn list(&self, what: Selection, _: Option<u32>, _: Option<String>) -> Result<Page, ApiError> {
        self.called(format!("list {what:?}"));
        self.refuse("list", &what.kind.kind)
    }

    async fn create(&self, object: ObjectRef, body: Value, _: WriteOptions) -> Result<Value, ApiError> {
        self.called(format!("create {object:?} {body}"));
        self.refuse("create", &object.kind.kind)
    }

    async fn apply(&self, object: ObjectRef, body: Value, _: WriteOptions) -> Result<Value, ApiError> {
        self.called(format!("apply {object:?} {body}"));
        self.refuse("patch", &object.kind.kind)
    }

    async fn patch(
        &self,
        object: ObjectRef,
        _: PatchKind,
        body: Value,
        _: WriteOptions,
    ) -> Result<Value, ApiError> {
        self.called(format!("patch {object:?} {body}"));
        self.refuse("patch", &object.kind.kind)
    }

    async fn delete(&self, object: ObjectRef, _: DeleteOptions) -> Result<(), ApiError> {
        self.called(format!("delete {object:?}"));
        self.refuse("delete", &object.kind.kind)
    }

    /// A thousand events.
    async fn watch(&self, what: Selection, _: String) -> Result<EventStream, ApiError> {
        self.called(format!("watch {what:?}"));
        let event = || kf_core::api::Event { kind: kf_core::api::EventKind::Added, object: json!({}) };
        Ok(futures_util::stream::repeat_with(move || Ok(event())).take(1000).boxed())
    }

    async fn can_i(&self, questions: Vec<AccessQuestion>) -> Result<Vec<Verdict>, ApiError> {
        self.called(format!("can-i {questions:?}"));
        self.refuse("create", "selfsubjectaccessreviews")
    }

    async fn whoami(&self) -> Result<Identity, ApiError> {
        self.called("whoami".to_owned());
        self.refuse("create", "selfsubjectreviews")
    }

    async fn discover(&self, group: String) -> Result<Vec<ServedKind>, ApiError> {
        self.called(format!("discover {group:?}"));
        Ok(Vec::new())
    }

    async fn log(
        &self,
        namespace: Option<String>,
        pod: String,
        options: LogOptions,
    ) -> Result<ByteStream, ApiError> {
        self.called(format!("log {namespace:?} {pod:?} {:?}", options.container));
        if ["web-0", "web-1", "web-2"].contains(&pod.as_str()) && namespace.is_none() {
            let chunks = futures_util::stream::iter(log_of(&pod)).then(async |chunk| {
                tokio::task::yield_now().await;
                Ok(chunk)
            });
            return Ok(chunks.boxed());
        }
        if pod == "web-open" && namespace.is_none() {
            let half_a_line = futures_util::stream::iter([Ok(b"web-open ".to_vec())]);
            let copied = Arc::clone(&self.copied);
            // A reader that polls again has printed what it read before.
            let no_end = futures_util::stream::poll_fn(move |_| {
                copied.notify_one();
                Poll::Pending
            });
            return Ok(half_a_line.chain(no_end).boxed());
        }
        if pod == "web-after" && namespace.is_none() {
            let copied = Arc::clone(&self.copied);
            let end = async move {
                copied.notified().await;
                futures_util::stream::empty()
            };
            return Ok(futures_util::stream::once(end).flatten().boxed());
        }
        self.refuse("get", "pods/log")
    }

    /// In `web` a command prints endless output and reads nothing.
    async fn exec(
        &self,
        pod: PodRef,
        command: Vec<String>,
        options: SessionOptions,
    ) -> Result<Session, ApiError> {
        self.called(format!("exec {pod:?} {command:?} {:?}", options.container));
        if pod.name != "web" || pod.namespace.is_some() {
            return self.refuse("create", "pods/exec");
        }
        let (input, unread) = tokio::sync::mpsc::channel(1);
        let input = Arc::new(Unread(input));
        if command == ["exit"] {
            return Ok(Session {
                output: futures_util::stream::iter([Ok(SessionOutput::Exited(7))]).boxed(),
                input,
            });
        }
        let count = Arc::clone(&self.calls);
        let output = futures_util::stream::repeat_with(move || {
            let _held = &unread;
            count.lock().unwrap().push("chunk".to_owned());
            Ok(SessionOutput::Stdout(vec![b'x'; 200 << 10].into()))
        });
        Ok(Session { output: output.boxed(), input })
    }

    async fn attach(&self, pod: PodRef, options: SessionOptions) -> Result<Session, ApiError> {
        self.called(format!("attach {pod:?} {:?}", options.container));
        self.refuse("create", "pods/attach")
    }

    /// Ports of `web` and `server` are forwarded, although nothing listens on them.
    async fn port_forward(&self, pod: PodRef, ports: Vec<PortPair>) -> Result<PortForward, ApiError> {
        self.called(format!("portforward {pod:?} {ports:?}"));
        if !["web", "server"].contains(&pod.name.as_str()) || pod.namespace.is_some() {
            return self.refuse("create", "pods/portforward");
        }
        let ports = ports.into_iter().map(|port| PortPair { local: 8080, ..port }).collect();
        let refused =
            ApiError { code: ErrorCode::Failed, message: "refused".into(), hint: None, refusal: None };
        let first = futures_util::stream::iter([Trouble::Connection(refused)]);
        Ok(PortForward { ports, troubles: first.chain(futures_util::stream::pending()).boxed() })
    }

    async fn pod_http(&self, request: PodRequest) -> Result<PodResponse, ApiError> {
        self.called(format!("http {request:?}"));
        self.refuse("create", "pods/portforward")
    }
}

/// The result of an attack, and what was recorded.
pub(crate) struct Attacked {
    pub(crate) result: Result<Outcome, Fault>,
    pub(crate) screen: Seen,
    pub(crate) calls: Vec<String>,
}

impl Attacked {
    /// The name of the limit that ended it.
    pub(crate) fn limit(&self) -> &'static str {
        match &self.result {
            Err(Fault::Limit { limit }) => limit.which.name(),
            other => panic!("not ended by a limit: {other:?}"),
        }
    }

    /// The trap's message.
    pub(crate) fn trap(&self) -> &str {
        match &self.result {
            Err(Fault::Trap { message, .. }) => message,
            other => panic!("not a trap: {other:?}"),
        }
    }
}

/// The settings of an attack.
pub(crate) struct Given {
    pub(crate) arguments: Vec<String>,
    pub(crate) granted: Granted,
    pub(crate) limits: Limits,
    pub(crate) files: Vec<FileGrant>,
    pub(crate) terminal: Result<(), ApiError>,
}

/// The error for a command whose manifest does not ask for the terminal.
pub(crate) fn no_terminal() -> Result<(), ApiError> {
    Err(ApiError::new(ErrorCode::Forbidden, "it is not allowed to use your terminal"))
}

impl Default for Given {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            granted: Granted::default(),
            limits: patient(Limits::default()),
            files: Vec::new(),
            terminal: no_terminal(),
        }
    }
}

/// The same limits with enough time for a busy machine.
pub(crate) fn patient(limits: Limits) -> Limits {
    const LONG: Duration = Duration::from_secs(300);
    Limits { time: LONG, wall: LONG, ..limits }
}

/// A short limit of computing time, for attacks that reach it on any machine.
pub(crate) fn soon() -> Limits {
    Limits { time: Duration::from_millis(300), ..patient(Limits::default()) }
}

/// Runs an attack without grants.
pub(crate) fn run(attack: &str) -> Attacked {
    run_with(attack, Given::default())
}

pub(crate) fn run_with(attack: &str, given: Given) -> Attacked {
    run_code(guests::code(attack), given)
}

pub(crate) fn run_code(code: Code, given: Given) -> Attacked {
    let screen = Screen::default();
    run_before(Box::new(screen.clone()), screen, code, given)
}

/// Runs an attack with another [`Ui`] than the recording screen.
pub(crate) fn run_before(ui: Box<dyn Ui>, screen: Screen, code: Code, given: Given) -> Attacked {
    let cluster = Cluster::default();
    let result = kf_sandbox::run(Run {
        abi: guests::ABI,
        code,
        arguments: given.arguments,
        granted: given.granted,
        limits: given.limits,
        context: Context { namespace: "team-a".to_owned(), interactive: true, ..Context::default() },
        kube: Some(Kube { api: Arc::new(cluster.clone()), runtime: None }),
        selection: None,
        terminal: given.terminal,
        files: given.files,
        ui,
        backtrace: false,
    });
    Attacked { result, screen: screen.seen(), calls: cluster.calls() }
}

/// The candidates of an attack, and what was recorded.
pub(crate) struct Completed {
    pub(crate) result: Result<Vec<Candidate>, Fault>,
    pub(crate) screen: Seen,
    pub(crate) calls: Vec<String>,
}

/// Asks an attack for candidates as kf does, with the cluster linked.
pub(crate) fn complete(attack: &str, limits: Limits) -> Completed {
    let (screen, cluster) = (Screen::default(), Cluster::default());
    let run = Run {
        code: guests::code(attack),
        abi: guests::ABI,
        arguments: Vec::new(),
        granted: Granted { kube: true, ..Granted::default() },
        limits,
        context: Context { namespace: "team-a".to_owned(), ..Context::default() },
        kube: Some(Kube { api: Arc::new(cluster.clone()), runtime: None }),
        selection: None,
        terminal: no_terminal(),
        files: Vec::new(),
        ui: Box::new(screen.clone()),
        backtrace: false,
    };
    let request = CompletionRequest { words: vec![String::new()], argument: "name".to_owned() };
    let result = kf_sandbox::complete(run, request);
    Completed { result, screen: screen.seen(), calls: cluster.calls() }
}
