//! Random changes of valid documents: as bytes, as a tree, and as the sections of a component.

use serde_json::{Map, Value, json};

/// A larger tree is not changed further: copies of copies would grow without end.
const MAX_NODES: usize = 4000;

/// A change: what to do, where, and with which value. The meaning of each depends on the document.
pub type Change = (u8, u32, u32);

/// Texts that parsers, terminals and file systems may stumble over.
const TEXTS: [&str; 28] = [
    "",
    "\0",
    "\u{1b}[2J",
    "\u{9b}31m",
    "\r\nerror: x",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "\u{e0041}",
    "..",
    "../../x",
    "/etc/passwd",
    "a/b",
    "%2e%2e",
    "nul",
    "hello",
    "root",
    "author-",
    "1.2",
    "999999999999999999999.0.0",
    "1.0.0+build",
    "*",
    "**",
    "[",
    "2026-11-21T08:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "-0001-01-01T00:00:00Z",
    "javascript:alert(1)",
];

/// The same for documents.
const BYTES: [&[u8]; 14] = [
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\\u0000",
    b"\\ud800",
    b"\"",
    b"{",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"1e999",
    b"-1",
    b"18446744073709551616",
    b"null,",
    b"\n\n",
    b"#",
];

fn pick<T>(from: &[T], value: u32) -> Option<&T> {
    from.get(value as usize % from.len().max(1))
}

fn range(length: usize, at: u32, value: u32) -> std::ops::Range<usize> {
    let start = at as usize % (length + 1);
    let end = (start + value as usize % 64).min(length);
    start..end
}

/// A hostile text; rarely a long one.
fn text(value: u32) -> String {
    match value % 40 {
        39 => "a".repeat(70_000),
        38 => "\u{1b}".repeat(300),
        _ => (*pick(&TEXTS, value).unwrap_or(&"")).to_owned(),
    }
}

/// Changes bytes.
pub fn bytes(document: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = document.to_vec();
    for &(what, at, value) in changes {
        let span = range(bytes.len(), at, value);
        let at = span.start;
        match what % 8 {
            0 if at < bytes.len() => bytes[at] ^= 1 << (value % 8),
            1 if at < bytes.len() => bytes[at] = value as u8,
            2 => {
                let inserted = pick(&BYTES, value).copied().unwrap_or_default();
                bytes.splice(at..at, inserted.iter().copied());
            }
            3 => {
                bytes.splice(at..at, text(value).into_bytes());
            }
            4 => {
                bytes.drain(span);
            }
            5 => {
                let copy = bytes[span].to_vec();
                bytes.splice(at..at, copy);
            }
            6 if value % 8 == 0 => bytes.truncate(at),
            _ => {
                let other = range(bytes.len(), value, what.into());
                let copy = bytes[other].to_vec();
                bytes.splice(span, copy);
            }
        }
    }
    bytes
}

/// Changes the nodes of a tree.
pub fn tree(document: &Value, changes: &[Change]) -> Value {
    let mut tree = document.clone();
    for &(what, at, value) in changes {
        let count = nodes(&tree);
        if count > MAX_NODES {
            break;
        }
        let donor = nth(&tree, value as usize % count).cloned().unwrap_or_default();
        if let Some(node) = nth_mut(&mut tree, at as usize % count) {
            change(node, what, value, donor);
        }
    }
    tree
}

fn change(node: &mut Value, what: u8, value: u32, donor: Value) {
    match what % 10 {
        0 => *node = text(value).into(),
        1 => {
            let values = [
                json!(null),
                json!(true),
                json!(0),
                json!(-1),
                json!(u64::MAX),
                json!(i64::MIN),
                json!(1.5),
                json!([]),
                json!({}),
            ];
            *node = pick(&values, value).cloned().unwrap_or_default();
        }
        2 => *node = donor,
        // Deeper than a parser may recurse, but not than this program itself may.
        3 => *node = (0..value % 120).fold(node.take(), |inner, _| json!([inner])),
        4 => {
            let copies = (MAX_NODES / nodes(node)).min(value as usize % 1000);
            *node = Value::Array(vec![node.take(); copies]);
        }
        _ => match node {
            Value::Object(fields) => change_fields(fields, what, value, donor),
            Value::Array(items) => match what % 3 {
                0 => items.push(donor),
                1 if !items.is_empty() => {
                    items.remove(value as usize % items.len());
                }
                _ => items.extend(items.clone()),
            },
            Value::String(old) => match what % 3 {
                0 => old.push_str(&text(value)),
                1 => old.insert_str(0, &text(value)),
                _ => {
                    *old =
                        String::from_utf8_lossy(&bytes(old.as_bytes(), &[(what, value, value)])).into_owned()
                }
            },
            Value::Number(number) => {
                let next =
                    number.as_u64().unwrap_or_default().wrapping_add(u64::from(value % 5)).wrapping_sub(2);
                *node = next.into();
            }
            Value::Null | Value::Bool(_) => *node = donor,
        },
    }
}

fn change_fields(fields: &mut Map<String, Value>, what: u8, value: u32, donor: Value) {
    let names: Vec<String> = fields.keys().cloned().collect();
    let name = pick(&names, value).cloned().unwrap_or_default();
    match what % 4 {
        0 => {
            fields.remove(&name);
        }
        1 => {
            let old = fields.remove(&name).unwrap_or_default();
            fields.insert(text(value), old);
        }
        2 => {
            fields.insert(text(value), donor);
        }
        _ => {
            fields.insert(name, donor);
        }
    }
}

fn nodes(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

/// A node in pre-order.
fn nth(tree: &Value, at: usize) -> Option<&Value> {
    if at == 0 {
        return Some(tree);
    }
    let children: Vec<&Value> = match tree {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    let mut left = at - 1;
    for child in children {
        let count = nodes(child);
        if left < count {
            return nth(child, left);
        }
        left -= count;
    }
    None
}

fn nth_mut(tree: &mut Value, at: usize) -> Option<&mut Value> {
    if at == 0 {
        return Some(tree);
    }
    let children: Vec<&mut Value> = match tree {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => Vec::new(),
    };
    let mut left = at - 1;
    for child in children {
        let count = nodes(child);
        if left < count {
            return nth_mut(child, left);
        }
        left -= count;
    }
    None
}

/// Changes the sections of a component or module, and corrects the lengths.
pub fn component(wasm: &[u8], changes: &[Change]) -> Vec<u8> {
    let Some((head, mut sections)) = split(wasm) else { return bytes(wasm, changes) };
    for &(what, at, value) in changes {
        let count = sections.len().max(1);
        let index = at as usize % count;
        match what % 8 {
            0 => sections.insert(index, (0, custom(&text(value), &text(at).into_bytes()))),
            1 => sections.insert(index, (0, custom("kf:abi", &text(value).into_bytes()))),
            2 => sections.insert(index, (0, vec![value as u8; value as usize % 100])),
            3 if index < sections.len() => {
                sections.remove(index);
            }
            4 if index < sections.len() => sections.swap(index, value as usize % count),
            5 if index < sections.len() => sections[index].0 = value as u8 % 16,
            _ => {
                if let Some((_, body)) = sections.get_mut(index) {
                    *body = bytes(body, &[(what / 8, value, at)]);
                }
            }
        }
    }
    let mut out = head.to_vec();
    for (id, body) in sections {
        out.push(id);
        out.extend(leb128(body.len()));
        out.extend(body);
    }
    out
}

/// The body of a custom section.
fn custom(name: &str, data: &[u8]) -> Vec<u8> {
    [&leb128(name.len())[..], name.as_bytes(), data].concat()
}

/// The id and the body of a section.
type Section = (u8, Vec<u8>);

/// The header and the sections.
fn split(wasm: &[u8]) -> Option<(&[u8], Vec<Section>)> {
    let (head, mut rest) = wasm.split_at_checked(8)?;
    let mut sections = Vec::new();
    while let Some((id, tail)) = rest.split_first() {
        let (length, tail) = read_leb128(tail)?;
        let (body, tail) = tail.split_at_checked(length)?;
        sections.push((*id, body.to_vec()));
        rest = tail;
    }
    Some((head, sections))
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}
