//! The passphrase of a key, from the terminal or from a file descriptor.

use std::path::{Path, PathBuf};

use clap::Args;
use kf_core::failure::{Failure, Result};
use kf_registry::publish::{KeyFile, SigningKey};
use secrecy::{ExposeSecret as _, SecretString};

use crate::app::App;
use crate::secret_input;

const MAX_PASSPHRASE_BYTES: u64 = 4096;

#[derive(Debug, Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from the first line of this file descriptor, without a prompt
    #[arg(long, value_name = "FD")]
    passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    /// Reads a key, with its passphrase if it is encrypted.
    pub fn key(&self, app: &App, path: &Path) -> Result<SigningKey> {
        self.read(app, path, &mut None)
    }

    /// Reads several keys. From a file descriptor, one passphrase is for all of them.
    pub fn keys(&self, app: &App, paths: &[PathBuf]) -> Result<Vec<SigningKey>> {
        let mut known = None;
        paths.iter().map(|path| self.read(app, path, &mut known)).collect()
    }

    fn read(&self, app: &App, path: &Path, known: &mut Option<SecretString>) -> Result<SigningKey> {
        let encrypted = match KeyFile::read(path)? {
            KeyFile::Plain(key) => return Ok(key),
            KeyFile::Encrypted(encrypted) => encrypted,
        };
        let passphrase = match known.take() {
            Some(passphrase) => passphrase,
            None => self.passphrase(app, &format!("Passphrase of {}:", path.display()), "use the key")?,
        };
        let key = encrypted.decrypt(&passphrase)?;
        *known = self.passphrase_fd.map(|_| passphrase);
        Ok(key)
    }

    /// The passphrase of a new key, which is typed twice.
    pub fn new_passphrase(&self, app: &App) -> Result<SecretString> {
        let first = self.passphrase(app, "New passphrase:", "create a key")?;
        if self.passphrase_fd.is_none() {
            let second = self.passphrase(app, "Repeat the passphrase:", "create a key")?;
            if first.expose_secret() != second.expose_secret() {
                return Err(Failure::usage("the passphrases differ"));
            }
        }
        Ok(first)
    }

    fn passphrase(&self, app: &App, prompt: &str, purpose: &str) -> Result<SecretString> {
        match self.passphrase_fd {
            Some(fd) => secret_input::read_line(fd, "passphrase", MAX_PASSPHRASE_BYTES),
            None => app.ui.ask_secret(prompt).ok_or_else(|| {
                Failure::untrusted(format!("not a terminal: cannot {purpose} without a passphrase"))
                    .hint("pass it on a file descriptor: --passphrase-fd 3 3< FILE")
            }),
        }
    }
}
