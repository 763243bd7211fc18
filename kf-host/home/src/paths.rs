//! Where things are kept.

use std::path::PathBuf;

use kf_core::{PluginName, RegistryId};

/// kf's folders, one for each of the XDG kinds. The caller works them out; this crate reads no environment.
///
/// ```text
/// config/registries/ID/{registry.toml,root.json}   which registries are trusted, and their roots
/// data/registries/ID/state.json                    what was last verified
/// data/store/{format,v1/SHA256.{wasm,toml,json}}   verified bytes, by digest
/// data/compiled/COMPAT/SHA256.cwasm                native code made on this machine
/// data/receipts/NAME.json                          what is installed
/// data/slots/NAME.json                             which command answers to a name
/// data/locks/NAME.lock                             who is changing a name
/// state/selection/{namespaces.json,lock}           which namespace is in use on which cluster
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    pub config: PathBuf,
    pub data: PathBuf,
    pub cache: PathBuf,
    pub state: PathBuf,
}

impl Home {
    /// All four folders under one, as `KF_HOME` asks.
    pub fn under(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            config: dir.join("config"),
            data: dir.join("data"),
            cache: dir.join("cache"),
            state: dir.join("state"),
        }
    }

    pub fn registry_config(&self, id: &RegistryId) -> PathBuf {
        self.config.join("registries").join(id.as_str())
    }

    pub fn registry_state(&self, id: &RegistryId) -> PathBuf {
        self.data.join("registries").join(id.as_str())
    }

    pub fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    pub fn compiled(&self) -> PathBuf {
        self.data.join("compiled")
    }

    pub fn receipts(&self) -> PathBuf {
        self.data.join("receipts")
    }

    pub fn receipt(&self, name: &PluginName) -> PathBuf {
        self.receipts().join(format!("{name}.json"))
    }

    pub fn slots(&self) -> PathBuf {
        self.data.join("slots")
    }

    pub fn locks(&self) -> PathBuf {
        self.data.join("locks")
    }

    pub fn selection(&self) -> PathBuf {
        self.state.join("selection")
    }
}
