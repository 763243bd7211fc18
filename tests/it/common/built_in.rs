//! A kf with built-in commands, and registries of the same author and of others.

use std::path::{Path, PathBuf};

use super::registry;

/// The folder with the program and the keys that its commands are signed with.
fn folder() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dir = std::env::var_os("KF_TEST_BUILT_IN")
        .map_or_else(|| repository.join("target/built-in"), PathBuf::from);
    assert!(dir.join("kf").is_file(), "{} does not exist; run `cargo xtask test`", dir.join("kf").display());
    dir
}

/// The program.
pub fn program() -> PathBuf {
    folder().join("kf")
}

/// The component of one of its commands.
pub fn component(name: &str) -> PathBuf {
    folder().join("artifacts").join(name).join("plugin.wasm")
}

/// The registry of its commands, which is its default registry.
pub fn published() -> PathBuf {
    folder().join("work/published")
}

/// A registry with one version of `hello`.
pub struct Registry<'a> {
    pub version: &'a str,
    /// Signed by the author of the built-in one, or by another author of the same name.
    pub same_author: bool,
    /// A component that must not run, and the reason.
    pub blocked: Option<(String, &'a str)>,
}

impl Registry<'_> {
    /// Builds it in a folder, on top of what the folder already has.
    pub fn publish(&self, out: &Path) {
        let artifacts = out.join("artifacts");
        fs_err::create_dir_all(artifacts.join("hello")).unwrap();
        fs_err::copy(component("hello"), artifacts.join("hello/plugin.wasm")).unwrap();
        let manifest = fs_err::read_to_string(component("hello").with_file_name("plugin.toml")).unwrap();
        let versioned = manifest.replace("version = \"0.1.0\"", &format!("version = {:?}", self.version));
        assert!(versioned != manifest || self.version == "0.1.0");
        fs_err::write(artifacts.join("hello/plugin.toml"), versioned).unwrap();
        let index = out.join("index");
        if !index.exists() {
            registry::copy(&registry::index(), &index);
        }
        if let Some((sha256, reason)) = &self.blocked {
            let path = index.join("plugins/hello.toml");
            let mut text = fs_err::read_to_string(&path).unwrap();
            text.push_str(&format!("\n[[blocked]]\nsha256 = {sha256:?}\nreason = {reason:?}\n"));
            fs_err::write(path, text).unwrap();
        }
        if self.same_author && !out.join("keys").exists() {
            registry::copy(&folder().join("keys"), &out.join("keys"));
        }
        registry::build(&index, &artifacts, out);
    }
}
