use proptest::prelude::*;
use serde_json::json;

use super::*;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        ".{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,3}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An array of `count` items.
fn array(count: usize) -> String {
    format!("[{}0]", "0,".repeat(count - 1))
}

const LIMITS: ListLimits = ListLimits { items: 3, bytes: 1000 };

proptest! {
    #[test]
    fn parsed_value_equals_serialized_one(value in values()) {
        let text = value.to_string();
        prop_assert_eq!(parse(text.as_bytes()), Ok(value.clone()));
        let document = Document::checked(text.clone()).unwrap();
        prop_assert_eq!(serde_json::to_string(&document).unwrap(), text);
        prop_assert_eq!(serde_json::to_string_pretty(&document).unwrap(), format!("{value:#}"));
        prop_assert_eq!(document.value(), Ok(value));
    }

    #[test]
    fn list_is_the_same_from_slice_and_reader(items in prop::collection::vec(values(), 0..4)) {
        let text = json!({"kind": "List", "items": items, "metadata": {"continue": "x"}}).to_string();
        let limits = ListLimits { bytes: usize::MAX, ..LIMITS };
        let (parsed, read) =
            (parse_list(text.as_bytes(), limits, |_| ()).unwrap(), read_list(text.as_bytes(), limits, |_| ()).unwrap());
        prop_assert_eq!(&parsed.items, &read.items);
        prop_assert_eq!(parsed.metadata, json!({"continue": "x"}));
        prop_assert_eq!(parsed.items.len(), items.len());
    }
}

#[test]
fn values_are_counted_at_any_depth() {
    // The array counts too.
    assert!(parse(array(MAX_NODES - 1).as_bytes()).is_ok());
    assert_eq!(parse(array(MAX_NODES).as_bytes()), Err(JsonError::TooManyNodes));
    let nested = format!("{{\"a\":[[{}]]}}", array(MAX_NODES));
    assert_eq!(parse(nested.as_bytes()), Err(JsonError::TooManyNodes));
    let fields = (0..MAX_NODES).map(|n| format!("\"{n}\":{{}}")).collect::<Vec<_>>().join(",");
    assert_eq!(parse(format!("{{{fields}}}").as_bytes()), Err(JsonError::TooManyNodes));
}

#[test]
fn text_is_counted_in_keys_and_values() {
    let (fits, more) = ("x".repeat(MAX_TEXT_BYTES / 2), "x".repeat(MAX_TEXT_BYTES));
    assert!(parse(json!([fits, fits]).to_string().as_bytes()).is_ok());
    for document in [json!([more, "x"]), json!({more.clone(): "x"}), json!({"x": more})] {
        let text = document.to_string();
        assert_eq!(parse(text.as_bytes()), Err(JsonError::TooLarge(MAX_TEXT_BYTES)), "{text:.20}");
        let list = format!("{{\"items\":[{text}]}}");
        let limits = ListLimits { bytes: usize::MAX, ..LIMITS };
        assert_eq!(
            parse_list(list.as_bytes(), limits, |_| ()).unwrap_err(),
            JsonError::TooLarge(MAX_TEXT_BYTES)
        );
    }
}

#[test]
fn invalid_or_too_deep_document_is_refused() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(Document::checked(deep(127)).is_ok());
    for text in ["", "{", "{} {}", "nul", "{\"a\":}", "[1,]", "\"\u{1}\"", &deep(128), &deep(100_000)] {
        assert!(matches!(parse(text.as_bytes()), Err(JsonError::Syntax(_))), "{text:.20}");
        assert!(matches!(Document::checked(text.into()), Err(JsonError::Syntax(_))), "{text:.20}");
    }
}

#[test]
fn document_of_many_values_stays_text() {
    let text = array(4 * MAX_NODES);
    let document = Document::checked(text.clone()).unwrap();
    assert_eq!(document.as_str(), text);
    assert_eq!(document.value(), Err(JsonError::TooManyNodes));
}

#[test]
fn managed_fields_are_neither_kept_nor_counted() {
    let mut object =
        json!({"metadata": {"name": "x"}, "spec": {"template": {"metadata": {"managedFields": 1}}}});
    let expected = object.clone();
    object["metadata"]["managedFields"] = serde_json::from_str(&array(2 * MAX_NODES)).unwrap();
    let text = object.to_string();
    let event = format!("{{\"type\":\"ADDED\",\"object\":{text}}}");
    assert_eq!(parse_event(event.as_bytes()), Ok(json!({"type": "ADDED", "object": expected})));
    assert_eq!(read_object(text.as_bytes()), Ok(expected.clone()));
    assert_eq!(parse_object(text.as_bytes()), Ok(expected));
    assert_eq!(parse(text.as_bytes()), Err(JsonError::TooManyNodes));
}

#[test]
fn list_over_a_limit_is_refused() {
    let list = |items: &str| parse_list(format!("{{\"items\":{items}}}").as_bytes(), LIMITS, |_| ());
    assert_eq!(list("[{},{},{}]").unwrap().items.len(), 3);
    assert_eq!(list("null").unwrap().items.len(), 0);
    // The rest is not read.
    assert_eq!(list("[{},{},{},{},").unwrap_err(), JsonError::TooManyItems(3));
    let large = format!("[\"{}\",", "x".repeat(1000));
    assert_eq!(list(&large).unwrap_err(), JsonError::TooLarge(1000));
    assert_eq!(list(&format!("[{}]", array(MAX_NODES))).unwrap_err(), JsonError::TooManyNodes);
    let metadata = format!("{{\"metadata\":{}}}", array(MAX_NODES));
    assert_eq!(parse_list(metadata.as_bytes(), LIMITS, |_| ()).unwrap_err(), JsonError::TooManyNodes);
    assert!(matches!(list("{}"), Err(JsonError::Syntax(_))));
    assert!(matches!(parse_list(b"[]", LIMITS, |_| ()), Err(JsonError::Syntax(_))));
}

#[test]
fn items_are_counted_separately_and_kept_as_prepared() {
    let item = array(MAX_NODES - 1);
    let text = format!("{{\"items\":[{item},{item}]}}");
    let limits = ListLimits { items: 2, bytes: 12 };
    let list = parse_list(text.as_bytes(), limits, |item| *item = json!("seen")).unwrap();
    assert_eq!(list.items, [Document::from(json!("seen")), Document::from(json!("seen"))]);
}
