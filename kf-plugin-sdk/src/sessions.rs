//! Sessions in containers, forwarded ports, and HTTP requests to pods.
//!
//! kf connects an interactive session to the terminal itself: the command names the pod and the program, and gets
//! the exit code. kf also binds forwarded ports and copies their data. [`Process`] is for a command that reads and
//! writes by itself.

#[cfg(target_arch = "wasm32")]
use crate::abi::Host;
use crate::abi::{
    Bearer, HostHandle, HttpRequest, HttpResponse, Method, Output, Pollable, Port, PortForwardSource,
    ProcessSource, SessionOptions,
};
use crate::error::{Error, Result};

/// A request for a session in a pod.
#[derive(Clone)]
pub struct Session {
    host: HostHandle,
    namespace: Option<String>,
    pod: String,
    options: SessionOptions,
}

impl Session {
    pub(crate) fn new(host: HostHandle, pod: &str) -> Self {
        Self { host, namespace: None, pod: pod.into(), options: SessionOptions::default() }
    }

    /// Sets the container; required if the pod has several.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.options.container = Some(name.into());
        self
    }

    /// Sets the namespace of the pod, instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Connects the user's stdin.
    #[must_use]
    pub fn stdin(mut self, stdin: bool) -> Self {
        self.options.stdin = stdin;
        self
    }

    /// Allocates a terminal in the container and connects the user's terminal to it.
    #[must_use]
    pub fn tty(mut self, tty: bool) -> Self {
        self.options.tty = tty;
        self
    }

    /// Runs a program connected to the user's terminal and returns its exit code. Needs `[permissions] terminal = true`.
    pub fn exec(&self, command: &[String]) -> Result<i32> {
        self.host.exec(self.namespace.as_deref(), &self.pod, command, &self.options)
    }

    /// Attaches to the main process of the container and returns its exit code. Needs `[permissions] terminal = true`.
    pub fn attach(&self) -> Result<i32> {
        self.host.attach(self.namespace.as_deref(), &self.pod, &self.options)
    }

    /// Starts a program that the caller reads from and writes to. It cannot have a terminal.
    pub fn start(&self, command: &[String]) -> Result<Process> {
        let source = self.host.start(self.namespace.as_deref(), &self.pod, command, &self.options)?;
        Ok(Process { source })
    }
}

/// A process in a container. Dropping it closes the session.
pub struct Process {
    source: Box<dyn ProcessSource>,
}

/// The output and exit code of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit_code: i32,
}

impl Process {
    /// Returns the next chunk of output, blocking until there is one.
    pub fn next(&self) -> Result<Output> {
        self.source.next()
    }

    /// Ready when [`Process::next`] would not block.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// Writes to stdin.
    pub fn write(&self, data: &[u8]) -> Result<()> {
        self.source.write(data)
    }

    /// Closes stdin.
    pub fn close_stdin(&self) -> Result<()> {
        self.source.close_stdin()
    }

    /// Reads all output until the process ends. More than `limit` bytes is an error.
    pub fn finish(&self, limit: usize) -> Result<ProcessOutput> {
        let mut output = ProcessOutput::default();
        loop {
            match self.next()? {
                Output::Stdout(bytes) => output.stdout.extend(bytes),
                Output::Stderr(bytes) => output.stderr.extend(bytes),
                Output::Exited(code) => return Ok(ProcessOutput { exit_code: code, ..output }),
            }
            if output.stdout.len() + output.stderr.len() > limit {
                return Err(Error::failed(format!("the process printed more than {limit} bytes")));
            }
        }
    }
}

/// Ports on the loopback address that are forwarded to a pod until this value is dropped.
pub struct PortForward {
    source: Box<dyn PortForwardSource>,
}

impl PortForward {
    pub(crate) fn open(
        host: &HostHandle,
        namespace: Option<&str>,
        pod: &str,
        ports: &[Port],
    ) -> Result<Self> {
        Ok(Self { source: host.open_port_forward(namespace, pod, ports)? })
    }

    /// Returns the forwarded ports, with the local ports that were bound.
    pub fn ports(&self) -> Vec<Port> {
        self.source.ports()
    }

    /// Ready once it has ended.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// Blocks until it has ended. Returns `Ok` when the pod is gone.
    pub fn finish(&self) -> Result<()> {
        self.source.finish()
    }

    /// Opens a page of the first port in the user's browser. Returns `false` if there is no browser.
    pub fn open_page(&self, path: &str) -> Result<bool> {
        self.source.open_page(path)
    }
}

/// An HTTP client for a port of a pod.
#[derive(Clone)]
pub struct PodHttp {
    host: HostHandle,
    request: HttpRequest,
}

impl PodHttp {
    pub(crate) fn new(host: HostHandle, pod: &str, port: u16) -> Self {
        Self { host, request: HttpRequest { pod: pod.into(), port, ..HttpRequest::default() } }
    }

    /// Sets the namespace of the pod, instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.request.namespace = Some(namespace.into());
        self
    }

    /// Authenticates with a service account token, which the command never sees.
    #[must_use]
    pub fn bearer(mut self, service_account: &str, audience: &str) -> Self {
        let bearer = Bearer { service_account: service_account.into(), audience: audience.into() };
        self.request.bearer = Some(bearer);
        self
    }

    /// Adds a header. Headers other than those of content, conditions, ranges and traces must be listed in
    /// `[permissions] headers` of the manifest.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.request.headers.push((name.into(), value.into()));
        self
    }

    /// Sends a GET request and returns the response, of any status.
    pub fn get(&self, path: &str) -> Result<HttpResponse> {
        self.send(Method::Get, path, Vec::new())
    }

    /// Sends a request and returns the response, of any status. Bodies are limited to 16 MiB in either direction.
    /// With `--dry-run`, only [`Method::Get`] and [`Method::Head`] without a token are sent.
    pub fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<HttpResponse> {
        self.host.send(&HttpRequest { method, path: path.into(), body, ..self.request.clone() })
    }
}
