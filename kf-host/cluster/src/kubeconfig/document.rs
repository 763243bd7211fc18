//! The content of kubeconfig files, entry by entry.
//!
//! A kubeconfig collects clusters and users over years, so an invalid entry must only matter when it is used.
//! kube (5.0) deserializes a file as a whole: one context without a cluster, or a `null` where a list is expected,
//! makes every other entry unusable too, and it panics on UTF-16 with an odd byte. Here a file is read as a tree,
//! and [`Entry`] validates a field when it is used. As with kubectl, the last of duplicate keys wins, the first of
//! several files wins, and an empty or `null` field is not set.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kf_core::text::excerpt;
use serde_json::{Map, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

use super::KubeconfigError;

/// The largest kubeconfig, certificate or token file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// The merged content of one or several files.
#[derive(Default)]
pub(super) struct Document {
    current_context: Option<String>,
    contexts: Vec<Named>,
    clusters: Vec<Named>,
    users: Vec<Named>,
}

struct Named {
    name: String,
    fields: Option<Value>,
    /// The kubeconfig it is in. Relative paths are resolved against its folder.
    file: PathBuf,
}

impl Document {
    /// Reads one file, which may contain several documents. The error follows the name of the file in a message.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = decode(&read_bounded(path)?)?;
        let mut whole = Self::default();
        for tree in trees(&text)? {
            whole.add(Self::of(tree, path)?);
        }
        Ok(whole)
    }

    fn of(tree: Value, file: &Path) -> Result<Self, String> {
        let mut tree = match tree {
            Value::Object(tree) => tree,
            Value::Null => return Ok(Self::default()),
            _ => return Err("not a mapping".to_owned()),
        };
        if let Some(kind) = tree.get("kind").and_then(Value::as_str).filter(|kind| !kind.is_empty())
            && kind != "Config"
        {
            return Err(format!("its kind is {}, expected Config", excerpt(kind)));
        }
        Ok(Self {
            current_context: tree.get("current-context").and_then(name),
            contexts: named(&mut tree, "contexts", "context", file)?,
            clusters: named(&mut tree, "clusters", "cluster", file)?,
            users: named(&mut tree, "users", "user", file)?,
        })
    }

    /// Merges a later file or document. The first to set a value wins.
    pub(super) fn add(&mut self, later: Self) {
        self.current_context = self.current_context.take().or(later.current_context);
        self.contexts.extend(later.contexts);
        self.clusters.extend(later.clusters);
        self.users.extend(later.users);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current_context.is_none() && self.contexts.is_empty() && self.clusters.is_empty()
    }

    pub(super) fn current_context(&self) -> Option<&str> {
        self.current_context.as_deref()
    }

    /// The names of all contexts, each once.
    pub(super) fn context_names(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        self.contexts.iter().map(|c| &c.name).filter(|name| seen.insert(*name)).cloned().collect()
    }

    pub(super) fn context(&self, name: &str) -> Option<Result<Entry<'_>, KubeconfigError>> {
        entry(&self.contexts, "context", name)
    }

    pub(super) fn cluster(&self, name: &str) -> Option<Result<Entry<'_>, KubeconfigError>> {
        entry(&self.clusters, "cluster", name)
    }

    pub(super) fn user(&self, name: &str) -> Option<Result<Entry<'_>, KubeconfigError>> {
        entry(&self.users, "user", name)
    }
}

/// Reads a whole file of at most [`MAX_BYTES`].
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let why = |error: std::io::Error| error.kind().to_string();
    let file = fs_err::File::open(path).map_err(why)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

/// UTF-8, or the UTF-16 that PowerShell writes.
fn decode(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units = units.iter().map(|pair| unit(*pair));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok().filter(|_| rest.is_empty()).ok_or_else(|| "not valid UTF-16".to_owned())
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => {
            String::from_utf8(rest.to_vec()).map_err(|_| "not valid UTF-8".to_owned())
        }
    }
}

fn trees(text: &str) -> Result<Vec<Value>, String> {
    // JSON may be indented with tabs, which the YAML parser rejects.
    if text.trim_start().starts_with('{')
        && let Ok(tree) = serde_json::from_str(text)
    {
        return Ok(vec![tree]);
    }
    let budget = serde_saphyr::budget! { enforce_alias_anchor_ratio: false };
    let mut options = serde_saphyr::options! {
        budget: budget,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        // The data of certificates is base64 with and without the tag.
        ignore_binary_tag_for_string: true,
    };
    options.alias_limits.max_total_replayed_events = 100_000;
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| syntax(&error))
}

/// Describes a parse error. Only syntax errors are quoted from the parser; its other messages are about the library.
fn syntax(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => "too large or nested too deeply".to_owned(),
        _ => super::first_line(&error.to_string()),
    }
}

/// The entries of one list. An entry without a name is skipped: nothing can refer to it.
fn named(tree: &mut Map<String, Value>, list: &str, field: &str, file: &Path) -> Result<Vec<Named>, String> {
    let entries = match tree.remove(list) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(format!("`{list}` is not a list")),
    };
    let entries = entries.into_iter().filter_map(|entry| {
        let Value::Object(mut entry) = entry else { return None };
        let name = entry.get("name").and_then(name)?;
        let fields = entry.remove(field).filter(|fields| !fields.is_null());
        Some(Named { name, fields, file: file.to_owned() })
    });
    Ok(entries.collect())
}

/// A name, unless it is empty. A name that YAML parses as a number or boolean is compared as text.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|name| !name.is_empty())
}

fn entry<'d>(all: &'d [Named], kind: &'static str, name: &str) -> Option<Result<Entry<'d>, KubeconfigError>> {
    let found = all.iter().find(|named| named.name == name)?;
    let title = format!("{kind} `{name}`");
    let file = &found.file;
    Some(match &found.fields {
        None => Ok(Entry { title, prefix: String::new(), fields: None, file }),
        Some(Value::Object(fields)) => Ok(Entry { title, prefix: String::new(), fields: Some(fields), file }),
        Some(_) => Err(KubeconfigError::InvalidField {
            entry: title,
            field: kind.into(),
            why: "not a mapping".into(),
        }),
    })
}

/// A cluster, a user or a context, or a mapping in one.
pub(super) struct Entry<'d> {
    title: String,
    prefix: String,
    fields: Option<&'d Map<String, Value>>,
    file: &'d Path,
}

impl<'d> Entry<'d> {
    /// The user of a context that names none: no fields are set.
    pub(super) fn no_user() -> Entry<'static> {
        Entry { title: "user".to_owned(), prefix: String::new(), fields: None, file: Path::new("") }
    }

    fn value(&self, field: &str) -> Option<&'d Value> {
        self.fields?.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is set and not empty, valid or not.
    pub(super) fn has(&self, field: &str) -> bool {
        self.value(field).is_some_and(|value| value.as_str() != Some(""))
    }

    /// The name of another entry.
    pub(super) fn name(&self, field: &str) -> Option<String> {
        self.value(field).and_then(name)
    }

    /// A string, unless it is empty.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'d str>, KubeconfigError> {
        match self.value(field) {
            None => Ok(None),
            Some(value) => self.as_text(field, value).map(|text| Some(text).filter(|text| !text.is_empty())),
        }
    }

    fn as_text(&self, field: &str, value: &'d Value) -> Result<&'d str, KubeconfigError> {
        match value {
            Value::String(text) => Ok(text),
            // As with kubectl: the parsed value may differ from the text, as 0123 is parsed as 123.
            Value::Number(_) | Value::Bool(_) => Err(self.invalid(field, "not a string; put it in quotes")),
            _ => Err(self.invalid(field, "not a string")),
        }
    }

    /// A string without surrounding white space, such as a trailing newline.
    pub(super) fn trimmed(&self, field: &str) -> Result<Option<&'d str>, KubeconfigError> {
        Ok(self.text(field)?.map(str::trim).filter(|word| !word.is_empty()))
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, KubeconfigError> {
        match self.value(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.invalid(field, "must be true or false")),
        }
    }

    /// A path, resolved against the folder of the kubeconfig.
    pub(super) fn path(&self, field: &str) -> Result<Option<String>, KubeconfigError> {
        self.text(field)?.map(|path| self.resolve(field, path)).transpose()
    }

    pub(super) fn resolve(&self, field: &str, path: &str) -> Result<String, KubeconfigError> {
        let directory = self.file.parent().unwrap_or(Path::new(""));
        let resolved = directory.join(path).into_os_string().into_string();
        resolved.map_err(|_| self.invalid(field, "the path of the kubeconfig is not UTF-8"))
    }

    fn list(&self, field: &str) -> Result<&'d [Value], KubeconfigError> {
        match self.value(field) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.invalid(field, "not a list")),
        }
    }

    pub(super) fn texts(&self, field: &str) -> Result<Vec<String>, KubeconfigError> {
        let text = |value: &'d Value| match value {
            Value::Null => Ok(String::new()),
            value => self.as_text(field, value).map(str::to_owned),
        };
        self.list(field)?.iter().map(text).collect()
    }

    /// A mapping in this entry.
    pub(super) fn mapping(&self, field: &str) -> Result<Option<Entry<'d>>, KubeconfigError> {
        self.value(field).map(|value| self.as_entry(field, value)).transpose()
    }

    /// A list of mappings in this entry.
    pub(super) fn mappings(&self, field: &str) -> Result<Vec<Entry<'d>>, KubeconfigError> {
        self.list(field)?.iter().map(|value| self.as_entry(field, value)).collect()
    }

    fn as_entry(&self, field: &str, value: &'d Value) -> Result<Entry<'d>, KubeconfigError> {
        let Value::Object(fields) = value else { return Err(self.invalid(field, "not a mapping")) };
        Ok(Entry {
            title: self.title.clone(),
            prefix: format!("{}{field}.", self.prefix),
            fields: Some(fields),
            file: self.file,
        })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'d str> {
        self.fields.into_iter().flat_map(|fields| fields.keys().map(String::as_str))
    }

    /// The raw value of a field.
    pub(super) fn raw(&self, field: &str) -> Option<Value> {
        self.value(field).cloned()
    }

    /// Decoded base64, with or without line breaks. Plain PEM is accepted too.
    pub(super) fn data(&self, field: &str) -> Result<Option<Vec<u8>>, KubeconfigError> {
        let Some(text) = self.trimmed(field)? else { return Ok(None) };
        if text.starts_with("-----BEGIN ") {
            return Ok(Some(text.as_bytes().to_vec()));
        }
        let text: String = text.split_ascii_whitespace().collect();
        let data = STANDARD.decode(text).map_err(|_| self.invalid(field, "not base64"))?;
        Ok(Some(data).filter(|data| !data.is_empty()))
    }

    pub(super) fn missing(&self, field: &str) -> KubeconfigError {
        KubeconfigError::MissingField { entry: self.title.clone(), field: format!("{}{field}", self.prefix) }
    }

    /// The error about two fields that exclude each other.
    pub(super) fn conflict(&self, first: &'static str, second: &'static str) -> KubeconfigError {
        let (entry, file) = (self.title.clone(), self.file.to_owned());
        KubeconfigError::ConflictingAuth { entry, file, first, second }
    }

    /// The error about an invalid field. `why` is about its value.
    pub(super) fn invalid(&self, field: &str, why: impl Into<String>) -> KubeconfigError {
        let field = format!("{}{field}", self.prefix);
        KubeconfigError::InvalidField { entry: self.title.clone(), field, why: why.into() }
    }
}
