//! A real Kubernetes for the tests and the demo.
//!
//! Nothing here is simulated: the programs are Kubernetes' own, built from its Go modules, and
//! JobSet and Kubeflow Trainer come by upstream's manifests. There are two profiles:
//!
//! * [`Profile::Api`] needs no root: etcd, kube-apiserver and kube-controller-manager on random
//!   loopback ports, with the custom resource definitions of JobSet and Trainer. Everything that is
//!   decided by the API server is real: authentication, RBAC, admission, watches, pagination.
//! * [`Profile::Node`] adds a node, so that containers really run: scheduler, kubelet, kube-proxy,
//!   containerd and runc in network, mount and process namespaces of their own, and the controllers
//!   of JobSet and Trainer as pods. It needs root.
//!
//! A test says [`Cluster::attach_or_start`] and then makes a [`TestNamespace`]. The cluster is one
//! for the whole run where [`DIRECTORY_VARIABLE`] names it, as `cargo xtask test` does; otherwise
//! each test program starts its own. An existing cluster is used instead when
//! [`KUBECONFIG_VARIABLE`] names the kubeconfig of its administrator.
//!
//! Everything ends with the run, however the run ends: see [`supervisor`].

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fs_err as fs;
use kube::Client;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

mod access;
mod binaries;
pub mod cache;
mod client;
mod command;
mod control_plane;
mod error;
mod go;
pub mod kept;
mod locations;
mod manifests;
mod namespace;
mod pki;
pub mod progress;
pub mod supervisor;
mod users;

pub use access::{TEAM_A, TEAM_B};
pub use binaries::ASSETS_VARIABLE;
pub use error::{ClusterError, Result};
pub use locations::CACHE_VARIABLE;
pub use namespace::TestNamespace;
pub use progress::Progress;
pub use users::User;

use binaries::Binaries;
use client::{block_on, connect};
use control_plane::{Credentials, Endpoints};
use supervisor::{Files, Plan, ProcessIdentity};

/// Names the directory of a running cluster that this run's tests share.
pub const DIRECTORY_VARIABLE: &str = "KF_TEST_CLUSTER_DIR";
/// Names the kubeconfig of the administrator of an existing cluster to test against.
pub const KUBECONFIG_VARIABLE: &str = "KF_TEST_KUBECONFIG";

/// The program that supervises clusters; see [`supervisor`].
const HELPER: &str = "kf-test-cluster";

const STATE_VERSION: u32 = 1;

/// How much of a cluster is wanted.
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
    /// Where its files go; by default a new directory in `target/kf-cluster`.
    pub directory: Option<PathBuf>,
    /// Whether it goes on when the starting process ends.
    pub keep: bool,
    /// Told of each step that takes time.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Self { directory: None, keep: false, progress: progress::to_stderr }
    }
}

/// What a running cluster's directory says about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    profile: Profile,
    server: String,
    kubectl: PathBuf,
    has_controllers: bool,
}

/// A running cluster. Stopped when dropped, if this process started it and it is not to be kept.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    state: State,
    supervisor: Option<Supervisor>,
}

/// The supervisor's process; closing its stdin ends it.
#[derive(Debug)]
struct Supervisor {
    child: Child,
}

impl Cluster {
    /// Starts a cluster and waits until it can be used.
    pub fn start(profile: Profile, options: &Options) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_once(profile, options) {
                // A port that was free may have been taken before the server got to it.
                Err(ClusterError::Stopped { reason, .. })
                    if attempt < 3 && reason.contains("address already in use") =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn start_once(profile: Profile, options: &Options) -> Result<Self> {
        let progress = options.progress;
        let binaries = Binaries::for_api(progress)?;
        let definitions = manifests::definitions(progress)?;
        let helper = helper_program()?;
        sweep(progress)?;

        let begun = Instant::now();
        let directory = options.directory.clone().unwrap_or_else(new_directory);
        supervisor::remove(&directory)?;
        fs::create_dir_all(&directory)?;
        let directory = fs::canonicalize(&directory)?;
        let files = Files(&directory);
        let endpoints = Endpoints::on_loopback()?;
        let credentials = Credentials::create(directory.join("pki"), &endpoints)?;
        let plan =
            Plan { programs: control_plane::programs(&binaries, &directory, &endpoints, &credentials) };
        supervisor::write_json(&files.plan(), &plan)?;
        let state = State {
            version: STATE_VERSION,
            profile,
            server: endpoints.server(),
            kubectl: binaries.path("kubectl"),
            has_controllers: binaries.has("kube-controller-manager"),
        };
        let supervisor = Supervisor::spawn(&helper, &directory, options.keep)?;
        let mut cluster = Self { directory, state, supervisor: Some(supervisor) };
        if let Err(error) = block_on(cluster.prepare(&definitions)) {
            // Tells the supervisor to leave the logs.
            let failed = Files(&cluster.directory).failed();
            if !failed.exists() {
                fs::write(failed, error.to_string())?;
            }
            return Err(error);
        }
        supervisor::write_json(&Files(&cluster.directory).state(), &cluster.state)?;
        if options.keep {
            cluster.supervisor = None;
        }
        progress(&format!("ready after {:.1} s at {}", begun.elapsed().as_secs_f32(), cluster.state.server));
        Ok(cluster)
    }

    async fn prepare(&self, definitions: &Path) -> Result<()> {
        let logs = self.logs();
        let client = connect(&self.kubeconfig(User::Admin)).await?;
        self.wait_until_ready(&client).await?;
        let definitions = async {
            manifests::apply_definitions(&client, definitions, &logs).await?;
            manifests::apply_runtime(&client).await
        };
        let access = async {
            tokio::try_join!(access::grant_roles(&client), access::make_teams(&client))?;
            if self.state.has_controllers {
                access::wait_for_controllers(&client, TEAM_A, &logs).await
            } else {
                access::aggregate_roles(&client).await?;
                access::make_service_account(&client, TEAM_A).await
            }
        };
        tokio::try_join!(definitions, access)?;
        Ok(())
    }

    async fn wait_until_ready(&self, client: &Client) -> Result<()> {
        let files = Files(&self.directory);
        let logs = self.logs();
        client::wait_until("the API server", Duration::from_secs(120), &logs, || async {
            if let Ok(reason) = fs::read_to_string(files.failed()) {
                return Err(ClusterError::Stopped { reason, logs: logs.clone() });
            }
            Ok(client::get_bytes(client, "/readyz", "text/plain").await.is_ok())
        })
        .await
    }

    /// The cluster of this run's tests: the one that [`DIRECTORY_VARIABLE`] names if it offers
    /// `profile`, else one that this process starts now or has started before.
    pub fn attach_or_start(profile: Profile) -> Result<&'static Self> {
        static STARTED: [OnceLock<Cluster>; 2] = [OnceLock::new(), OnceLock::new()];
        static STARTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let [api, node] = &STARTED;
        let offering = if profile == Profile::Api { vec![node, api] } else { vec![node] };
        if let Some(cluster) = offering.iter().find_map(|slot| slot.get()) {
            return Ok(cluster);
        }
        let shared = env::var_os(DIRECTORY_VARIABLE).filter(|directory| !directory.is_empty());
        let attached = shared.map(|directory| Self::attach(Path::new(&directory))).transpose()?;
        let cluster = match attached {
            Some(cluster) if cluster.state.profile >= profile => cluster,
            _ => Self::start(profile, &Options::default())?,
        };
        let slot = if cluster.state.profile == Profile::Node { node } else { api };
        Ok(slot.get_or_init(|| cluster))
    }

    /// The running cluster whose directory is `directory`.
    pub fn attach(directory: &Path) -> Result<Self> {
        let directory = fs::canonicalize(directory)?;
        let file = Files(&directory).state();
        let state: State = supervisor::read_json(&file)?;
        if state.version != STATE_VERSION {
            let reason = format!("it has version {}, and {STATE_VERSION} is understood", state.version);
            return Err(ClusterError::malformed(file, reason));
        }
        Ok(Self { directory, state, supervisor: None })
    }

    /// Stops the cluster and waits until nothing of it is left.
    pub fn stop(mut self) -> Result<()> {
        match self.supervisor.take() {
            Some(supervisor) => supervisor.stop(),
            None => stop_kept(&self.directory),
        }
    }

    /// Which profile it has.
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

    /// What the API server answers to a GET of `path` by `user`, in the given media type.
    pub fn get(&self, user: User, path: &str, media_type: &str) -> Result<Vec<u8>> {
        let kubeconfig = self.kubeconfig(user);
        block_on(async {
            let client = connect(&kubeconfig).await?;
            client::get_bytes(&client, path, media_type)
                .await
                .map_err(ClusterError::api(format!("get {path} as {media_type}")))
        })
    }

    /// The directory with everything of this cluster; it goes when the cluster does.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory with one log for each program.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        Files(&self.directory).logs()
    }

    fn has_controllers(&self) -> bool {
        self.state.has_controllers
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.stop();
        }
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
        // Out of the terminal's foreground group, so that Ctrl-C reaches the harness alone.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child })
    }

    fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let pid = i32::try_from(self.child.id()).map_err(std::io::Error::other)?;
        signal::kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        self.child.wait()?;
        Ok(())
    }
}

/// Stops the cluster of another process that is to be kept.
fn stop_kept(directory: &Path) -> Result<()> {
    if let Ok(identity) = supervisor::read_json::<ProcessIdentity>(&Files(directory).supervisor()) {
        identity.signal(Signal::SIGTERM);
        if !identity.wait_for_end(Duration::from_secs(60)) {
            identity.signal(Signal::SIGKILL);
            identity.wait_for_end(Duration::from_secs(10));
        }
    }
    supervisor::remove(directory)
}

/// Removes what clusters left whose supervisors were killed.
fn sweep(progress: Progress) -> Result<()> {
    let Ok(directories) = fs::read_dir(locations::clusters()) else { return Ok(()) };
    for directory in directories {
        let directory = directory?.path();
        let supervisor = supervisor::read_json::<ProcessIdentity>(&Files(&directory).supervisor());
        let fresh = fs::metadata(&directory)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_secs(60)));
        let dead = supervisor.map_or(!fresh, |identity| !identity.is_alive());
        if dead {
            progress(&format!("removing what is left of {}", directory.display()));
            supervisor::remove(&directory)?;
        }
    }
    Ok(())
}

fn new_directory() -> PathBuf {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    locations::clusters().join(format!("{}-{:x}", std::process::id(), time.as_millis() & 0xff_ffff))
}

/// The path of the program that supervises clusters, built if need be.
fn helper_program() -> Result<PathBuf> {
    // Cargo tells it to the integration tests of this package.
    if let Some(path) = env::var_os("CARGO_BIN_EXE_kf-test-cluster") {
        return Ok(path.into());
    }
    if let Ok(own) = env::current_exe()
        && own.file_name().is_some_and(|name| name == HELPER)
    {
        return Ok(own);
    }
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let messages = command::output(
        Command::new(cargo)
            .current_dir(locations::workspace())
            .args(["build", "--quiet", "--package", "kf-tests", "--bin", HELPER])
            .arg("--message-format=json-render-diagnostics"),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .find(|path| path.file_name().is_some_and(|name| name == HELPER))
        .ok_or_else(|| ClusterError::malformed(HELPER, "cargo built it but did not say where it is"))
}
