//! The files that a cluster is built from, and its configuration.

use std::path::{Path, PathBuf};

use fs_err as fs;
use kf_toolchains::kubernetes::Binaries;
use kf_toolchains::{Progress, debian};

use super::control_plane::{self, Credentials, Endpoints};
use super::error::Result;
use super::node::{self, Node};
use super::supervisor::{self, Files, Plan};
use super::{Profile, STATE_VERSION, State, controllers, images, manifests};

/// The files that a cluster is built from.
pub(crate) struct Materials {
    pub(crate) binaries: Binaries,
    pub(crate) definitions: PathBuf,
    pub(crate) node: Option<NodeMaterials>,
}

pub(crate) struct NodeMaterials {
    system: PathBuf,
    images: PathBuf,
    pub(crate) manifests: controllers::Manifests,
}

impl Materials {
    pub(crate) fn get(profile: Profile, progress: Progress) -> Result<Self> {
        let definitions = manifests::definitions(progress)?;
        if profile == Profile::Api {
            return Ok(Self { binaries: Binaries::for_api(progress)?, definitions, node: None });
        }
        node::check()?;
        let binaries = Binaries::built(progress)?;
        let system = debian::node(progress)?;
        let manifests = controllers::render(&binaries, progress)?;
        let images = images::archive(&system, &manifests.controllers, progress)?;
        Ok(Self { binaries, definitions, node: Some(NodeMaterials { system, images, manifests }) })
    }

    /// Writes certificates, configuration and the plan to `directory`.
    pub(crate) fn configure(
        &self,
        profile: Profile,
        directory: &Path,
        node: Option<Node>,
        endpoints: &Endpoints,
        is_audited: bool,
    ) -> Result<State> {
        fs::create_dir_all(directory.join("tasks"))?;
        let credentials = Credentials::create(directory.join("pki"), endpoints)?;
        let mut programs =
            control_plane::programs(&self.binaries, directory, endpoints, &credentials, is_audited)?;
        if let (Some(materials), Some(node)) = (&self.node, &node) {
            let of_node = node::Materials {
                binaries: &self.binaries,
                system: &materials.system,
                images: &materials.images,
            };
            programs.extend(node::programs(&of_node, directory, node, &credentials)?);
        }
        supervisor::write_json(&Files(directory).plan(), &Plan { programs, node })?;
        Ok(State {
            version: STATE_VERSION,
            profile,
            server: endpoints.server(),
            kubectl: self.binaries.path("kubectl"),
            has_controllers: self.binaries.has("kube-controller-manager"),
            existing: false,
        })
    }
}
