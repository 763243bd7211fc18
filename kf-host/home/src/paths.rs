//! The paths of kf's files.

use std::path::PathBuf;

use kf_core::{PluginName, RegistryId};

use crate::trusted::OwnPath;

/// kf's folders, one for each of the XDG kinds. The caller determines them; this crate does not read the environment.
///
/// ```text
/// config/registries/ID/{registry.toml,root.json}   which registries are trusted, and their roots
/// data/registries/ID/state.json                    what was last verified
/// data/store/{format,v1/SHA256.{wasm,toml,json}}   verified bytes, by digest
/// data/compiled/COMPAT/SHA256.cwasm                native code compiled on this machine
/// data/receipts/NAME.json                          what is installed
/// data/previous/NAME.json                          what was installed before
/// data/slots/NAME.json                             which command replaces a name
/// data/built-in/NAME.json                          settings of a built-in command
/// data/locks/NAME.lock                             who is changing a name
/// state/selection/{namespaces.json,lock}           which namespace is selected for which cluster
/// state/audit.jsonl                                every request to a cluster
/// cache/rights.json                                rights that the cluster recently confirmed
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    pub config: OwnPath,
    pub data: OwnPath,
    pub cache: OwnPath,
    pub state: OwnPath,
}

impl Home {
    /// All four folders under one, as for `KF_HOME`.
    pub fn under(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            config: OwnPath::new(dir.join("config")),
            data: OwnPath::new(dir.join("data")),
            cache: OwnPath::new(dir.join("cache")),
            state: OwnPath::new(dir.join("state")),
        }
    }

    pub fn registry_config(&self, id: &RegistryId) -> OwnPath {
        self.config.at("registries").at(id.as_str())
    }

    pub fn registry_state(&self, id: &RegistryId) -> OwnPath {
        self.data.at("registries").at(id.as_str())
    }

    pub fn store(&self) -> OwnPath {
        self.data.at("store")
    }

    pub fn compiled(&self) -> OwnPath {
        self.data.at("compiled")
    }

    pub fn receipts(&self) -> OwnPath {
        self.data.at("receipts")
    }

    pub fn receipt(&self, name: &PluginName) -> OwnPath {
        self.receipts().at(format!("{name}.json"))
    }

    pub fn previous_versions(&self) -> OwnPath {
        self.data.at("previous")
    }

    pub fn previous(&self, name: &PluginName) -> OwnPath {
        self.previous_versions().at(format!("{name}.json"))
    }

    pub fn slots(&self) -> OwnPath {
        self.data.at("slots")
    }

    pub fn built_in(&self, name: &PluginName) -> OwnPath {
        self.data.at("built-in").at(format!("{name}.json"))
    }

    pub fn locks(&self) -> OwnPath {
        self.data.at("locks")
    }

    pub fn selection(&self) -> OwnPath {
        self.state.at("selection")
    }
}
