use std::cell::Cell;

use kf_core::names::ContainerName;
use kf_core::pod_http;
use kf_core::request::{Place, Request, check_command, check_ports};

use super::convert;
use super::host::FakeHost;
use super::streams::when;
use crate::abi::*;
use crate::error::{Error, Result};
use crate::objects::Object;
use crate::sessions::ProcessOutput;

/// A session that the command opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedSession {
    pub pod: String,
    /// Empty for attach.
    pub command: Vec<String>,
    pub options: SessionOptions,
}

type Exec = Box<dyn FnMut(&OpenedSession) -> Result<ProcessOutput>>;
type Http = Box<dyn FnMut(&HttpRequest) -> Result<HttpResponse>>;

/// Sessions, forwarded ports and HTTP of a fake host.
#[derive(Default)]
pub(super) struct FakeSessions {
    pub(super) opened: Vec<OpenedSession>,
    pub(super) pages: Vec<String>,
    /// The data written to the process of each session.
    written: Vec<Vec<u8>>,
    exec: Option<Exec>,
    http: Option<Http>,
}

impl FakeHost {
    /// Sets the handler of sessions, which returns the output and exit code.
    pub fn on_session(&self, act: impl FnMut(&OpenedSession) -> Result<ProcessOutput> + 'static) {
        self.sessions(|sessions| sessions.exec = Some(Box::new(act)));
    }

    /// Sets the handler of HTTP requests to pods.
    pub fn on_http(&self, answer: impl FnMut(&HttpRequest) -> Result<HttpResponse> + 'static) {
        self.sessions(|sessions| sessions.http = Some(Box::new(answer)));
    }

    /// Returns the sessions that the command opened.
    pub fn opened_sessions(&self) -> Vec<OpenedSession> {
        self.sessions(|sessions| sessions.opened.clone())
    }

    /// Returns the data that the command wrote to each session, in the order of [`Self::opened_sessions`].
    pub fn written_to_sessions(&self) -> Vec<Vec<u8>> {
        self.sessions(|sessions| sessions.written.clone())
    }

    /// Returns the URLs of the pages that the command opened.
    pub fn opened_pages(&self) -> Vec<String> {
        self.sessions(|sessions| sessions.pages.clone())
    }

    fn sessions<T>(&self, act: impl FnOnce(&mut FakeSessions) -> T) -> T {
        act(&mut self.state.sessions.borrow_mut())
    }

    /// Checks that a stream into a pod can be opened. A session cannot be a dry run.
    fn may_open(&self, what: &str, namespace: Option<&str>, pod: &str) -> Result<()> {
        let request = self.cluster(|cluster| cluster.stream(namespace, pod, what))?;
        self.no_dry_run(what, &request)?;
        self.cluster(|cluster| cluster.permit(&request))
    }

    fn no_dry_run(&self, what: &str, request: &Request) -> Result<()> {
        match self.context().dry_run {
            true => Err(Place { subresource: None, ..request.place.clone() }.no_dry_run(what).into()),
            false => Ok(()),
        }
    }

    fn pod(&self, namespace: Option<&str>, pod: &str) -> Result<Object> {
        self.cluster(|cluster| cluster.pod(namespace, pod))
    }

    pub(super) fn exec_session(
        &self,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<ProcessOutput> {
        check_command(command)?;
        self.session("exec", namespace, pod, command, options)
    }

    pub(super) fn session(
        &self,
        subresource: &str,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<ProcessOutput> {
        if let Some(container) = &options.container {
            ContainerName::parse(container.as_str())?;
        }
        self.may_open(subresource, namespace, pod)?;
        self.pod(namespace, pod)?;
        let opened = OpenedSession { pod: pod.into(), command: command.to_vec(), options: options.clone() };
        self.sessions(|sessions| {
            sessions.opened.push(opened.clone());
            sessions.written.push(Vec::new());
            match &mut sessions.exec {
                Some(exec) => exec(&opened),
                None => Ok(ProcessOutput::default()),
            }
        })
    }

    pub(super) fn http(&self, request: &HttpRequest) -> Result<HttpResponse> {
        let asked = convert::pod_request(request);
        let headers = self.cluster(|cluster| cluster.rights.as_ref().map(|rights| rights.headers.clone()));
        let checked = pod_http::check(&asked, &headers.unwrap_or_default())?;
        let (namespace, pod) = (request.namespace.as_deref(), request.pod.as_str());
        let opened = self.cluster(|cluster| cluster.stream(namespace, pod, "portforward"))?;
        if !checked.reads() {
            self.no_dry_run("a request that changes something in a port", &opened)?;
        }
        if let Some(bearer) = &asked.bearer {
            self.no_dry_run("a request with a token to a port", &opened)?;
            self.cluster(|cluster| cluster.token(bearer))?;
        }
        self.cluster(|cluster| cluster.permit(&opened))?;
        self.pod(namespace, pod)?;
        self.sessions(|sessions| match &mut sessions.http {
            Some(http) => http(request),
            None => {
                Err(Error::failed(format!("nothing listens on port {} of {}", request.port, request.pod)))
            }
        })
    }

    pub(super) fn forward_ports(
        &self,
        namespace: Option<&str>,
        pod: &str,
        ports: &[Port],
    ) -> Result<Box<dyn PortForwardSource>> {
        self.may_open("portforward", namespace, pod)?;
        // Without permission to get the pod, its state is not revealed.
        let visible = self.cluster(|cluster| !cluster.is_denied("get", "", "pods"));
        if visible && self.pod(namespace, pod)?.str("/status/phase") != Some("Running") {
            return Err(Error::failed(format!("pod {pod} is not running yet")));
        }
        check_ports(&convert::ports(ports))?;
        let bound = ports.iter().zip(40_001..).map(|(port, free)| match port.local {
            0 => Port { local: free, ..*port },
            _ => *port,
        });
        let namespace = namespace.map(str::to_owned);
        Ok(Box::new(FakePortForward {
            host: self.clone(),
            namespace,
            pod: pod.into(),
            ports: bound.collect(),
        }))
    }
}

/// A port-forward that ends when its pod is gone.
#[derive(Clone)]
struct FakePortForward {
    host: FakeHost,
    namespace: Option<String>,
    pod: String,
    ports: Vec<Port>,
}

impl FakePortForward {
    /// Returns whether its pod is gone.
    fn has_ended(&self) -> bool {
        self.host.pod(self.namespace.as_deref(), &self.pod).is_err()
    }
}

impl PortForwardSource for FakePortForward {
    fn ports(&self) -> Vec<Port> {
        self.ports.clone()
    }

    fn subscribe(&self) -> Pollable {
        let twin = self.clone();
        when(move || twin.has_ended())
    }

    fn finish(&self) -> Result<()> {
        self.host.block_until("a forwarded port to end", || self.has_ended())
    }

    fn open_page(&self, path: &str) -> Result<bool> {
        let Some(port) = self.ports.first() else { return Ok(false) };
        if !self.host.context().interactive {
            return Ok(false);
        }
        let page = format!("http://localhost:{}{path}", port.local);
        self.host.sessions(|sessions| sessions.pages.push(page));
        Ok(true)
    }
}

/// A process that returns all its output at once.
pub(super) struct FakeProcess {
    host: FakeHost,
    /// The index of its session.
    session: usize,
    has_stdin: bool,
    output: ProcessOutput,
    next: Cell<u8>,
}

impl FakeProcess {
    /// Creates the process of the last opened session.
    pub(super) fn new(host: FakeHost, output: ProcessOutput, has_stdin: bool) -> Self {
        let session = host.sessions(|sessions| sessions.opened.len().saturating_sub(1));
        Self { host, session, has_stdin, output, next: Cell::new(0) }
    }
}

impl ProcessSource for FakeProcess {
    fn next(&self) -> Result<Output> {
        let turn = self.next.get();
        self.next.set(turn.saturating_add(1));
        Ok(match turn {
            0 => Output::Stdout(self.output.stdout.clone()),
            1 => Output::Stderr(self.output.stderr.clone()),
            _ => Output::Exited(self.output.exit_code),
        })
    }

    fn subscribe(&self) -> Pollable {
        when(|| true)
    }

    fn write(&self, data: &[u8]) -> Result<()> {
        if !self.has_stdin {
            return Err(Error::invalid("the process has no stdin, or it has ended"));
        }
        self.host.sessions(|sessions| {
            sessions.written.get_mut(self.session).into_iter().for_each(|written| written.extend(data));
        });
        Ok(())
    }

    fn close_stdin(&self) -> Result<()> {
        Ok(())
    }
}
