//! The folders that an admin's commands work on.

use std::path::{Path, PathBuf};

use clap::Args;
use kf_core::failure::Result;
use kf_core::shell;
use kf_registry::source::Source;

use crate::root_file::read_root;

/// The reviewed text.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Folder of the index: registry.toml, authors/, plugins/ and root/
    #[arg(long, value_name = "DIR", default_value = INDEX, value_hint = clap::ValueHint::DirPath)]
    pub index: PathBuf,
}

const INDEX: &str = "registry-index";
const PUBLISHED: &str = "published";

impl IndexArgs {
    /// The flag as words to type after others, unless it has its default.
    pub fn words(&self) -> String {
        flag("index", &self.index, Path::new(INDEX))
    }
}

fn flag(name: &str, path: &Path, default: &Path) -> String {
    if path == default { String::new() } else { format!(" --{name} {}", shell::path(path)) }
}

/// A published registry, and the root that it is verified from.
#[derive(Debug, Args)]
pub struct PublishedArgs {
    /// Folder that the registry is published from, or a copy of it
    #[arg(long, value_name = "DIR", default_value = PUBLISHED, value_hint = clap::ValueHint::DirPath)]
    pub published: PathBuf,

    /// First root, as users pinned it [default: root/1.root.json of the index]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    root: Option<PathBuf>,
}

/// Both.
#[derive(Debug, Args)]
pub struct FolderArgs {
    #[command(flatten)]
    pub index: IndexArgs,

    #[command(flatten)]
    pub published: PublishedArgs,
}

impl FolderArgs {
    /// The reviewed text, and the root that users pinned if it is given or in the text.
    pub fn read(&self) -> Result<(Source, Option<Vec<u8>>)> {
        let source = Source::read(&self.index.index)?;
        let pinned = self.published.pinned_root(&source)?;
        Ok((source, pinned))
    }

    /// The folder of the reviewed text.
    pub fn index(&self) -> &Path {
        &self.index.index
    }

    /// The folder of the published registry.
    pub fn published(&self) -> &Path {
        &self.published.published
    }

    /// The flags as words to type after others, unless they have their defaults.
    pub fn words(&self) -> String {
        self.index.words() + &self.published.words()
    }
}

impl PublishedArgs {
    /// The root that users pinned, if it is given or in the index.
    pub fn pinned_root(&self, source: &Source) -> Result<Option<Vec<u8>>> {
        match &self.root {
            Some(path) => read_root(path).map(Some),
            None => Ok(source.roots.get(&1).cloned()),
        }
    }

    /// The root that users pinned, without an index: the given one, or the one in the folder `index`.
    pub fn pinned_root_in(&self, index: &Path) -> Result<Vec<u8>> {
        let default = index.join("root/1.root.json");
        read_root(self.root.as_deref().unwrap_or(&default)).map_err(|error| {
            error.hint("name the first root with --root FILE, or the index with --index DIR")
        })
    }

    /// The flags as words to type after others, unless they have their defaults.
    pub fn words(&self) -> String {
        let root = self.root.as_ref().map(|root| format!(" --root {}", shell::path(root)));
        flag("published", &self.published, Path::new(PUBLISHED)) + &root.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_words_of_a_shell() {
        let folders = |index: &str, published: &str, root: Option<&str>| FolderArgs {
            index: IndexArgs { index: index.into() },
            published: PublishedArgs { published: published.into(), root: root.map(PathBuf::from) },
        };
        assert_eq!(folders(INDEX, PUBLISHED, None).words(), "");
        assert_eq!(
            folders("our index", "/srv/$kf", Some("root's.json")).words(),
            " --index 'our index' --published '/srv/$kf' --root \"root's.json\""
        );
    }
}
