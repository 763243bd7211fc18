//! Private keys in files: PKCS#8 as PEM, encrypted with a passphrase.
//!
//! The format is that of `openssl pkcs8 -topk8 -scrypt`: PBES2 with scrypt and AES-256-CBC, so a key can be read and written
//! with OpenSSL as well. Files that [`SigningKey::save`] wrote are DER and not encrypted; they can be read, too.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use kf_home::trusted;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf};
use pkcs8::pkcs5::scrypt::Params;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use secrecy::{ExposeSecret as _, SecretString};

use super::keys::SigningKey;
use crate::error::{Error, Result};

const LABEL: &str = "ENCRYPTED PRIVATE KEY";
const MAX_FILE_BYTES: u64 = 16 * 1024;
/// The shortest passphrase for a new key, in bytes.
pub const MIN_PASSPHRASE_BYTES: usize = 8;

/// scrypt's cost as base-2 logarithm, block size and parallelism. OpenSSL refuses to read a key that needs more than 32 MiB.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// The most memory and work that a key file may ask for, in bytes. A new one needs a quarter of the memory and a twelfth of
/// the work.
const MAX_SCRYPT_MEMORY: u64 = 64 * 1024 * 1024;
const MAX_SCRYPT_WORK: u64 = 1024 * 1024 * 1024;
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;

/// Checks that decrypting takes seconds at most: memory that cannot be allocated would end the process.
fn check_cost(scheme: &EncryptionScheme<'_>) -> Result<(), String> {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return Err("only PBES2 is supported".into());
    };
    let is_cheap = match &parameters.kdf {
        Kdf::Scrypt(scrypt) => {
            let blocks = u64::from(scrypt.block_size).saturating_mul(128);
            let memory = scrypt.cost_parameter.saturating_mul(blocks);
            let work = memory.saturating_mul(scrypt.parallelization.into());
            scrypt.cost_parameter > 1 && memory <= MAX_SCRYPT_MEMORY && work <= MAX_SCRYPT_WORK
        }
        Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= MAX_PBKDF2_ITERATIONS,
        _ => return Err("unknown key derivation function".into()),
    };
    if is_cheap { Ok(()) } else { Err("decrypting it takes too much memory or time".into()) }
}

/// A key file that was read.
#[derive(Debug)]
pub enum KeyFile {
    Plain(SigningKey),
    Encrypted(EncryptedKey),
}

/// A key that needs its passphrase.
#[derive(Debug)]
pub struct EncryptedKey {
    path: PathBuf,
    document: SecretDocument,
}

impl KeyFile {
    /// Reads a key file. It must belong to the user, and no one else may be able to read it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            trusted::read_private(path, MAX_FILE_BYTES)?.ok_or_else(|| Error::NoKey(path.to_owned()))?;
        let invalid = |reason: &dyn std::fmt::Display| Error::invalid(path.display().to_string(), reason);
        if !bytes.starts_with(b"-----BEGIN") {
            return SigningKey::from_pkcs8(&bytes).map(Self::Plain).map_err(|reason| invalid(&reason));
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| invalid(&error))?;
        let (label, document) = SecretDocument::from_pem(text).map_err(|error| invalid(&error))?;
        if label != LABEL {
            return Err(invalid(&format!("expected `{LABEL}`, not `{label}`")));
        }
        Ok(Self::Encrypted(EncryptedKey { path: path.to_owned(), document }))
    }
}

impl EncryptedKey {
    /// The key, unless the passphrase is wrong.
    pub fn decrypt(&self, passphrase: &SecretString) -> Result<SigningKey> {
        let what = || self.path.display().to_string();
        let encrypted = EncryptedPrivateKeyInfo::try_from(self.document.as_bytes())
            .map_err(|error| Error::invalid(what(), error))?;
        check_cost(&encrypted.encryption_algorithm).map_err(|reason| Error::invalid(what(), reason))?;
        let decrypted = encrypted
            .decrypt(passphrase.expose_secret())
            .map_err(|_| Error::WrongPassphrase(self.path.clone()))?;
        SigningKey::from_pkcs8(decrypted.as_bytes()).map_err(|error| Error::invalid(what(), error))
    }
}

/// Fails if `path` exists: a key is never overwritten.
pub fn check_new(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(Error::KeyExists(path.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Writes a key to a new file that only its owner can read. An existing file is never overwritten.
///
/// # Errors
///
/// [`Error::ShortPassphrase`] below [`MIN_PASSPHRASE_BYTES`], and [`Error::KeyExists`] if there is a file.
pub fn create(path: &Path, key: &SigningKey, passphrase: &SecretString) -> Result<()> {
    let passphrase = passphrase.expose_secret();
    if passphrase.len() < MIN_PASSPHRASE_BYTES {
        return Err(Error::ShortPassphrase { min: MIN_PASSPHRASE_BYTES });
    }
    let pem = encrypt(key, passphrase)?;
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true);
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::KeyExists(path.to_owned()));
        }
        Err(error) => return Err(Error::writing(path, error)),
    };
    let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _incomplete = fs_err::remove_file(path);
        Error::writing(path, error)
    })
}

fn encrypt(key: &SigningKey, passphrase: &str) -> Result<pkcs8::der::zeroize::Zeroizing<String>> {
    let failed = || Error::Publish("cannot encrypt the key".into());
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    let random =
        |bytes: &mut [u8]| rand::fill(bytes).map_err(|_| Error::Publish("cannot get random bytes".into()));
    random(&mut salt)?;
    random(&mut iv)?;
    let (log_n, r, p) = SCRYPT;
    let cost = Params::new(log_n, r, p, 32).map_err(|_| failed())?;
    let parameters = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv).map_err(|_| failed())?;
    let der = key.to_pkcs8()?;
    let plain = PrivateKeyInfo::try_from(der.as_ref()).map_err(|_| failed())?;
    let encrypted = plain.encrypt_with_params(parameters, passphrase).map_err(|_| failed())?;
    encrypted.to_pem(LABEL, LineEnding::LF).map_err(|_| failed())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use kf_core::Kind;

    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    fn encrypted(path: &Path) -> EncryptedKey {
        match KeyFile::read(path).unwrap() {
            KeyFile::Encrypted(key) => key,
            KeyFile::Plain(_) => panic!("the key is not encrypted"),
        }
    }

    #[test]
    fn created_key_is_private_and_needs_its_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice.pem");
        let key = SigningKey::generate().unwrap();
        create(&path, &key, &secret("correct horse")).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = encrypted(&path);
        assert_eq!(read.decrypt(&secret("correct horse")).unwrap().public_hex(), key.public_hex());
        for wrong in ["", "correct horse ", "Correct horse"] {
            let error = read.decrypt(&secret(wrong)).unwrap_err();
            assert!(matches!(error, Error::WrongPassphrase(_)), "{error:?}");
            assert_eq!(error.kind(), Kind::Usage);
        }
    }

    #[test]
    fn key_that_takes_too_much_memory_or_time_is_refused() {
        let cases = [(20, 8, 1), (40, 8, 1), (63, 8, 1), (14, 512, 1), (14, 8, 1000), (16, 8, 100)];
        for (log_n, r, p) in cases {
            let salt = [0; 16];
            let kdf = Kdf::Scrypt(pbes2::ScryptParams {
                salt: &salt,
                cost_parameter: 1 << log_n,
                block_size: r,
                parallelization: p,
                key_length: None,
            });
            let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: &[0; 16] };
            let scheme = EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption });
            assert!(check_cost(&scheme).is_err(), "{log_n} {r} {p}");
        }
    }

    #[test]
    fn existing_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs_err::write(&path, "mine").unwrap();
        let error = create(&path, &SigningKey::generate().unwrap(), &secret("correct horse")).unwrap_err();
        assert!(matches!(error, Error::KeyExists(_)), "{error:?}");
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "mine");
        let link = folder.path().join("link.pem");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(check_new(&link).is_err());
    }

    #[test]
    fn short_passphrase_creates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        for short in ["", "1234567"] {
            let error = create(&path, &SigningKey::generate().unwrap(), &secret(short)).unwrap_err();
            assert!(matches!(error, Error::ShortPassphrase { min: 8 }), "{error:?}");
        }
        assert!(!path.exists());
    }

    #[test]
    fn missing_public_or_foreign_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        assert!(matches!(KeyFile::read(&path).unwrap_err(), Error::NoKey(_)));
        create(&path, &SigningKey::generate().unwrap(), &secret("correct horse")).unwrap();
        let pem = fs_err::read_to_string(&path).unwrap();
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(KeyFile::read(&path).unwrap_err().kind(), Kind::Untrusted);
        fs_err::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for text in [
            pem.replace("ENCRYPTED PRIVATE KEY", "CERTIFICATE"),
            pem.replace("-----END", "-----ENDE"),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n".to_owned(),
            String::new(),
        ] {
            fs_err::write(&path, &text).unwrap();
            assert_eq!(KeyFile::read(&path).unwrap_err().kind(), Kind::Usage, "{text}");
        }
    }
}
