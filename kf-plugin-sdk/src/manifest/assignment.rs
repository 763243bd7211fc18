//! Fields and environment variables set by flags.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::yaml::{self, Dialect};
use crate::error::{Error, Result};
use crate::objects::Object;

/// An assignment to a field of an object: `PATH=VALUE`.
///
/// A path such as `spec.trainer.env[0].value` begins in the spec, or names a label or annotation; a dot within a
/// name is written `\.`. The value is parsed like YAML in a file: `4` is a number, `"4"` a string, `0400` octal,
/// `[a, b]` a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    path: String,
    steps: Vec<Step>,
    value: Value,
    text: String,
}

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (path, value) =
            text.split_once('=').ok_or_else(|| format!("expected PATH=VALUE, got `{text}`"))?;
        let documents = yaml::documents(value, Dialect::Kubernetes).ok().filter(|_| !value.is_empty());
        let typed = match documents.map(|mut documents| (documents.pop(), documents.is_empty())) {
            Some((None, _)) => Value::Null,
            Some((Some(typed), true)) => typed,
            Some(_) | None => value.into(),
        };
        let steps = steps(path).map_err(|why| format!("{path}: {why}"))?;
        Ok(Self { path: path.to_owned(), steps, value: typed, text: text.to_owned() })
    }
}

impl Assignment {
    /// Returns the assignment as typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Sets the field of an object.
    pub fn apply(&self, object: &mut Object) -> Result<()> {
        let mut document = std::mem::take(object).into_value();
        let result = self.put(&mut document, &self.steps);
        *object = document.into();
        result
    }

    fn put(&self, place: &mut Value, steps: &[Step]) -> Result<()> {
        let wrong = |why: String| Err(Error::invalid(format!("--set {}: {why}", self.path)));
        let Some((step, rest)) = steps.split_first() else {
            *place = self.value.clone();
            return Ok(());
        };
        match step {
            Step::Field(name) => {
                if place.is_null() {
                    *place = json!({});
                }
                match place {
                    Value::Object(fields) => {
                        self.put(fields.entry(name.clone()).or_insert(Value::Null), rest)
                    }
                    _ => wrong(format!("cannot set `{name}`: its parent is not a mapping")),
                }
            }
            Step::Index(index) => {
                if place.is_null() {
                    *place = json!([]);
                }
                let Value::Array(items) = place else {
                    return wrong(format!("cannot index [{index}]: not a list"));
                };
                if *index > items.len() {
                    return wrong(format!("[{index}] is out of range: the list has {} items", items.len()));
                }
                if *index == items.len() {
                    items.push(Value::Null);
                }
                items.get_mut(*index).map_or(Ok(()), |item| self.put(item, rest))
            }
        }
    }
}

fn steps(path: &str) -> std::result::Result<Vec<Step>, &'static str> {
    let marked = path.replace("\\.", "\0");
    let mut steps = Vec::new();
    for part in marked.split('.') {
        let (name, indexes) = part.split_once('[').map_or((part, None), |(name, rest)| (name, Some(rest)));
        if name.is_empty() {
            return Err("empty field name");
        }
        steps.push(Step::Field(name.replace('\0', ".")));
        for index in indexes.into_iter().flat_map(|indexes| indexes.split('[')) {
            let index = index.strip_suffix(']').and_then(|index| index.parse().ok());
            steps.push(Step::Index(index.ok_or("invalid index: expected a number in brackets")?));
        }
    }
    let field = |position: usize| match steps.get(position) {
        Some(Step::Field(name)) => name.as_str(),
        _ => "",
    };
    match (field(0), field(1)) {
        ("spec", _) | ("metadata", "labels" | "annotations") if steps.len() > 1 => Ok(steps),
        ("metadata", _) => Err("only labels and annotations can be set in metadata"),
        _ => Err("a path must start with `spec.`"),
    }
}

/// An environment variable of a container: `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("expected NAME=VALUE, got `{text}`")),
        }
    }
}

/// Formats as typed.
impl fmt::Display for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.name, self.value)
    }
}

/// Sets a variable in the list at a pointer, replacing one of the same name.
pub fn set_variable(object: &mut Object, pointer: &str, variable: &Variable) {
    let mut variables = object.list(pointer).to_vec();
    variables.retain(|other| other.get("name").and_then(Value::as_str) != Some(&variable.name));
    variables.push(json!({ "name": variable.name, "value": variable.value }));
    object.set(pointer, variables);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Object {
        json!({ "spec": { "trainer": {
            "args": ["--old"], "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
        } } })
        .into()
    }

    fn set(pair: &str) -> Result<Object> {
        let mut job = job();
        let assignment: Assignment = pair.parse().map_err(Error::invalid)?;
        assignment.apply(&mut job).map(|()| job)
    }

    #[test]
    fn value_is_parsed_like_yaml() {
        let value = |pair: &str| set(pair).unwrap().at("/spec/x").cloned();
        assert_eq!(value("spec.x=4"), Some(json!(4)));
        assert_eq!(value("spec.x=\"4\""), Some(json!("4")));
        assert_eq!(value("spec.x=8Gi"), Some(json!("8Gi")));
        assert_eq!(value("spec.x=[a, 1]"), Some(json!(["a", 1])));
        assert_eq!(value("spec.x="), Some(json!("")));
        assert_eq!(value("spec.x=0400"), Some(json!(256)));
        assert_eq!(value("spec.x=off"), Some(json!(false)));
        assert_eq!(value("spec.x=~"), Some(json!(null)));
        assert_eq!(value("spec.x={a: b}"), Some(json!({ "a": "b" })));
        assert_eq!(value("spec.x={{ x }}"), Some(json!("{{ x }}")));
        assert_eq!(value("spec.x=a=b"), Some(json!("a=b")));
    }

    #[test]
    fn path_addresses_list_items_and_dotted_names() {
        let job = set("spec.trainer.env[1].value=9").unwrap();
        assert_eq!(job.int("/spec/trainer/env/1/value"), Some(9));
        let job = set(r"spec.trainer.resourcesPerNode.limits.nvidia\.com/gpu=1").unwrap();
        assert_eq!(job.int("/spec/trainer/resourcesPerNode/limits/nvidia.com~1gpu"), Some(1));
        let job = set("metadata.labels.team=ml").unwrap();
        assert_eq!(job.label("team"), Some("ml"));
    }

    #[test]
    fn invalid_path_is_refused() {
        for pair in [
            "spec=1",
            "x.y=1",
            "metadata.name=x",
            "metadata.namespace=x",
            "spec..x=1",
            "spec.x",
            "spec.x[a]=1",
            "spec.trainer.env[7].name=x",
            "spec.trainer.env.name=x",
            "spec.trainer[0]=x",
            "status.x=1",
            "=1",
        ] {
            assert!(set(pair).is_err(), "{pair}");
        }
    }

    #[test]
    fn variable_replaces_one_of_same_name() {
        let mut job = job();
        for text in ["A=x=y", "C="] {
            set_variable(&mut job, "/spec/trainer/env", &text.parse().unwrap());
        }
        let expected = json!([
            { "name": "B", "value": "2" }, { "name": "A", "value": "x=y" }, { "name": "C", "value": "" },
        ]);
        assert_eq!(job.at("/spec/trainer/env"), Some(&expected));
        assert!("=x".parse::<Variable>().is_err());
    }
}
