//! etcd, kube-apiserver and kube-controller-manager: certificates, flags and start order.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use fs_err as fs;
use kf_toolchains::kubernetes::Binaries;

use super::error::Result;
use super::pki::{self, Authority};
use super::supervisor::{Ending, Files, Program};
use super::users::{self, User};

/// The addresses of a control plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoints {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) etcd_port: u16,
    pub(crate) etcd_peer_port: u16,
}

impl Endpoints {
    /// Loopback, with ports that were free a moment ago.
    pub(crate) fn on_loopback() -> Result<Self> {
        let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let [port, etcd_port, etcd_peer_port] = listeners.map(|listener| {
            listener.and_then(|listener| listener.local_addr()).map(|address| address.port())
        });
        Ok(Self {
            address: Ipv4Addr::LOCALHOST,
            port: port?,
            etcd_port: etcd_port?,
            etcd_peer_port: etcd_peer_port?,
        })
    }

    /// The default ports, for an address in the cluster's own network namespace.
    pub(crate) fn in_namespace(address: Ipv4Addr) -> Self {
        Self { address, port: 6443, etcd_port: 2379, etcd_peer_port: 2380 }
    }

    pub(crate) fn server(&self) -> String {
        format!("https://{}:{}", self.address, self.port)
    }
}

const SERVICE_RANGE: &str = "10.233.0.0/24";
/// The first address of the range, which is that of the API server.
const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 233, 0, 1);

/// The certificates of a cluster, on disk.
pub(crate) struct Credentials {
    pub(crate) directory: PathBuf,
    authority: Authority,
    server: String,
}

impl Credentials {
    /// Creates the certificates of the API server and of all its users.
    pub(crate) fn create(directory: PathBuf, endpoints: &Endpoints) -> Result<Self> {
        fs::create_dir_all(&directory)?;
        let authority = Authority::new("kf test cluster")?;
        authority.write(&directory, "ca")?;
        authority
            .server(
                "kube-apiserver",
                None,
                &["localhost", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"],
                &[endpoints.address, Ipv4Addr::LOCALHOST, SERVICE_ADDRESS],
            )?
            .write(&directory, "apiserver")?;
        authority
            .client("kube-apiserver-kubelet-client", Some("system:masters"))?
            .write(&directory, "apiserver-kubelet")?;
        pki::write_key_pair(&directory, "service-accounts")?;

        let front_proxy = Authority::new("kf test cluster front proxy")?;
        fs::write(directory.join("front-proxy-ca.crt"), front_proxy.certificate())?;
        front_proxy.client("front-proxy-client", None)?.write(&directory, "front-proxy-client")?;

        let credentials = Self { directory, authority, server: endpoints.server() };
        credentials.component("system:kube-controller-manager", None, "controller-manager")?;
        for user in User::ALL {
            let identity = credentials.authority.client(user.name(), user.organization())?;
            users::write_kubeconfig(
                &user.kubeconfig(&credentials.directory),
                &credentials.server,
                &credentials.authority.certificate(),
                user.name(),
                &identity,
                user.home(),
            )?;
        }
        Ok(credentials)
    }

    /// Creates the kubeconfig of a Kubernetes component.
    pub(crate) fn component(&self, user: &str, group: Option<&str>, file: &str) -> Result<PathBuf> {
        let identity = self.authority.client(user, group)?;
        let path = self.directory.join(format!("{file}.kubeconfig"));
        let authority = self.authority.certificate();
        users::write_kubeconfig(&path, &self.server, &authority, user, &identity, "default")?;
        Ok(path)
    }

    /// Creates the serving certificate of a kubelet.
    pub(crate) fn kubelet_server(&self, node: &str, address: Ipv4Addr) -> Result<(PathBuf, PathBuf)> {
        self.authority
            .server(
                &format!("system:node:{node}"),
                Some("system:nodes"),
                &[node],
                &[address, Ipv4Addr::LOCALHOST],
            )?
            .write(&self.directory, "kubelet-server")
    }
}

/// The programs of the control plane, in start order.
pub(crate) fn programs(
    binaries: &Binaries,
    directory: &Path,
    endpoints: &Endpoints,
    credentials: &Credentials,
    is_audited: bool,
) -> Result<Vec<Program>> {
    let mut api_server = api_server(binaries, endpoints, &credentials.directory);
    if is_audited {
        let policy = directory.join("audit-policy.yaml");
        fs::write(&policy, AUDIT_POLICY)?;
        api_server = api_server.arguments([
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", Files(directory).log("audit").display()),
        ]);
    }
    let mut programs = vec![etcd(binaries, directory, endpoints), api_server];
    if binaries.has("kube-controller-manager") {
        programs.push(controller_manager(binaries, directory, &credentials.directory));
    }
    Ok(programs)
}

/// The name of the API server's program.
pub(crate) const API_SERVER: &str = "kube-apiserver";

/// One line for each request of a user, when the response starts.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: [dana, vic, nils]}
- {level: None}
";

fn etcd(binaries: &Binaries, directory: &Path, endpoints: &Endpoints) -> Program {
    let client = format!("http://127.0.0.1:{}", endpoints.etcd_port);
    let peer = format!("http://127.0.0.1:{}", endpoints.etcd_peer_port);
    Program::new("etcd", binaries.path("etcd"), Ending::Breaks).arguments([
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ])
}

fn api_server(binaries: &Binaries, endpoints: &Endpoints, pki: &Path) -> Program {
    let file = |name: &str| pki.join(name).display().to_string();
    Program::new(API_SERVER, binaries.path("kube-apiserver"), Ending::Breaks).arguments([
        format!("--etcd-servers=http://127.0.0.1:{}", endpoints.etcd_port),
        format!("--bind-address={}", endpoints.address),
        format!("--advertise-address={}", endpoints.address),
        format!("--secure-port={}", endpoints.port),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--client-ca-file={}", file("ca.crt")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        format!("--service-account-issuer={}", endpoints.server()),
        format!("--service-account-key-file={}", file("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", file("service-accounts.key")),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--kubelet-client-certificate={}", file("apiserver-kubelet.crt")),
        format!("--kubelet-client-key={}", file("apiserver-kubelet.key")),
        format!("--kubelet-certificate-authority={}", file("ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        // Aggregated APIs answer 403 without these.
        format!("--requestheader-client-ca-file={}", file("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--proxy-client-cert-file={}", file("front-proxy-client.crt")),
        format!("--proxy-client-key-file={}", file("front-proxy-client.key")),
        "--allow-privileged=true".to_owned(),
    ])
}

fn controller_manager(binaries: &Binaries, directory: &Path, pki: &Path) -> Program {
    let file = |name: &str| pki.join(name).display().to_string();
    Program::new("kube-controller-manager", binaries.path("kube-controller-manager"), Ending::Restarts)
        .arguments([
            format!("--kubeconfig={}", file("controller-manager.kubeconfig")),
            format!("--service-account-private-key-file={}", file("service-accounts.key")),
            format!("--root-ca-file={}", file("ca.crt")),
            format!("--cluster-signing-cert-file={}", file("ca.crt")),
            format!("--cluster-signing-key-file={}", file("ca.key")),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            // With the default rate its controllers need four seconds to start.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            // Every test leaves a namespace to delete.
            "--concurrent-namespace-syncs=30".to_owned(),
            // A node is marked as ready after one second instead of five.
            "--node-monitor-period=1s".to_owned(),
            // The default is a directory outside the cluster's, which would be created.
            format!("--flex-volume-plugin-dir={}", directory.join("flexvolume").display()),
        ])
}
