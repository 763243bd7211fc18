//! The interface `sessions`: sessions in containers, and forwarded ports.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use kf_core::api::{
    ApiError, ErrorCode, PodRef, PortForward as Forward, PortPair, Session, SessionInput,
    SessionOptions as Options, SessionOutput, SessionWriter, Trouble,
};
use kf_core::terminal::Terminal;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::wit::sessions::{Host, HostPortForward, HostProcess, Output, Port, SessionOptions};
use super::{WitError, invalid};
use crate::fault::{Fault, stop};
use crate::join::{JoinError, Joining, join};
use crate::limits::{STREAM_BYTES, STREAM_EVENTS};
use crate::output::{OutputError, SharedOutput};
use crate::poll::{Flag, Pollable, Pump, Readiness, Weight};
use crate::state::{State, output_error};

impl Weight for SessionOutput {
    fn weight(&self) -> usize {
        match self {
            Self::Stdout(data) | Self::Stderr(data) => data.len(),
            Self::Exited(_) => 0,
        }
    }
}

/// A process in a container whose streams the guest reads and writes.
pub struct Process {
    pump: Pump<SessionOutput>,
    /// Absent without stdin, and after its end.
    input: Option<Arc<dyn SessionWriter>>,
    _permit: Arc<()>,
}

/// Forwarded ports of a pod.
pub struct PortForward {
    ports: Vec<PortPair>,
    shared: Arc<Ended>,
    /// Owns the listeners, which are closed when it is aborted.
    task: tokio::task::AbortHandle,
}

/// How a port-forward ended.
#[derive(Default)]
struct Ended {
    flag: Flag,
    why: Mutex<Option<ApiError>>,
}

impl Drop for PortForward {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.flag.set();
    }
}

impl PortForward {
    /// Must be called within a tokio runtime.
    fn new(forward: Forward, output: SharedOutput, permit: Arc<()>) -> Self {
        let Forward { ports, mut troubles } = forward;
        let shared = Arc::new(Ended::default());
        let ended = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Some(trouble) = troubles.next().await {
                match trouble {
                    Trouble::Connection(error) => output.lock().host_warn(&error.message),
                    // The end of the pod is the normal end.
                    Trouble::End(error) if error.code == ErrorCode::NotFound => {}
                    Trouble::End(error) => {
                        *ended.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                }
            }
            drop(permit);
            ended.flag.set();
        });
        Self { ports, shared, task: task.abort_handle() }
    }
}

#[async_trait::async_trait]
impl Readiness for Ended {
    fn is_ready(&self) -> bool {
        self.flag.is_ready()
    }

    async fn ready(&self) {
        self.flag.ready().await;
    }
}

fn failed(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Failed, message)
}

impl From<SessionOptions> for Options {
    fn from(options: SessionOptions) -> Self {
        Self { container: options.container, stdin: options.stdin, tty: options.tty }
    }
}

/// How a session is opened.
enum Opening {
    Exec(Vec<String>),
    Attach,
}

impl State {
    /// Opens a session and joins it to the user's terminal.
    async fn joined(
        &mut self,
        pod: PodRef,
        opening: Opening,
        options: Options,
    ) -> Result<std::result::Result<i32, WitError>> {
        let ready = self.stream_permit().and_then(|permit| {
            let terminal = self.terminal(&options)?;
            Ok((permit, self.cluster()?, terminal))
        });
        let (_permit, cluster, terminal) = match ready {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(self.return_error(error))),
        };
        let announced = options.stdin && terminal.is_interactive();
        let place = place(&pod, options.container.as_deref());
        let redraw = matches!(opening, Opening::Attach);
        let joining = Joining { stdin: options.stdin, tty: options.tty, redraw };
        let tty = options.tty;
        let program = match &opening {
            Opening::Exec(command) if !tty => command.first().cloned(),
            _ => None,
        };
        let session = match opening {
            Opening::Exec(command) => cluster.exec(pod, command, options).await,
            Opening::Attach => cluster.attach(pod, options).await,
        };
        let session = match session {
            Ok(session) => session,
            Err(error) => return Ok(Err(self.return_error(error))),
        };
        let joined =
            if announced { Some(Connected::announce(&self.output, place.clone(), tty)?) } else { None };
        let running = RunningProgram { output: self.output.clone(), program, place, stdin: joining.stdin };
        let ended = join(session, terminal, joining, &self.output).await;
        running.ended();
        drop(joined);
        match ended {
            Ok(code) => {
                self.session_exit = u8::try_from(code).ok();
                Ok(Ok(code))
            }
            Err(JoinError::Session(error)) => Ok(Err(self.return_error(error))),
            Err(JoinError::Output(OutputError::Io(error))) => {
                Ok(Err(self.return_error(output_error(&error))))
            }
            Err(JoinError::Output(OutputError::Stop(fault))) => Err(stop(fault)),
            // A command that kept running could take over the terminal again.
            Err(JoinError::Left) => Err(stop(Fault::SessionLeft)),
        }
    }

    /// The terminal that a session is joined to. This needs its own right, even for output only. A command without
    /// it [starts](Host::start) processes and prints their output itself.
    fn terminal(&self, options: &Options) -> std::result::Result<Arc<dyn Terminal>, ApiError> {
        self.terminal.clone()?;
        let terminal = self.output.lock().terminal();
        let terminal = terminal.ok_or_else(|| failed("this run has no terminal"))?;
        if options.tty && !terminal.is_interactive() {
            return Err(ApiError::invalid("a terminal session needs a terminal: stdin is not one"));
        }
        Ok(terminal)
    }
}

/// `pod web-0 in team-b, container main`
fn place(pod: &PodRef, container: Option<&str>) -> String {
    let namespace = pod.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    let container = container.map(|container| format!(", container {container}")).unwrap_or_default();
    format!("pod {}{namespace}{container}", pod.name)
}

/// Whether the user typed the number of a port: as a word, as a part of one such as `8080:80`, or in a flag, as in
/// `--port=8080` and `-p8080`.
fn is_typed(words: &[String], port: u16) -> bool {
    let port = port.to_string();
    let is_port = |part: &str| {
        let flag_value =
            part.strip_prefix('-').and_then(|flag| flag.strip_prefix(|c: char| c.is_ascii_alphabetic()));
        part == port || flag_value == Some(&port)
    };
    words.iter().flat_map(|word| word.split([':', '=', ','])).any(is_port)
}

/// Tells the user that the terminal is connected to a pod and, when dropped, that it is disconnected.
struct Connected {
    output: SharedOutput,
    place: String,
}

impl Connected {
    fn announce(output: &SharedOutput, place: String, tty: bool) -> Result<Self> {
        // Without a terminal in the container, input is line-buffered and Ctrl-C ends kf.
        let leave = if tty { "type ~. on a new line or press Ctrl-C three times" } else { "press Ctrl-C" };
        let text = format!("your terminal is connected to {place}; to leave, {leave}");
        let noted = output.lock().counted_host_note(&text);
        match noted {
            Ok(()) | Err(OutputError::Io(_)) => Ok(Self { output: output.clone(), place }),
            Err(OutputError::Stop(fault)) => Err(stop(fault)),
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.output.lock().host_note(&format!("disconnected from {}", self.place));
    }
}

/// Warns, when dropped, that the program of an abandoned session keeps running. A program with its own terminal is not
/// included, because it receives Ctrl-C.
struct RunningProgram {
    output: SharedOutput,
    /// None once it has ended.
    program: Option<String>,
    place: String,
    stdin: bool,
}

impl RunningProgram {
    fn ended(mut self) {
        self.program = None;
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        let Some(program) = self.program.take() else { return };
        // A program that reads stdin sees the end of it.
        let keeps = if self.stdin { "may keep running" } else { "keeps running" };
        let text = format!("`{}` {keeps} in {}", program.escape_debug(), self.place);
        self.output.lock().host_note(&text);
    }
}

impl Host for State {
    async fn exec(
        &mut self,
        namespace: Option<String>,
        pod: String,
        command: Vec<String>,
        options: SessionOptions,
    ) -> Result<std::result::Result<i32, WitError>> {
        self.call()?;
        let pod = PodRef { namespace, name: pod };
        self.joined(pod, Opening::Exec(command), options.into()).await
    }

    async fn attach(
        &mut self,
        namespace: Option<String>,
        pod: String,
        options: SessionOptions,
    ) -> Result<std::result::Result<i32, WitError>> {
        self.call()?;
        let pod = PodRef { namespace, name: pod };
        self.joined(pod, Opening::Attach, options.into()).await
    }

    async fn start(
        &mut self,
        namespace: Option<String>,
        pod: String,
        command: Vec<String>,
        options: SessionOptions,
    ) -> Result<std::result::Result<Resource<Process>, WitError>> {
        self.call()?;
        if options.tty {
            return Ok(Err(invalid("a command cannot start a process with a terminal".to_owned())));
        }
        let (permit, cluster) = match self.stream_permit().and_then(|permit| Ok((permit, self.cluster()?))) {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(self.return_error(error))),
        };
        let has_stdin = options.stdin;
        match cluster.exec(PodRef { namespace, name: pod }, command, options.into()).await {
            Ok(Session { output, input }) => {
                let pump = Pump::new(output, Arc::clone(&self.room), STREAM_BYTES, STREAM_EVENTS);
                let input = has_stdin.then_some(input);
                Ok(Ok(self.push(Process { pump, input, _permit: permit })?))
            }
            Err(error) => Ok(Err(self.return_error(error))),
        }
    }

    async fn open_port_forward(
        &mut self,
        namespace: Option<String>,
        pod: String,
        ports: Vec<Port>,
    ) -> Result<std::result::Result<Resource<PortForward>, WitError>> {
        self.call()?;
        let (permit, cluster) = match self.stream_permit().and_then(|permit| Ok((permit, self.cluster()?))) {
            Ok(ready) => ready,
            Err(error) => return Ok(Err(self.return_error(error))),
        };
        let pod = PodRef { namespace, name: pod };
        let place = place(&pod, None);
        let known = |port: u16| self.ports.contains(&port) || is_typed(&self.arguments, port);
        let local = |port: u16| if known(port) { port } else { 0 };
        let ports = ports.into_iter().map(|port| PortPair { local: local(port.local), remote: port.remote });
        match cluster.port_forward(pod, ports.collect()).await {
            Ok(forward) => {
                self.ports.extend(forward.ports.iter().map(|port| port.local));
                for port in &forward.ports {
                    let text = format!("localhost:{} → {place}:{}", port.local, port.remote);
                    let noted = self.output.lock().counted_host_note(&text);
                    if let Err(OutputError::Stop(fault)) = noted {
                        return Err(stop(fault));
                    }
                }
                Ok(Ok(self.push(PortForward::new(forward, self.output.clone(), permit))?))
            }
            Err(error) => Ok(Err(self.return_error(error))),
        }
    }
}

impl HostProcess for State {
    async fn next(&mut self, this: Resource<Process>) -> Result<std::result::Result<Output, WitError>> {
        self.call()?;
        let process = self.table.get_mut(&this)?;
        let part = |pieces: &mut VecDeque<SessionOutput>| {
            let piece = pieces.pop_front()?;
            let mut cut = |mut data: bytes::Bytes, rest: fn(bytes::Bytes) -> SessionOutput| {
                if data.len() > STREAM_BYTES {
                    pieces.push_front(rest(data.split_off(STREAM_BYTES)));
                }
                data.to_vec()
            };
            match piece {
                SessionOutput::Stdout(data) => Some(Output::Stdout(cut(data, SessionOutput::Stdout))),
                SessionOutput::Stderr(data) => Some(Output::Stderr(cut(data, SessionOutput::Stderr))),
                SessionOutput::Exited(code) => Some(Output::Exited(code)),
            }
        };
        let ended = || failed("the process has ended");
        let next = process.pump.take(part).await.and_then(|part| part.flatten().ok_or_else(ended));
        Ok(next.map_err(|error| self.return_error(error)))
    }

    async fn subscribe(&mut self, this: Resource<Process>) -> Result<Resource<Pollable>> {
        self.call()?;
        let readiness = self.table.get(&this)?.pump.readiness();
        self.push(Pollable(readiness))
    }

    async fn write(
        &mut self,
        this: Resource<Process>,
        data: Vec<u8>,
    ) -> Result<std::result::Result<(), WitError>> {
        self.call()?;
        let Some(input) = self.table.get(&this)?.input.clone() else {
            return Ok(Err(invalid("the process has no stdin, or it has ended".to_owned())));
        };
        for chunk in data.chunks(STREAM_BYTES) {
            // Copied, so that a queued chunk does not keep all of the data.
            let chunk = bytes::Bytes::copy_from_slice(chunk);
            if input.send(SessionInput::Data(chunk)).await.is_err() {
                return Ok(Err(self.return_error(failed("the process no longer reads its stdin"))));
            }
        }
        Ok(Ok(()))
    }

    async fn close_stdin(&mut self, this: Resource<Process>) -> Result<std::result::Result<(), WitError>> {
        self.call()?;
        if let Some(input) = self.table.get_mut(&this)?.input.take() {
            // A process that has ended needs no end of its input.
            let _ended = input.send(SessionInput::End).await;
        }
        Ok(Ok(()))
    }

    async fn drop(&mut self, this: Resource<Process>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostPortForward for State {
    async fn ports(&mut self, this: Resource<PortForward>) -> Result<Vec<Port>> {
        self.call()?;
        let ports = &self.table.get(&this)?.ports;
        Ok(ports.iter().map(|port| Port { local: port.local, remote: port.remote }).collect())
    }

    async fn subscribe(&mut self, this: Resource<PortForward>) -> Result<Resource<Pollable>> {
        self.call()?;
        let shared = Arc::clone(&self.table.get(&this)?.shared);
        self.push(Pollable(shared))
    }

    async fn finish(&mut self, this: Resource<PortForward>) -> Result<std::result::Result<(), WitError>> {
        self.call()?;
        let shared = Arc::clone(&self.table.get(&this)?.shared);
        shared.ready().await;
        let why = shared.why.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(match why {
            Some(error) => Err(self.return_error(error)),
            None => Ok(()),
        })
    }

    async fn open_page(
        &mut self,
        this: Resource<PortForward>,
        path: String,
    ) -> Result<std::result::Result<bool, WitError>> {
        self.call()?;
        let page = match self.table.get(&this)?.ports.first() {
            Some(port) => port.page(&path),
            None => Err(failed("no port is forwarded")),
        };
        let url = match page {
            Ok(url) => url,
            Err(error) => return Ok(Err(self.return_error(error))),
        };
        let terminal = self.output.lock().terminal().filter(|_| self.context.interactive);
        let Some(terminal) = terminal else { return Ok(Ok(false)) };
        if let Err(error) = self.page() {
            return Ok(Err(self.return_error(error)));
        }
        // The browser may request the page while the call waits for the program that opens it.
        let opened = tokio::task::spawn_blocking(move || terminal.open_page(&url)).await;
        Ok(Ok(opened.unwrap_or(false)))
    }

    async fn drop(&mut self, this: Resource<PortForward>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
