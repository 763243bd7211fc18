//! The host interface of the fake host.

use kf_core::names::{ContainerName, ResourceVersion};
use kf_core::request::Review;
use serde_json::Value;

use super::host::FakeHost;
use super::sessions::FakeProcess;
use super::streams::{FakeForward, FakeLive, FakeLogStream, FakeProgress, FakeWatch, when};
use crate::abi::*;
use crate::error::{Error, Result};
use crate::ui::{Column, Format, Row};

impl Host for FakeHost {
    fn context(&self) -> Context {
        self.state.context.borrow().clone()
    }

    fn command_line(&self) -> Vec<String> {
        self.typed_words()
    }

    fn now(&self) -> u64 {
        self.state.now.get()
    }

    fn after(&self, milliseconds: u64) -> Pollable {
        let host = self.clone();
        let time = self.state.now.get().saturating_add(milliseconds);
        self.state.timers.borrow_mut().push(time);
        when(move || host.state.now.get() >= time)
    }

    fn wait(&self, pollables: &[&Pollable]) -> Vec<usize> {
        let ready = || -> Vec<usize> {
            pollables.iter().enumerate().filter(|(_, one)| one.ready()).map(|(index, _)| index).collect()
        };
        loop {
            let found = ready();
            // Returns empty if nothing can become ready, so that the test fails instead of hanging.
            if !found.is_empty() || !self.advance() {
                return found;
            }
        }
    }

    fn get(&self, object: &ObjectRef) -> Result<Value> {
        self.cluster(|cluster| cluster.get(object))
    }

    fn list(&self, what: &Selection, limit: Option<u32>, next: Option<&str>) -> Result<Page> {
        self.cluster(|cluster| cluster.list(what, limit, next))
    }

    fn get_many(&self, objects: &[ObjectRef]) -> Vec<Result<Value>> {
        objects.iter().map(|object| self.get(object)).collect()
    }

    fn list_many(&self, what: &[Selection], limit: Option<u32>) -> Vec<Result<Page>> {
        what.iter().map(|what| self.list(what, limit, None)).collect()
    }

    fn create(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        let options = self.with_dry_run(options);
        self.cluster(|cluster| cluster.create(object, body, options))
    }

    fn apply(&self, object: &ObjectRef, body: &Value, options: WriteOptions) -> Result<Value> {
        let options = self.with_dry_run(options);
        self.cluster(|cluster| cluster.apply(object, body, options))
    }

    fn patch(
        &self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        options: WriteOptions,
    ) -> Result<Value> {
        let options = self.with_dry_run(options);
        self.cluster(|cluster| cluster.patch(object, kind, body, options))
    }

    fn delete(&self, object: &ObjectRef, options: &DeleteOptions) -> Result<()> {
        let mut options = options.clone();
        options.dry_run |= self.context().dry_run;
        self.cluster(|cluster| cluster.delete(object, &options))
    }

    fn open_watch(&self, what: &Selection, resource_version: &str) -> Result<Box<dyn WatchSource>> {
        let version = ResourceVersion::parse(resource_version)?;
        let listing = self.cluster(|cluster| cluster.watched(what))?;
        let from = version.as_str().parse();
        let from = from.map_err(|_| Error::invalid(format!("invalid resource version {version}")))?;
        Ok(Box::new(FakeWatch::new(self.clone(), listing, from)))
    }

    fn can_i(&self, questions: &[Access]) -> Result<Vec<Verdict>> {
        self.cluster(|cluster| cluster.can_i(questions))
    }

    fn whoami(&self) -> Result<Identity> {
        self.cluster(|cluster| cluster.may_ask(Review::Identity))?;
        self.cluster(|cluster| match &cluster.hidden_identity {
            Some(error) => Err(error.clone()),
            None => Ok(cluster.identity.clone()),
        })
    }

    fn discover(&self, group: &str) -> Result<Vec<ServedKind>> {
        self.cluster(|cluster| cluster.discover(group))
    }

    fn open_log(
        &self,
        namespace: Option<&str>,
        pod: &str,
        options: &LogOptions,
    ) -> Result<Box<dyn LogSource>> {
        if let Some(container) = &options.container {
            ContainerName::parse(container.as_str())?;
        }
        self.cluster(|cluster| cluster.permit(&cluster.stream(namespace, pod, "log")?))?;
        Ok(Box::new(FakeLogStream::open(self.clone(), namespace, pod, options)?))
    }

    fn forward(&self, log: Box<dyn LogSource>, prefix: Option<&str>) -> Result<Box<dyn ForwardSource>> {
        let log = log
            .into_any()
            .downcast::<FakeLogStream>()
            .map_err(|_| Error::failed("the log was not opened by this host"))?;
        Ok(Box::new(FakeForward::new(self.clone(), *log, prefix)))
    }

    fn exec(
        &self,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<i32> {
        self.may_join()?;
        let output = self.exec_session(namespace, pod, command, options)?;
        self.print(&output.stdout)?;
        Ok(output.exit_code)
    }

    fn attach(&self, namespace: Option<&str>, pod: &str, options: &SessionOptions) -> Result<i32> {
        self.may_join()?;
        let output = self.session("attach", namespace, pod, &[], options)?;
        self.print(&output.stdout)?;
        Ok(output.exit_code)
    }

    fn start(
        &self,
        namespace: Option<&str>,
        pod: &str,
        command: &[String],
        options: &SessionOptions,
    ) -> Result<Box<dyn ProcessSource>> {
        if options.tty {
            return Err(Error::invalid("a process that the command talks to cannot have a terminal"));
        }
        let output = self.exec_session(namespace, pod, command, options)?;
        Ok(Box::new(FakeProcess::new(self.clone(), output, options.stdin)))
    }

    fn open_port_forward(
        &self,
        namespace: Option<&str>,
        pod: &str,
        ports: &[Port],
    ) -> Result<Box<dyn PortForwardSource>> {
        self.forward_ports(namespace, pod, ports)
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse> {
        self.http(request)
    }

    fn selected(&self) -> Result<Selected> {
        self.may_select()?;
        Ok(self.selected_namespace())
    }

    fn select(&self, namespace: Option<&str>) -> Result<()> {
        self.may_select()?;
        if !self.context().dry_run {
            let mut selected = self.state.selected.borrow_mut();
            selected.previous = std::mem::replace(&mut selected.namespace, namespace.map(str::to_owned));
        }
        Ok(())
    }

    fn walk(&self, directory: &str, skip: &[String]) -> Result<FileTree> {
        let below = format!("{}/", directory.trim_end_matches('/'));
        let files = self.state.files.borrow();
        let mut tree = FileTree::default();
        let all = files.iter().filter_map(|(path, content)| Some((path.strip_prefix(&below)?, content)));
        for (path, content) in all {
            match skipped(path, skip) {
                Some(part) if tree.left_out.contains(&part) => {}
                Some(part) => tree.left_out.push(part),
                None => tree.files.push(FileEntry {
                    path: path.into(),
                    size: content.len() as u64,
                    executable: path.ends_with(".sh"),
                }),
            }
        }
        if tree == FileTree::default() {
            return Err(Error::forbidden(format!("{directory} was not named on the command line")));
        }
        Ok(tree)
    }

    fn read_below(&self, directory: &str, path: &str) -> Result<Vec<u8>> {
        self.read_file(&format!("{}/{path}", directory.trim_end_matches('/')))
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let files = self.state.files.borrow();
        files
            .get(path)
            .cloned()
            .ok_or_else(|| Error::forbidden(format!("{path} was not named on the command line")))
    }

    fn output_format(&self) -> Format {
        self.state.format.get()
    }

    fn print(&self, data: &[u8]) -> Result<()> {
        self.state.terminal.borrow_mut().stdout.push_str(&String::from_utf8_lossy(data));
        Ok(())
    }

    fn note(&self, text: &str) {
        self.state.terminal.borrow_mut().notes.push(text.into());
    }

    fn warn(&self, text: &str) {
        self.state.terminal.borrow_mut().notes.push(format!("warning: {text}"));
    }

    fn table(&self, columns: &[Column], rows: &[Row]) -> Result<()> {
        self.state.terminal.borrow_mut().table(self.state.format.get(), columns, rows)
    }

    fn record(&self, fields: &[Column], value: &Row) -> Result<()> {
        self.state.terminal.borrow_mut().record(self.state.format.get(), fields, value);
        Ok(())
    }

    fn live_table(&self, columns: &[Column]) -> Box<dyn LiveSink> {
        Box::new(FakeLive { host: self.clone(), columns: columns.to_vec() })
    }

    fn progress(&self, label: &str, _total: Option<u64>) -> Box<dyn ProgressSink> {
        self.state.terminal.borrow_mut().say(label);
        Box::new(FakeProgress { host: self.clone() })
    }

    fn confirm(&self, question: &str, _default: bool) -> bool {
        self.note(question);
        self.state.answers.borrow_mut().pop().unwrap_or(false)
    }

    fn ask(&self, _question: &str) -> Option<String> {
        self.state.lines.borrow_mut().pop()
    }
}

impl FakeHost {
    /// kf links selection only if the manifest requests it.
    fn may_select(&self) -> Result<()> {
        match self.cluster(|cluster| cluster.rights.as_ref().is_some_and(|rights| !rights.selection)) {
            true => Err(Error::forbidden("the manifest does not set `[permissions] selection = true`")),
            false => Ok(()),
        }
    }

    /// Sessions on the user's terminal need their own permission.
    fn may_join(&self) -> Result<()> {
        match self.cluster(|cluster| cluster.rights.as_ref().is_some_and(|rights| !rights.terminal)) {
            true => Err(Error::forbidden("the manifest does not set `[permissions] terminal = true`")),
            false => Ok(()),
        }
    }

    fn with_dry_run(&self, mut options: WriteOptions) -> WriteOptions {
        options.dry_run |= self.context().dry_run;
        options
    }
}

/// Returns the part of a path that is skipped, with everything below it.
fn skipped(path: &str, skip: &[String]) -> Option<String> {
    let fits = |name: &str, pattern: &String| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    };
    let mut above = String::new();
    for name in path.split('/') {
        above.push_str(name);
        if skip.iter().any(|pattern| fits(name, pattern)) {
            return Some(above);
        }
        above.push('/');
    }
    None
}
