//! A Kubernetes node in its own namespaces.
//!
//! There are three processes between the harness and the node's programs:
//!
//! 1. the supervisor (`supervise`), outside: creates the control group and the network link, and
//!    removes them afterwards;
//! 2. the gate (`node-gate`): enters new network, mount, process, host name and IPC namespaces and
//!    waits for the link;
//! 3. the node's first process (`node-init`): mounts file systems, then runs the plan.
//!
//! They synchronize over the gate's stdin and stdout, line by line:
//!
//! | from | line | meaning |
//! |---|---|---|
//! | gate | `unshared` | the namespaces exist |
//! | supervisor | `connected` | the link exists |
//! | gate | `first PID` | the first process exists and waits |
//! | supervisor | `recorded` | `node.json` names the first process, which can start |
//!
//! Only the supervisor can record it, and only before it starts: the gate shares the mount namespace of the
//! first process, whose `/proc` has the PIDs of the node.
//!
//! The kernel kills each process when the one before it ends, and everything in a process namespace when its
//! first process ends, including containers, mounts and network. Nothing listens outside the namespaces.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use kf_toolchains::command;
use kf_toolchains::kubernetes::Binaries;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{geteuid, sethostname};
use serde::{Deserialize, Serialize};

use super::control_plane::Credentials;
use super::error::{ClusterError, Result};
use super::network::Link;
use super::supervisor::{self, Ending, Files, ProcessIdentity, Program, Programs, StopSignal, read_plan};
use super::{cgroups, images, node_lock_file};

/// The node's name in the cluster.
pub(crate) const NAME: &str = "kf-node";

const POD_NETWORK: &str = "10.232.0.0/24";
/// The name server of pods; only a cluster with [`Part::Dns`](super::Part::Dns) has one.
pub(crate) const DNS_ADDRESS: &str = "10.233.0.10";
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// The task that is done once the API server answers.
pub(crate) const API_ANSWERS: &str = "api-answers";
/// The task that imports the images.
pub(crate) const IMPORT_IMAGES: &str = "import-images";

/// The node of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) link: Link,
}

impl Node {
    pub(crate) fn control_group(&self) -> String {
        cgroups::name(self.link.number)
    }

    /// Removes the link and the control group after the node's last process has ended.
    pub(crate) fn remove(&self, directory: &Path) -> Result<()> {
        if self.link.belongs_to_another(directory) {
            return Ok(());
        }
        let network = self.link.wait_until_gone();
        cgroups::remove(&self.control_group())?;
        network
    }
}

/// Checks that this machine and user can run a node.
pub(crate) fn check() -> Result<()> {
    let unsupported = |reason: &str| Err(ClusterError::NodeUnsupported(reason.to_owned()));
    if !geteuid().is_root() {
        return unsupported("namespaces, mounts and control groups need root; run this with sudo");
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default();
    for (bit, capability) in [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (27, "CAP_MKNOD")] {
        if effective & (1 << bit) == 0 {
            return unsupported(&format!(
                "{capability} is missing; in a container, start it with --privileged"
            ));
        }
    }
    for (program, package) in
        [("ip", "iproute2"), ("mount", "mount"), ("apt-get", "apt"), ("dpkg-deb", "dpkg")]
    {
        if command::find(program).is_none() {
            return unsupported(&format!("the program `{program}` is missing; install {package}"));
        }
    }
    cgroups::check()
}

/// The files that a node's programs are built from.
pub(crate) struct Materials<'a> {
    pub(crate) binaries: &'a Binaries,
    /// Unpacked packages.
    pub(crate) system: &'a Path,
    /// The archive of images.
    pub(crate) images: &'a Path,
}

/// Writes the node's configuration and returns its programs, in start order.
pub(crate) fn programs(
    materials: &Materials<'_>,
    directory: &Path,
    node: &Node,
    credentials: &Credentials,
) -> Result<Vec<Program>> {
    let files = Files(directory);
    let usr = materials.system.join("usr");
    let libraries = usr.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
    let path = format!(
        "{usr}/bin:{usr}/sbin:{root}/sbin:{inherited}",
        usr = usr.display(),
        root = materials.system.display(),
        inherited = std::env::var_os("PATH").unwrap_or_default().display()
    );
    let packaged = |program: Program| {
        program
            .environment("LD_LIBRARY_PATH", libraries.display().to_string())
            .environment("PATH", path.clone())
    };
    let configuration = directory.join("node");
    fs::create_dir_all(configuration.join("cni"))?;
    let containerd = configuration.join("containerd.toml");
    fs::write(&containerd, containerd_configuration(directory, &usr)?)?;
    fs::write(configuration.join("cni/10-kf.conflist"), network_configuration(directory))?;
    fs::write(configuration.join("resolv.conf"), "")?;
    let kubelet = configuration.join("kubelet.yaml");
    fs::write(&kubelet, kubelet_configuration(directory, node, credentials)?)?;

    let api_answers = files.task(API_ANSWERS);
    let node_name = format!("--hostname-override={NAME}");
    let address = node.link.node_address();
    let user = format!("system:node:{NAME}");
    let for_kubelet = credentials.component(&user, Some("system:nodes"), "kubelet")?;
    let for_scheduler = credentials.component("system:kube-scheduler", None, "scheduler")?;
    let for_proxy = credentials.component("system:kube-proxy", None, "proxy")?;
    Ok(vec![
        packaged(Program::new("containerd", usr.join("bin/containerd"), Ending::Breaks))
            .arguments([format!("--config={}", containerd.display()), "--log-level=info".to_owned()]),
        packaged(Program::new(IMPORT_IMAGES, usr.join("bin/ctr"), Ending::Completes))
            .arguments([
                format!("--address={CONTAINERD_SOCKET}"),
                "--namespace=k8s.io".to_owned(),
                "images".to_owned(),
                "import".to_owned(),
                materials.images.display().to_string(),
            ])
            .after([CONTAINERD_SOCKET.into()]),
        Program::new("kube-scheduler", materials.binaries.path("kube-scheduler"), Ending::Restarts)
            .arguments([
                format!("--kubeconfig={}", for_scheduler.display()),
                "--leader-elect=false".to_owned(),
                "--bind-address=127.0.0.1".to_owned(),
                "--secure-port=0".to_owned(),
            ])
            .after([api_answers.clone()]),
        // Started after the images are imported: a missing image is retried only after ten seconds.
        packaged(Program::new("kubelet", materials.binaries.path("kubelet"), Ending::Restarts))
            .arguments([
                format!("--config={}", kubelet.display()),
                format!("--kubeconfig={}", for_kubelet.display()),
                format!("--root-dir={}", directory.join("kubelet").display()),
                node_name.clone(),
                format!("--node-ip={address}"),
                // On a busy machine a test may read the log of a previous container late.
                "--maximum-dead-containers-per-container=4".to_owned(),
                "--v=2".to_owned(),
            ])
            .after([api_answers.clone(), files.task(IMPORT_IMAGES)]),
        // Needs `nft` on its PATH.
        packaged(Program::new("kube-proxy", materials.binaries.path("kube-proxy"), Ending::Restarts))
            .arguments([
                format!("--kubeconfig={}", for_proxy.display()),
                "--proxy-mode=nftables".to_owned(),
                format!("--cluster-cidr={POD_NETWORK}"),
                node_name,
                "--conntrack-max-per-core=0".to_owned(),
                "--conntrack-tcp-timeout-established=0".to_owned(),
                "--conntrack-tcp-timeout-close-wait=0".to_owned(),
                format!("--bind-address={address}"),
                "--metrics-bind-address=127.0.0.1:10249".to_owned(),
                "--healthz-bind-address=127.0.0.1:10256".to_owned(),
            ])
            .after([api_answers]),
    ])
}

fn containerd_configuration(directory: &Path, usr: &Path) -> Result<String> {
    // An overlay cannot be on another overlay, which the root of a container often is.
    let on_overlay =
        nix::sys::statfs::statfs(directory)?.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC;
    let snapshotter = if on_overlay { "native" } else { "overlayfs" };
    let directory = directory.display();
    let usr = usr.display();
    let pause = images::PAUSE;
    Ok(format!(
        "version = 2
root = '{directory}/containerd'
state = '/run/containerd'
disabled_plugins = ['io.containerd.internal.v1.tracing', 'io.containerd.tracing.processor.v1.otlp',
    'io.containerd.snapshotter.v1.aufs', 'io.containerd.snapshotter.v1.btrfs',
    'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.zfs']
[grpc]
  address = '{CONTAINERD_SOCKET}'
[plugins.'io.containerd.internal.v1.opt']
  path = '{directory}/containerd-opt'
[plugins.'io.containerd.grpc.v1.cri']
  sandbox_image = '{pause}'
  # Without CAP_SYS_RESOURCE runc cannot lower a process's score and dies.
  restrict_oom_score_adj = true
[plugins.'io.containerd.grpc.v1.cri'.cni]
  bin_dir = '{usr}/lib/cni'
  conf_dir = '{directory}/node/cni'
[plugins.'io.containerd.grpc.v1.cri'.containerd]
  snapshotter = '{snapshotter}'
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]
  BinaryName = '{usr}/sbin/runc'
  SystemdCgroup = false
"
    ))
}

fn network_configuration(directory: &Path) -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "kf",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipMasq": false,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_NETWORK}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": directory.join("addresses"),
            },
        }],
    })
    .to_string()
}

fn kubelet_configuration(directory: &Path, node: &Node, credentials: &Credentials) -> Result<String> {
    let address = node.link.node_address();
    let (certificate, key) = credentials.kubelet_server(NAME, address)?;
    let configuration = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": credentials.directory.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": certificate,
        "tlsPrivateKeyFile": key,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", node.control_group()),
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "makeIPTablesUtilChains": false,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "evictionHard": {
            "nodefs.available": "0%",
            "imagefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.inodesFree": "0%",
            "memory.available": "50Mi",
        },
        "imageGCHighThresholdPercent": 100,
        // Otherwise an imported image is pulled again by its name once the same image was pulled under another.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        // Controllers that create their own certificates wait until the mounted file changes.
        "syncFrequency": "3s",
        // The kubelet loses lines of a log that is rotated while it is followed.
        "containerLogMaxSize": "256Mi",
        "resolvConf": directory.join("node/resolv.conf"),
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": directory.join("volume-plugins"),
        "registerNode": true,
    });
    Ok(configuration.to_string())
}

/// Runs in the supervisor: creates the control group, the link and the gate, and removes them afterwards.
pub(crate) fn supervise(directory: &Path, node: &Node, stop: &StopSignal) -> Result<()> {
    let reported = match run_gate(directory, node, stop) {
        Err(error) => Files(directory).report_failure(&error.to_string()),
        Ok(()) => Ok(()),
    };
    node.remove(directory)?;
    reported
}

fn run_gate(directory: &Path, node: &Node, stop: &StopSignal) -> Result<()> {
    let lock = node_lock_file()?;
    lock.file().lock_shared()?;
    cgroups::create(&node.control_group())?;
    let log = fs::File::create(Files(directory).log("node"))?.into_parts().0;
    let mut gate = Command::new(std::env::current_exe()?)
        .arg("node-gate")
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let mut lifeline = gate.stdin.take().ok_or_else(|| std::io::Error::other("the gate has no stdin"))?;
    let mut answers =
        BufReader::new(gate.stdout.take().ok_or_else(|| std::io::Error::other("the gate has no stdout"))?);
    let opened = open_gate(directory, node, gate.id(), &mut lifeline, &mut answers);
    drop(lock);
    let mut ended = None;
    while opened.is_ok() && !stop.is_set() {
        ended = gate.try_wait()?;
        if ended.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(lifeline);
    let deadline = Instant::now() + Duration::from_secs(20);
    while ended.is_none() {
        ended = gate.try_wait()?;
        if Instant::now() > deadline {
            gate.kill()?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    opened?;
    match ended {
        Some(status) if !status.success() => {
            Err(stopped(directory, &format!("the node's first process ended with {status}")))
        }
        _ => Ok(()),
    }
}

/// The supervisor's side of the start. Returns once the first process is recorded and can start.
fn open_gate(
    directory: &Path,
    node: &Node,
    gate: u32,
    lifeline: &mut impl Write,
    answers: &mut BufReader<impl Read>,
) -> Result<()> {
    let mut answer = || -> Result<String> {
        let mut line = String::new();
        answers.read_line(&mut line)?;
        Ok(line)
    };
    if answer()? != UNSHARED {
        let log = log(directory);
        return Err(ClusterError::NodeUnsupported(format!("cannot enter new namespaces: {log}")));
    }
    node.link.create(gate, directory)?;
    lifeline.write_all(CONNECTED.as_bytes())?;
    let first = answer()?.strip_prefix(FIRST).and_then(|pid| pid.trim_end().parse().ok());
    let first = first.and_then(ProcessIdentity::of);
    let first = first.ok_or_else(|| stopped(directory, "the node's first process did not start"))?;
    supervisor::write_json(&Files(directory).node(), &first)?;
    Ok(lifeline.write_all(RECORDED.as_bytes())?)
}

fn stopped(directory: &Path, reason: &str) -> ClusterError {
    ClusterError::Stopped { reason: format!("{reason}: {}", log(directory)), logs: Files(directory).logs() }
}

/// The log of the gate and the first process.
fn log(directory: &Path) -> String {
    fs::read_to_string(Files(directory).log("node")).unwrap_or_default().trim().to_owned()
}

const UNSHARED: &str = "unshared\n";
const CONNECTED: &str = "connected\n";
/// Followed by the process's PID outside its namespace.
const FIRST: &str = "first ";
const RECORDED: &str = "recorded\n";

/// Waits until the supervisor sends `line`. Reads nothing after it: the rest is for the first process, which
/// inherits this pipe and ends with it.
fn wait_for(line: &str) -> Result<()> {
    let mut stdin = fs::File::open("/proc/self/fd/0")?;
    let mut received = vec![0; line.len()];
    stdin.read_exact(&mut received).map_err(|error| {
        std::io::Error::new(error.kind(), format!("the supervisor ended without `{}`", line.trim_end()))
    })?;
    if received == line.as_bytes() {
        return Ok(());
    }
    let received = String::from_utf8_lossy(&received);
    Err(std::io::Error::other(format!("the supervisor sent `{received}`, not `{}`", line.trim_end())).into())
}

/// Runs in the gate: enters new namespaces and starts the node's first process there.
pub fn gate(directory: &Path) -> Result<i32> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    unshare(
        CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(UNSHARED.as_bytes())?;
    stdout.flush()?;
    wait_for(CONNECTED)?;
    let mut first = Command::new(std::env::current_exe()?).arg("node-init").arg(directory).spawn()?;
    writeln!(stdout, "{FIRST}{}", first.id())?;
    stdout.flush()?;
    // The node ends when the supervisor closes the pipe; this process only waits.
    let status = first.wait()?;
    Ok(status.code().unwrap_or(1))
}

/// Runs in the first process.
pub fn init(directory: &Path) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    wait_for(RECORDED)?;
    let plan = read_plan(directory)?;
    let node = plan
        .node
        .clone()
        .ok_or_else(|| ClusterError::malformed(Files(directory).plan(), "it has no node"))?;
    let stop = StopSignal::new(true)?;
    sethostname(NAME)?;
    mount_file_systems(directory)?;
    node.link.configure_node()?;
    Programs::start(directory, plan)?.supervise(&stop)
}

const NO_DATA: Option<&str> = None;

fn mount_file_systems(directory: &Path) -> Result<()> {
    let private = directory.join("mounts");
    let mount_point = |name: &str| -> Result<PathBuf> {
        let path = private.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    };
    mount(NO_DATA, "/", NO_DATA, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NO_DATA)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), NO_DATA)?;

    // /sys shows the network devices of the namespace in which it was mounted; the control groups below it
    // are still those of the machine.
    let groups = mount_point("cgroup")?;
    mount(Some("/sys/fs/cgroup"), &groups, NO_DATA, MsFlags::MS_BIND | MsFlags::MS_REC, NO_DATA)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), NO_DATA)?;
    mount(Some(&groups), "/sys/fs/cgroup", NO_DATA, MsFlags::MS_MOVE, NO_DATA)?;
    let unified = Path::new("/sys/fs/cgroup/unified");
    if unified.is_dir() {
        umount2(unified, MntFlags::MNT_DETACH)?;
    }

    // The kubelet, containerd and the CNI plugins have fixed paths here.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), NO_DATA)?;
    mount(Some("tmpfs"), "/var/lib", Some("tmpfs"), MsFlags::empty(), NO_DATA)?;
    bind(&mount_point("var-log")?, Path::new("/var/log"))?;

    // So a missing image fails immediately instead of after the name server's timeout.
    let resolv_conf = private.join("resolv.conf");
    fs::write(&resolv_conf, "")?;
    if let Ok(target) = fs::canonicalize("/etc/resolv.conf") {
        bind(&resolv_conf, &target)?;
    }

    // The kubelet sets these for the whole machine unless they have these values.
    for (name, wanted) in [
        ("vm/overcommit_memory", "1"),
        ("vm/panic_on_oom", "0"),
        ("kernel/panic", "10"),
        ("kernel/panic_on_oops", "1"),
    ] {
        let shown = private.join(name.replace('/', "."));
        fs::write(&shown, format!("{wanted}\n"))?;
        bind(&shown, &Path::new("/proc/sys").join(name))?;
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, NO_DATA, MsFlags::MS_BIND, NO_DATA).map_err(|error| {
        std::io::Error::other(format!("mounting {} on {}: {error}", from.display(), to.display())).into()
    })
}
