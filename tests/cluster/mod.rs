//! A real Kubernetes cluster for the tests and the demo.
//!
//! Nothing is simulated: the programs are built from Kubernetes' Go modules, and JobSet and Kubeflow Trainer are
//! installed from upstream's manifests. There are two profiles:
//!
//! * [`Profile::Api`] needs no root: etcd, kube-apiserver and kube-controller-manager on random
//!   loopback ports, with the custom resource definitions of JobSet and Trainer. Everything that
//!   the API server does is real: authentication, RBAC, admission, watches, pagination.
//! * [`Profile::Node`] adds a node, so that containers really run: scheduler, kubelet, kube-proxy,
//!   containerd and runc in their own network, mount and process namespaces, and the controllers
//!   of JobSet and Trainer as pods. It needs root.
//!
//! A test calls [`Cluster::attach_or_start`] and then creates a [`TestNamespace`]. All tests of a run share the
//! cluster that [`DIRECTORY_VARIABLE`] names, as set by `cargo xtask test`; without it each test program starts its
//! own. If [`KUBECONFIG_VARIABLE`] names the kubeconfig of an admin, that existing cluster is used.
//!
//! A cluster starts in seconds, because what only some tests need is installed later: a test requests a [`Part`] with
//! [`Cluster::require`].
//!
//! Everything ends with the run, even if the run is killed: see [`supervisor`].

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fs_err as fs;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kf_toolchains::{locations, skip};
use kube::Client;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

mod access;
mod away;
mod cgroups;
mod client;
mod control_plane;
mod controllers;
mod error;
mod existing;
mod helper;
mod image;
mod images;
pub mod kept;
mod manifests;
mod materials;
mod namespace;
mod network;
pub mod node;
mod objects;
mod part;
mod pki;
pub mod stand_ins;
pub mod supervisor;
mod users;

pub use access::{TEAM_A, TEAM_B};
pub use away::Request;
pub use error::{ClusterError, Result};
pub use images::{BUSYBOX, TRAINER};
pub use kf_toolchains::kubernetes::ASSETS_VARIABLE;
pub use kf_toolchains::locations::CACHE_VARIABLE;
pub use kf_toolchains::{Progress, progress};
pub use namespace::TestNamespace;
pub use part::{BROKEN_MODEL_SERVER, JUPYTERLAB, LOAD, MODEL_SERVERS, PIPELINES, Part, QUEUE, TENSORBOARD};
pub use users::User;

use client::{block_on, connect};
use control_plane::Endpoints;
use helper::helper_program;
use materials::Materials;
use network::Link;
use node::Node;

use supervisor::{Files, ProcessIdentity};

/// The variable with the directory of a running cluster that the tests of this run share.
pub const DIRECTORY_VARIABLE: &str = "KF_TEST_CLUSTER_DIR";
/// The variable with the admin kubeconfig of an existing cluster to test against.
pub const KUBECONFIG_VARIABLE: &str = "KF_TEST_KUBECONFIG";

const STATE_VERSION: u32 = 2;

/// The scope of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The API server and its controllers.
    Api,
    /// A node as well, with JobSet and Trainer running on it.
    Node,
}

/// How to start a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of its files; by default a new one in `target/kf-cluster`.
    pub directory: Option<PathBuf>,
    /// Whether it keeps running when the starting process ends.
    pub keep: bool,
    /// Whether the API server logs the requests of users, for [`Cluster::audited`].
    pub audit: bool,
    /// Called before each slow step.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self { directory: None, keep: false, audit: false, progress: progress::to_stderr }
    }
}

/// The state file in a running cluster's directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    profile: Profile,
    server: String,
    kubectl: PathBuf,
    has_controllers: bool,
    /// Whether it existed before the tests.
    existing: bool,
}

/// A running cluster. Stopped when dropped, if this process started it and it is not kept.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    state: State,
    hold: Hold,
}

/// What ends when the [`Cluster`] is dropped.
#[derive(Debug)]
enum Hold {
    /// Nothing: the cluster belongs to another process, or is kept.
    Nothing,
    /// The cluster, through its supervisor.
    Cluster(Supervisor),
    /// The directory for an existing cluster.
    Directory,
}

/// The supervisor's process; closing its stdin ends it.
#[derive(Debug)]
struct Supervisor {
    child: Child,
}

impl Cluster {
    /// Starts a cluster and waits until it is ready.
    pub fn start(profile: Profile, options: &Options) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_once(profile, options) {
                // Another program may have taken a free port before the server could.
                Err(ClusterError::Stopped { reason, .. }) if attempt < 3 && is_conflict(&reason) => {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn start_once(profile: Profile, options: &Options) -> Result<Self> {
        let progress = options.progress;
        let materials = Materials::get(profile, progress)?;
        let helper = helper_program()?;
        sweep(progress)?;

        let begun = Instant::now();
        let directory = options.directory.clone().unwrap_or_else(new_directory);
        supervisor::remove(&directory)?;
        fs::create_dir_all(&directory)?;
        let directory = fs::canonicalize(&directory)?;
        let node = match profile {
            Profile::Api => None,
            Profile::Node => Some(Node { link: Link::free()? }),
        };
        let endpoints = match &node {
            None => Endpoints::on_loopback()?,
            Some(node) => Endpoints::in_namespace(node.link.node_address()),
        };
        let state = materials.configure(profile, &directory, node, &endpoints, options.audit)?;
        let supervisor = Supervisor::spawn(&helper, &directory, options.keep)?;
        let mut cluster = Self { directory, state, hold: Hold::Cluster(supervisor) };
        if let Err(error) = block_on(cluster.prepare(&materials)) {
            // Makes the supervisor keep the logs. A failure to do so is less important than this error.
            let _ = Files(&cluster.directory).report_failure(&error.to_string());
            return Err(error);
        }
        supervisor::write_json(&Files(&cluster.directory).state(), &cluster.state)?;
        if options.keep {
            cluster.hold = Hold::Nothing;
        }
        progress(&format!("ready after {:.1} s at {}", begun.elapsed().as_secs_f32(), cluster.state.server));
        Ok(cluster)
    }

    async fn prepare(&self, materials: &Materials) -> Result<()> {
        let files = Files(&self.directory);
        let client = connect(&self.kubeconfig(User::Admin)).await?;
        tokio::select! {
            failure = self.failure() => return Err(failure),
            ready = self.wait_until_ready(&client) => ready?,
        }
        fs::write(files.task(node::API_ANSWERS), "")?;
        let node = materials.node.as_ref().map(|node| &node.manifests);
        tokio::select! {
            failure = self.failure() => Err(failure),
            prepared = self.prepare_resources(&client, &materials.definitions, node) => prepared,
        }
    }

    /// Applies everything that tests expect in a cluster.
    async fn prepare_resources(
        &self,
        client: &Client,
        definitions: &Path,
        controllers: Option<&controllers::Manifests>,
    ) -> Result<()> {
        let logs = self.logs();
        let resources = async {
            let definitions: Vec<CustomResourceDefinition> = supervisor::read_json(definitions)?;
            objects::apply_definitions(client, &definitions, &logs).await?;
            manifests::apply_runtime(client).await?;
            if let Some(controllers) = controllers {
                objects::apply_all(client, &controllers.objects).await?;
                objects::wait_until_available(client, &controllers.objects, &logs).await?;
                // A controller becomes available shortly before its webhook can be reached.
                objects::wait_until_admitted(client, &controllers::examples()).await?;
            }
            Ok(())
        };
        let access = async {
            tokio::try_join!(access::grant_roles(client), access::make_teams(client))?;
            if self.state.has_controllers {
                access::wait_for_controllers(client, TEAM_A, &logs).await?;
            } else {
                access::aggregate_roles(client).await?;
                access::make_service_account(client, TEAM_A).await?;
            }
            access::wait_for_bindings(client, TEAM_A, &logs).await
        };
        tokio::try_join!(resources, access).map(drop)
    }

    /// Resolves only when the cluster has failed.
    async fn failure(&self) -> ClusterError {
        loop {
            let files = Files(&self.directory);
            if let Ok(reason) = fs::read_to_string(files.failed()) {
                return ClusterError::Stopped { reason, logs: self.logs() };
            }
            if let Hold::Cluster(supervisor) = &self.hold
                && !supervisor.is_alive()
            {
                let log = fs::read_to_string(files.log("supervisor")).unwrap_or_default();
                let reason = format!("its supervisor ended: {}", log.trim());
                return ClusterError::Stopped { reason, logs: self.logs() };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wait_until_ready(&self, client: &Client) -> Result<()> {
        client::wait_until("the API server", &self.logs(), || async {
            Ok(client::get_bytes(client, "/readyz", "text/plain").await.is_ok())
        })
        .await
    }

    /// The cluster for the tests of this run: the one that [`DIRECTORY_VARIABLE`] names if it has `profile`, or one
    /// that this process has started or starts now.
    pub fn attach_or_start(profile: Profile) -> Result<&'static Self> {
        static STARTED: [OnceLock<Cluster>; 2] = [OnceLock::new(), OnceLock::new()];
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let [api, node] = &STARTED;
        let candidates = if profile == Profile::Api { vec![node, api] } else { vec![node] };
        if let Some(cluster) = candidates.iter().find_map(|started| started.get()) {
            return Ok(cluster);
        }
        if let Some(kubeconfig) = existing_kubeconfig() {
            let cluster = Self::existing(&kubeconfig, profile, progress::to_stderr)?;
            return Ok(if profile == Profile::Node { node } else { api }.get_or_init(|| cluster));
        }
        let shared = env::var_os(DIRECTORY_VARIABLE).filter(|directory| !directory.is_empty());
        let attached = shared.map(|directory| Self::attach(Path::new(&directory))).transpose()?;
        let cluster = match attached {
            Some(cluster) if cluster.state.profile >= profile => cluster,
            _ => Self::start(profile, &Options::default())?,
        };
        let started = if cluster.state.profile == Profile::Node { node } else { api };
        Ok(started.get_or_init(|| cluster))
    }

    /// An existing cluster, prepared for tests; `kubeconfig` is its admin's.
    pub fn existing(kubeconfig: &Path, profile: Profile, progress: Progress) -> Result<Self> {
        existing::prepare(kubeconfig, profile, progress)
    }

    /// The running cluster whose directory is `directory`.
    pub fn attach(directory: &Path) -> Result<Self> {
        let directory = fs::canonicalize(directory)?;
        let file = Files(&directory).state();
        let state: State = supervisor::read_json(&file)?;
        if state.version != STATE_VERSION {
            let reason = format!("version {} is not supported, expected {STATE_VERSION}", state.version);
            return Err(ClusterError::malformed(file, reason));
        }
        Ok(Self { directory, state, hold: Hold::Nothing })
    }

    /// Stops the cluster and waits until it is removed. An existing cluster keeps running.
    pub fn stop(mut self) -> Result<()> {
        match self.hold {
            Hold::Nothing => stop_kept(&self.directory),
            Hold::Cluster(_) | Hold::Directory => self.release(),
        }
    }

    fn release(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Nothing => Ok(()),
            Hold::Cluster(supervisor) => supervisor.stop(),
            Hold::Directory => Ok(fs::remove_dir_all(&self.directory)?),
        }
    }

    /// Its profile.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.state.profile
    }

    /// The kubeconfig of `user`.
    #[must_use]
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        user.kubeconfig(&self.directory.join("pki"))
    }

    /// The API server's URL.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.state.server
    }

    /// A kubectl of the server's version.
    #[must_use]
    pub fn kubectl(&self) -> &Path {
        &self.state.kubectl
    }

    /// The API server's response to a GET request for `path` as `user`, in the given media type.
    pub fn get(&self, user: User, path: &str, media_type: &str) -> Result<Vec<u8>> {
        let kubeconfig = self.kubeconfig(user);
        block_on(async {
            let client = connect(&kubeconfig).await?;
            client::get_bytes(&client, path, media_type)
                .await
                .map_err(ClusterError::api(format!("get {path} as {media_type}")))
        })
    }

    /// The cluster's directory, which is removed with the cluster.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory with a log for each program.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        Files(&self.directory).logs()
    }

    fn has_controllers(&self) -> bool {
        self.state.has_controllers
    }
}

fn existing_kubeconfig() -> Option<PathBuf> {
    env::var_os(KUBECONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Whether to skip `test` because the cluster of [`Cluster::attach_or_start`] cannot have a node: this machine or
/// user cannot run one, or the existing cluster does not support tests with pods. Fails the test unless skips are
/// allowed, see [`skip`].
#[track_caller]
pub fn skip_without_node(test: &str) -> bool {
    static EXISTING_CHECK: OnceLock<Result<(), String>> = OnceLock::new();
    match existing_kubeconfig() {
        None => skip_without_own_node(test),
        Some(kubeconfig) => {
            let check = || existing::check_nodes(&kubeconfig).map_err(|error| error.to_string());
            skip::unless(EXISTING_CHECK.get_or_init(check).clone(), test)
        }
    }
}

/// The same for a test that starts its own node, independent of the shared cluster.
#[track_caller]
pub fn skip_without_own_node(test: &str) -> bool {
    skip::unless(node::check(), test)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

impl Supervisor {
    fn spawn(helper: &Path, directory: &Path, keep: bool) -> Result<Self> {
        let files = Files(directory);
        fs::create_dir_all(files.logs())?;
        let log = fs::File::create(files.log("supervisor"))?.into_parts().0;
        let mut command = Command::new(helper);
        command.arg("supervise").arg(directory);
        if keep {
            command.arg("--keep").stdin(Stdio::null());
        } else {
            command.stdin(Stdio::piped());
        }
        // In another process group, so that Ctrl-C reaches only the harness.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child })
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    fn is_alive(&self) -> bool {
        ProcessIdentity::of(self.pid()).is_some()
    }

    fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        signal::kill(Pid::from_raw(self.pid()), Signal::SIGTERM)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                // Its programs are killed with it.
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// How long a supervisor may take to stop its programs before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);

/// Stops a kept cluster of another process.
fn stop_kept(directory: &Path) -> Result<()> {
    if let Some(identity) = Files(directory).read_supervisor()? {
        identity.signal(Signal::SIGTERM);
        if !identity.wait_for_end(STOP_TIMEOUT) {
            identity.signal(Signal::SIGKILL);
            identity.wait_for_end(Duration::from_secs(10));
        }
    }
    supervisor::remove(directory)
}

/// The lock file between the creation of nodes and [`sweep`]: an incomplete node looks like a leftover one. It is
/// the same for the whole machine, as are control groups and links, because other checkouts sweep, too.
pub(crate) fn node_lock_file() -> Result<fs::File> {
    let shared = Path::new("/sys/fs/cgroup");
    if shared.is_dir() {
        return Ok(fs::File::open(shared)?);
    }
    fs::create_dir_all(locations::clusters())?;
    Ok(fs::File::open(locations::clusters())?)
}

/// Cleans up after clusters whose supervisors were killed.
pub fn sweep(progress: Progress) -> Result<()> {
    let lock = node_lock_file()?;
    lock.file().lock()?;
    cgroups::sweep(|number| Link { number }.exists())?;
    let Ok(directories) = fs::read_dir(locations::clusters()) else { return Ok(()) };
    for directory in directories {
        let directory = directory?.path();
        let is_new = fs::metadata(&directory)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_secs(60)));
        let is_dead = match Files(&directory).read_supervisor() {
            Ok(Some(supervisor)) => !supervisor.is_alive(),
            // It is written atomically, so it is unreadable only after the machine has crashed.
            Ok(None) | Err(_) => !is_new,
        };
        if is_dead {
            progress(&format!("removing the remains of {}", directory.display()));
            supervisor::remove(&directory)?;
        }
    }
    Ok(())
}

/// Whether another program has taken the port or network first.
fn is_conflict(reason: &str) -> bool {
    reason.contains("address already in use") || reason.contains("File exists")
}

fn new_directory() -> PathBuf {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    locations::clusters().join(format!("{}-{:x}", std::process::id(), time.as_millis() & 0xff_ffff))
}
