//! The permissions of a `plugin.toml`, all of them allowed by the registry and accepted by the user.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use kf_core::Permissions;
use kf_core::grants::{Ceiling, Consent, Grants, RuleSet, RunFlags};
use kf_core::pod_http::PodHeader;
use serde::Deserialize;

use crate::error::{Error, Result};

/// The name and permissions in the manifest of the package under test, if it has one.
#[derive(Default)]
pub(super) struct Package {
    pub(super) name: Option<String>,
    pub(super) rights: Option<Rights>,
}

pub(super) struct Rights {
    pub(super) grants: Grants,
    pub(super) selection: bool,
    pub(super) terminal: bool,
    pub(super) headers: BTreeSet<PodHeader>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    plugin: Plugin,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Default, Deserialize)]
struct Plugin {
    name: Option<String>,
}

impl Package {
    pub(super) fn of_this_test() -> Result<Self> {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
        match fs_err::read_to_string(Path::new(&folder).join("plugin.toml")) {
            Ok(manifest) => {
                let Manifest { plugin, permissions } = Manifest::parse(&manifest)?;
                Ok(Self { name: plugin.name, rights: Some(Rights::of(&permissions)?) })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::invalid(error.to_string())),
        }
    }
}

impl Manifest {
    fn parse(manifest: &str) -> Result<Self> {
        toml::from_str(manifest).map_err(|error| unreadable(error.message()))
    }
}

impl Rights {
    /// Parses the permissions of a `plugin.toml`.
    pub(super) fn parse(manifest: &str) -> Result<Self> {
        Self::of(&Manifest::parse(manifest)?.permissions)
    }

    fn of(permissions: &Permissions) -> Result<Self> {
        let rules =
            RuleSet::parse(&permissions.kubernetes).map_err(|error| unreadable(&error.to_string()))?;
        let component = String::new();
        let grants = Grants {
            component: component.clone(),
            manifest: rules.clone(),
            ceiling: Ceiling::Registry(rules.clone()),
            consent: Some(Consent { component, rules }),
            environment: None,
            run: RunFlags::default(),
        };
        let Permissions { kubernetes: _, selection, terminal, headers } = permissions;
        Ok(Self { grants, selection: *selection, terminal: *terminal, headers: headers.clone() })
    }
}

fn unreadable(why: &str) -> Error {
    Error::invalid(format!("cannot read the manifest: {why}"))
}
