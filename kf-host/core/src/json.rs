//! Untrusted JSON, parsed within bounds.
//!
//! A parsed document takes many times the memory of its text: `{"":0}` is seven bytes, and about 700 as a [`Value`].
//! So a limit on bytes is not enough. The values of a [`Value`] are counted while it is parsed, up to [`MAX_NODES`].
//! JSON that is only passed on stays text: a [`Document`] is checked once, takes the memory of its text, and can be
//! written in another format without an intermediate tree.
//!
//! Nesting is bounded by the parser, at 128 levels.

use std::cell::{Cell, RefCell};
use std::{fmt, io};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// The most values in a parsed document: arrays, strings, numbers, booleans, nulls, and objects, which count
/// [`OBJECT_NODES`] times. The largest objects in a cluster have half as many.
pub const MAX_NODES: usize = 120_000;

/// How many values an object counts as, because it takes more memory than another value.
const OBJECT_NODES: usize = 6;

/// The most text in the strings of a parsed document, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// Why a document was not parsed; the message continues a sentence about the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("is not valid JSON: {0}")]
    Syntax(String),
    #[error("has more than {MAX_NODES} values")]
    TooManyNodes,
    #[error("has more than {0} items")]
    TooManyItems(usize),
    #[error("has more than {0} bytes")]
    TooLarge(usize),
}

/// Parses a document.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    counted(Place::Other, serde_json::Deserializer::from_slice(text))
}

/// Parses a document from a source that frees what was read. Slower than [`parse`].
pub fn read(source: impl io::Read) -> Result<Value, JsonError> {
    counted(Place::Other, serde_json::Deserializer::from_reader(source))
}

/// Parses a document as [`parse_object`] does, from a source that frees what was read. Slower.
pub fn read_object(source: impl io::Read) -> Result<Value, JsonError> {
    counted(Place::Object, serde_json::Deserializer::from_reader(source))
}

/// Parses an event of a watch, whose `object` is parsed as by [`parse_object`].
pub fn parse_event(text: &[u8]) -> Result<Value, JsonError> {
    counted(Place::Event, serde_json::Deserializer::from_slice(text))
}

/// Parses a Kubernetes object, without its `metadata.managedFields`, which are often half of it.
pub fn parse_object(text: &[u8]) -> Result<Value, JsonError> {
    counted(Place::Object, serde_json::Deserializer::from_slice(text))
}

fn counted<'de, R: serde_json::de::Read<'de>>(
    place: Place,
    mut parser: serde_json::Deserializer<R>,
) -> Result<Value, JsonError> {
    let count = Count::default();
    let value = Node { count: &count, place }.deserialize(&mut parser);
    value.and_then(|value| parser.end().map(|()| value)).map_err(|error| count.why(&error))
}

/// How much of a document was read.
#[derive(Default)]
struct Count {
    nodes: Cell<usize>,
    text: Cell<usize>,
}

impl Count {
    fn nodes<E: serde::de::Error>(&self, more: usize) -> Result<(), E> {
        self.nodes.set(self.nodes.get().saturating_add(more));
        self.checked()
    }

    fn text<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        self.text.set(self.text.get().saturating_add(text.len()));
        self.checked()
    }

    fn checked<E: serde::de::Error>(&self) -> Result<(), E> {
        self.over().map_or(Ok(()), |over| Err(E::custom(over)))
    }

    fn over(&self) -> Option<JsonError> {
        if self.nodes.get() > MAX_NODES {
            Some(JsonError::TooManyNodes)
        } else if self.text.get() > MAX_TEXT_BYTES {
            Some(JsonError::TooLarge(MAX_TEXT_BYTES))
        } else {
            None
        }
    }

    fn why(&self, error: &impl fmt::Display) -> JsonError {
        self.over().unwrap_or_else(|| JsonError::Syntax(error.to_string()))
    }
}

/// Where in a Kubernetes object a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Event,
    Object,
    Metadata,
    Other,
}

/// One value.
struct Node<'c> {
    count: &'c Count,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count.nodes(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.count.text(text)?;
        Ok(text.into())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        self.count.text(&text)?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Self { count, .. } = self;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Node { count, place: Place::Other })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let Self { count, place } = self;
        count.nodes(OBJECT_NODES - 1)?;
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            count.text(&key)?;
            let place = match (place, key.as_str()) {
                (Place::Event, "object") => Place::Object,
                (Place::Object, "metadata") => Place::Metadata,
                (Place::Metadata, "managedFields") => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => Place::Other,
            };
            let value = map.next_value_seed(Node { count, place })?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

/// A list of Kubernetes objects.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub items: Vec<Document>,
    pub metadata: Value,
}

/// The limits of a list.
#[derive(Clone, Copy, Debug)]
pub struct ListLimits {
    pub items: usize,
    /// Bytes of all items.
    pub bytes: usize,
}

/// Parses a list. The items are parsed one by one and passed to `prepare`, and only their text is kept.
pub fn parse_list(
    text: &[u8],
    limits: ListLimits,
    prepare: impl FnMut(&mut Value),
) -> Result<List, JsonError> {
    list(serde_json::Deserializer::from_slice(text), limits, prepare)
}

/// As [`parse_list`], for a source that frees what was read. Slower.
pub fn read_list(
    source: impl io::Read,
    limits: ListLimits,
    prepare: impl FnMut(&mut Value),
) -> Result<List, JsonError> {
    list(serde_json::Deserializer::from_reader(source), limits, prepare)
}

fn list<'de, R: serde_json::de::Read<'de>>(
    mut parser: serde_json::Deserializer<R>,
    limits: ListLimits,
    prepare: impl FnMut(&mut Value),
) -> Result<List, JsonError> {
    let why = RefCell::new(None);
    let list = ListSeed { limits, prepare, why: &why }.deserialize(&mut parser);
    list.and_then(|list| parser.end().map(|()| list))
        .map_err(|error| why.take().unwrap_or_else(|| JsonError::Syntax(error.to_string())))
}

/// Deserializes a list.
struct ListSeed<'w, F> {
    limits: ListLimits,
    prepare: F,
    /// The reason for an error, unless it came from the parser.
    why: &'w RefCell<Option<JsonError>>,
}

fn stop<E: serde::de::Error>(why: &RefCell<Option<JsonError>>, error: JsonError) -> E {
    let parser_error = E::custom(&error);
    why.replace(Some(error));
    parser_error
}

impl<'de, F: FnMut(&mut Value)> DeserializeSeed<'de> for ListSeed<'_, F> {
    type Value = List;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&mut Value)> Visitor<'de> for ListSeed<'_, F> {
    type Value = List;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<List, A::Error> {
        let Self { limits, mut prepare, why } = self;
        let mut list = List::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "items" => list.items = map.next_value_seed(Items { limits, prepare: &mut prepare, why })?,
                "metadata" => {
                    let count = Count::default();
                    let metadata = map.next_value_seed(Node { count: &count, place: Place::Other });
                    list.metadata = metadata.map_err(|error| over_limit(&count, why, error))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(list)
    }
}

/// The error about too many values, or the parser's error.
fn over_limit<E: serde::de::Error>(count: &Count, why: &RefCell<Option<JsonError>>, error: E) -> E {
    match count.over() {
        Some(over) => stop(why, over),
        None => error,
    }
}

struct Items<'w, F> {
    limits: ListLimits,
    prepare: F,
    why: &'w RefCell<Option<JsonError>>,
}

impl<'de, F: FnMut(&mut Value)> DeserializeSeed<'de> for Items<'_, F> {
    type Value = Vec<Document>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Document>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&mut Value)> Visitor<'de> for Items<'_, F> {
    type Value = Vec<Document>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("items")
    }

    /// The API server sometimes writes an empty list as `null`.
    fn visit_unit<E>(self) -> Result<Vec<Document>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Document>, A::Error> {
        let Self { limits, mut prepare, why } = self;
        let (mut items, mut bytes) = (Vec::new(), 0usize);
        loop {
            let count = Count::default();
            let next = seq.next_element_seed(Node { count: &count, place: Place::Object });
            let Some(mut value) = next.map_err(|error| over_limit(&count, why, error))? else {
                return Ok(items);
            };
            if items.len() >= limits.items {
                return Err(stop(why, JsonError::TooManyItems(limits.items)));
            }
            prepare(&mut value);
            let item = Document::from(&value);
            bytes = bytes.saturating_add(item.as_str().len());
            if bytes > limits.bytes {
                return Err(stop(why, JsonError::TooLarge(limits.bytes)));
            }
            items.push(item);
        }
    }
}

/// JSON as text that was checked: it is valid, and not nested too deep for a parser.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Document(Box<str>);

impl Document {
    /// Checks the text and keeps it.
    pub fn checked(text: String) -> Result<Self, JsonError> {
        let mut parser = serde_json::Deserializer::from_str(&text);
        let checked = Check.deserialize(&mut parser).and_then(|()| parser.end());
        checked.map_err(|error| JsonError::Syntax(error.to_string()))?;
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parsed document.
    pub fn value(&self) -> Result<Value, JsonError> {
        parse(self.0.as_bytes())
    }
}

impl Default for Document {
    fn default() -> Self {
        Self("null".into())
    }
}

impl From<&Value> for Document {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl From<Document> for String {
    fn from(document: Document) -> Self {
        document.0.into()
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Serializes the text value by value as it is parsed.
impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parser = serde_json::Deserializer::from_str(&self.0);
        Copied::new(&mut parser).serialize(serializer)
    }
}

/// A value that is serialized while it is deserialized.
struct Copied<D>(RefCell<Option<D>>);

impl<D> Copied<D> {
    fn new(deserializer: D) -> Self {
        Self(RefCell::new(Some(deserializer)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Copied<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let deserializer = self.0.take().ok_or_else(|| S::Error::custom("serialized twice"))?;
        deserializer.deserialize_any(Copy(serializer)).map_err(S::Error::custom)
    }
}

struct Copy<S>(S);

impl<'de, S: Serializer> Visitor<'de> for Copy<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<S::Ok, E> {
        self.0.serialize_bool(value).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<S::Ok, E> {
        self.0.serialize_i64(value).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<S::Ok, E> {
        self.0.serialize_u64(value).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<S::Ok, E> {
        self.0.serialize_f64(value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<S::Ok, E> {
        self.0.serialize_str(text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<S::Ok, A::Error> {
        let mut to = self.0.serialize_seq(from.size_hint()).map_err(A::Error::custom)?;
        while from.next_element_seed(Element(&mut to))?.is_some() {}
        to.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<S::Ok, A::Error> {
        let mut key = from.next_key::<String>()?;
        // Some formats begin an empty map differently.
        let mut to = self.0.serialize_map(Some(usize::from(key.is_some()))).map_err(A::Error::custom)?;
        while let Some(name) = key {
            to.serialize_key(&name).map_err(A::Error::custom)?;
            from.next_value_seed(Field(&mut to))?;
            key = from.next_key()?;
        }
        to.end().map_err(A::Error::custom)
    }
}

/// The next item of a sequence.
struct Element<'a, T>(&'a mut T);

impl<'de, T: serde::ser::SerializeSeq> DeserializeSeed<'de> for Element<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Copied::new(deserializer)).map_err(D::Error::custom)
    }
}

/// The next value of a map, after its key.
struct Field<'a, T>(&'a mut T);

impl<'de, T: serde::ser::SerializeMap> DeserializeSeed<'de> for Field<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.serialize_value(&Copied::new(deserializer)).map_err(D::Error::custom)
    }
}

/// Parses a value and discards it. Unlike `IgnoredAny` it recurses, and so fails if the value is nested too deep.
struct Check;

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Self)?.is_some() {
            map.next_value_seed(Self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
