//! A compiled pipeline, and the parameters it takes.
//!
//! The compiler of Kubeflow Pipelines writes YAML, the intermediate representation: one document with
//! the pipeline, and a second one if parts of it are for one platform only.

use kf_plugin_sdk::manifest::{Dialect, read_documents};
use kf_plugin_sdk::prelude::*;
use serde_json::{Map, Value, json};

/// A compiled pipeline.
pub(crate) struct Spec {
    /// As the server takes it.
    document: Value,
    /// The pipeline without what is for a platform.
    pipeline: Object,
}

impl Spec {
    /// From a file.
    pub(crate) fn read(kf: &Kf, file: &FileArg) -> Result<Self> {
        Self::of_documents(read_documents(kf, file, Dialect::Pipelines)?, file.path())
    }

    fn of_documents(documents: Vec<Value>, path: &str) -> Result<Self> {
        let mut documents = documents.into_iter();
        let pipeline = documents.next().ok_or_else(|| Error::invalid(format!("{path} is empty")))?;
        let platform = documents.next();
        if documents.next().is_some() {
            return Err(Error::invalid(format!("{path} holds more than a pipeline and its platform")));
        }
        if pipeline.get("kind").and_then(Value::as_str) == Some("Workflow") {
            return Err(Error::invalid(format!(
                "{path} is a workflow of Argo's, as the compiler before version 2 wrote"
            ))
            .hint("compile it with kfp 2"));
        }
        if ["pipelineInfo", "root", "schemaVersion"].iter().any(|field| pipeline.get(field).is_none()) {
            return Err(Error::invalid(format!("{path} is no compiled pipeline"))
                .hint("kfp dsl compile --py FILE.py --output FILE.yaml"));
        }
        let document = match platform {
            None => pipeline.clone(),
            Some(platform) => json!({ "pipeline_spec": pipeline, "platform_spec": platform }),
        };
        Ok(Self { document, pipeline: pipeline.into() })
    }

    /// From the server, where it may be either form.
    pub(crate) fn of_server(document: &Value) -> Self {
        let pipeline = document.get("pipeline_spec").unwrap_or(document).clone();
        Self { document: document.clone(), pipeline: pipeline.into() }
    }

    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    pub(crate) fn name(&self) -> &str {
        self.pipeline.str("/pipelineInfo/name").unwrap_or("pipeline")
    }

    /// The parameters of a run, from `NAME=VALUE` words.
    pub(crate) fn parameters(&self, words: &[String]) -> Result<Value> {
        let empty = Map::new();
        let takes = self.pipeline.at("/root/inputDefinitions/parameters").and_then(Value::as_object);
        let takes = takes.unwrap_or(&empty);
        let names = || takes.keys().cloned().collect::<Vec<_>>().join(", ");
        let mut parameters = Map::new();
        for word in words {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| Error::invalid(format!("--param {word} is not NAME=VALUE")))?;
            let Some(definition) = takes.get(name) else {
                let has = if takes.is_empty() {
                    "it takes none".to_owned()
                } else {
                    format!("it takes {}", names())
                };
                return Err(Error::invalid(format!("the pipeline has no parameter `{name}`; {has}")));
            };
            let kind = definition.get("parameterType").and_then(Value::as_str).unwrap_or("STRING");
            parameters.insert(name.to_owned(), typed(name, value, kind)?);
        }
        let is_missing = |(name, definition): &(&String, &Value)| {
            let optional = definition.get("isOptional").and_then(Value::as_bool) == Some(true);
            !optional && definition.get("defaultValue").is_none() && !parameters.contains_key(*name)
        };
        let missing: Vec<_> = takes.iter().filter(is_missing).map(|(name, _)| name.as_str()).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Error::invalid(format!("the pipeline needs a value for {missing}"))
                .hint(format!("--param {}=VALUE", missing.split(", ").next().unwrap_or("NAME"))));
        }
        Ok(parameters.into())
    }
}

fn typed(name: &str, text: &str, kind: &str) -> Result<Value> {
    let wrong = |what: &str| Error::invalid(format!("--param {name}={text}: {name} is {what}"));
    match kind {
        "NUMBER_INTEGER" => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
        "NUMBER_DOUBLE" => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Value::from).ok_or_else(|| wrong("a number"))
        }
        "BOOLEAN" => text.parse::<bool>().map(Value::from).map_err(|_| wrong("true or false")),
        "LIST" => {
            json_of(text).filter(Value::is_array).ok_or_else(|| wrong("a list in JSON, such as [1, 2]"))
        }
        "STRUCT" => json_of(text)
            .filter(Value::is_object)
            .ok_or_else(|| wrong("an object in JSON, such as {\"a\": 1}")),
        _ => Ok(text.into()),
    }
}

fn json_of(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    const IRIS: &str = "
pipelineInfo: {name: iris}
schemaVersion: 2.1.0
root:
  inputDefinitions:
    parameters:
      epochs: {parameterType: NUMBER_INTEGER}
      rate: {parameterType: NUMBER_DOUBLE, defaultValue: 0.1}
      layers: {parameterType: LIST, isOptional: true}
      name: {parameterType: STRING, isOptional: true}
      deep: {parameterType: BOOLEAN, isOptional: true}
";

    fn read(text: &str) -> Result<Spec> {
        let host = FakeHost::new("team-a");
        host.file("x.yaml", text);
        Spec::read(&host.kf(), &"x.yaml".parse().map_err(Error::invalid)?)
    }

    fn parameters(words: &[&str]) -> Result<Value> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        read(IRIS).unwrap().parameters(&words)
    }

    #[test]
    fn values_get_the_type_the_pipeline_gives_them() {
        assert_eq!(
            parameters(&["epochs=3", "rate=1e-3", "layers=[1, 2]", "name=3", "deep=true"]).unwrap(),
            json!({ "epochs": 3, "rate": 0.001, "layers": [1, 2], "name": "3", "deep": true })
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let refused = |words: &[&str]| parameters(words).unwrap_err().message;
        assert_eq!(refused(&[]), "the pipeline needs a value for epochs");
        assert!(refused(&["epoch=3"]).contains("it takes deep, epochs, layers, name, rate"));
        assert_eq!(refused(&["epochs=x"]), "--param epochs=x: epochs is a whole number");
        for words in
            [&["epochs"][..], &["epochs=1", "rate=NaN"], &["epochs=1", "layers=1"], &["epochs=1", "deep=yes"]]
        {
            assert_eq!(parameters(words).unwrap_err().code, ErrorCode::Invalid, "{words:?}");
        }
    }

    #[test]
    fn only_a_compiled_pipeline_is_one() {
        let refused = |text: &str| read(text).map(drop).unwrap_err();
        assert!(refused("kind: Workflow\n").message.contains("a workflow of Argo's"));
        assert_eq!(refused("a: 1\n").message, "x.yaml is no compiled pipeline");
        assert_eq!(refused("---\n").message, "x.yaml is empty");
        assert!(refused("a: 1\na: 2\n").message.ends_with("line 2: `a` is given twice, first in line 1"));
        assert!(refused("a: b: c\n").message.starts_with("x.yaml is not valid YAML: "));
    }

    #[test]
    fn parameter_called_y_or_n_keeps_its_name() {
        let text =
            IRIS.replace("      name:", "      y: {parameterType: STRING, defaultValue: n}\n      name:");
        let spec = read(&text).unwrap();
        let parameters = spec.document().pointer("/root/inputDefinitions/parameters").unwrap();
        assert_eq!(parameters["y"]["defaultValue"], "n", "PyYAML writes neither in quotes");
    }

    #[test]
    fn a_platform_goes_beside_the_pipeline() {
        let spec = read(&format!("{IRIS}---\nplatforms: {{kubernetes: {{}}}}\n")).unwrap();
        assert_eq!(spec.document().pointer("/platform_spec/platforms/kubernetes"), Some(&json!({})));
        assert_eq!(Spec::of_server(spec.document()).name(), "iris");
    }
}
