//! Released components depend on the ABI, so every change must be deliberate: it is made in the WIT and again in the
//! reviewed copy next to this test.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::collections::BTreeMap;
use std::path::Path;

fn texts(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs_err::read_dir(&folder).unwrap().map(Result::unwrap);
    let texts = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs_err::read_to_string(entry.path()).unwrap())
    });
    texts.collect()
}

#[test]
fn abi_matches_reviewed_copy() {
    let (now, reviewed) = (texts("wit/since-0.1.0"), texts("tests/reviewed/since-0.1.0"));
    assert!(now.keys().eq(reviewed.keys()), "{:?} is not {:?}", now.keys(), reviewed.keys());
    for (name, text) in now {
        let differs = text.lines().zip(reviewed[&name].lines()).position(|(now, then)| now != then);
        assert!(
            text == reviewed[&name],
            "{name} differs from the reviewed copy at line {}; a released ABI never changes, and before a release \
             the host, the bindings of the SDK and tests/reviewed must change with it",
            differs.map_or_else(|| "the last".to_owned(), |line| (line + 1).to_string())
        );
    }
}
