//! The files of a release, each of a kind.
//!
//! A release has one program, one manifest and one command tree. The list can have more kinds later; a kind
//! that this kf does not know is refused, so that no release is installed in part.

use kf_core::{Digest, PluginName, manifest};
use semver::Version;
use serde::{Deserialize, Serialize};

/// The kind of a file of a release, given by the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// A WebAssembly component.
    Component,
    /// Source text, for a runtime that is another component.
    Script,
    /// `plugin.toml`, as its author signed it.
    Manifest,
    /// The command tree, `command.json`.
    Commands,
}

impl PartKind {
    pub const ALL: [Self; 4] = [Self::Component, Self::Script, Self::Manifest, Self::Commands];

    /// Its name below `plugins/NAME/VERSION/`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Component => "plugin.wasm",
            Self::Script => "plugin.py",
            Self::Manifest => "plugin.toml",
            Self::Commands => "command.json",
        }
    }

    /// Its file extension in the store.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Component => "wasm",
            Self::Script => "py",
            Self::Manifest => "toml",
            Self::Commands => "json",
        }
    }

    /// The largest file that is published or fetched.
    pub fn max_bytes(self) -> u64 {
        match self {
            Self::Component => crate::MAX_WASM_BYTES,
            Self::Script => 1024 * 1024,
            Self::Manifest => manifest::MAX_BYTES,
            Self::Commands => crate::MAX_COMMANDS_BYTES,
        }
    }

    /// Its name in errors.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Script => "script",
            Self::Manifest => "manifest",
            Self::Commands => "command tree",
        }
    }

    /// Whether it is the program.
    pub fn is_program(self) -> bool {
        matches!(self, Self::Component | Self::Script)
    }

    /// Its path among a registry's targets.
    pub fn path(self, name: &PluginName, version: &Version) -> String {
        format!("plugins/{name}/{version}/{}", self.file_name())
    }
}

/// A file of a release, by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub kind: PartKind,
    pub sha256: Digest,
    /// In bytes.
    pub length: u64,
}

impl Part {
    pub fn of(kind: PartKind, bytes: &[u8]) -> Self {
        Self { kind, sha256: Digest::of(bytes), length: bytes.len() as u64 }
    }
}

/// The files of one release: each kind at most once, exactly one program, a manifest and a command tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Part>", into = "Vec<Part>")]
pub struct Parts {
    program: Part,
    manifest: Part,
    commands: Part,
}

/// The error for a list of files that is not a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a release must have exactly one program, one manifest and one command tree")]
pub struct IncompleteRelease;

impl Parts {
    /// The program.
    pub fn program(&self) -> Part {
        self.program
    }

    pub fn manifest(&self) -> Part {
        self.manifest
    }

    pub fn commands(&self) -> Part {
        self.commands
    }

    pub fn iter(&self) -> impl Iterator<Item = Part> {
        [self.program, self.manifest, self.commands].into_iter()
    }
}

impl TryFrom<Vec<Part>> for Parts {
    type Error = IncompleteRelease;

    fn try_from(parts: Vec<Part>) -> Result<Self, IncompleteRelease> {
        let only = |wanted: &dyn Fn(PartKind) -> bool| {
            let mut found = parts.iter().filter(|part| wanted(part.kind));
            match (found.next(), found.next()) {
                (Some(part), None) => Ok(*part),
                _ => Err(IncompleteRelease),
            }
        };
        Ok(Self {
            program: only(&PartKind::is_program)?,
            manifest: only(&|kind| kind == PartKind::Manifest)?,
            commands: only(&|kind| kind == PartKind::Commands)?,
        })
    }
}

impl From<Parts> for Vec<Part> {
    fn from(parts: Parts) -> Self {
        parts.iter().collect()
    }
}

/// How a release runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Program {
    /// The component itself.
    #[default]
    Component,
    /// Another component runs the script.
    Script { runtime: Runtime },
}

/// The component that runs a script, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    pub name: PluginName,
    pub sha256: Digest,
}

impl Program {
    /// The kind of its program.
    pub fn part(&self) -> PartKind {
        match self {
            Self::Component => PartKind::Component,
            Self::Script { .. } => PartKind::Script,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: PartKind) -> Part {
        Part::of(kind, kind.file_name().as_bytes())
    }

    #[test]
    fn release_has_one_program_one_manifest_and_one_command_tree() {
        use PartKind::{Commands, Component, Manifest, Script};
        for kinds in [vec![Component, Manifest, Commands], vec![Commands, Script, Manifest]] {
            let parts = Parts::try_from(kinds.iter().map(|kind| part(*kind)).collect::<Vec<_>>()).unwrap();
            assert!(parts.program().kind.is_program());
            assert_eq!(parts.iter().count(), 3);
        }
        for kinds in [
            vec![],
            vec![Component, Manifest],
            vec![Manifest, Commands],
            vec![Component, Script, Manifest, Commands],
            vec![Component, Component, Manifest, Commands],
        ] {
            assert!(Parts::try_from(kinds.iter().map(|kind| part(*kind)).collect::<Vec<_>>()).is_err());
        }
    }

    #[test]
    fn unknown_kind_is_refused() {
        let digest = Digest::of(b"");
        let text = format!(r#"[{{"kind":"module","sha256":"{digest}","length":0}}]"#);
        assert!(serde_json::from_str::<Parts>(&text).is_err());
    }
}
