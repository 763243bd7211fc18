//! Verifies that a second build in another folder gives the same files.

use std::path::Path;

use super::compile::Build;
use super::pack::{fresh, names};
use crate::report;
use crate::reproducible::{Copies, compare};
use crate::step::{Failure, Result};

/// Builds `first` again from a copy of its sources, and compares the files with those in `released`. The built-in commands
/// are shared.
pub fn verify(first: &Build, released: &Path) -> Result<()> {
    let copies = Copies::make()?;
    let [_, folders] = &copies.folders;
    let second = Build {
        folders: folders.clone(),
        triple: first.triple.clone(),
        cross: first.cross.clone(),
        built_in: first.built_in.clone(),
        registry_url: first.registry_url.clone(),
        time: first.time.clone(),
    };
    let again = copies.folder.join("release");
    fresh(&again)?;
    super::make(&second, None, &copies.folder.join("stage"), &again)?;
    let mut differences = Vec::new();
    for name in names(&again)? {
        differences.extend(compare(&name, &released.join(&name), &again.join(&name))?);
    }
    if differences.is_empty() {
        report::step("both builds gave the same bytes");
        return copies.remove();
    }
    Err(Failure(format!(
        "two builds differ: {}\nhint: the second build is in {}",
        differences.join("; "),
        again.display()
    )))
}
