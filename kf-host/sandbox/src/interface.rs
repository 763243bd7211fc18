//! The interfaces that a component can import, and which of them a run links.
//!
//! An interface that is not granted is not linked, so there are no calls to refuse. A check before
//! compiling names the interfaces that a manifest does not ask for.

use std::collections::BTreeSet;
use std::fmt;

/// An interface that a component can import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// Types only: nothing to call.
    Types,
    /// Types only: nothing to call.
    Tree,
    Poll,
    Clock,
    Ui,
    Context,
    Files,
    Kube,
    Logs,
    Sessions,
    PodHttp,
    Selection,
    Wasi(Wasi),
}

/// The part of WASI 0.2 that a guest's standard library needs. There are no sockets and no HTTP,
/// and what is here is empty: no environment, no arguments, no directory, no stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wasi {
    CliEnvironment,
    CliExit,
    CliStdin,
    CliStdout,
    CliStderr,
    CliTerminalInput,
    CliTerminalOutput,
    CliTerminalStdin,
    CliTerminalStdout,
    CliTerminalStderr,
    ClocksMonotonic,
    ClocksWall,
    FilesystemTypes,
    FilesystemPreopens,
    IoError,
    IoPoll,
    IoStreams,
    Random,
    RandomInsecure,
    RandomInsecureSeed,
}

const KF: &[(&str, Interface)] = &[
    ("types", Interface::Types),
    ("tree", Interface::Tree),
    ("poll", Interface::Poll),
    ("clock", Interface::Clock),
    ("ui", Interface::Ui),
    ("context", Interface::Context),
    ("files", Interface::Files),
    ("kube", Interface::Kube),
    ("logs", Interface::Logs),
    ("sessions", Interface::Sessions),
    ("pod-http", Interface::PodHttp),
    ("selection", Interface::Selection),
];

const WASI: &[(&str, Wasi)] = &[
    ("cli/environment", Wasi::CliEnvironment),
    ("cli/exit", Wasi::CliExit),
    ("cli/stdin", Wasi::CliStdin),
    ("cli/stdout", Wasi::CliStdout),
    ("cli/stderr", Wasi::CliStderr),
    ("cli/terminal-input", Wasi::CliTerminalInput),
    ("cli/terminal-output", Wasi::CliTerminalOutput),
    ("cli/terminal-stdin", Wasi::CliTerminalStdin),
    ("cli/terminal-stdout", Wasi::CliTerminalStdout),
    ("cli/terminal-stderr", Wasi::CliTerminalStderr),
    ("clocks/monotonic-clock", Wasi::ClocksMonotonic),
    ("clocks/wall-clock", Wasi::ClocksWall),
    ("filesystem/types", Wasi::FilesystemTypes),
    ("filesystem/preopens", Wasi::FilesystemPreopens),
    ("io/error", Wasi::IoError),
    ("io/poll", Wasi::IoPoll),
    ("io/streams", Wasi::IoStreams),
    ("random/random", Wasi::Random),
    ("random/insecure", Wasi::RandomInsecure),
    ("random/insecure-seed", Wasi::RandomInsecureSeed),
];

impl Interface {
    /// The interface with the full name of an import, such as `kf:plugin/kube@0.1.0`; none if this host
    /// does not provide the interface in that version.
    #[must_use]
    pub fn from_import(name: &str) -> Option<Self> {
        let (path, version) = name.split_once('@')?;
        if let Some(interface) = path.strip_prefix("kf:plugin/") {
            let known = version.strip_prefix("0.1.").is_some_and(is_number);
            return KF.iter().find(|(n, _)| known && *n == interface).map(|(_, interface)| *interface);
        }
        let interface = path.strip_prefix("wasi:")?;
        let known = version.strip_prefix("0.2.").is_some_and(is_number);
        WASI.iter().find(|(n, _)| known && *n == interface).map(|(_, wasi)| Self::Wasi(*wasi))
    }

    /// Whether it is linked for every command, without a grant.
    #[must_use]
    pub fn is_free(self) -> bool {
        !matches!(
            self,
            Self::Files | Self::Kube | Self::Logs | Self::Sessions | Self::PodHttp | Self::Selection
        )
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kf = KF.iter().find(|(_, interface)| interface == self);
        let wasi = WASI.iter().find(|(_, wasi)| Self::Wasi(*wasi) == *self);
        match (kf, wasi) {
            (Some((name, _)), _) => write!(f, "kf:plugin/{name}"),
            (_, Some((name, _))) => write!(f, "wasi:{name}"),
            (None, None) => f.write_str("an unknown interface"),
        }
    }
}

/// The interfaces that a command gets in addition to the free ones.
///
/// The default grants nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// The manifest has a rule for Kubernetes objects.
    pub kube: bool,
    /// The manifest has a rule for `pods/log`.
    pub logs: bool,
    /// The manifest has a rule for `pods/exec`, `pods/attach` or `pods/portforward`.
    pub sessions: bool,
    /// The manifest has a rule for `pods/portforward`.
    pub pod_http: bool,
    /// The manifest asks to change the namespace that later runs use.
    pub selection: bool,
    /// The command tree has an argument that names a file.
    pub files: bool,
}

impl Granted {
    /// Whether an interface is linked.
    #[must_use]
    pub fn allows(self, interface: Interface) -> bool {
        match interface {
            Interface::Kube => self.kube,
            Interface::Logs => self.logs,
            Interface::Sessions => self.sessions,
            Interface::PodHttp => self.pod_http,
            Interface::Selection => self.selection,
            Interface::Files => self.files,
            free => free.is_free(),
        }
    }
}

/// The component imports interfaces that its manifest does not ask for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it imports {}, which its manifest does not ask for", list(.interfaces))]
pub struct UndeclaredImports {
    /// Never empty, in the order of [`Interface`].
    pub interfaces: Vec<Interface>,
}

fn list(interfaces: &[Interface]) -> String {
    interfaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Refuses a component whose imports exceed its grant, before anything is compiled.
///
/// # Errors
///
/// The interfaces that are not granted, by name.
pub fn check_imports(imports: &BTreeSet<Interface>, granted: Granted) -> Result<(), UndeclaredImports> {
    let interfaces: Vec<_> =
        imports.iter().copied().filter(|interface| !granted.allows(*interface)).collect();
    if interfaces.is_empty() { Ok(()) } else { Err(UndeclaredImports { interfaces }) }
}
