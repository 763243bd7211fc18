use std::collections::BTreeSet;

use proptest::prelude::*;

use semver::Version;

use super::{InspectError, MAX_COMPONENT_BYTES, abi_version, inspect};
use crate::interface::{Granted, Interface, UndeclaredImports, Wasi};

const EXPORTS: &str = r#"
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (export "describe" (func $f)) (export "run" (func $f)) (export "complete" (func $f))
"#;

fn component(rest: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {rest} {EXPORTS})")).unwrap()
}

fn with_abi(rest: &str) -> Vec<u8> {
    with_section(component(rest), "kf:abi", b"0.1.0")
}

/// Appends a custom section.
fn with_section(mut wasm: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    wasm.extend([0, u8::try_from(1 + name.len() + data.len()).unwrap(), u8::try_from(name.len()).unwrap()]);
    wasm.extend(name.as_bytes());
    wasm.extend(data);
    wasm
}

#[test]
fn inspection_has_abi_and_imports() {
    let wasm = with_abi(
        r#"(import "kf:plugin/ui@0.1.0" (instance)) (import "kf:plugin/kube@0.1.3" (instance))
           (import "wasi:io/poll@0.2.6" (instance))"#,
    );
    let inspection = inspect(&wasm).unwrap();
    assert_eq!(inspection.abi, Version::new(0, 1, 0));
    let imports = [Interface::Ui, Interface::Kube, Interface::Wasi(Wasi::IoPoll)];
    assert_eq!(inspection.imports, BTreeSet::from(imports));
    let undeclared = inspection.check_imports(Granted::default());
    assert_eq!(undeclared, Err(UndeclaredImports { interfaces: vec![Interface::Kube] }));
    assert_eq!(inspection.check_imports(Granted { kube: true, ..Granted::default() }), Ok(()));
}

#[test]
fn invalid_component_is_refused() {
    assert_eq!(inspect(b""), Err(InspectError::NotWasm));
    assert_eq!(inspect(b"#!/bin/sh"), Err(InspectError::NotWasm));
    assert_eq!(inspect(&wat::parse_str("(module)").unwrap()), Err(InspectError::CoreModule));
    let large = vec![0; MAX_COMPONENT_BYTES + 1];
    assert_eq!(inspect(&large), Err(InspectError::TooLarge(large.len())));
}

#[test]
fn component_needs_exactly_one_abi() {
    assert_eq!(inspect(&component("")), Err(InspectError::NoAbi));
    let twice = with_section(with_abi(""), "kf:abi", b"0.1.0");
    assert_eq!(inspect(&twice), Err(InspectError::SeveralAbis(2)));
}

/// A Rust guest's section is in its core module. A second one outside of it counts too.
#[test]
fn abi_section_of_nested_module_counts() {
    let nested = component(r#"(core module (@custom "kf:abi" "0.1.4"))"#);
    assert_eq!(inspect(&nested).unwrap().abi, Version::new(0, 1, 4));
    assert_eq!(inspect(&with_section(nested, "kf:abi", b"0.1.4")), Err(InspectError::SeveralAbis(2)));
}

#[test]
fn unknown_import_is_refused_by_name() {
    for name in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:http/outgoing-handler@0.2.6",
        "wasi:cli/environment@0.3.0",
        "wasi:cli/environment@0.2.6-rc",
        "wasi:keyvalue/store@0.2.0",
        "kf:plugin/kube@0.2.0",
        "kf:plugin/shell@0.1.0",
        "other:plugin/kube@0.1.0",
    ] {
        let wasm = with_abi(&format!("(import \"{name}\" (instance))"));
        assert_eq!(inspect(&wasm), Err(InspectError::UnknownImports(vec![name.to_owned()])));
    }
    let function = with_abi(r#"(import "kf:plugin/kube@0.1.0" (func))"#);
    assert!(matches!(inspect(&function), Err(InspectError::UnknownImports(_))), "a function of that name");
    let resource = with_abi(r#"(import "loot" (type (sub resource)))"#);
    assert!(matches!(inspect(&resource), Err(InspectError::UnknownImports(_))));
}

/// Only the outermost component's imports come from the host.
#[test]
fn imports_of_nested_components_are_ignored() {
    let wasm = with_abi(r#"(component (import "wasi:sockets/tcp@0.2.6" (instance)))"#);
    assert_eq!(inspect(&wasm).unwrap().imports, BTreeSet::new());
}

#[test]
fn missing_export_is_refused_by_name() {
    let wasm = wat::parse_str(
        EXPORTS
            .replace(r#"(export "complete" (func $f))"#, "")
            .replace("(core module $m", "(component (core module $m")
            + ")",
    );
    let wasm = with_section(wasm.unwrap(), "kf:abi", b"0.1.0");
    assert_eq!(inspect(&wasm), Err(InspectError::MissingExports(vec!["complete".to_owned()])));
}

#[test]
fn disabled_proposals_are_refused() {
    for module in [
        "(memory 1 1 shared)",
        "(memory i64 1)",
        "(memory 1) (memory 1)",
        "(type (struct))",
        "(tag)",
        "(func (param externref))",
        "(func $f return_call $f)",
        "(func (result v128) (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0)))",
        "(type $f (func)) (func (param (ref $f)))",
    ] {
        let refusal = inspect(&with_abi(&format!("(core module {module})")));
        assert!(matches!(refusal, Err(InspectError::Invalid(_))), "{module}: {refusal:?}");
    }
}

#[test]
fn abi_version_has_only_digits_and_dots() {
    assert_eq!(abi_version("0.1.27"), Ok(Version::new(0, 1, 27)));
    for other in ["0.2.0", "1.1.0", "0.0.9"] {
        assert_eq!(abi_version(other), Err(InspectError::UnsupportedAbi(other.to_owned())));
    }
    for text in [
        "",
        "0.1",
        "0.1.0.0",
        "0.1.0\n",
        " 0.1.0",
        "0.1.0-rc",
        "+0.1.0",
        "0.01.0",
        "0.1.\u{0661}",
        "0.1.99999999999",
    ] {
        assert!(matches!(abi_version(text), Err(InspectError::MalformedAbi(_))), "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), start in 0_usize..9) {
        let head = b"\0asm\x0d\0\x01\0";
        let _ = inspect(&[&head[..start.min(8)], &bytes].concat());
    }

    #[test]
    fn changed_byte_does_not_panic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut wasm = with_abi(r#"(import "kf:plugin/ui@0.1.0" (instance))"#);
        let at = at.index(wasm.len());
        wasm[at] = to;
        let _ = inspect(&wasm);
    }

    #[test]
    fn truncated_component_is_refused(at in any::<prop::sample::Index>()) {
        let wasm = with_abi(r#"(import "kf:plugin/ui@0.1.0" (instance))"#);
        prop_assert!(inspect(&wasm[..at.index(wasm.len())]).is_err());
    }

    /// Listed interfaces are found by their name, and no others are.
    #[test]
    fn only_listed_names_are_interfaces(name in "(kf:plugin|wasi:(cli|io|sockets|http))/[a-z-]{2,12}@0\\.[0-3]\\.[0-9]{1,2}") {
        if let Some(interface) = Interface::from_import(&name) {
            let path = name.split('@').next().unwrap();
            prop_assert_eq!(interface.to_string(), path);
            prop_assert!(!path.contains("sockets") && !path.contains("http"));
        }
    }
}
