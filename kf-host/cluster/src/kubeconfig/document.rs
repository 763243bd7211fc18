//! The content of kubeconfig files, entry by entry.
//!
//! A kubeconfig collects the clusters and users of years, so an entry that cannot be used matters only to
//! who uses it. kube (5.0) reads a file into types as a whole: one context without a cluster, or a `null` where
//! a list is expected, makes every other entry unusable too, and it panics on UTF-16 with an odd byte. Here a
//! file is read as a tree, and [`Entry`] checks a field when it is used. As for kubectl, of a
//! key that is there twice the last counts, of several files the first to set a thing, and what is
//! empty or `null` is not set.

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

/// What one or several files hold.
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
    /// The kubeconfig it is in. The relative paths of its fields begin beside it.
    file: PathBuf,
}

impl Document {
    /// Reads one file, which may hold several documents. The error ends a sentence that names the file.
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
            _ => return Err("it is not a mapping".to_owned()),
        };
        if let Some(kind) = tree.get("kind").and_then(Value::as_str).filter(|kind| !kind.is_empty())
            && kind != "Config"
        {
            return Err(format!("its kind is {}, not Config", excerpt(kind)));
        }
        Ok(Self {
            current_context: tree.get("current-context").and_then(name),
            contexts: named(&mut tree, "contexts", "context", file)?,
            clusters: named(&mut tree, "clusters", "cluster", file)?,
            users: named(&mut tree, "users", "user", file)?,
        })
    }

    /// Adds what a later file or document holds. The first to name a thing wins.
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

/// All that is in a file, as long as it is not too much.
pub(crate) fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let why = |error: std::io::Error| error.kind().to_string();
    let file = fs_err::File::open(path).map_err(why)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

/// UTF-8, or the UTF-16 that PowerShell writes.
fn decode(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units = units.iter().map(|pair| unit(*pair));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok().filter(|_| rest.is_empty()).ok_or_else(|| "it is not valid UTF-16".to_owned())
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => {
            String::from_utf8(rest.to_vec()).map_err(|_| "it is not valid UTF-8".to_owned())
        }
    }
}

fn trees(text: &str) -> Result<Vec<Value>, String> {
    // JSON may be indented with tabs, which the YAML parser does not take.
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

/// What is wrong with a document. Only what the parser says about its syntax is repeated, for other words are those
/// of a library.
fn syntax(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => "it is too large or nested too deeply".to_owned(),
        _ => super::first_line(&error.to_string()),
    }
}

/// The entries of one list. One without a name is left out: nothing can refer to it.
fn named(tree: &mut Map<String, Value>, list: &str, field: &str, file: &Path) -> Result<Vec<Named>, String> {
    let entries = match tree.remove(list) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(format!("its `{list}` is not a list")),
    };
    let entries = entries.into_iter().filter_map(|entry| {
        let Value::Object(mut entry) = entry else { return None };
        let name = entry.get("name").and_then(name)?;
        let fields = entry.remove(field).filter(|fields| !fields.is_null());
        Some(Named { name, fields, file: file.to_owned() })
    });
    Ok(entries.collect())
}

/// A name, unless it is empty. One that YAML takes for a number or a truth value is compared as text.
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
        Some(_) => Err(KubeconfigError::Field {
            entry: title,
            field: kind.into(),
            why: "it is not a mapping".into(),
        }),
    })
}

/// A cluster, a user or a context, or a mapping below one.
pub(super) struct Entry<'d> {
    title: String,
    prefix: String,
    fields: Option<&'d Map<String, Value>>,
    file: &'d Path,
}

impl<'d> Entry<'d> {
    /// A user that is not in the kubeconfig, and has nothing.
    pub(super) fn nobody() -> Entry<'static> {
        Entry { title: "user".to_owned(), prefix: String::new(), fields: None, file: Path::new("") }
    }

    fn value(&self, field: &str) -> Option<&'d Value> {
        self.fields?.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there and not empty, whatever it holds.
    pub(super) fn has(&self, field: &str) -> bool {
        self.value(field).is_some_and(|value| value.as_str() != Some(""))
    }

    /// The name of another entry.
    pub(super) fn name(&self, field: &str) -> Option<String> {
        self.value(field).and_then(name)
    }

    /// Text that is not empty.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'d str>, KubeconfigError> {
        match self.value(field) {
            None => Ok(None),
            Some(value) => self.as_text(field, value).map(|text| Some(text).filter(|text| !text.is_empty())),
        }
    }

    fn as_text(&self, field: &str, value: &'d Value) -> Result<&'d str, KubeconfigError> {
        match value {
            Value::String(text) => Ok(text),
            // As with kubectl. What was written can be another text than what was read: 0123 is read as 123.
            Value::Number(_) | Value::Bool(_) => Err(self.wrong(field, "it is not text; put it in quotes")),
            _ => Err(self.wrong(field, "it is not text")),
        }
    }

    /// Text without white space around it, such as the end of a line.
    pub(super) fn word(&self, field: &str) -> Result<Option<&'d str>, KubeconfigError> {
        Ok(self.text(field)?.map(str::trim).filter(|word| !word.is_empty()))
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, KubeconfigError> {
        match self.value(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(field, "it is neither true nor false")),
        }
    }

    /// A path, absolute unless the kubeconfig's own is relative.
    pub(super) fn path(&self, field: &str) -> Result<Option<String>, KubeconfigError> {
        self.text(field)?.map(|path| self.resolve(field, path)).transpose()
    }

    pub(super) fn resolve(&self, field: &str, path: &str) -> Result<String, KubeconfigError> {
        let directory = self.file.parent().unwrap_or(Path::new(""));
        let resolved = directory.join(path).into_os_string().into_string();
        resolved.map_err(|_| self.wrong(field, "the path of the kubeconfig is not UTF-8"))
    }

    fn list(&self, field: &str) -> Result<&'d [Value], KubeconfigError> {
        match self.value(field) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.wrong(field, "it is not a list")),
        }
    }

    pub(super) fn texts(&self, field: &str) -> Result<Vec<String>, KubeconfigError> {
        let text = |value: &'d Value| match value {
            Value::Null => Ok(String::new()),
            value => self.as_text(field, value).map(str::to_owned),
        };
        self.list(field)?.iter().map(text).collect()
    }

    /// A mapping below the entry.
    pub(super) fn below(&self, field: &str) -> Result<Option<Entry<'d>>, KubeconfigError> {
        self.value(field).map(|value| self.as_entry(field, value)).transpose()
    }

    /// A list of mappings below the entry.
    pub(super) fn all_below(&self, field: &str) -> Result<Vec<Entry<'d>>, KubeconfigError> {
        self.list(field)?.iter().map(|value| self.as_entry(field, value)).collect()
    }

    fn as_entry(&self, field: &str, value: &'d Value) -> Result<Entry<'d>, KubeconfigError> {
        let Value::Object(fields) = value else { return Err(self.wrong(field, "it is not a mapping")) };
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

    /// Anything, for others to read.
    pub(super) fn tree(&self, field: &str) -> Option<Value> {
        self.value(field).cloned()
    }

    /// Base64, with line breaks or without. Plain PEM is taken too.
    pub(super) fn data(&self, field: &str) -> Result<Option<Vec<u8>>, KubeconfigError> {
        let Some(text) = self.word(field)? else { return Ok(None) };
        if text.starts_with("-----BEGIN ") {
            return Ok(Some(text.as_bytes().to_vec()));
        }
        let text: String = text.split_ascii_whitespace().collect();
        let data = STANDARD.decode(text).map_err(|_| self.wrong(field, "it is not base64"))?;
        Ok(Some(data).filter(|data| !data.is_empty()))
    }

    pub(super) fn missing(&self, field: &str) -> KubeconfigError {
        KubeconfigError::NoField { entry: self.title.clone(), field: format!("{}{field}", self.prefix) }
    }

    /// The error about two fields of which a request can only have one.
    pub(super) fn contradicts(&self, first: &'static str, second: &'static str) -> KubeconfigError {
        let (entry, file) = (self.title.clone(), self.file.to_owned());
        KubeconfigError::Contradiction { entry, file, first, second }
    }

    /// The error about a field. `why` is a sentence about its value.
    pub(super) fn wrong(&self, field: &str, why: impl Into<String>) -> KubeconfigError {
        let field = format!("{}{field}", self.prefix);
        KubeconfigError::Field { entry: self.title.clone(), field, why: why.into() }
    }
}
