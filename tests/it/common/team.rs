//! A namespace on a real API server, and its users.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kf_tests::cluster::{Cluster, Options, Part, Profile, TestNamespace, User};
use serde_json::json;

use super::{Home, TIMEOUT, output_of, until_true};

/// A test's own namespace: dana has the role `edit`, vic has `view`, nils has none.
pub struct Team {
    // Dropped before its cluster.
    namespace: TestNamespace,
    cluster: Place,
}

/// The cluster of a team.
enum Place {
    Shared(&'static Cluster),
    Own(Box<Cluster>),
}

impl Deref for Place {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        match self {
            Self::Shared(cluster) => cluster,
            Self::Own(cluster) => cluster,
        }
    }
}

impl Team {
    /// On an API server without nodes.
    pub fn new(hint: &str) -> Self {
        Self::on(Profile::Api, hint)
    }

    /// On a cluster with a node, where containers run.
    pub fn with_node(hint: &str) -> Self {
        Self::on(Profile::Node, hint)
    }

    /// On a cluster with a node and with optional parts of Kubeflow. Kueue's includes a queue for the namespace.
    pub fn with_parts(hint: &str, parts: &[Part]) -> Self {
        let team = Self::with_node(hint);
        for part in parts {
            team.cluster.require(*part).unwrap();
        }
        if parts.contains(&Part::Kueue) {
            team.cluster.make_queue(team.name()).unwrap();
        }
        team
    }

    fn on(profile: Profile, hint: &str) -> Self {
        Self::at(Place::Shared(Cluster::attach_or_start(profile).unwrap()), hint)
    }

    /// On its own API server, with an audit log.
    pub fn with_own_server(hint: &str) -> Self {
        let options = Options { audit: true, ..Options::default() };
        Self::at(Place::Own(Box::new(Cluster::start(Profile::Api, &options).unwrap())), hint)
    }

    fn at(cluster: Place, hint: &str) -> Self {
        let namespace = TestNamespace::new(&cluster, &format!("ns-{hint}")).unwrap();
        Self { namespace, cluster }
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Installs this part of Kubeflow in the cluster.
    pub fn require(&self, part: Part) {
        self.cluster.require(part).unwrap();
    }

    pub fn name(&self) -> &str {
        self.namespace.name()
    }

    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.namespace.kubeconfig(user)
    }

    /// A home for this user with these commands added.
    pub fn home(&self, user: User, commands: &[&str]) -> Home {
        Home::with_commands(commands).kubeconfig(&self.kubeconfig(user))
    }

    /// A kubectl of the server's version.
    pub fn kubectl_path(&self) -> &Path {
        self.cluster.kubectl()
    }

    pub fn kubectl(&self, user: User, arguments: &[&str]) -> Output {
        let mut kubectl = Command::new(self.kubectl_path());
        output_of(kubectl.arg("--kubeconfig").arg(self.kubeconfig(user)).args(arguments))
    }

    /// The output of kubectl as the admin; panics if it fails.
    #[track_caller]
    pub fn admin(&self, arguments: &[&str]) -> String {
        let output = self.kubectl(User::Admin, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits as `kubectl wait` does, for as long as a busy machine needs.
    #[track_caller]
    pub fn wait(&self, condition: &str, objects: &[&str]) {
        let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
        let condition = format!("--for={condition}");
        self.admin(&[&["wait", &condition, &timeout], objects].concat());
    }

    /// Waits until the API server allows a user this access: a role reaches its authorizer a moment after it is
    /// stored. The resource is named as in `trainjobs.trainer.kubeflow.org`.
    #[track_caller]
    pub fn wait_until_allowed(&self, who: &str, verb: &str, resource: &str) {
        self.wait_until_allowed_in(self.name(), who, verb, resource);
    }

    /// The same, for another namespace.
    #[track_caller]
    pub fn wait_until_allowed_in(&self, namespace: &str, who: &str, verb: &str, resource: &str) {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": who, "resourceAttributes": {
                "namespace": namespace, "verb": verb, "group": group, "resource": plural,
            }},
        });
        let file = self.namespace.directory().join("review.json");
        fs_err::write(&file, review.to_string()).unwrap();
        until_true(&format!("{who} may {verb} {resource} in {namespace}"), || {
            let file = file.to_str().unwrap();
            self.admin(&["create", "-f", file, "-o", "jsonpath={.status.allowed}"]) == "true"
        });
    }

    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let file = self.namespace.directory().join("manifest.yaml");
        fs_err::write(&file, manifest).unwrap();
        self.admin(&["apply", "-f", file.to_str().unwrap()]);
    }

    /// Creates a volume on the node, and a claim for it with this name.
    pub fn make_claim(&self, claim: &str) {
        self.apply(&node_claim(self.name(), claim));
    }

    /// Every object of the kinds a command may change, with its resource version.
    pub fn versions(&self) -> String {
        let kinds = "trainjobs,jobsets,jobs,pods,configmaps,secrets,services,serviceaccounts,rolebindings";
        let columns = "custom-columns=K:.kind,N:.metadata.name,V:.metadata.resourceVersion";
        self.admin(&["get", kinds, "-o", columns])
    }
}

/// A volume on the node for this namespace, and a claim for it with this name.
pub fn node_claim(namespace: &str, claim: &str) -> String {
    format!(
        "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {namespace}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteMany]
  storageClassName: ''
  persistentVolumeReclaimPolicy: Retain
  hostPath: {{path: /run/{namespace}, type: DirectoryOrCreate}}
  claimRef: {{namespace: {namespace}, name: {claim}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {claim}, namespace: {namespace}}}
spec:
  accessModes: [ReadWriteMany]
  storageClassName: ''
  volumeName: {namespace}
  resources: {{requests: {{storage: 1Gi}}}}
"
    )
}
