use std::cell::RefCell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

#[cfg(target_arch = "wasm32")]
use crate::abi::Host;
use crate::abi::{
    Access, Context, FileTree, HostHandle, Identity, Kind, Page, Pollable, Port, Selected, Selection,
    ServedKind, Verdict,
};
use crate::all_namespaces::Lists;
use crate::clock::Timestamp;
use crate::command_line::CommandLine;
use crate::error::{Error, Result};
use crate::logs::LogRequest;
use crate::objects::{Api, Document, Listed, Object};
use crate::sessions::{PodHttp, PortForward, Session};
use crate::ui::{Column, Format, LiveRows, LiveTable, Progress, Row, TableRow};

/// Access to the cluster, the terminal, the clock, and the files named on the command line.
///
/// kf checks every call against the manifest of the command, the ceiling of its registry and the consent of
/// the user; the cluster's RBAC applies after that. A call that either denies is
/// [`ErrorCode::Forbidden`](crate::ErrorCode::Forbidden); a kind that the cluster does not serve is
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound). A run is limited to 10 000 calls, 256 MiB of responses
/// and 64 open watches, logs, sessions and ports; beyond that calls fail with
/// [`ErrorCode::Budget`](crate::ErrorCode::Budget).
#[derive(Clone)]
pub struct Kf {
    host: HostHandle,
    /// The clap command, which tells which flags take a value.
    tree: Option<fn() -> clap::Command>,
    /// The kinds whose skipping was reported.
    mentioned: Rc<RefCell<BTreeSet<String>>>,
    /// One of several namespaces, and the lists over all of them.
    scope: Option<(String, Rc<Lists>)>,
}

impl Kf {
    /// Creates a `Kf` for a host. Tests use [`crate::testing::FakeHost::kf`].
    pub fn new(host: HostHandle) -> Self {
        Self { host, tree: None, mentioned: Rc::default(), scope: None }
    }

    /// Returns a `Kf` for a command with these arguments.
    pub(crate) fn with_tree(&self, tree: fn() -> clap::Command) -> Self {
        Self { tree: Some(tree), ..self.clone() }
    }

    /// Returns a `Kf` for one of several namespaces.
    pub(crate) fn scoped(&self, namespace: String, lists: Rc<Lists>) -> Self {
        Self { scope: Some((namespace, lists)), ..self.clone() }
    }

    fn scope_namespace(&self) -> Option<&str> {
        self.scope.as_ref().map(|(namespace, _)| namespace.as_str())
    }

    /// Returns the context of the run.
    pub fn context(&self) -> Context {
        let mut context = self.host.context();
        if let Some(namespace) = self.scope_namespace() {
            context.namespace = namespace.to_owned();
        }
        context
    }

    /// Returns the namespace of the run.
    pub fn namespace(&self) -> String {
        self.context().namespace
    }

    /// Returns the line that the user typed, for a hint that repeats it with one change.
    pub fn command_line(&self) -> CommandLine {
        let tree = self.tree.map_or_else(|| clap::Command::new("kf"), |tree| tree());
        CommandLine::new(self.host.command_line(), tree)
    }

    /// Adds the `-n`, `--context` and `--kubeconfig` that the user typed to another command, such as
    /// `kf status mnist`. Hints that begin with `kf` get them automatically.
    pub fn same_target(&self, command: &str) -> String {
        self.command_line().retarget(command)
    }

    // ---- the cluster ----

    /// Returns the API of a kind, such as `"Pod"` or `"trainer.kubeflow.org/TrainJob"`, with objects as documents.
    pub fn api(&self, kind: impl Into<Kind>) -> Api<Object> {
        self.scoped_api(Api::new(self.host.clone(), kind.into()))
    }

    /// Returns the API of a built-in kind, with objects as structs.
    #[cfg(feature = "typed")]
    pub fn typed<T: crate::objects::Typed>(&self) -> Api<T> {
        self.scoped_api(Api::new(self.host.clone(), T::resource_kind()))
    }

    /// Gets an object in the namespace of the run, as a struct.
    #[cfg(feature = "typed")]
    pub fn get<T: crate::objects::Typed>(&self, name: &str) -> Result<T> {
        self.typed::<T>().get(name)
    }

    fn scoped_api<T: Document>(&self, api: Api<T>) -> Api<T> {
        match &self.scope {
            Some((namespace, lists)) => api.within(namespace, lists),
            None => api,
        }
    }

    /// Returns the kinds that the cluster serves of a group, preferred version first.
    pub fn discover(&self, group: &str) -> Result<Vec<ServedKind>> {
        self.host.discover(group)
    }

    /// Returns whether the cluster serves a kind.
    pub fn serves(&self, kind: &Kind) -> Result<bool> {
        Ok(self.discover(&kind.group)?.iter().any(|served| served.kind == kind.kind))
    }

    /// Asks the authorizer up to 100 questions about the user; answers are in the same order.
    pub fn can_i(&self, questions: &[Access]) -> Result<Vec<Verdict>> {
        let verdicts = self.host.can_i(questions)?;
        if verdicts.len() == questions.len() {
            return Ok(verdicts);
        }
        Err(Error::failed(format!(
            "the host returned {} answers to {} questions",
            verdicts.len(),
            questions.len()
        )))
    }

    /// Returns the user as the API server sees them.
    pub fn whoami(&self) -> Result<Identity> {
        self.host.whoami()
    }

    /// Returns a request for the log of a container of a pod.
    pub fn log(&self, pod: &str) -> LogRequest {
        let request = LogRequest::new(self.host.clone(), pod);
        self.scope_namespace().into_iter().fold(request, LogRequest::in_namespace)
    }

    /// Returns a request for a session in a container of a pod.
    pub fn session(&self, pod: &str) -> Session {
        let session = Session::new(self.host.clone(), pod);
        self.scope_namespace().into_iter().fold(session, Session::in_namespace)
    }

    /// Forwards ports on the loopback address to a pod in the namespace of the run until dropped. kf prints each.
    pub fn forward_ports(&self, pod: &str, ports: &[Port]) -> Result<PortForward> {
        PortForward::open(&self.host, self.scope_namespace(), pod, ports)
    }

    /// Returns a client for HTTP requests to a port of a pod.
    pub fn pod_http(&self, pod: &str, port: u16) -> PodHttp {
        let http = PodHttp::new(self.host.clone(), pod, port);
        self.scope_namespace().into_iter().fold(http, PodHttp::in_namespace)
    }

    /// Lists several kinds concurrently; results are in the same order.
    pub fn list_many(&self, kinds: &[Kind]) -> Vec<Result<Listed>> {
        let what: Vec<_> = kinds.iter().map(|kind| self.api(kind.clone())).collect();
        self.list_selections(&what)
    }

    /// Lists several selections concurrently; results are in the same order.
    pub fn list_selections(&self, apis: &[Api]) -> Vec<Result<Listed>> {
        if self.scope.is_some() {
            let whole = |items| Listed { items, resource_version: String::new() };
            return apis.iter().map(|api| api.list().map(whole)).collect();
        }
        let what: Vec<_> = apis.iter().map(Api::selection).collect();
        let pages = self.host.list_many(&what, Some(crate::objects::PAGE_SIZE));
        let page = |page: Result<Page>, what: &Selection| match page {
            // The lists together exceeded the response budget.
            Err(error) if error.code == crate::ErrorCode::Budget => {
                self.host.list(what, Some(crate::objects::PAGE_SIZE), None)
            }
            page => page,
        };
        pages
            .into_iter()
            .zip(what)
            .zip(apis)
            .map(|((first, what), api)| {
                match page(first, &what).and_then(|page| self.remaining_pages(what, page)) {
                    // The continue token expired: list again from the first page.
                    Err(error) if error.is(crate::ErrorCode::Expired) => api.listed(),
                    listed => listed,
                }
            })
            .collect()
    }

    /// Gets the objects of one name of several kinds concurrently; results are in the same order.
    pub fn get_many(&self, kinds: &[Kind], name: &str) -> Vec<Result<Object>> {
        let objects: Vec<_> = kinds.iter().map(|kind| self.api(kind.clone()).reference(name)).collect();
        let answers = self.host.get_many(&objects);
        answers.into_iter().map(|answer| Object::from_value(answer?)).collect()
    }

    /// Returns the items of a first page and of all pages after it.
    fn remaining_pages(&self, what: Selection, mut page: Page) -> Result<Listed> {
        let mut items = page.items;
        while let Some(token) = page.next.take() {
            page = self.host.list(&what, Some(crate::objects::PAGE_SIZE), Some(&token))?;
            items.append(&mut page.items);
        }
        let items = items.into_iter().map(Object::from_value).collect::<Result<_>>()?;
        Ok(Listed { items, resource_version: page.resource_version })
    }

    // ---- the namespace of later runs ----

    /// Returns the namespace that later runs use by default.
    pub fn selected(&self) -> Result<Selected> {
        self.host.selected()
    }

    /// Selects the default namespace of later runs; `None` restores the kubeconfig's.
    pub fn select(&self, namespace: Option<&str>) -> Result<()> {
        self.host.select(namespace)
    }

    // ---- files ----

    /// Reads a file named on the command line, up to 16 MiB; `-` is stdin. Any other file is
    /// [`ErrorCode::Forbidden`](crate::ErrorCode::Forbidden).
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        self.host.read_file(path)
    }

    /// Reads a file named on the command line as UTF-8 text.
    pub fn read_text(&self, path: &str) -> Result<String> {
        String::from_utf8(self.read_file(path)?)
            .map_err(|_| Error::invalid(format!("{path} is not valid UTF-8")))
    }

    /// Lists the files below a directory named on the command line, up to 10 000. Files and directories whose
    /// name matches one of `skip` are skipped; a pattern can begin or end with `*`.
    pub fn walk(&self, directory: &str, skip: &[&str]) -> Result<FileTree> {
        let skip: Vec<_> = skip.iter().map(|name| (*name).to_owned()).collect();
        self.host.walk(directory, &skip)
    }

    /// Reads one of the files below a directory, up to 16 MiB.
    pub fn read_below(&self, directory: &str, path: &str) -> Result<Vec<u8>> {
        self.host.read_below(directory, path)
    }

    // ---- time ----

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.host.now())
    }

    /// Returns a timer that is ready after a duration.
    pub fn after(&self, duration: Duration) -> Pollable {
        self.host.after(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// Blocks until one of them is ready and returns the positions of all that are.
    pub fn wait(&self, pollables: &[&Pollable]) -> Vec<usize> {
        self.host.wait(pollables)
    }

    /// Blocks for a duration.
    pub fn sleep(&self, duration: Duration) {
        self.wait(&[&self.after(duration)]);
    }

    // ---- output and questions ----

    /// Returns the output format that `-o` selects.
    pub fn output_format(&self) -> Format {
        self.host.output_format()
    }

    /// Prints data to stdout unchanged.
    pub fn print(&self, data: impl AsRef<[u8]>) -> Result<()> {
        self.host.print(data.as_ref())
    }

    /// Prints a line to stdout.
    pub fn print_line(&self, line: impl Into<String>) -> Result<()> {
        let mut line = line.into();
        line.push('\n');
        self.print(line)
    }

    /// Prints a note to stderr, prefixed by kf with the name of the command.
    pub fn note(&self, text: impl AsRef<str>) {
        self.host.note(text.as_ref());
    }

    /// Prints a warning to stderr.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.host.warn(text.as_ref());
    }

    /// Returns whether something skipped is mentioned for the first time in this run.
    pub(crate) fn is_first_mention(&self, what: &str) -> bool {
        self.mentioned.borrow_mut().insert(what.to_owned())
    }

    /// Prints a table, or the objects of its rows as a list, depending on `-o`. `-o wide` is refused unless this
    /// table or an earlier one has wide columns.
    pub fn table<T: TableRow>(&self, rows: &[T]) -> Result<()> {
        let rows = rows.iter().map(TableRow::row).collect::<Result<Vec<_>>>()?;
        self.host.table(&T::columns(), &rows)
    }

    /// Prints a table whose columns are only known at run time.
    pub fn rows(&self, columns: &[Column], rows: &[Row]) -> Result<()> {
        self.host.table(columns, rows)
    }

    /// Starts a live table whose columns are only known at run time.
    pub fn live_rows(&self, columns: &[Column]) -> LiveRows {
        LiveRows { sink: self.host.live_table(columns) }
    }

    /// Prints one record: a line for each field, or its object, depending on `-o`.
    pub fn record<T: TableRow>(&self, value: &T) -> Result<()> {
        self.host.record(&T::columns(), &value.row()?)
    }

    /// Starts a table that updates in place on a terminal. In a pipe, each changed row is printed once.
    pub fn live_table<T: TableRow>(&self) -> LiveTable<T> {
        LiveTable { sink: self.host.live_table(&T::columns()), rows: PhantomData }
    }

    /// Shows a spinner.
    pub fn progress(&self, label: &str) -> Progress {
        Progress { sink: self.host.progress(label, None) }
    }

    /// Shows a progress bar.
    pub fn progress_of(&self, label: &str, total: u64) -> Progress {
        Progress { sink: self.host.progress(label, Some(total)) }
    }

    /// Asks a yes-or-no question. Without a terminal the answer is no.
    pub fn confirm(&self, question: &str, default: bool) -> bool {
        self.host.confirm(question, default)
    }

    /// Asks for a line of input. `None` without a terminal.
    pub fn ask(&self, question: &str) -> Option<String> {
        self.host.ask(question)
    }
}
