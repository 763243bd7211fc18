//! Attacks before a run, with the component itself or its description.

use kf_sandbox::{Fault, InspectError, compile, describe, inspect};

use crate::guests;

pub(crate) fn wrong_abi() {
    let wasm = guests::wasm("wrong_abi");
    assert_eq!(inspect(&wasm), Err(InspectError::UnsupportedAbi("0.2.0".to_owned())));
    assert!(compile(&wasm).is_err(), "it is not compiled");
}

/// A truncated component is refused without a panic.
pub(crate) fn truncated() {
    let wasm = guests::wasm("truncated");
    assert_eq!(inspect(&wasm).unwrap().abi, guests::ABI);
    let cuts = (1..200).chain((200..wasm.len()).step_by(wasm.len() / 20)).chain(wasm.len() - 5..wasm.len());
    for cut in cuts {
        assert!(inspect(&wasm[..cut]).is_err(), "cut at {cut} of {}", wasm.len());
    }
    for cut in [0, 8, wasm.len() / 2, wasm.len() - 1] {
        assert!(compile(&wasm[..cut]).is_err());
    }
}

pub(crate) fn sockets() {
    let Err(InspectError::UnknownImports(names)) = inspect(&guests::wasm("sockets")) else {
        panic!("accepted")
    };
    assert!(names.iter().all(|name| name.starts_with("wasi:sockets/")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("wasi:sockets/tcp")), "{names:?}");
}

pub(crate) fn describe_acts() {
    let fault = describe(guests::code("describe_acts"), guests::ABI).unwrap_err();
    let Fault::Trap { message, .. } = fault else { panic!("{fault}") };
    assert!(message.contains("kf:plugin/kube"), "{message}");
}

pub(crate) fn describe_lies() {
    let fault = describe(guests::code("describe_lies"), guests::ABI).unwrap_err();
    assert!(matches!(&fault, Fault::Tree(_)), "{fault}");
    assert!(!fault.to_string().contains('\u{1b}'));
}

/// Describing links WASI as a run does, so that a command that prints with its standard library can be added.
#[test]
fn guest_that_imports_wasi_describes_itself() {
    for guest in ["wasi_output_flood", "wasi_exit", "environment_and_home", "random_flood"] {
        let described = describe(guests::code(guest), guests::ABI);
        assert!(described.is_ok(), "{guest}: {}", described.unwrap_err());
    }
}
