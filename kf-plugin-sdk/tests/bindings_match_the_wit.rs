//! The checked-in bindings were generated from the checked-in WIT.

use std::path::Path;

#[test]
fn bindings_match_checked_in_wit() {
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bindings = fs_err::read_to_string(sdk.join("src/bindings.rs")).unwrap();
    let digest = kf_toolchains::guests::wit_digest(&sdk.join("wit/since-0.1.0")).unwrap();
    let made_from = bindings.strip_prefix("// wit: ").and_then(|rest| rest.get(..16));
    assert_eq!(made_from, Some(format!("{digest:016x}").as_str()), "run `cargo xtask bindings`");
}
