use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{COMPATIBILITY, Code, Compiled, compile, load, runtime};
use crate::fault::Fault;
use crate::{CompileError, InspectError};

fn wasm() -> Vec<u8> {
    let text = r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (export "describe" (func $f)) (export "run" (func $f)) (export "complete" (func $f))
            (@custom "kf:abi" "0.1.0"))"#;
    wat::parse_str(text).unwrap()
}

struct Store {
    folder: tempfile::TempDir,
    file: PathBuf,
}

fn store() -> Store {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.cwasm");
    fs_err::write(&file, compile(&wasm()).unwrap().as_bytes()).unwrap();
    let store = Store { folder, file };
    store.mode(&store.file, 0o600);
    store
}

impl Store {
    fn mode(&self, path: &Path, mode: u32) {
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self, path: &Path) -> Result<(), String> {
        let file = fs_err::File::open(path).map_err(|error| error.to_string())?;
        match load(&runtime(false).unwrap(), &Code::Stored(Arc::new(file.into_file()))) {
            Ok(_) => Ok(()),
            Err(Fault::Load(why)) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn compiled_component_loads_without_compiler() {
    let store = store();
    assert_eq!(store.load(&store.file), Ok(()));
    let compiled = Code::Compiled(compile(&wasm()).unwrap());
    assert!(load(&runtime(true).unwrap(), &compiled).is_ok());
}

#[test]
fn file_writable_by_others_is_refused() {
    let store = store();
    for mode in [0o606, 0o666, 0o602] {
        store.mode(&store.file, mode);
        assert!(store.load(&store.file).unwrap_err().contains("writable by other users"), "{mode:o}");
    }
    store.mode(&store.file, 0o644);
    assert_eq!(store.load(&store.file), Ok(()), "readable by other users");
    assert!(store.load(store.folder.path()).unwrap_err().contains("regular file"));
}

/// The path of a checked file could lead to another file by the time it is mapped.
#[test]
fn open_file_is_mapped_after_its_path_was_replaced() {
    let store = store();
    let file = Arc::new(fs_err::File::open(&store.file).unwrap().into_file());
    let planted = store.folder.path().join("planted");
    fs_err::write(&planted, b"machine code of someone else").unwrap();
    fs_err::rename(&planted, &store.file).unwrap();
    assert!(load(&runtime(false).unwrap(), &Code::Stored(file)).is_ok());
    assert!(store.load(&store.file).is_err());
}

#[test]
fn invalid_or_other_version_of_code_is_refused() {
    let store = store();
    fs_err::write(&store.file, wasm()).unwrap();
    assert!(store.load(&store.file).is_err(), "a component is not machine code");
    fs_err::write(&store.file, b"").unwrap();
    assert!(store.load(&store.file).is_err());
    // The version of this kf, replaced by another of the same length.
    let other = COMPATIBILITY.replace("-kf", "-xx");
    let mut code = compile(&wasm()).unwrap().as_bytes().to_vec();
    let at = code.windows(COMPATIBILITY.len()).position(|bytes| bytes == COMPATIBILITY.as_bytes()).unwrap();
    code[at..at + other.len()].copy_from_slice(other.as_bytes());
    fs_err::write(&store.file, code).unwrap();
    assert!(store.load(&store.file).unwrap_err().contains("version"));
}

#[test]
fn component_refused_by_inspection_is_not_compiled() {
    let refused = compile(b"\0asm").map(|_: Compiled| ());
    assert!(matches!(refused, Err(CompileError::Inspect(InspectError::Invalid(_)))), "{refused:?}");
}

/// The exports have the right names but the wrong types.
#[test]
fn component_with_wrong_export_types_does_not_start() {
    let code = Code::Compiled(compile(&wasm()).unwrap());
    assert!(matches!(crate::describe(code, semver::Version::new(0, 1, 0)), Err(Fault::Start(_))));
}
