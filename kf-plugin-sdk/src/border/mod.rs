//! The border between a command and kf, as Rust types.
//!
//! [`Host`] is what the world outside offers. Compiled to WebAssembly it is kf itself, through the
//! ABI; in a native test it is [`crate::testing::FakeHost`]. Authors use [`crate::Kf`], which is
//! built on it.

mod host;

use serde_json::Value;

pub use host::{
    ForwardSource, Host, HostHandle, LiveSink, LogSource, PortForwardSource, ProcessSource, ProgressSink,
    WatchSource,
};

/// Where and how the command runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The namespace of the run.
    pub namespace: String,
    /// The environment, where there are any.
    pub environment: Option<String>,
    /// The kubeconfig's context, if there is one.
    pub cluster: Option<String>,
    /// The command's own name and version.
    pub command: String,
    pub version: String,
    /// The user asked for `--dry-run`: every write is a server-side dry run.
    pub dry_run: bool,
    /// There is a person at a terminal.
    pub interactive: bool,
}

/// A kind of object; the cluster's preferred version if none is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// Empty for the core group.
    pub group: String,
    pub version: Option<String>,
    pub kind: String,
}

impl Kind {
    /// A kind of a group; the core group is empty.
    pub fn new(group: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: None, kind: kind.into() }
    }

    /// The same kind in this version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

/// From `Pod` or `trainer.kubeflow.org/TrainJob`.
impl From<&str> for Kind {
    fn from(text: &str) -> Self {
        match text.rsplit_once('/') {
            Some((group, kind)) => Self::new(group, kind),
            None => Self::new("", text),
        }
    }
}

/// One object, or a document below it; in the namespace of the run if none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub name: String,
    /// A subresource that is a document, such as `scale`; for `get` and `patch`.
    pub subresource: Option<String>,
}

/// Which objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub kind: Kind,
    /// Every namespace; needs a grant with scope `cluster`.
    pub everywhere: bool,
    /// The namespace of the run if absent.
    pub namespace: Option<String>,
    pub labels: Option<String>,
    pub fields: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub items: Vec<Value>,
    pub next: Option<String>,
    /// Where a watch takes over.
    pub resource_version: String,
}

impl Page {
    /// A list that is complete, and that no watch takes over from.
    pub(crate) fn whole(items: Vec<Value>) -> Self {
        Self { items, next: None, resource_version: String::new() }
    }
}

/// How to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The server checks, defaults and answers but stores nothing.
    pub dry_run: bool,
    /// Apply only: take over fields another manager owns. Needs the grant.
    pub force: bool,
}

impl WriteOptions {
    /// The server answers as if, and stores nothing.
    pub const CHECK_ONLY: Self = Self { dry_run: true, force: false };
}

/// How a patch is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
    /// Kubernetes' own; built-in kinds only.
    Strategic,
}

/// What happens to what a deleted object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub dry_run: bool,
    pub propagation: Propagation,
    pub grace_period_seconds: Option<u32>,
    /// Only this very object, not a later one of the same name.
    pub uid: Option<String>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<T = Value> {
    pub kind: EventKind,
    pub object: T,
}

/// One question to the authorizer about the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    pub verb: String,
    pub group: String,
    /// The plural, with the subresource after a slash: `pods/log`.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

impl Access {
    /// May the user do this in the namespace of the run?
    pub fn new(verb: &str, group: &str, resource: &str) -> Self {
        Self {
            verb: verb.into(),
            group: group.into(),
            resource: resource.into(),
            namespace: None,
            name: None,
        }
    }
}

/// The authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub reason: Option<String>,
}

/// Who the API server thinks the user is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    pub username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    pub groups: Vec<String>,
    /// When the presented token or certificate ends, in milliseconds since 1970, if known.
    #[serde(skip)]
    pub expires: Option<u64>,
}

/// A kind the cluster serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    /// Such as `tj`; people type them in place of the kind.
    pub short_names: Vec<String>,
}

/// Which part of a container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The only container if absent; an error if there are several.
    pub container: Option<String>,
    pub follow: bool,
    /// The container's run before its last restart.
    pub previous: bool,
    pub timestamps: bool,
    /// Milliseconds since 1970; nothing older.
    pub since: Option<u64>,
    /// So many lines from the end.
    pub tail_lines: Option<u32>,
}

/// How a session in a container is joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// The only container if absent; an error if there are several.
    pub container: Option<String>,
    pub stdin: bool,
    pub tty: bool,
}

/// A piece of what a process in a container says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// The exit code; nothing follows.
    Exited(i32),
}

/// A port of the loopback address and the port of a pod it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// One that the user typed, or that kf has bound for this run before; for any other, such as 0, kf picks a
    /// free one.
    pub local: u16,
    pub remote: u16,
}

/// How an HTTP request is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// A token of a service account of the namespace, sent by kf and never seen by the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    pub service_account: String,
    pub audience: String,
}

/// A request to a port of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// The namespace of the run if absent.
    pub namespace: Option<String>,
    pub pod: String,
    pub port: u16,
    pub method: Method,
    /// Begins with `/`; may have a query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub bearer: Option<Bearer>,
}

/// What the pod answered, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Which namespace later runs use when none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// None if the kubeconfig's is.
    pub namespace: Option<String>,
    pub previous: Option<String>,
}

/// What is below a directory named on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileTree {
    /// The regular files, sorted by path.
    pub files: Vec<FileEntry>,
    /// What was left out: what a pattern fits, links, and all that is neither a file nor a
    /// directory. The first 1 000, in no order.
    pub left_out: Vec<String>,
}

/// A regular file below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the directory, with `/` between its parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub executable: bool,
}

/// Something that becomes ready: data in a stream, an event of a watch, the end of a forwarded
/// log, a timer. [`crate::Kf::wait`] waits for several at once.
pub struct Pollable(pub(crate) PollSource);

/// What is polled: in WebAssembly the ABI's resource, in a native test a condition.
#[cfg(target_arch = "wasm32")]
pub(crate) type PollSource = crate::bindings::kf::plugin::poll::Pollable;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type PollSource = Box<dyn Fn() -> bool>;

impl Pollable {
    /// Whether it is ready now.
    pub fn ready(&self) -> bool {
        #[cfg(target_arch = "wasm32")]
        return self.0.ready();
        #[cfg(not(target_arch = "wasm32"))]
        return (self.0)();
    }
}
