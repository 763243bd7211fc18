//! Mappings, lists and aliases, as go-yaml v2 composes them.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::scalar::resolve;
use super::{Dialect, YamlError};

/// The maximum number of values of a file with its aliases expanded; a mapping counts as [`MAPPING_VALUES`]. kf refuses
/// larger objects.
const MAX_VALUES: usize = 120_000;

const MAPPING_VALUES: usize = 6;

/// The maximum size of all strings of a file with its aliases expanded.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// The maximum nesting depth. kf refuses deeper objects.
const MAX_DEPTH: usize = 120;

/// The maximum length of a key. YAML limits it to 1024 characters, JSON does not.
const MAX_KEY_CHARS: usize = 64 << 10;

/// Reads documents and limits their total size.
pub(super) struct Reader {
    dialect: Dialect,
    size: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    text: usize,
}

impl Reader {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, size: Size::default() }
    }

    /// Parses a part of a file and appends its documents.
    pub(super) fn stream(
        &mut self,
        text: &str,
        lines_before: usize,
        found: &mut Vec<Value>,
    ) -> Result<(), YamlError> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.simple_key_max_lookahead = MAX_KEY_CHARS;
        let parser = Parser::new_from_str_with_options(text, options);
        let mut stream = Stream { reader: self, parser, lines_before, anchors: BTreeMap::new() };
        while let Some((event, line)) = stream.next()? {
            if event.is_node() {
                found.push(stream.node(event, line, 1)?.value);
            }
        }
        Ok(())
    }
}

struct Stream<'r, 't> {
    reader: &'r mut Reader,
    parser: Parser<'t, StrInput<'t>>,
    lines_before: usize,
    /// The anchored nodes, by their number in the stream.
    anchors: BTreeMap<usize, Anchored>,
}

#[derive(Clone)]
struct Node {
    value: Value,
    /// The nesting depth, itself included.
    depth: usize,
}

struct Anchored {
    node: Node,
    size: Size,
}

impl<'t> Stream<'_, 't> {
    fn node(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Node, YamlError> {
        check_depth(depth, line)?;
        let before = self.reader.size;
        let (anchor, node) = match event {
            Event::Alias(anchor) => return self.alias(anchor, line, depth),
            Event::Scalar(text, style, anchor, tag) => {
                self.weigh(Size { values: 1, text: text.len() }, line)?;
                let is_plain = style == ScalarStyle::Plain;
                let value = resolve(&text, is_plain, tag.as_deref(), self.reader.dialect)
                    .and_then(|scalar| scalar.into_json())
                    .map_err(|why| YamlError::at(line, why))?;
                (anchor, Node { value, depth: 1 })
            }
            Event::SequenceStart(_, anchor, _) => {
                self.weigh(Size { values: 1, text: 0 }, line)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(_, anchor, _) => {
                self.weigh(Size { values: MAPPING_VALUES, text: 0 }, line)?;
                (anchor, self.mapping(depth)?)
            }
            _ => return Err(YamlError::at(line, "missing value")),
        };
        if anchor != 0 {
            let now = self.reader.size;
            let size = Size { values: now.values - before.values, text: now.text - before.text };
            self.weigh(size, line)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, line: usize, depth: usize) -> Result<Node, YamlError> {
        // The parser knows an anchor before its node is complete.
        let Some(Anchored { node, size }) = self.anchors.get(&anchor) else {
            return Err(YamlError::at(line, "an anchor contains itself"));
        };
        let (node, size) = (node.clone(), *size);
        check_depth(depth + node.depth - 1, line)?;
        self.weigh(size, line)?;
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Node, YamlError> {
        let (mut items, mut deepest) = (Vec::new(), 0);
        while let Some((event, line)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            let node = self.node(event, line, depth + 1)?;
            deepest = deepest.max(node.depth);
            items.push(node.value);
        }
        Ok(Node { value: Value::Array(items), depth: deepest + 1 })
    }

    fn mapping(&mut self, depth: usize) -> Result<Node, YamlError> {
        let (mut fields, mut deepest) = (Map::new(), 0);
        // The line of each key. Keys merged by `<<` can be overridden.
        let mut given = BTreeMap::new();
        while let Some((event, line)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let key = if is_merge(&event) { None } else { Some(self.key(event, line, depth + 1)?) };
            let Some((event, at)) = self.next()? else { break };
            let node = self.node(event, at, depth + 1)?;
            deepest = deepest.max(node.depth);
            match key {
                None => merge(&mut fields, node.value).map_err(|why| YamlError::at(at, why))?,
                Some(key) => {
                    if let Some(first) = given.insert(key.clone(), line) {
                        let twice = format!("duplicate key `{key}`, first on line {first}");
                        return Err(YamlError::at(line, twice));
                    }
                    fields.insert(key, node.value);
                }
            }
        }
        Ok(Node { value: Value::Object(fields), depth: deepest + 1 })
    }

    /// Converts a key to a JSON string, such as `1` or `true`.
    fn key(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<String, YamlError> {
        let why = match self.node(event, line, depth)?.value {
            Value::String(text) => return Ok(text),
            Value::Bool(value) => return Ok(value.to_string()),
            Value::Number(number) => return Ok(number.to_string()),
            Value::Null => "null key; quote it if it is a string",
            Value::Array(_) => "a key cannot be a list",
            Value::Object(_) => {
                "a key cannot be a mapping; a template such as {{ … }} must be rendered first"
            }
        };
        Err(YamlError::at(line, why))
    }

    /// Returns the next event and its line in the file.
    fn next(&mut self) -> Result<Option<(Event<'t>, usize)>, YamlError> {
        let event =
            self.parser.next().transpose().map_err(|error| YamlError::syntax(&error, self.lines_before))?;
        Ok(event.map(|(event, Span { start, .. })| (event, start.line() + self.lines_before)))
    }

    fn weigh(&mut self, more: Size, line: usize) -> Result<(), YamlError> {
        let size = &mut self.reader.size;
        size.values = size.values.saturating_add(more.values);
        size.text = size.text.saturating_add(more.text);
        let aliases = if self.anchors.is_empty() { "" } else { " once its aliases are expanded" };
        let why = match size {
            Size { values, .. } if *values > MAX_VALUES => {
                format!("the file has more than {MAX_VALUES} values{aliases}")
            }
            Size { text, .. } if *text > MAX_TEXT_BYTES => {
                format!("the file has more than {} MiB of text{aliases}", MAX_TEXT_BYTES >> 20)
            }
            _ => return Ok(()),
        };
        Err(YamlError::at(line, why))
    }
}

fn check_depth(depth: usize, line: usize) -> Result<(), YamlError> {
    match depth > MAX_DEPTH {
        true => Err(YamlError::at(line, format!("values are nested more than {MAX_DEPTH} deep"))),
        false => Ok(()),
    }
}

/// Returns whether a key is the merge key `<<`.
fn is_merge(key: &Event<'_>) -> bool {
    let is_tagged = |tag: &Tag| tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() == Some("merge");
    match key {
        Event::Scalar(text, style, _, tag) if text == "<<" => match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => is_tagged(tag),
        },
        _ => false,
    }
}

/// Merges fields as go-yaml v2 does: in the order of the file, and of several mappings the first one wins.
fn merge(fields: &mut Map<String, Value>, from: Value) -> Result<(), &'static str> {
    let mappings = match from {
        Value::Array(items) => items,
        one => vec![one],
    };
    for mapping in mappings.into_iter().rev() {
        let Value::Object(more) = mapping else {
            return Err("`<<` requires a mapping or a list of mappings");
        };
        fields.extend(more);
    }
    Ok(())
}
