//! The WebAssembly side of the ABI: the exports of a component, and the host through its imports.

mod convert;

use std::any::Any;

use serde_json::Value;

use self::convert::*;
use crate::abi::*;
use crate::bindings::kf::plugin as abi;
use crate::bindings::{Candidate as AbiCandidate, CompletionRequest as AbiRequest, Guest};
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::run::Command;
use crate::tree;
use crate::ui::{Column, Format, Row};

/// The host, through the ABI.
#[derive(Clone, Debug)]
pub struct Abi;

/// The exports of the component of a command.
pub struct Exports<C>(std::marker::PhantomData<C>);

impl<C: Command + 'static> Guest for Exports<C> {
    fn describe() -> Vec<abi::tree::Command> {
        crate::describe::<C::Arguments>().into_iter().map(command).collect()
    }

    fn run(arguments: Vec<String>) -> std::result::Result<u8, abi::types::Error> {
        std::panic::set_hook(Box::new(|panic| abi::ui::warn(&panic_text(panic))));
        match crate::run::run::<C>(&arguments, &Kf::new(Abi)) {
            Ok(exit) => Ok(exit.code()),
            Err(error) => Err(abi::types::Error {
                code: code_out(error.code),
                message: error.message,
                hint: error.hint,
            }),
        }
    }

    fn complete(request: AbiRequest) -> Vec<AbiCandidate> {
        let request = tree::CompletionRequest { words: request.words, argument: request.argument };
        // The shell cannot show an error, so a completion that fails returns no candidates.
        let candidates = C::complete(&request, &Kf::new(Abi)).unwrap_or_default();
        candidates
            .into_iter()
            .map(|candidate| AbiCandidate { value: candidate.value, help: candidate.help })
            .collect()
    }
}

/// Formats a panic as one line. A component has no stderr, so the message would be lost otherwise.
fn panic_text(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(location) => format!("panicked at {location}: {message}"),
        None => format!("panicked: {message}"),
    }
}

impl Host for Abi {
    fn context(&self) -> Context {
        let context = abi::context::current();
        Context {
            namespace: context.namespace,
            environment: context.environment,
            cluster: context.cluster,
            command: context.command,
            version: context.version,
            dry_run: context.dry_run,
            interactive: context.interactive,
        }
    }

    fn command_line(&self) -> Vec<String> {
        abi::context::command_line()
    }

    fn now(&self) -> u64 {
        abi::clock::now()
    }

    fn after(&self, milliseconds: u64) -> Pollable {
        Pollable(abi::clock::after(milliseconds))
    }

    fn wait(&self, pollables: &[&Pollable]) -> Vec<usize> {
        let inner: Vec<&abi::poll::Pollable> = pollables.iter().map(|pollable| &pollable.0).collect();
        abi::poll::wait(&inner).into_iter().filter_map(|index| usize::try_from(index).ok()).collect()
    }

    fn get(&self, object: &ObjectRef) -> Result<Value> {
        json(abi::kube::get(&object_ref(object)))
    }

    fn list(&self, what: &Selection, limit: Option<u32>, next: Option<&str>) -> Result<Page> {
        page(abi::kube::list(&selection(what), limit, next).map_err(error)?)
    }

    fn get_many(&self, objects: &[ObjectRef]) -> Vec<Result<Value>> {
        let objects: Vec<_> = objects.iter().map(object_ref).collect();
        abi::kube::get_many(&objects).into_iter().map(json).collect()
    }

    fn list_many(&self, what: &[Selection], limit: Option<u32>) -> Vec<Result<Page>> {
        let what: Vec<_> = what.iter().map(selection).collect();
        abi::kube::list_many(&what, limit).into_iter().map(|answer| page(answer.map_err(error)?)).collect()
    }

    fn create(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        json(abi::kube::create(&object_ref(object), &body.to_string(), write_options(options)))
    }

    fn apply(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        json(abi::kube::apply(&object_ref(object), &body.to_string(), write_options(options)))
    }

    fn patch(
        &self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        let kind = match kind {
            PatchKind::Merge => abi::kube::PatchKind::Merge,
            PatchKind::Json => abi::kube::PatchKind::Json,
            PatchKind::Strategic => abi::kube::PatchKind::Strategic,
        };
        json(abi::kube::patch(&object_ref(object), kind, &body.to_string(), write_options(options)))
    }

    fn delete(&self, object: &ObjectRef, options: &DeleteOptions) -> Result<()> {
        let options = abi::kube::DeleteOptions {
            dry_run: options.dry_run,
            propagation: match options.propagation {
                Propagation::Background => abi::kube::Propagation::Background,
                Propagation::Foreground => abi::kube::Propagation::Foreground,
                Propagation::Orphan => abi::kube::Propagation::Orphan,
            },
            grace_period_seconds: options.grace_period_seconds,
            uid: options.uid.clone(),
        };
        abi::kube::delete(&object_ref(object), &options).map_err(error)
    }

    fn open_watch(&self, what: &Selection, resource_version: &str) -> Result<Box<dyn WatchSource>> {
        let watch = abi::kube::open_watch(&selection(what), resource_version).map_err(error)?;
        Ok(Box::new(watch))
    }

    fn can_i(&self, questions: &[Access]) -> Result<Vec<Verdict>> {
        let questions: Vec<_> = questions
            .iter()
            .map(|question| abi::kube::Access {
                verb: question.verb.clone(),
                group: question.group.clone(),
                resource: question.resource.clone(),
                namespace: question.namespace.clone(),
                name: question.name.clone(),
            })
            .collect();
        let verdicts = abi::kube::can_i(&questions).map_err(error)?;
        Ok(verdicts
            .into_iter()
            .map(|verdict| Verdict { allowed: verdict.allowed, reason: verdict.reason })
            .collect())
    }

    fn whoami(&self) -> Result<Identity> {
        let identity = abi::kube::whoami().map_err(error)?;
        Ok(Identity {
            username: identity.username,
            uid: identity.uid,
            groups: identity.groups,
            expires: identity.expires,
        })
    }

    fn discover(&self, group: &str) -> Result<Vec<ServedKind>> {
        let served = abi::kube::discover(group).map_err(error)?;
        Ok(served
            .into_iter()
            .map(|kind| ServedKind {
                group: kind.group,
                version: kind.version,
                kind: kind.kind,
                plural: kind.plural,
                namespaced: kind.namespaced,
                verbs: kind.verbs,
                short_names: kind.short_names,
            })
            .collect())
    }

    fn open_log(
        &self,
        namespace: Option<&str>,
        pod: &str,
        options: &LogOptions,
    ) -> Result<Box<dyn LogSource>> {
        let options = abi::logs::LogOptions {
            container: options.container.clone(),
            follow: options.follow,
            previous: options.previous,
            timestamps: options.timestamps,
            since: options.since,
            tail_lines: options.tail_lines,
        };
        Ok(Box::new(abi::logs::open_log(namespace, pod, &options).map_err(error)?))
    }

    fn forward(&self, log: Box<dyn LogSource>, prefix: Option<&str>) -> Result<Box<dyn ForwardSource>> {
        let log = log
            .into_any()
            .downcast::<abi::logs::LogStream>()
            .map_err(|_| Error::failed("the log was not opened by kf"))?;
        Ok(Box::new(abi::logs::forward(*log, prefix)))
    }

    fn exec(
        &self,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<i32> {
        abi::sessions::exec(namespace, pod, command, &session_options(options)).map_err(error)
    }

    fn attach(&self, namespace: Option<&str>, pod: &str, options: &SessionOptions) -> Result<i32> {
        abi::sessions::attach(namespace, pod, &session_options(options)).map_err(error)
    }

    fn start(
        &self,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<Box<dyn ProcessSource>> {
        let process = abi::sessions::start(namespace, pod, command, &session_options(options));
        Ok(Box::new(process.map_err(error)?))
    }

    fn open_port_forward(
        &self,
        namespace: Option<&str>,
        pod: &str,
        ports: &[Port],
    ) -> Result<Box<dyn PortForwardSource>> {
        let ports: Vec<_> =
            ports.iter().map(|port| abi::sessions::Port { local: port.local, remote: port.remote }).collect();
        Ok(Box::new(abi::sessions::open_port_forward(namespace, pod, &ports).map_err(error)?))
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse> {
        let method = match request.method {
            Method::Get => abi::pod_http::Method::Get,
            Method::Head => abi::pod_http::Method::Head,
            Method::Post => abi::pod_http::Method::Post,
            Method::Put => abi::pod_http::Method::Put,
            Method::Patch => abi::pod_http::Method::Patch,
            Method::Delete => abi::pod_http::Method::Delete,
        };
        let bearer = request.bearer.as_ref().map(|bearer| abi::pod_http::Bearer {
            service_account: bearer.service_account.clone(),
            audience: bearer.audience.clone(),
        });
        let response = abi::pod_http::send(&abi::pod_http::Request {
            namespace: request.namespace.clone(),
            pod: request.pod.clone(),
            port: request.port,
            method,
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            bearer,
        })
        .map_err(error)?;
        Ok(HttpResponse { status: response.status, headers: response.headers, body: response.body })
    }

    fn selected(&self) -> Result<Selected> {
        let selection = abi::selection::current().map_err(error)?;
        Ok(Selected { namespace: selection.namespace, previous: selection.previous })
    }

    fn select(&self, namespace: Option<&str>) -> Result<()> {
        abi::selection::select(namespace).map_err(error)
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        abi::files::read(path).map_err(error)
    }

    fn walk(&self, directory: &str, skip: &[String]) -> Result<FileTree> {
        let tree = abi::files::walk(directory, skip).map_err(error)?;
        let entry = |entry: abi::files::Entry| FileEntry {
            path: entry.path,
            size: entry.size,
            executable: entry.executable,
        };
        Ok(FileTree { files: tree.files.into_iter().map(entry).collect(), left_out: tree.left_out })
    }

    fn read_below(&self, directory: &str, path: &str) -> Result<Vec<u8>> {
        abi::files::read_below(directory, path).map_err(error)
    }

    fn output_format(&self) -> Format {
        match abi::ui::output_format() {
            abi::ui::Format::Table => Format::Table,
            abi::ui::Format::Wide => Format::Wide,
            abi::ui::Format::Json => Format::Json,
            abi::ui::Format::Yaml => Format::Yaml,
            abi::ui::Format::Name => Format::Name,
        }
    }

    fn print(&self, data: &[u8]) -> Result<()> {
        abi::ui::print(data).map_err(error)
    }

    fn note(&self, text: &str) {
        abi::ui::note(text);
    }

    fn warn(&self, text: &str) {
        abi::ui::warn(text);
    }

    fn table(&self, columns: &[Column], rows: &[Row]) -> Result<()> {
        abi::ui::table(&self::columns(columns), &self::rows(rows)).map_err(error)
    }

    fn record(&self, fields: &[Column], value: &Row) -> Result<()> {
        abi::ui::record(&columns(fields), &row(value)).map_err(error)
    }

    fn live_table(&self, columns: &[Column]) -> Box<dyn LiveSink> {
        Box::new(abi::ui::LiveTable::new(&self::columns(columns)))
    }

    fn progress(&self, label: &str, total: Option<u64>) -> Box<dyn ProgressSink> {
        Box::new(abi::ui::Progress::new(label, total))
    }

    fn confirm(&self, question: &str, default: bool) -> bool {
        abi::ui::confirm(question, default)
    }

    fn ask(&self, question: &str) -> Option<String> {
        abi::ui::ask(question)
    }
}

impl WatchSource for abi::kube::Watch {
    fn next(&self) -> Result<Vec<Event>> {
        let events = self.next().map_err(error)?;
        events
            .into_iter()
            .map(|event| {
                let kind = match event.kind {
                    abi::kube::EventKind::Added => EventKind::Added,
                    abi::kube::EventKind::Modified => EventKind::Modified,
                    abi::kube::EventKind::Deleted => EventKind::Deleted,
                };
                Ok(Event { kind, object: parse(&event.object)? })
            })
            .collect()
    }

    fn subscribe(&self) -> Pollable {
        Pollable(self.subscribe())
    }
}

impl LogSource for abi::logs::LogStream {
    fn next(&self) -> Result<Vec<u8>> {
        self.next().map_err(error)
    }

    fn subscribe(&self) -> Pollable {
        Pollable(self.subscribe())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl ForwardSource for abi::logs::Forwarding {
    fn subscribe(&self) -> Pollable {
        Pollable(self.subscribe())
    }

    fn finish(&self) -> Result<u64> {
        self.finish().map_err(error)
    }
}

impl ProcessSource for abi::sessions::Process {
    fn next(&self) -> Result<Output> {
        Ok(match self.next().map_err(error)? {
            abi::sessions::Output::Stdout(bytes) => Output::Stdout(bytes),
            abi::sessions::Output::Stderr(bytes) => Output::Stderr(bytes),
            abi::sessions::Output::Exited(code) => Output::Exited(code),
        })
    }

    fn subscribe(&self) -> Pollable {
        Pollable(self.subscribe())
    }

    fn write(&self, data: &[u8]) -> Result<()> {
        self.write(data).map_err(error)
    }

    fn close_stdin(&self) -> Result<()> {
        self.close_stdin().map_err(error)
    }
}

impl PortForwardSource for abi::sessions::PortForward {
    fn ports(&self) -> Vec<Port> {
        let ports = self.ports().into_iter();
        ports.map(|port| Port { local: port.local, remote: port.remote }).collect()
    }

    fn subscribe(&self) -> Pollable {
        Pollable(self.subscribe())
    }

    fn finish(&self) -> Result<()> {
        self.finish().map_err(error)
    }

    fn open_page(&self, path: &str) -> Result<bool> {
        self.open_page(path).map_err(error)
    }
}

impl LiveSink for abi::ui::LiveTable {
    fn update(&self, rows: &[Row]) -> Result<()> {
        self.update(&self::rows(rows)).map_err(error)
    }
}

impl ProgressSink for abi::ui::Progress {
    fn set(&self, label: &str, done: u64) {
        self.set(label, done);
    }
}
