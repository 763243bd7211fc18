//! The hostile guests of `tests/adversarial`, published by a registry that accepted them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use kf_toolchains::guests::toolchain::{Machine, Way, resolve};
use kf_toolchains::{guests, progress};
use tempfile::TempDir;

use super::registry::Shelf;
use super::{Home, registry};

const READ_PODS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["get"]
"#;

const USE_PODS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["get", "list", "create", "patch"]

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/log"]
verbs = ["get"]
"#;

const CHANGE_PODS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["create", "patch", "delete"]
"#;

const READ_SECRETS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods", "secrets"]
verbs = ["get"]
"#;

const READ_DATA_OF_SECRETS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["get"]

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["secrets"]
verbs = ["get"]
data = true
"#;

const FORWARD_PORTS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/portforward"]
verbs = ["get", "create"]
"#;

const EXEC: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/exec", "pods/attach"]
verbs = ["get", "create"]
"#;

const EXEC_AND_TERMINAL: &str = r#"
[permissions]
terminal = true

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/exec", "pods/attach"]
verbs = ["get", "create"]
"#;

const CHANGE_WITHOUT_GET: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["secrets", "configmaps"]
verbs = ["create", "patch"]
"#;

/// All that the ABI has functions for.
const EVERYTHING: &str = r#"
[permissions]
selection = true
terminal = true

[[permissions.kubernetes]]
apiGroups = ["authentication.k8s.io"]
resources = ["selfsubjectreviews"]
verbs = ["create"]

[[permissions.kubernetes]]
apiGroups = ["authorization.k8s.io"]
resources = ["selfsubjectaccessreviews"]
verbs = ["create"]
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["get", "list", "watch", "create", "patch", "delete"]

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/log"]
verbs = ["get"]

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods/exec", "pods/attach", "pods/portforward"]
verbs = ["get", "create"]

[[permissions.kubernetes]]
apiGroups = [""]
resources = ["serviceaccounts/token"]
verbs = ["create"]
"#;

/// Commands, the guest each runs, and the permissions it asks for.
const PUBLISHED: [(&str, &str, &str); 19] = [
    ("complete-injects", "complete_injects", ""),
    ("complete-paths", "complete_paths", ""),
    ("complete-prints", "complete_prints", ""),
    ("complete-spins", "complete_spins", ""),
    ("complete-writes", "complete_writes", CHANGE_PODS),
    ("escape-sequences", "escape_sequences", ""),
    ("hidden-words", "hidden_words", CHANGE_WITHOUT_GET),
    ("impostor", "impostor", ""),
    ("lying-manifest", "lying_manifest", READ_PODS),
    ("refusal-flood", "refusal_flood", READ_PODS),
    ("secret-reader", "lying_manifest", READ_SECRETS),
    ("secret-data-reader", "lying_manifest", READ_DATA_OF_SECRETS),
    ("namespace-escape", "namespace_escape", USE_PODS),
    ("sleep-for-ever", "sleep_for_ever", ""),
    ("spin", "spin", ""),
    ("held-ports", "held_ports", FORWARD_PORTS),
    ("joined-terminal", "joined_terminal", EXEC),
    ("granted-terminal", "joined_terminal", EXEC_AND_TERMINAL),
    ("hungry", "hungry", EVERYTHING),
];

static ATTACKS: Shelf = Shelf::of(published);

/// A home with these commands added.
pub fn home(names: &[&str]) -> Home {
    ATTACKS.home(names)
}

fn published() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("kf-attacks-").tempdir().unwrap();
        publish(folder.path());
        folder
    });
    folder.path()
}

fn publish(out: &Path) {
    let (index, artifacts) = (out.join("index"), out.join("artifacts"));
    for folder in ["authors", "plugins"] {
        fs_err::create_dir_all(index.join(folder)).unwrap();
    }
    let text = fs_err::read_to_string(registry::index().join("registry.toml")).unwrap();
    fs_err::write(index.join("registry.toml"), text).unwrap();
    let names = PUBLISHED.map(|(name, ..)| name);
    let author =
        format!("format = 1\nid = \"mallory\"\ncontact = \"https://mallory.example\"\nplugins = {names:?}\n");
    fs_err::write(index.join("authors/mallory.toml"), author).unwrap();

    for (name, guest, rules) in PUBLISHED {
        let entry = format!("format = 1\nname = \"{name}\"\nsummary = \"Be useful\"\nowner = \"mallory\"\n");
        let ceiling = rules.replace("permissions", "ceiling");
        fs_err::write(index.join(format!("plugins/{name}.toml")), entry + &ceiling).unwrap();
        let manifest = format!(
            "format = 1\n[plugin]\nname = \"{name}\"\nversion = \"0.1.0\"\nabi = \"0.1.0\"\n\
             summary = \"Be useful\"\nlicense = \"Apache-2.0\"\n{rules}"
        );
        let folder = artifacts.join(name);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("plugin.toml"), manifest).unwrap();
        fs_err::copy(wasm(guest), folder.join("plugin.wasm")).unwrap();
    }
    registry::build(&index, &artifacts, out);
}

/// The component of an attack.
pub fn wasm(guest: &str) -> &'static Path {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let toolchain = resolve(&Machine::default(), Way::forced().unwrap(), progress::silent).unwrap();
        let built = guests::build_examples(&toolchain, "kf-attacks", "dev").unwrap();
        built.into_iter().map(|built| (built.name, built.wasm_path)).collect()
    });
    &built[guest]
}
