//! The rights a manifest asks for, decided as kf decides them.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};

/// What a call needs beyond its verb.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Plain,
    /// The data of secrets, not just their keys.
    Data,
    /// Taking over fields of other managers on apply.
    Force,
}

/// One verb on one resource at one place.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    /// The plural, with the subresource after a slash.
    pub(super) resource: &'a str,
    /// Absent for cluster-scoped kinds and for all namespaces.
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) want: Want,
}

/// What the package whose tests run says of its command. One without a manifest says nothing.
#[derive(Default)]
pub(super) struct Package {
    pub(super) name: Option<String>,
    pub(super) rights: Option<Rights>,
}

impl Package {
    pub(super) fn of_this_test() -> Result<Self> {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
        match fs_err::read_to_string(Path::new(&folder).join("plugin.toml")) {
            Ok(manifest) => {
                let Manifest { plugin, permissions } = Manifest::parse(&manifest)?;
                Ok(Self { name: plugin.name, rights: Some(permissions) })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::invalid(error.to_string())),
        }
    }
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    plugin: Plugin,
    #[serde(default)]
    permissions: Rights,
}

#[derive(Default, Deserialize)]
struct Plugin {
    name: Option<String>,
}

impl Manifest {
    fn parse(manifest: &str) -> Result<Self> {
        toml::from_str(manifest)
            .map_err(|error| Error::invalid(format!("the manifest cannot be read: {}", error.message())))
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rights {
    #[serde(default)]
    kubernetes: Vec<Rule>,
    #[serde(default)]
    pub(super) selection: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    data: bool,
    #[serde(default)]
    force: bool,
    #[serde(default, rename = "optional")]
    _optional: bool,
}

#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    Environment,
    Cluster,
}

impl Rights {
    /// Those of a `plugin.toml`.
    pub(super) fn parse(manifest: &str) -> Result<Self> {
        Manifest::parse(manifest).map(|manifest| manifest.permissions)
    }

    /// Refuses what no rule asks for. `environment` is the namespace of the run.
    pub(super) fn check(&self, access: Access<'_>, environment: &str) -> Result<()> {
        if self.allow(access, environment) {
            return Ok(());
        }
        let Access { verb, namespace, name, .. } = access;
        let resource = in_group(access.resource, access.group);
        let name = name.map(|name| format!(" named {name}")).unwrap_or_default();
        let place = namespace
            .map_or_else(|| "in the whole cluster".to_owned(), |namespace| format!("in {namespace}"));
        let error =
            Error::forbidden(format!("the manifest has no rule for `{verb} {resource}`{name} {place}"));
        Err(error.hint("add the rule to plugin.toml, or leave the call out"))
    }

    fn allow(&self, access: Access<'_>, environment: &str) -> bool {
        self.kubernetes.iter().any(|rule| rule.allows(access, environment))
    }
}

/// `pods`, `trainjobs.trainer.kubeflow.org`
pub(super) fn in_group(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl Rule {
    fn allows(&self, access: Access<'_>, environment: &str) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|known| known == word);
        let wanted = match access.want {
            Want::Plain => true,
            Want::Data => self.data,
            Want::Force => self.force,
        };
        has(&self.api_groups, access.group)
            && has(&self.resources, access.resource)
            && has(&self.verbs, access.verb)
            && (self.resource_names.is_empty()
                || access.name.is_some_and(|name| has(&self.resource_names, name)))
            && (self.scope == Scope::Cluster || access.namespace == Some(environment))
            && wanted
    }
}
