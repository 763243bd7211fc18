//! The signing keys of a registry: Ed25519, in PKCS#8 files that only their owner can read.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use kf_core::AuthorId;
use kf_home::files;
use kf_home::trusted::{self, OwnPath};
use sigstore_tuf::Key;

use super::metadata;
use super::role::RoleName;
use crate::error::{Error, Result};

/// One private key.
#[derive(Debug)]
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: Key,
    id: String,
}

impl SigningKey {
    /// A new random key.
    pub fn generate() -> Result<Self> {
        let pair = Ed25519KeyPair::generate().map_err(|_| Error::Publish("cannot generate a key".into()))?;
        Self::from_pair(pair)
    }

    /// Reads a PKCS#8 file (DER), which must be readable only by its owner.
    pub fn load(path: &Path) -> Result<Self> {
        let what = path.display().to_string();
        let bytes = trusted::read_private(path, 4096)?
            .ok_or_else(|| Error::Publish(format!("key {what} not found")))?;
        Self::from_pkcs8(&bytes).map_err(|reason| Error::invalid(what, reason))
    }

    /// The key in a PKCS#8 document (DER), or why there is none.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|reason| reason.to_string())?;
        Self::from_pair(pair).map_err(|error| error.to_string())
    }

    /// The key as a PKCS#8 document (DER).
    pub(super) fn to_pkcs8(&self) -> Result<Document> {
        self.pair.to_pkcs8v1().map_err(|_| Error::Publish("cannot encode the key".into()))
    }

    /// Writes the key as a PKCS#8 file (DER) with mode 0600.
    pub fn save(&self, path: &Path) -> Result<()> {
        let der = self.to_pkcs8()?;
        Ok(files::write_atomic(path, der.as_ref(), true)?)
    }

    /// The TUF key id: the digest of the public key's canonical JSON.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key as 64 hexadecimal digits.
    pub fn public_hex(&self) -> String {
        self.public.keyval.public.clone()
    }

    /// The public key as TUF writes it.
    pub fn public(&self) -> &Key {
        &self.public
    }

    /// The signature of `bytes`, in hexadecimal.
    pub fn sign(&self, bytes: &[u8]) -> String {
        hex::encode(self.pair.sign(bytes))
    }

    fn from_pair(pair: Ed25519KeyPair) -> Result<Self> {
        let public = metadata::key(&hex::encode(pair.public_key()))?;
        let id = metadata::key_id(&public)?;
        Ok(Self { pair, public, id })
    }
}

/// Whether this is an Ed25519 public key: 64 lower-case hexadecimal digits.
pub(crate) fn is_public_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `signature`, in hexadecimal, is that of `bytes` by an Ed25519 key.
pub(super) fn is_signature(key: &Key, bytes: &[u8], signature: &str) -> bool {
    let (Ok(public), Ok(signature)) = (hex::decode(&key.keyval.public), hex::decode(signature)) else {
        return false;
    };
    key.scheme == "ed25519" && UnparsedPublicKey::new(&ED25519, public).verify(bytes, &signature).is_ok()
}

/// The public keys of one role, and its threshold.
#[derive(Clone, Debug)]
pub struct Holders {
    pub keys: Vec<Key>,
    pub threshold: usize,
}

/// The public keys of all roles, for a new registry.
#[derive(Clone, Debug)]
pub struct PublicKeys {
    pub root: Holders,
    pub targets: Holders,
    pub snapshot: Holders,
    pub timestamp: Holders,
    /// For authors whose file in the reviewed text lists no keys.
    pub authors: BTreeMap<AuthorId, Holders>,
}

impl PublicKeys {
    pub(super) fn top_level(&self) -> [(&'static str, &Holders); 4] {
        [
            ("root", &self.root),
            ("targets", &self.targets),
            ("snapshot", &self.snapshot),
            ("timestamp", &self.timestamp),
        ]
    }
}

/// All private keys of a registry in one place, for tests and to get started. Root and targets have a threshold of
/// two of three, each other role has one key.
#[derive(Debug)]
pub struct KeyRing {
    pub root: Vec<SigningKey>,
    pub targets: Vec<SigningKey>,
    pub snapshot: SigningKey,
    pub timestamp: SigningKey,
    pub authors: BTreeMap<AuthorId, SigningKey>,
}

impl KeyRing {
    /// The threshold of root and of targets.
    pub const THRESHOLD: usize = 2;
    /// The number of root keys, and of targets keys.
    pub const ADMINS: usize = 3;

    /// Generates keys for a registry with these authors.
    pub fn generate<'a>(authors: impl IntoIterator<Item = &'a AuthorId>) -> Result<Self> {
        let admins = || (0..Self::ADMINS).map(|_| SigningKey::generate()).collect::<Result<Vec<_>>>();
        Ok(Self {
            root: admins()?,
            targets: admins()?,
            snapshot: SigningKey::generate()?,
            timestamp: SigningKey::generate()?,
            authors: authors
                .into_iter()
                .map(|id| Ok((id.clone(), SigningKey::generate()?)))
                .collect::<Result<_>>()?,
        })
    }

    /// The public half.
    pub fn public(&self) -> PublicKeys {
        let holders = |keys: &[SigningKey], threshold| Holders {
            keys: keys.iter().map(|key| key.public().clone()).collect(),
            threshold,
        };
        let one = |key: &SigningKey| Holders { keys: vec![key.public().clone()], threshold: 1 };
        PublicKeys {
            root: holders(&self.root, Self::THRESHOLD),
            targets: holders(&self.targets, Self::THRESHOLD),
            snapshot: one(&self.snapshot),
            timestamp: one(&self.timestamp),
            authors: self.authors.iter().map(|(id, key)| (id.clone(), one(key))).collect(),
        }
    }

    /// The keys that sign for `role`.
    pub fn of(&self, role: &RoleName) -> Vec<&SigningKey> {
        match role {
            RoleName::Root => self.root.iter().collect(),
            RoleName::Targets | RoleName::Names(_) => self.targets.iter().collect(),
            RoleName::Author(id) => self.authors.get(id).into_iter().collect(),
        }
    }

    /// Reads the keys in `dir`, or generates them there; authors without a key get one. For test registries and demos:
    /// the keys of a real registry are on several machines.
    pub fn open<'a>(dir: &Path, authors: impl IntoIterator<Item = &'a AuthorId>) -> Result<Self> {
        if !dir.exists() {
            let ring = Self::generate(authors)?;
            let parent = dir.parent().unwrap_or(Path::new("."));
            fs_err::create_dir_all(parent).map_err(|e| Error::writing(dir, e))?;
            // An incomplete key ring is useless, so the folder is created atomically.
            let aside = tempfile::Builder::new()
                .prefix(".tmp-keys-")
                .permissions(PermissionsExt::from_mode(0o700))
                .tempdir_in(parent)
                .map_err(|e| Error::writing(dir, e))?;
            ring.save(aside.path())?;
            fs_err::rename(aside.path(), dir).map_err(|e| Error::writing(dir, e))?;
            return Ok(ring);
        }
        let mut ring = Self::load(dir)?;
        for id in authors {
            if !ring.authors.contains_key(id) {
                let key = SigningKey::generate()?;
                key.save(&dir.join(format!("{}.pk8", id.role())))?;
                ring.authors.insert(id.clone(), key);
            }
        }
        Ok(ring)
    }

    /// Reads the keys that [`KeyRing::save`] wrote.
    pub fn load(dir: &Path) -> Result<Self> {
        trusted::check_directory(dir)?;
        let admins = |role: &str| {
            (1..=Self::ADMINS)
                .map(|n| SigningKey::load(&dir.join(format!("{role}-{n}.pk8"))))
                .collect::<Result<Vec<_>>>()
        };
        let mut authors = BTreeMap::new();
        for entry in fs_err::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|n| n.strip_prefix("author-")?.strip_suffix(".pk8"));
            if let Some(id) = id {
                authors.insert(AuthorId::parse(id)?, SigningKey::load(&entry.path())?);
            }
        }
        Ok(Self {
            root: admins("root")?,
            targets: admins("targets")?,
            snapshot: SigningKey::load(&dir.join("snapshot.pk8"))?,
            timestamp: SigningKey::load(&dir.join("timestamp.pk8"))?,
            authors,
        })
    }

    /// Writes each key to its own file in `dir`, which only its owner can read.
    pub fn save(&self, dir: &Path) -> Result<()> {
        OwnPath::new(dir).make()?;
        for (role, keys) in [("root", &self.root), ("targets", &self.targets)] {
            for (n, key) in keys.iter().enumerate() {
                key.save(&dir.join(format!("{role}-{}.pk8", n + 1)))?;
            }
        }
        self.snapshot.save(&dir.join("snapshot.pk8"))?;
        self.timestamp.save(&dir.join("timestamp.pk8"))?;
        for (id, key) in &self.authors {
            key.save(&dir.join(format!("{}.pk8", id.role())))?;
        }
        Ok(())
    }
}
