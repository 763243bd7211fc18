//! A registry with several versions of `hello`, each with a component of its own.

use std::path::Path;

use super::registry;

/// A version of `hello` and what the index says about the command when it is published.
#[derive(Clone, Copy, Default)]
pub struct Version<'a> {
    pub version: &'a str,
    /// Rules of its manifest, as TOML with the key `permissions.kubernetes`.
    pub rules: &'a str,
    /// Rules of the ceiling, in the same form; those of the manifest if absent.
    pub ceiling: Option<&'a str>,
    pub yanked: &'a [&'a str],
    /// Why all of them are yanked.
    pub yank_reason: Option<&'a str>,
    /// Digests of components that must not run.
    pub blocked: &'a [&'a str],
}

/// A rule that a registry does not consider dangerous.
pub const READ_PODS: &str =
    "\n[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"list\"]\n";

impl Version<'_> {
    pub const fn new(version: &str) -> Version<'_> {
        Version { version, rules: "", ceiling: None, yanked: &[], yank_reason: None, blocked: &[] }
    }

    /// Publishes it into a folder, beside the versions that are there. Returns the digest of its component.
    pub fn publish(&self, out: &Path) -> String {
        let work = tempfile::tempdir().unwrap();
        let (index, artifacts) = (work.path().join("index"), registry::only("hello", work.path()));
        registry::copy(&registry::index(), &index);
        let manifest = artifacts.join("hello/plugin.toml");
        let text = fs_err::read_to_string(&manifest).unwrap();
        let versioned = text.replace("version = \"0.1.0\"", &format!("version = {:?}", self.version));
        fs_err::write(&manifest, versioned + self.rules).unwrap();
        let component = artifacts.join("hello/plugin.wasm");
        let mut bytes = fs_err::read(&component).unwrap();
        // A custom section with the version, so that no two versions have the same component.
        let length = u8::try_from(self.version.len() + 2).unwrap();
        bytes.extend([0, length, 1, b'v']);
        bytes.extend(self.version.as_bytes());
        fs_err::write(&component, &bytes).unwrap();
        let entry = index.join("plugins/hello.toml");
        let mut text = fs_err::read_to_string(&entry).unwrap();
        let yanked = self.yanked.iter().map(|version| match self.yank_reason {
            Some(reason) => format!("{{ version = {version:?}, reason = {reason:?} }}"),
            None => format!("{version:?}"),
        });
        text.push_str(&format!("\nyanked = [{}]\n", yanked.collect::<Vec<_>>().join(", ")));
        for sha256 in self.blocked {
            text.push_str(&format!("[[blocked]]\nsha256 = {sha256:?}\nreason = \"it was stolen\"\n"));
        }
        text.push_str(&self.ceiling.unwrap_or(self.rules).replace("permissions", "ceiling"));
        fs_err::write(&entry, text).unwrap();
        registry::build(&index, &artifacts, out);
        kf_toolchains::cache::digest_of(&bytes)
    }
}
