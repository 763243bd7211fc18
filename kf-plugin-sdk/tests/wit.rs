//! The ABI is what commands of other people were built against. A change of it is made on purpose:
//! in the WIT, and again in the copy beside this test, where a reviewer sees it.
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
fn the_abi_is_the_one_that_was_reviewed() {
    let (now, reviewed) = (texts("wit/since-0.1.0"), texts("tests/reviewed/since-0.1.0"));
    assert!(now.keys().eq(reviewed.keys()), "{:?} is not {:?}", now.keys(), reviewed.keys());
    for (name, text) in now {
        let differs = text.lines().zip(reviewed[&name].lines()).position(|(now, then)| now != then);
        assert!(
            text == reviewed[&name],
            "{name} is not as it was reviewed, from line {} on; a released ABI never changes, and before that \
             the host, the SDK's bindings and tests/reviewed change with it",
            differs.map_or_else(|| "the last".to_owned(), |line| (line + 1).to_string())
        );
    }
}
