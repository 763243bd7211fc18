use std::path::PathBuf;

use clap::Args;
use kf_core::failure::Result;
use kf_registry::publish::{SigningKey, key_file};

use crate::app::App;
use crate::passphrase::PassphraseArgs;

/// Generate a signing key
///
/// Writes an Ed25519 key as an encrypted PKCS#8 file, which only you can read, and prints its public key. OpenSSL can read
/// the file. An existing file is never overwritten.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// File to write the key to
    #[arg(value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,

    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub fn run(app: &App, args: &KeygenArgs) -> Result<()> {
    key_file::check_new(&args.file)?;
    let passphrase = args.passphrase.new_passphrase(app)?;
    let key = SigningKey::generate()?;
    key_file::create(&args.file, &key, &passphrase)?;
    app.ui.data_line(&key.public_hex())?;
    app.ui.note(
        "add this public key to `keys` in your authors/ID.toml; keep the file and its passphrase to yourself",
    );
    Ok(())
}
