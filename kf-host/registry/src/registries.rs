//! The registries that this machine trusts, and their pinned roots.
//!
//! There is no trust on first use: a registry is added with its root, or with the root's digest.
//!
//! A release of kf may have a default registry with its root. It is configured unless there is a `registry.toml` for its
//! name, with other URLs or another root, or without any URL if the registry was removed.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use kf_core::format::{self, Format};
use kf_core::{Digest, RegistryId};
use kf_home::Home;
use kf_home::trusted::OwnPath;
use serde::{Deserialize, Serialize};
use sigstore_tuf::TrustedMetadataSet;

use crate::access::Access;
use crate::built_in::{BuiltIns, DefaultRegistry};
use crate::error::{Error, Result};
use crate::transport::{self, Deadline, Failure, Progress, Transport, Url};

const MAX_ROOT_BYTES: u64 = 512_000;

/// A registry and the root it was pinned with.
#[derive(Clone, Debug)]
pub struct Registry {
    pub id: RegistryId,
    /// The mirrors, tried in turn. Never empty.
    pub urls: Vec<Url>,
    /// The pinned root's bytes.
    pub root: Vec<u8>,
    /// Its credentials and certificates.
    pub access: Access,
}

/// How a registry's root is pinned.
#[derive(Clone, Copy, Debug)]
pub enum Pin<'a> {
    /// The file itself.
    Root(&'a [u8]),
    /// Its digest; the file is then fetched from the registry as `metadata/1.root.json`.
    Sha256(Digest),
    /// The root of the default registry, which is built into kf.
    BuiltIn(DefaultRegistry),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    format: Format<1>,
    /// Empty if the default registry is switched off.
    urls: Vec<String>,
    root_sha256: Digest,
}

impl Config {
    fn is_off(&self) -> bool {
        self.urls.is_empty()
    }
}

impl Registry {
    /// A registry that is not stored: for the default registry, and for tests.
    pub fn new(id: RegistryId, urls: Vec<Url>, root: Vec<u8>) -> Result<Self> {
        if urls.is_empty() {
            return Err(Error::BadUrl { url: String::new(), reason: "at least one URL is required" });
        }
        TrustedMetadataSet::from_root(&root)
            .map_err(|e| Error::BadRoot { registry: id.clone(), reason: crate::trust::chain(&e) })?;
        Ok(Self { id, urls, root, access: Access::default() })
    }

    pub fn root_digest(&self) -> Digest {
        Digest::of(&self.root)
    }

    /// The version of the pinned root.
    pub fn root_version(&self) -> Result<u64> {
        let trusted = TrustedMetadataSet::from_root(&self.root);
        let trusted = trusted
            .map_err(|e| Error::BadRoot { registry: self.id.clone(), reason: crate::trust::chain(&e) })?;
        Ok(trusted.root().version)
    }
}

/// Adds a registry. Nothing is written unless its root is valid.
///
/// With [`Pin::Sha256`] the root is fetched from the first URL that has it, within `limit`.
pub fn add(home: &Home, id: RegistryId, urls: &[&str], pin: Pin<'_>, limit: Duration) -> Result<Registry> {
    add_with_certificates(home, id, urls, pin, None, limit)
}

/// The same, trusting these certificates, in PEM format, instead of the system's for connections to it.
pub fn add_with_certificates(
    home: &Home,
    id: RegistryId,
    urls: &[&str],
    pin: Pin<'_>,
    certificates: Option<&[u8]>,
    limit: Duration,
) -> Result<Registry> {
    let urls = urls.iter().map(|url| Url::parse(url)).collect::<Result<Vec<_>>>()?;
    let dir = home.registry_config(&id);
    if config(home, &id)?.is_some_and(|config| !config.is_off()) {
        return Err(Error::RegistryExists(id));
    }
    if let Some(pem) = certificates {
        transport::certificates(pem)?;
    }
    let mut access = Access::of(home, &id, &urls)?;
    access.certificates = certificates.map(<[u8]>::to_vec);
    let root = match pin {
        Pin::Root(bytes) => bytes.to_vec(),
        Pin::Sha256(digest) => fetch_root(&id, &urls, &access, digest, limit)?,
        Pin::BuiltIn(default) if default.id == id.as_str() => default.root.to_vec(),
        Pin::BuiltIn(_) => return Err(Error::NoRegistry(id)),
    };
    let registry = Registry { access, ..Registry::new(id, urls, root)? };
    dir.make()?;
    // The state of an earlier registry of this name must not apply to the new one.
    remove_dir(&home.registry_state(&registry.id))?;
    match certificates {
        Some(pem) => dir.at("ca.pem").write(pem)?,
        None => remove_file(&dir.join("ca.pem"))?,
    }
    store(home, &registry)?;
    Ok(registry)
}

fn config(home: &Home, id: &RegistryId) -> Result<Option<Config>> {
    let path = home.registry_config(id).at("registry.toml");
    let Some(bytes) = path.read(64 * 1024)? else { return Ok(None) };
    let what = path.display().to_string();
    let text = std::str::from_utf8(&bytes).map_err(|e| Error::invalid(&what, e))?;
    Ok(Some(format::parse_toml(&what, text, 1)?))
}

/// The default registry, if it has this name.
fn default_registry(built_in: BuiltIns, id: &RegistryId) -> Option<DefaultRegistry> {
    built_in.registry().filter(|default| default.id == id.as_str())
}

/// Loads one registry.
pub fn load(home: &Home, built_in: BuiltIns, id: &RegistryId) -> Result<Registry> {
    let dir = home.registry_config(id);
    let config = match (config(home, id)?, default_registry(built_in, id)) {
        (Some(config), _) if !config.is_off() => config,
        (None, Some(default)) => {
            let urls = default.urls.iter().map(|url| Url::parse(url)).collect::<Result<_>>()?;
            return with_access(home, Registry::new(id.clone(), urls, default.root.to_vec())?);
        }
        _ => return Err(Error::NoRegistry(id.clone())),
    };
    let root = dir.at("root.json").read(MAX_ROOT_BYTES)?.ok_or_else(|| Error::BadRoot {
        registry: id.clone(),
        reason: format!("{} is missing", dir.join("root.json").display()),
    })?;
    let found = Digest::of(&root);
    if found != config.root_sha256 {
        return Err(Error::WrongRoot { registry: id.clone(), found, pinned: config.root_sha256 });
    }
    let urls = config.urls.iter().map(|url| Url::parse(url)).collect::<Result<_>>()?;
    with_access(home, Registry::new(id.clone(), urls, root)?)
}

/// The registry with its credentials and certificates.
fn with_access(home: &Home, registry: Registry) -> Result<Registry> {
    Ok(Registry { access: Access::of(home, &registry.id, &registry.urls)?, ..registry })
}

/// Replaces the addresses of a registry. Its root stays: an address is not trusted.
pub fn set_urls(home: &Home, built_in: BuiltIns, id: &RegistryId, urls: &[&str]) -> Result<Registry> {
    let urls = urls.iter().map(|url| Url::parse(url)).collect::<Result<Vec<_>>>()?;
    let old = load(home, built_in, id)?;
    let registry = with_access(home, Registry::new(id.clone(), urls, old.root)?)?;
    store(home, &registry)?;
    Ok(registry)
}

fn store(home: &Home, registry: &Registry) -> Result<()> {
    let dir = home.registry_config(&registry.id);
    let config = Config {
        format: Format,
        urls: registry.urls.iter().map(ToString::to_string).collect(),
        root_sha256: registry.root_digest(),
    };
    dir.at("root.json").write(&registry.root)?;
    write(&dir, &config)
}

/// The ids of all registries, sorted. A registry may still fail to [`load`].
pub fn list(home: &Home, built_in: BuiltIns) -> Result<Vec<RegistryId>> {
    let names = home.config.at("registries").names()?;
    // One whose file cannot be read is listed, and loading it reports why.
    let is_configured = |id: &RegistryId| match config(home, id) {
        Ok(None) => default_registry(built_in, id).is_some(),
        Ok(Some(config)) => !config.is_off(),
        Err(_) => true,
    };
    let named = names.iter().filter_map(|name| RegistryId::parse(name).ok());
    let default = built_in.registry().and_then(|default| RegistryId::parse(default.id).ok());
    let ids: BTreeSet<RegistryId> = named.chain(default).filter(is_configured).collect();
    Ok(ids.into_iter().collect())
}

/// Removes a registry. Its commands stay installed. The default registry is switched off.
pub fn remove(home: &Home, built_in: BuiltIns, id: &RegistryId) -> Result<()> {
    if !list(home, built_in)?.contains(id) {
        return Err(Error::NoRegistry(id.clone()));
    }
    let dir = home.registry_config(id);
    remove_dir(&dir)?;
    if let Some(default) = default_registry(built_in, id) {
        let off = Config { format: Format, urls: Vec::new(), root_sha256: Digest::of(default.root) };
        write(&dir, &off)?;
    }
    remove_dir(&home.registry_state(id))
}

/// Removes what [`add`] wrote, which resets the default registry.
pub fn reset(home: &Home, id: &RegistryId) -> Result<()> {
    remove_dir(&home.registry_config(id))?;
    remove_dir(&home.registry_state(id))
}

fn write(dir: &OwnPath, config: &Config) -> Result<()> {
    let text = toml::to_string(config).map_err(|e| Error::invalid("registry.toml", e))?;
    Ok(dir.at("registry.toml").write(text.as_bytes())?)
}

fn remove_file(path: &Path) -> Result<()> {
    match fs_err::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::writing(path, e)),
        _ => Ok(()),
    }
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs_err::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::writing(dir, e)),
        _ => Ok(()),
    }
}

fn fetch_root(
    id: &RegistryId,
    urls: &[Url],
    access: &Access,
    pinned: Digest,
    limit: Duration,
) -> Result<Vec<u8>> {
    let no_progress: Progress = std::sync::Arc::new(|_| {});
    let mut last = Failure::Unreachable("no URL given".into());
    for url in urls {
        let transport = Transport::new(url, access, Deadline::after(limit), no_progress.clone())?;
        match transport.get("metadata/1.root.json", MAX_ROOT_BYTES) {
            Ok(Some(bytes)) => {
                let found = Digest::of(&bytes);
                if found == pinned {
                    return Ok(bytes);
                }
                return Err(Error::WrongRoot { registry: id.clone(), found, pinned });
            }
            Ok(None) => last = Failure::Unreachable(format!("{url} has no metadata/1.root.json")),
            Err(failure) => last = failure,
        }
    }
    Err(crate::trust::from_failure(id, &last))
}
