//! The ABI between a command and kf, as Rust types.
//!
//! [`Host`] is the host interface. In WebAssembly it is implemented by kf itself, through the ABI; in a
//! native test by [`crate::testing::FakeHost`]. Authors use [`crate::Kf`], which is built on it.

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
    /// The environment, if any are configured.
    pub environment: Option<String>,
    /// The kubeconfig context, if there is one.
    pub cluster: Option<String>,
    /// The command's name.
    pub command: String,
    /// The command's version.
    pub version: String,
    /// Whether the user passed `--dry-run`: every write is a server-side dry run.
    pub dry_run: bool,
    /// Whether a user is at a terminal.
    pub interactive: bool,
}

/// A kind of object, in the cluster's preferred version unless one is set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// Empty for the core group.
    pub group: String,
    pub version: Option<String>,
    pub kind: String,
}

impl Kind {
    /// Creates a kind of a group; the core group is empty.
    pub fn new(group: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: None, kind: kind.into() }
    }

    /// Sets the version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

/// Parses `Pod` or `trainer.kubeflow.org/TrainJob`.
impl From<&str> for Kind {
    fn from(text: &str) -> Self {
        match text.rsplit_once('/') {
            Some((group, kind)) => Self::new(group, kind),
            None => Self::new("", text),
        }
    }
}

/// An object or one of its subresources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    pub kind: Kind,
    /// The namespace of the run if absent.
    pub namespace: Option<String>,
    pub name: String,
    /// A subresource that is a document, such as `scale`; only for `get` and `patch`.
    pub subresource: Option<String>,
}

/// A selection of objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub kind: Kind,
    /// Selects all namespaces; needs a rule with `scope = "cluster"`.
    pub everywhere: bool,
    /// The namespace of the run if absent.
    pub namespace: Option<String>,
    pub labels: Option<String>,
    pub fields: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub items: Vec<Value>,
    /// The continue token of the next page.
    pub next: Option<String>,
    /// The version to start a watch from.
    pub resource_version: String,
}

impl Page {
    /// A complete list that no watch can start from.
    pub(crate) fn whole(items: Vec<Value>) -> Self {
        Self { items, next: None, resource_version: String::new() }
    }
}

/// Options of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// The server validates and defaults the object but does not store it.
    pub dry_run: bool,
    /// Takes over fields that another manager owns; only for apply. Needs a rule with `force = true`.
    pub force: bool,
}

impl WriteOptions {
    /// A dry run: the server returns the result and stores nothing.
    pub const DRY_RUN: Self = Self { dry_run: true, force: false };
}

/// The type of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// JSON merge patch (RFC 7386).
    Merge,
    /// JSON patch (RFC 6902).
    Json,
    /// Strategic merge patch; built-in kinds only.
    Strategic,
}

/// How the dependents of a deleted object are deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// Options of a delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    pub dry_run: bool,
    pub propagation: Propagation,
    pub grace_period_seconds: Option<u32>,
    /// Deletes only the object with this uid, not a newer one of the same name.
    pub uid: Option<String>,
}

/// The type of a change to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
}

/// A change to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<T = Value> {
    pub kind: EventKind,
    pub object: T,
}

/// A question to the authorizer about the user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    pub verb: String,
    pub group: String,
    /// The plural, with any subresource after a slash: `pods/log`.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

impl Access {
    /// Asks about a verb on a resource in the namespace of the run.
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

/// The user as the API server sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    pub username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    pub groups: Vec<String>,
    /// When the token or certificate expires, in milliseconds since 1970, if known.
    #[serde(skip)]
    pub expires: Option<u64>,
}

/// A kind that the cluster serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    /// Short names such as `tj`.
    pub short_names: Vec<String>,
}

/// Options of a log request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The only container if absent; an error if there are several.
    pub container: Option<String>,
    pub follow: bool,
    /// Reads the log of the run before the last restart.
    pub previous: bool,
    pub timestamps: bool,
    /// Omits older lines; in milliseconds since 1970.
    pub since: Option<u64>,
    /// The number of lines to read from the end.
    pub tail_lines: Option<u32>,
}

/// Options of a session in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// The only container if absent; an error if there are several.
    pub container: Option<String>,
    pub stdin: bool,
    pub tty: bool,
}

/// A chunk of the output of a process in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// The exit code; always last.
    Exited(i32),
}

/// A local port on the loopback address and the pod port it is forwarded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// A port that the user typed or that kf has already bound in this run; for any other, such as 0, kf picks
    /// a free one.
    pub local: u16,
    pub remote: u16,
}

/// An HTTP method.
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

/// A service account token that kf sends and the command never sees.
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
    /// Begins with `/`; a query is allowed.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub bearer: Option<Bearer>,
}

/// The response of a pod, of any status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The namespace that later runs use by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// `None` for the kubeconfig's namespace.
    pub namespace: Option<String>,
    pub previous: Option<String>,
}

/// The contents of a directory named on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileTree {
    /// The regular files, sorted by path.
    pub files: Vec<FileEntry>,
    /// The first 1 000 skipped paths, in no order: matches of a pattern, links, and anything that is neither a
    /// file nor a directory.
    pub left_out: Vec<String>,
}

/// A regular file below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative to the directory, with `/` between its parts.
    pub path: String,
    /// In bytes.
    pub size: u64,
    pub executable: bool,
}

/// A source of readiness: stream data, a watch event, the end of a forwarded log, or a timer.
/// [`crate::Kf::wait`] waits for several at once.
pub struct Pollable(pub(crate) PollSource);

/// The ABI's resource in WebAssembly, a condition in a native test.
#[cfg(target_arch = "wasm32")]
pub(crate) type PollSource = crate::bindings::kf::plugin::poll::Pollable;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) type PollSource = Box<dyn Fn() -> bool>;

impl Pollable {
    /// Returns whether it is ready now.
    pub fn ready(&self) -> bool {
        #[cfg(target_arch = "wasm32")]
        return self.0.ready();
        #[cfg(not(target_arch = "wasm32"))]
        return (self.0)();
    }
}
