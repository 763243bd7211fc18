//! Mappings, lists and aliases, as go-yaml v2 composes them.

use std::collections::BTreeMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::scalar::resolve;
use super::{Dialect, YamlError};

/// The most values of a file, its aliases expanded. Mappings count [`MAPPING_VALUES`] times. kf passes on
/// no larger object.
const MAX_VALUES: usize = 120_000;

const MAPPING_VALUES: usize = 6;

/// The most text in the strings of a file, its aliases expanded, in bytes.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// How deep values may be nested. kf passes on no deeper object.
const MAX_DEPTH: usize = 120;

/// The longest key before its colon, in characters. YAML limits it to 1024, JSON does not.
const MAX_KEY_CHARS: usize = 64 << 10;

/// Reads documents, and bounds what they hold together.
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

    /// Adds each document of a part of a file.
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
    /// What aliases may repeat, by its number in the stream.
    anchors: BTreeMap<usize, Anchored>,
}

#[derive(Clone)]
struct Node {
    value: Value,
    /// How deep its values are nested, itself included.
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
            _ => return Err(YamlError::at(line, "a value is missing")),
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
        // The parser knows the anchor from where it begins on.
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
        // Where each key was given; what `<<` brings may be given again.
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
                        let twice = format!("`{key}` is given twice, first in line {first}");
                        return Err(YamlError::at(line, twice));
                    }
                    fields.insert(key, node.value);
                }
            }
        }
        Ok(Node { value: Value::Object(fields), depth: deepest + 1 })
    }

    /// A key as JSON has it: `1` and `yes` are text there.
    fn key(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<String, YamlError> {
        let why = match self.node(event, line, depth)?.value {
            Value::String(text) => return Ok(text),
            Value::Bool(value) => return Ok(value.to_string()),
            Value::Number(number) => return Ok(number.to_string()),
            Value::Null => "a key is null; quote it if it is text",
            Value::Array(_) => "a key cannot be a list",
            Value::Object(_) => {
                "a key cannot be a mapping; a template such as {{ … }} has to be rendered first"
            }
        };
        Err(YamlError::at(line, why))
    }

    /// The next event, and its line in the file.
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

/// A plain `<<` takes the fields of another mapping.
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

/// Takes fields in the order of the file, and of several mappings those of the first, as go-yaml v2 does.
fn merge(fields: &mut Map<String, Value>, from: Value) -> Result<(), &'static str> {
    let mappings = match from {
        Value::Array(items) => items,
        one => vec![one],
    };
    for mapping in mappings.into_iter().rev() {
        let Value::Object(more) = mapping else { return Err("`<<` takes a mapping or a list of mappings") };
        fields.extend(more);
    }
    Ok(())
}
