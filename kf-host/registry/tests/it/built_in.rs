//! Built-in commands are checked like added ones, and stopped by a block.

use kf_core::Kind;
use kf_home::lock::NameLock;
use kf_registry::Error;
use kf_registry::built_in::{self, Blocked, BuiltIn, BuiltIns, Decision};
use kf_registry::index::Origin;
use kf_registry::receipt::{self, Receipt};
use serde_json::Value;

use crate::fixture::*;

/// The receipt of hello as a built-in command, made from one that was added.
fn released(fixture: &Fixture) -> Receipt {
    let session = fixture.refresh(start()).unwrap();
    let fetched = session.fetch(&resolve(&session, "hello").unwrap()).unwrap();
    install(&fixture.home(), &fetched, start()).unwrap();
    let added = receipt::require(&fixture.home(), &name("hello")).unwrap();
    receipt::remove(&fixture.home(), &NameLock::acquire(&fixture.home(), &name("hello"), |_| {}).unwrap())
        .unwrap();
    built_in::released(&added, start() + days(1)).unwrap()
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn built_ins(receipt: &Value, component: &[u8]) -> BuiltIns {
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &*component, &mut packed, &brotli::enc::BrotliEncoderParams::default())
        .unwrap();
    let hello = BuiltIn {
        name: "hello",
        receipt: leaked(receipt.to_string()),
        manifest: "",
        component: Box::leak(packed.into_boxed_slice()),
    };
    BuiltIns::new(Box::leak(Box::new([hello])), None)
}

#[test]
fn released_command_is_found_with_its_component() {
    let fixture = Fixture::published();
    let receipt = released(&fixture);
    let Origin::BuiltIn { owner, keyids } = &receipt.origin else { panic!("{:?}", receipt.origin) };
    assert_eq!((owner.as_str(), keyids.as_slice()), ("alice", [fixture.alice().id().to_owned()].as_slice()));
    let commands = built_ins(&serde_json::to_value(&receipt).unwrap(), b"\0asm hello");
    assert_eq!(commands.receipt(&name("hello")).unwrap(), Some(receipt.clone()));
    assert_eq!(commands.component(&receipt).unwrap(), b"\0asm hello");
    assert_eq!(commands.receipt(&name("train")).unwrap(), None);
    assert_eq!(commands.names().collect::<Vec<_>>(), [name("hello")]);
    assert!(built_in::released(&receipt, start()).is_err(), "it is released already");
}

#[test]
fn changed_receipt_is_refused() {
    let fixture = Fixture::published();
    let receipt = serde_json::to_value(released(&fixture)).unwrap();
    let changes: [(&str, Value); 6] = [
        ("/consent/permissions", serde_json::json!({"selection": true})),
        ("/commands", "{}".into()),
        ("/name", "train".into()),
        ("/format", 99.into()),
        ("/origin", serde_json::json!({"kind": "local", "path": "x.wasm"})),
        ("/origin/owner", "bob".into()),
    ];
    for (pointer, value) in changes {
        let mut changed = receipt.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        let refused = built_ins(&changed, b"\0asm hello").receipt(&name("hello"));
        assert!(refused.is_err(), "{pointer}");
    }
}

#[test]
fn component_with_another_digest_is_refused() {
    let fixture = Fixture::published();
    let receipt = released(&fixture);
    let value = serde_json::to_value(&receipt).unwrap();
    let bomb = vec![0; 64 << 20];
    for component in [b"".as_slice(), b"\0asm hell", b"\0asm hellO", b"\0asm hello!", &bomb] {
        let refused = built_ins(&value, component).component(&receipt).unwrap_err();
        assert!(matches!(refused, Error::Tampered { .. }), "{refused}");
        assert_eq!(refused.kind(), Kind::Untrusted);
    }
    let broken = BuiltIn { name: "hello", receipt: "", manifest: "", component: b"not Brotli" };
    assert!(BuiltIns::new(Box::leak(Box::new([broken])), None).component(&receipt).is_err());
    assert!(BuiltIns::default().component(&receipt).is_err(), "absent");
}

#[test]
fn block_is_kept_until_its_registry_removes_it() {
    let fixture = Fixture::published();
    let (home, receipt) = (fixture.home(), released(&fixture));
    let commands = built_ins(&serde_json::to_value(&receipt).unwrap(), b"\0asm hello");
    let mut view = fixture.refresh(start()).unwrap().view().clone();
    let sha256 = receipt.program_digest();
    view.blocked = vec![kf_registry::index::Block { sha256, reason: "it was stolen".to_owned() }];
    built_in::update_blocks(&home, commands, &view).unwrap();
    let blocked =
        Some(Blocked { sha256, registry: view.registry.clone(), reason: "it was stolen".to_owned() });
    assert_eq!(built_in::decision(&home, &name("hello")).unwrap().blocked, blocked);

    // Neither another registry without the block nor switching it off and on changes it.
    let mut other = view.clone();
    other.blocked.clear();
    other.registry = kf_core::RegistryId::parse("other").unwrap();
    built_in::update_blocks(&home, commands, &other).unwrap();
    built_in::remove_blocks(&home, commands, &other.registry).unwrap();
    {
        let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
        built_in::set_enabled(&home, &lock, false).unwrap();
        assert_eq!(
            built_in::decision(&home, &name("hello")).unwrap(),
            Decision { off: true, blocked: blocked.clone() }
        );
        built_in::set_enabled(&home, &lock, true).unwrap();
    }
    assert_eq!(built_in::decision(&home, &name("hello")).unwrap().blocked, blocked);

    view.blocked.clear();
    built_in::update_blocks(&home, commands, &view).unwrap();
    assert_eq!(built_in::decision(&home, &name("hello")).unwrap(), Decision::default());
    assert!(!home.built_in(&name("hello")).exists(), "no decision is left");
}
