//! Debian's headless Chromium, for tests of pages.
//!
//! It is unpacked with all its libraries and not installed, so it is started with paths into the unpacked packages.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::debian::{self, Packages, Suite};
use crate::{Progress, Result, cache};

/// The browser, its libraries and fonts.
const PACKAGES: Packages<'_> = Packages {
    alone: &[],
    with_dependencies: &["chromium-headless-shell", "fonts-dejavu-core", "fonts-liberation"],
    suite: Suite::OfMachine,
};

/// An unpacked Chromium.
#[derive(Clone, Debug)]
pub struct Chromium {
    root: PathBuf,
}

/// Fetches the packages, unless they are in the cache.
pub fn fetched(progress: Progress) -> Result<Chromium> {
    let key = debian::key(&PACKAGES)?.with("fonts 1");
    let root = cache::entry("chromium", key, progress, |directory| {
        debian::fetch(&PACKAGES, directory, progress)?;
        remove_unused(directory)
    })?;
    Ok(Chromium { root })
}

/// Removes what is only used with a GPU, a quarter of all.
fn remove_unused(root: &Path) -> Result<()> {
    for library in libraries(root) {
        let Ok(entries) = fs::read_dir(&library) else { continue };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name == "dri" {
                fs::remove_dir_all(path)?;
            } else if name.starts_with("libLLVM") {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

fn libraries(root: &Path) -> Vec<PathBuf> {
    let tuple = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["usr/lib", "lib"].iter().map(|folder| root.join(folder).join(&tuple)).collect()
}

impl Chromium {
    /// The program.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.root.join("usr/lib/chromium/chromium-headless-shell")
    }

    /// Environment variables for it, in a home in which it can write.
    pub fn environment(&self, home: &Path) -> Result<Vec<(String, String)>> {
        let fonts = home.join("fonts.conf");
        fs::write(&fonts, fonts_conf(&self.root.join("usr/share/fonts"), home))?;
        let mut paths = libraries(&self.root);
        // PulseAudio's library has one that only its own run path names.
        paths.extend(libraries(&self.root).iter().map(|folder| folder.join("pulseaudio")));
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let home = home.display().to_string();
        let variables = [
            ("LD_LIBRARY_PATH", paths.join(":")),
            ("FONTCONFIG_FILE", fonts.display().to_string()),
            ("HOME", home.clone()),
            ("XDG_CONFIG_HOME", home.clone()),
            ("XDG_CACHE_HOME", home),
        ];
        Ok(variables.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

fn fonts_conf(fonts: &Path, cache: &Path) -> String {
    let alias = |family: &str, font: &str| {
        format!(
            "<alias binding=\"same\"><family>{family}</family><prefer><family>{font}</family></prefer></alias>\n"
        )
    };
    format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n<dir>{}</dir>\n\
         <cachedir>{}</cachedir>\n{}{}{}</fontconfig>\n",
        fonts.display(),
        cache.join("fontconfig").display(),
        alias("system-ui", "Liberation Sans"),
        alias("sans-serif", "Liberation Sans"),
        alias("monospace", "Liberation Mono"),
    )
}
