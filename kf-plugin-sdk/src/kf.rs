use std::cell::RefCell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use crate::all_namespaces::Lists;
#[cfg(target_arch = "wasm32")]
use crate::border::Host;
use crate::border::{
    Access, Context, FileTree, HostHandle, Identity, Kind, Page, Pollable, Port, Selected, Selection,
    ServedKind, Verdict,
};
use crate::clock::Timestamp;
use crate::command_line::CommandLine;
use crate::error::{Error, Result};
use crate::logs::LogRequest;
use crate::objects::{Api, Document, Listed, Object};
use crate::sessions::{PodHttp, PortForward, Session};
use crate::ui::{Column, Format, LiveRows, LiveTable, Progress, Row, TableRow};

/// kf, as a command sees it: the cluster, the person at the terminal, the clock, and the files
/// named on the command line.
///
/// Every call is checked by kf against what the command's manifest asks for, what its registry
/// allows and what the user accepted; then the cluster's RBAC decides. A no of either is
/// [`ErrorCode::Forbidden`](crate::ErrorCode::Forbidden), and what the cluster does not serve is
/// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound). A run has 10 000 calls, 256 MiB of answers and
/// 64 open watches, logs, sessions and ports; more is [`ErrorCode::Budget`](crate::ErrorCode::Budget).
#[derive(Clone)]
pub struct Kf {
    host: HostHandle,
    /// The command's arguments, to tell flags with a value from those without.
    tree: Option<fn() -> clap::Command>,
    /// What was said to be left out.
    mentioned: Rc<RefCell<BTreeSet<String>>>,
    /// The one namespace of several that this is for, and their lists.
    scope: Option<(String, Rc<Lists>)>,
}

impl Kf {
    /// On a host; [`crate::testing::FakeHost::kf`] is how tests get one.
    pub fn new(host: HostHandle) -> Self {
        Self { host, tree: None, mentioned: Rc::default(), scope: None }
    }

    /// For a command with these arguments.
    pub(crate) fn with_tree(&self, tree: fn() -> clap::Command) -> Self {
        Self { tree: Some(tree), ..self.clone() }
    }

    /// For one namespace of several.
    pub(crate) fn scoped(&self, namespace: String, lists: Rc<Lists>) -> Self {
        Self { scope: Some((namespace, lists)), ..self.clone() }
    }

    fn scope_namespace(&self) -> Option<&str> {
        self.scope.as_ref().map(|(namespace, _)| namespace.as_str())
    }

    /// Where and how the command runs.
    pub fn context(&self) -> Context {
        let mut context = self.host.context();
        if let Some(namespace) = self.scope_namespace() {
            context.namespace = namespace.to_owned();
        }
        context
    }

    /// The namespace of the run.
    pub fn namespace(&self) -> String {
        self.context().namespace
    }

    /// The line the user typed, for a hint that repeats it with one thing changed.
    pub fn command_line(&self) -> CommandLine {
        let tree = self.tree.map_or_else(|| clap::Command::new("kf"), |tree| tree());
        CommandLine::new(self.host.command_line(), tree)
    }

    /// Another command, such as `kf status mnist`, for the cluster and namespace of this run: with the
    /// `-n`, `--context` and `--kubeconfig` that the user typed. A hint that begins with `kf` gets them
    /// without this.
    pub fn same_target(&self, command: &str) -> String {
        self.command_line().retarget(command)
    }

    // ---- the cluster ----

    /// The objects of a kind, such as `"Pod"` or `"trainer.kubeflow.org/TrainJob"`, as documents.
    pub fn api(&self, kind: impl Into<Kind>) -> Api<Object> {
        self.scoped_api(Api::new(self.host.clone(), kind.into()))
    }

    /// The objects of a built-in kind, as structs.
    #[cfg(feature = "typed")]
    pub fn typed<T: crate::objects::Typed>(&self) -> Api<T> {
        self.scoped_api(Api::new(self.host.clone(), T::resource_kind()))
    }

    /// The object of this name in the namespace of the run, as a struct.
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

    /// What the cluster serves of a group, preferred version first; empty if nothing.
    pub fn discover(&self, group: &str) -> Result<Vec<ServedKind>> {
        self.host.discover(group)
    }

    /// Whether the cluster serves a kind.
    pub fn serves(&self, kind: &Kind) -> Result<bool> {
        Ok(self.discover(&kind.group)?.iter().any(|served| served.kind == kind.kind))
    }

    /// Whether the user may; answers in the order of the questions, 100 at most.
    pub fn can_i(&self, questions: &[Access]) -> Result<Vec<Verdict>> {
        let verdicts = self.host.can_i(questions)?;
        if verdicts.len() == questions.len() {
            return Ok(verdicts);
        }
        Err(Error::failed(format!("{} answers came to {} questions", verdicts.len(), questions.len())))
    }

    /// Who the API server thinks the user is.
    pub fn whoami(&self) -> Result<Identity> {
        self.host.whoami()
    }

    /// The log of a pod's container.
    pub fn log(&self, pod: &str) -> LogRequest {
        let request = LogRequest::new(self.host.clone(), pod);
        self.scope_namespace().into_iter().fold(request, LogRequest::in_namespace)
    }

    /// A session in a container of a pod.
    pub fn session(&self, pod: &str) -> Session {
        let session = Session::new(self.host.clone(), pod);
        self.scope_namespace().into_iter().fold(session, Session::in_namespace)
    }

    /// Leads ports of the loopback address to a pod of the run's namespace until it is dropped. kf tells the
    /// user of each.
    pub fn forward_ports(&self, pod: &str, ports: &[Port]) -> Result<PortForward> {
        PortForward::open(&self.host, self.scope_namespace(), pod, ports)
    }

    /// HTTP to a port of a pod.
    pub fn pod_http(&self, pod: &str, port: u16) -> PodHttp {
        let http = PodHttp::new(self.host.clone(), pod, port);
        self.scope_namespace().into_iter().fold(http, PodHttp::in_namespace)
    }

    /// The objects of several kinds at once, in their order.
    pub fn list_many(&self, kinds: &[Kind]) -> Vec<Result<Listed>> {
        let what: Vec<_> = kinds.iter().map(|kind| self.api(kind.clone())).collect();
        self.list_selections(&what)
    }

    /// The objects of several selections at once, in their order.
    pub fn list_selections(&self, apis: &[Api]) -> Vec<Result<Listed>> {
        if self.scope.is_some() {
            let whole = |items| Listed { items, resource_version: String::new() };
            return apis.iter().map(|api| api.list().map(whole)).collect();
        }
        let what: Vec<_> = apis.iter().map(Api::selection).collect();
        let pages = self.host.list_many(&what, Some(crate::objects::PAGE));
        let page = |page: Result<Page>, what: &Selection| match page {
            // All of them together were too large.
            Err(error) if error.code == crate::ErrorCode::Budget => {
                self.host.list(what, Some(crate::objects::PAGE), None)
            }
            page => page,
        };
        pages
            .into_iter()
            .zip(what)
            .zip(apis)
            .map(|((first, what), api)| match page(first, &what).and_then(|page| self.rest(what, page)) {
                // The pages that were read are of a state that the server has forgotten.
                Err(error) if error.is(crate::ErrorCode::Expired) => api.listed(),
                listed => listed,
            })
            .collect()
    }

    /// The object of a name of several kinds at once, in their order.
    pub fn get_many(&self, kinds: &[Kind], name: &str) -> Vec<Result<Object>> {
        let objects: Vec<_> = kinds.iter().map(|kind| self.api(kind.clone()).reference(name)).collect();
        let answers = self.host.get_many(&objects);
        answers.into_iter().map(|answer| Object::from_value(answer?)).collect()
    }

    /// A first page and the pages after it.
    fn rest(&self, what: Selection, mut page: Page) -> Result<Listed> {
        let mut items = page.items;
        while let Some(token) = page.next.take() {
            page = self.host.list(&what, Some(crate::objects::PAGE), Some(&token))?;
            items.append(&mut page.items);
        }
        let items = items.into_iter().map(Object::from_value).collect::<Result<_>>()?;
        Ok(Listed { items, resource_version: page.resource_version })
    }

    // ---- the namespace of later runs ----

    /// Which namespace later runs use when none is named.
    pub fn selected(&self) -> Result<Selected> {
        self.host.selected()
    }

    /// Selects the namespace of later runs; none goes back to the kubeconfig's.
    pub fn select(&self, namespace: Option<&str>) -> Result<()> {
        self.host.select(namespace)
    }

    // ---- files ----

    /// A file named on the command line, whole, at most 16 MiB; `-` is stdin. Any other is `forbidden`.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        self.host.read_file(path)
    }

    /// The same, as text.
    pub fn read_text(&self, path: &str) -> Result<String> {
        String::from_utf8(self.read_file(path)?)
            .map_err(|_| Error::invalid(format!("{path} is not text in UTF-8")))
    }

    /// What is below a directory named on the command line, at most 10 000 files. A file or directory
    /// whose name fits one of `skip` is left out; a `*` at the start or the end of one stands for
    /// anything.
    pub fn walk(&self, directory: &str, skip: &[&str]) -> Result<FileTree> {
        let skip: Vec<_> = skip.iter().map(|name| (*name).to_owned()).collect();
        self.host.walk(directory, &skip)
    }

    /// One of these files, whole, at most 16 MiB.
    pub fn read_below(&self, directory: &str, path: &str) -> Result<Vec<u8>> {
        self.host.read_below(directory, path)
    }

    // ---- time ----

    pub fn now(&self) -> Timestamp {
        Timestamp(self.host.now())
    }

    /// Ready once so long has passed.
    pub fn after(&self, duration: Duration) -> Pollable {
        self.host.after(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// Blocks until one of them is ready; the positions of all that are.
    pub fn wait(&self, pollables: &[&Pollable]) -> Vec<usize> {
        self.host.wait(pollables)
    }

    /// Blocks so long.
    pub fn sleep(&self, duration: Duration) {
        self.wait(&[&self.after(duration)]);
    }

    // ---- the person ----

    /// What `-o` asks for.
    pub fn output_format(&self) -> Format {
        self.host.output_format()
    }

    /// Data to stdout, as it is.
    pub fn print(&self, data: impl AsRef<[u8]>) -> Result<()> {
        self.host.print(data.as_ref())
    }

    /// A line of data to stdout.
    pub fn print_line(&self, line: impl Into<String>) -> Result<()> {
        let mut line = line.into();
        line.push('\n');
        self.print(line)
    }

    /// A line of talk to stderr. kf puts the command's name before it.
    pub fn note(&self, text: impl AsRef<str>) {
        self.host.note(text.as_ref());
    }

    /// A line of talk that a person should not miss.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.host.warn(text.as_ref());
    }

    /// Whether something that is left out is mentioned for the first time in this run.
    pub(crate) fn is_first_mention(&self, what: &str) -> bool {
        self.mentioned.borrow_mut().insert(what.to_owned())
    }

    /// A table, or the rows' objects as one list, by what `-o` asks for. `-o wide` is refused if neither this table nor
    /// one before it has columns for it.
    pub fn table<T: TableRow>(&self, rows: &[T]) -> Result<()> {
        let rows = rows.iter().map(TableRow::row).collect::<Result<Vec<_>>>()?;
        self.host.table(&T::columns(), &rows)
    }

    /// A table whose columns are only known at run time.
    pub fn rows(&self, columns: &[Column], rows: &[Row]) -> Result<()> {
        self.host.table(columns, rows)
    }

    /// A changing table whose columns are only known at run time.
    pub fn live_rows(&self, columns: &[Column]) -> LiveRows {
        LiveRows { sink: self.host.live_table(columns) }
    }

    /// One thing: its fields below each other, or its object, by what `-o` asks for.
    pub fn record<T: TableRow>(&self, value: &T) -> Result<()> {
        self.host.record(&T::columns(), &value.row()?)
    }

    /// A table that changes while a person watches. In a pipe each changed row is printed once.
    pub fn live_table<T: TableRow>(&self) -> LiveTable<T> {
        LiveTable { sink: self.host.live_table(&T::columns()), rows: PhantomData }
    }

    /// A wait whose end is not known.
    pub fn progress(&self, label: &str) -> Progress {
        Progress { sink: self.host.progress(label, None) }
    }

    /// A wait with a known total.
    pub fn progress_of(&self, label: &str, total: u64) -> Progress {
        Progress { sink: self.host.progress(label, Some(total)) }
    }

    /// Yes or no. Without a terminal the answer is no.
    pub fn confirm(&self, question: &str, default: bool) -> bool {
        self.host.confirm(question, default)
    }

    /// A line typed by the person. None without a terminal.
    pub fn ask(&self, question: &str) -> Option<String> {
        self.host.ask(question)
    }
}
