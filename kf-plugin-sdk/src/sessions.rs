//! Sessions in containers, forwarded ports, and HTTP to pods.
//!
//! A session that a person sits at is joined to the terminal by kf itself: the command names the
//! pod and what to run, and learns the exit code. Forwarded ports are bound and pumped by kf too.
//! [`Process`] is for a command that has to read and write by itself.

#[cfg(target_arch = "wasm32")]
use crate::border::Host;
use crate::border::{
    Bearer, HostHandle, HttpRequest, HttpResponse, Method, Output, Pollable, Port, PortForwardSource,
    ProcessSource, SessionOptions,
};
use crate::error::{Error, Result};

/// A pod to open a session in.
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

    /// In this container; needed when the pod has several.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.options.container = Some(name.into());
        self
    }

    /// Of a pod in this namespace instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Passes the user's stdin on.
    #[must_use]
    pub fn stdin(mut self, stdin: bool) -> Self {
        self.options.stdin = stdin;
        self
    }

    /// Gives the container a terminal, and the user's terminal to it.
    #[must_use]
    pub fn tty(mut self, tty: bool) -> Self {
        self.options.tty = tty;
        self
    }

    /// Runs a command, joined to the user's terminal; its exit code. Needs `[permissions] terminal = true`.
    pub fn exec(&self, command: &[String]) -> Result<i32> {
        self.host.exec(self.namespace.as_deref(), &self.pod, command, &self.options)
    }

    /// Joins the container's first process; its exit code. Needs `[permissions] terminal = true`.
    pub fn attach(&self) -> Result<i32> {
        self.host.attach(self.namespace.as_deref(), &self.pod, &self.options)
    }

    /// Starts a command that the caller itself talks to; it can have no terminal.
    pub fn start(&self, command: &[String]) -> Result<Process> {
        let source = self.host.start(self.namespace.as_deref(), &self.pod, command, &self.options)?;
        Ok(Process { source })
    }
}

/// A process in a container. Dropping it ends the session.
pub struct Process {
    source: Box<dyn ProcessSource>,
}

/// What a process said until it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit_code: i32,
}

impl Process {
    /// The next piece of what it says; blocks for it.
    pub fn next(&self) -> Result<Output> {
        self.source.next()
    }

    /// Ready when [`Process::next`] would not block.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// Writes to its stdin.
    pub fn write(&self, data: &[u8]) -> Result<()> {
        self.source.write(data)
    }

    /// The end of its stdin.
    pub fn close_stdin(&self) -> Result<()> {
        self.source.close_stdin()
    }

    /// Everything until it ends. More than `limit` bytes are an error.
    pub fn finish(&self, limit: usize) -> Result<Said> {
        let mut said = Said::default();
        loop {
            match self.next()? {
                Output::Stdout(bytes) => said.stdout.extend(bytes),
                Output::Stderr(bytes) => said.stderr.extend(bytes),
                Output::Exited(code) => return Ok(Said { exit_code: code, ..said }),
            }
            if said.stdout.len() + said.stderr.len() > limit {
                return Err(Error::failed(format!("the process said more than {limit} bytes")));
            }
        }
    }
}

/// Ports of the loopback address that lead to a pod, as long as this value lives.
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

    /// The pairs with the local ports bound.
    pub fn ports(&self) -> Vec<Port> {
        self.source.ports()
    }

    /// Ready once it has ended.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }

    /// Blocks until it has ended, which without an error is when the pod is gone.
    pub fn finish(&self) -> Result<()> {
        self.source.finish()
    }

    /// Shows a page of the first port in the user's browser. False where there is none.
    pub fn open_page(&self, path: &str) -> Result<bool> {
        self.source.open_page(path)
    }
}

/// A port of a pod that speaks HTTP.
#[derive(Clone)]
pub struct PodHttp {
    host: HostHandle,
    request: HttpRequest,
}

impl PodHttp {
    pub(crate) fn new(host: HostHandle, pod: &str, port: u16) -> Self {
        Self { host, request: HttpRequest { pod: pod.into(), port, ..HttpRequest::default() } }
    }

    /// Of a pod in this namespace instead of the run's.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.request.namespace = Some(namespace.into());
        self
    }

    /// Sends a token of a service account, which the command never sees.
    #[must_use]
    pub fn bearer(mut self, service_account: &str, audience: &str) -> Self {
        let bearer = Bearer { service_account: service_account.into(), audience: audience.into() };
        self.request.bearer = Some(bearer);
        self
    }

    /// With this header. One that does more than say what is sent and wanted has to stand in the manifest's
    /// `[permissions] headers`.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.request.headers.push((name.into(), value.into()));
        self
    }

    /// What the pod answers to a GET, whatever its status.
    pub fn get(&self, path: &str) -> Result<HttpResponse> {
        self.send(Method::Get, path, Vec::new())
    }

    /// What the pod answers, whatever its status. A body has at most 16 MiB, either way. With the user's
    /// `--dry-run` only [`Method::Get`] and [`Method::Head`] are sent, and none with a token.
    pub fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<HttpResponse> {
        self.host.send(&HttpRequest { method, path: path.into(), body, ..self.request.clone() })
    }
}
