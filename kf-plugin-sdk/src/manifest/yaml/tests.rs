use proptest::prelude::*;
use serde_json::json;

use super::*;

const VALUES: &str = include_str!("../../../tests/yaml/values.yaml");
const MEANING: &str = include_str!("../../../tests/yaml/values.json");

fn read(text: &str) -> Result<Vec<Value>, String> {
    documents(text, Dialect::Kubernetes).map_err(|error| error.to_string())
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().trim_start().to_owned()
}

#[test]
fn values_match_kubectl() {
    let expected: Value = serde_json::from_str(MEANING).unwrap();
    let document = read(VALUES).unwrap().remove(0);
    for (group, expected) in expected.as_object().unwrap() {
        assert_eq!(&document["spec"][group], expected, "{group}");
    }
    assert_eq!(document["spec"], expected);
}

#[test]
fn integer_beyond_64_bits_is_float() {
    for text in ["9223372036854775808", "18446744073709551615", "18446744073709551616", "0xFFFFFFFFFFFFFFFF"]
    {
        assert!(read(text).unwrap()[0].is_f64(), "{text}");
    }
    assert_eq!(read("-9223372036854775809").unwrap(), [json!(-9_223_372_036_854_775_808.0)]);
}

#[test]
fn yaml_1_1_booleans_are_strings_in_compiled_pipeline() {
    let read = |text| documents(text, Dialect::Pipelines).unwrap().remove(0);
    assert_eq!(read("[y, n, yes, off, true, 0400, 1.0]"), json!(["y", "n", "yes", "off", true, 256, 1]));
    assert_eq!(read("{y: 1, n: 2}"), json!({ "y": 1, "n": 2 }));
}

#[test]
fn invalid_value_is_refused_with_line() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3\n", "line 3: duplicate key `a`, first on line 1"),
        ("{\"a\": 1,\n\"a\": 2}", "line 2: duplicate key `a`, first on line 1"),
        ("{1: a, \"1\": b}", "line 1: duplicate key `1`, first on line 1"),
        ("on: a\nyes: b\n", "line 2: duplicate key `true`, first on line 1"),
        ("a: 1\n~: 2\n", "line 2: null key; quote it if it is a string"),
        ("? [a]\n: b\n", "line 1: a key cannot be a list"),
        (
            "a: 1\nb: {{ .Values.x }}\n",
            "line 2: a key cannot be a mapping; a template such as {{ … }} must be rendered first",
        ),
        ("a: .inf\n", "line 1: infinity and NaN are not allowed in a manifest"),
        ("a: !!int x\n", "line 1: `x` is not of type !!int"),
        ("a: !!bool 1\n", "line 1: `1` is not of type !!bool"),
        ("a: !!timestamp x\n", "line 1: `x` is not of type !!timestamp"),
        ("a: !!binary \"?\"\n", "line 1: invalid base64 in a !!binary value"),
        ("a: &a {b: *a}\n", "line 1: an anchor contains itself"),
        (
            "a: &a 1\n---\nb: *a\n",
            "is not valid YAML: line 3 column 4: while parsing node, found unknown anchor",
        ),
        ("<<: 1\n", "line 1: `<<` requires a mapping or a list of mappings"),
        ("<<: [1]\n", "line 1: `<<` requires a mapping or a list of mappings"),
        (
            "a:\n\tb: 1\n",
            "is not valid YAML: line 2 column 2: tabs disallowed within this context (block indentation)",
        ),
        (
            "a: b\n  c: d\n",
            "is not valid YAML: line 2 column 4: mapping values are not allowed in this context",
        ),
    ] {
        assert_eq!(refused(text), expected, "{text:?}");
    }
}

#[test]
fn json_values_are_read_with_or_without_separator() {
    let both = [json!({ "a": 1 }), json!({ "b": { "c": [2] } })];
    for text in [
        "{\"a\":1}{\"b\":{\"c\":[2]}}",
        " {\"a\":1}\n{\"b\":{\"c\":[2]}}\n",
        "{\"a\":1}\n---\n{\"b\":{\"c\":[2]}}\n",
        "{\n\t\"a\": 1\n}\n---\nb: {c: [2]}\n",
        "a: 1\n---\n{\"b\":{\"c\":[2]}}",
    ] {
        assert_eq!(read(text).unwrap(), both, "{text:?}");
    }
    assert_eq!(read("{\"a\": 1} # the end").unwrap(), both[..1]);
    assert_eq!(read("{a: 1, b: 2,}").unwrap(), [json!({ "a": 1, "b": 2 })], "it is YAML");
    let escaped = r#"{"a":"\ud83d\ude42\/\u00e9","b":1.0,"c":1e3,"d":-0.5}"#;
    assert_eq!(read(escaped).unwrap(), [json!({ "a": "🙂/é", "b": 1, "c": 1000, "d": -0.5 })]);
    let long = "k".repeat(5000);
    assert_eq!(read(&format!("{{\"{long}\": 1}}")).unwrap(), [json!({ long: 1 })]);
    assert_eq!(
        refused("{\"a\":1}\n{\"b\":2}\n{\"c\":3,\n\"c\":4}"),
        "line 4: duplicate key `c`, first on line 3"
    );
}

#[test]
fn null_documents_are_skipped() {
    for text in ["", "# a comment\n", "---\n", "---\n---\n", "null\n", "~\n---\n...\n"] {
        assert_eq!(read(text).unwrap(), [Value::Null; 0], "{text:?}");
    }
    assert_eq!(read("---\n---\na: 1\n---\n").unwrap(), [json!({ "a": 1 })]);
    assert_eq!(read("a: 1\n...\n---\nb: 2\n").unwrap(), [json!({ "a": 1 }), json!({ "b": 2 })]);
}

#[test]
fn size_of_expanded_aliases_is_limited() {
    let ten = |name: &str| format!("[{}]", [name; 10].join(","));
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (from, to) in [("*a", "b"), ("*b", "c"), ("*c", "d"), ("*d", "e"), ("*e", "f")] {
        bomb.push_str(&format!("{to}: &{to} {}\n", ten(from)));
    }
    assert!(refused(&bomb).ends_with("the file has more than 120000 values once its aliases are expanded"));
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), ["*a"; 9].join(","));
    assert!(refused(&text).ends_with("the file has more than 4 MiB of text once its aliases are expanded"));
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(refused(&deep), "line 119: values are nested more than 120 deep");
    let often = format!("a: &a {{name: A, value: x}}\nb: [{}]\n", ["*a"; 5000].join(","));
    assert_eq!(read(&often).unwrap()[0]["b"].as_array().unwrap().len(), 5000);
}

#[test]
fn size_and_depth_of_file_are_limited() {
    assert!(
        refused(&format!("[{}]", ["{}"; 30_000].join(","))).ends_with("the file has more than 120000 values")
    );
    for levels in [121, 200, 5_000, 200_000] {
        let error = refused(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        assert!(error.contains("nest") || error.contains("recursion"), "{levels}: {error}");
        let error = refused(&format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels)));
        assert!(error.contains("nest") || error.contains("recursion"), "{levels}: {error}");
    }
}

#[test]
fn utf_16_and_byte_order_marks_are_decoded() {
    let text = "a: ü🙂\n";
    let units = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    for bytes in [
        text.as_bytes().to_vec(),
        [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat(),
        [b"\xff\xfe".to_vec(), units(u16::to_le_bytes)].concat(),
        [b"\xfe\xff".to_vec(), units(u16::to_be_bytes)].concat(),
    ] {
        assert_eq!(decode(bytes).as_deref(), Some(text));
    }
    for bytes in [&b"\xff\xfea"[..], b"a: \xe9", b"\xff\xfe\x00\xd8", b"\xef\xbb\xbf\xff"] {
        assert_eq!(decode(bytes.to_vec()), None, "{bytes:?}");
    }
}

/// Fragments of valid and invalid files, separated by `¦`.
const PIECES: &str = "a¦b: ¦- ¦{¦}¦[¦]¦,¦:¦\n¦\n  ¦\n    ¦\t¦ ¦---\n¦...\n¦# c¦&x ¦*x¦<<: ¦!!int ¦!!binary ¦!l ¦! ¦%YAML 1.1\n\
    ¦%TAG ! x\n¦|¦>¦|+\n¦>-\n  ¦\"¦'¦\\¦\\u12¦\\ud83d¦0400¦yes¦~¦.inf¦1_000¦1e999¦-0¦2001-01-01¦{\"a\":1}\
    ¦kind: List\nitems:\n¦? ¦\u{feff}¦\u{85}¦\u{2028}¦\0¦\r¦🙂¦{{ x }}¦@¦`¦=";

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PIECES.split('¦').collect::<Vec<_>>())
}

fn line_is_in_text(error: &YamlError, text: &str) -> bool {
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    (0..=lines + 1).contains(&error.line)
}

fn check_values_or_one_clear_error(text: &str) -> Result<(), TestCaseError> {
    for dialect in [Dialect::Kubernetes, Dialect::Pipelines] {
        match documents(text, dialect) {
            Ok(documents) => {
                prop_assert!(documents.iter().all(|document| !document.is_null()));
                // The values round-trip through JSON.
                let json: String = documents.iter().map(Value::to_string).collect();
                if json.starts_with('{') && documents.iter().all(Value::is_object) {
                    prop_assert_eq!(super::documents(&json, dialect), Ok(documents));
                }
            }
            Err(error) => {
                let message = error.to_string();
                prop_assert!(line_is_in_text(&error, text), "{}: {:?}", message, text);
                prop_assert!(
                    message.starts_with(" line ") || message.starts_with(" is not valid YAML: line ")
                );
                for word in ["Options", "Policy", "AliasAnchorRatio", "serde", "budget"] {
                    prop_assert!(!message.contains(word), "{}", message);
                }
                prop_assert!(!message.contains('\n') && message.len() < 400, "{}", message);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_fragments_give_values_or_one_clear_error(
        pieces in prop::collection::vec(piece(), 0..40),
    ) {
        check_values_or_one_clear_error(&pieces.concat())?;
    }

    #[test]
    fn mutated_manifest_gives_values_or_one_clear_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, piece()), 1..6),
    ) {
        let mut text: Vec<char> = VALUES.chars().collect();
        for (place, removed, piece) in changes {
            let start = place.index(text.len().max(1)).min(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, piece.chars());
        }
        check_values_or_one_clear_error(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn random_text_gives_values_or_one_clear_error(text in any::<String>()) {
        check_values_or_one_clear_error(&text)?;
    }

    #[test]
    fn random_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(text) = decode(bytes) {
            check_values_or_one_clear_error(&text)?;
        }
    }
}
