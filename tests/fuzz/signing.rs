//! What travels between signers: staging folders, signatures and key files.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kf_core::{AuthorId, PluginName};
use kf_registry::publish::{
    self, Artifacts, KeyFile, KeyRing, RoleName, StageInput, Staging, Submission, key_file,
};
use secrecy::SecretString;

use crate::documents::assert_is_short;
use crate::mutate;
use crate::repository::now;
use crate::run::run;

fn write(path: &Path, text: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

/// A staging folder with the first root, targets and hello 0.1.0, signed by all.
fn staged(folder: &Path) -> PathBuf {
    let source = folder.join("source");
    write(
        &source.join("registry.toml"),
        "format = 1\nname = \"team\"\n[expiry]\nroot-days = 365\ntargets-days = 90\nauthor-days = 180\n\
         snapshot-days = 7\ntimestamp-days = 1\n",
    );
    write(
        &source.join("authors/alice.toml"),
        "format = 1\nid = \"alice\"\ncontact = \"alice@example.org\"\nplugins = [\"hello\"]\n",
    );
    write(
        &source.join("plugins/hello.toml"),
        "format = 1\nname = \"hello\"\nsummary = \"Say hello\"\nowner = \"alice\"\n",
    );
    write(
        &folder.join("artifacts/hello/plugin.toml"),
        "format = 1\n[plugin]\nname = \"hello\"\nversion = \"0.1.0\"\nabi = \"0.1.0\"\nsummary = \"Say hello\"\n\
         license = \"MIT\"\n",
    );
    write(&folder.join("artifacts/hello/plugin.wasm"), "\0asm hello");
    let keys = KeyRing::generate([&AuthorId::parse("alice").unwrap()]).unwrap();
    let staging = folder.join("staging");
    let describe = |_: &PluginName, _: &[u8]| Ok(br#"{"format":1,"commands":[]}"#.to_vec());
    publish::stage(&StageInput {
        source: &source,
        artifacts: Some(Artifacts::Below(&folder.join("artifacts"))),
        published: &folder.join("published"),
        staging: &staging,
        only: None::<&BTreeSet<RoleName>>,
        keys: Some(&keys.public()),
        pinned_root: None,
        now: now(),
        describe: &describe,
        gate: &|_: &Submission<'_>| Ok(Vec::new()),
    })
    .unwrap();
    let roles: Vec<RoleName> = Staging::open(&staging).unwrap().roles().cloned().collect();
    for role in &roles {
        for key in keys.of(role) {
            publish::sign(&staging, role, key).unwrap();
        }
    }
    staging
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn check_staging(folder: &Path) {
    match Staging::open(folder) {
        Err(error) => assert_is_short(&error),
        Ok(staging) => {
            for role in staging.roles() {
                match staging.review(role) {
                    Ok(review) => assert_eq!(review.role, *role),
                    Err(error) => assert_is_short(&error),
                }
            }
        }
    }
}

#[test]
fn staging_folder_with_changed_file_is_refused_or_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    let staging = staged(folder.path());
    let files = files(&staging);
    assert!(files.len() > 10, "{files:?}");
    check_staging(&staging);
    run(250, |seed, changes| {
        let file = &files[seed % files.len()];
        let whole = fs_err::read(file).unwrap();
        let changed = match serde_json::from_slice(&whole) {
            Ok(tree) if seed % 3 > 0 => mutate::tree(&tree, changes).to_string().into_bytes(),
            _ => mutate::bytes(&whole, changes),
        };
        fs_err::write(file, changed).unwrap();
        check_staging(&staging);
        fs_err::write(file, whole).unwrap();
    });
}

/// Each attempt to decrypt takes as long as the file says, up to a limit.
#[test]
fn key_file_with_changed_bytes_is_refused_or_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let key = publish::SigningKey::generate().unwrap();
    let passphrase = SecretString::from("correct horse");
    key_file::create(&path, &key, &passphrase).unwrap();
    let whole = fs_err::read_to_string(&path).unwrap();
    let body: String = whole.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    run(60, |seed, changes| {
        let changed = match seed % 3 {
            0 => mutate::bytes(whole.as_bytes(), changes),
            // The parameters come first.
            _ => {
                let (head, tail) = der.split_at(100);
                let der = [mutate::bytes(head, changes), tail.to_vec()].concat();
                pem(&der).into_bytes()
            }
        };
        fs_err::write(&path, changed).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        match KeyFile::read(&path) {
            Err(error) => assert_is_short(&error),
            Ok(KeyFile::Plain(_)) => {}
            Ok(KeyFile::Encrypted(encrypted)) => match encrypted.decrypt(&passphrase) {
                Ok(opened) => assert_eq!(opened.id(), key.id()),
                Err(error) => assert_is_short(&error),
            },
        }
    });
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let label = "ENCRYPTED PRIVATE KEY";
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
