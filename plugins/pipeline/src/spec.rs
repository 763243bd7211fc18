//! A compiled pipeline and its parameters.
//!
//! The compiler of Kubeflow Pipelines writes YAML, the intermediate representation (IR): one document with the
//! pipeline, and a second one for parts that are specific to a platform.

use kf_plugin_sdk::manifest::{Dialect, read_documents};
use kf_plugin_sdk::prelude::*;
use serde_json::{Map, Value, json};

/// A compiled pipeline.
pub(crate) struct Spec {
    /// As sent to the server.
    document: Value,
    /// The pipeline without the parts for a platform.
    pipeline: Object,
}

impl Spec {
    /// Reads a file.
    pub(crate) fn read(kf: &Kf, file: &FileArg) -> Result<Self> {
        Self::of_documents(read_documents(kf, file, Dialect::Pipelines)?, file.path())
    }

    fn of_documents(documents: Vec<Value>, path: &str) -> Result<Self> {
        let mut documents = documents.into_iter();
        let pipeline = documents.next().ok_or_else(|| Error::invalid(format!("{path} is empty")))?;
        let platform = documents.next();
        if documents.next().is_some() {
            return Err(Error::invalid(format!("{path} contains more than a pipeline and its platform")));
        }
        if pipeline.get("kind").and_then(Value::as_str) == Some("Workflow") {
            return Err(Error::invalid(format!(
                "{path} is an Argo Workflow, from a compiler before version 2"
            ))
            .hint("compile it with kfp 2"));
        }
        if ["pipelineInfo", "root", "schemaVersion"].iter().any(|field| pipeline.get(field).is_none()) {
            return Err(Error::invalid(format!("{path} is not a compiled pipeline"))
                .hint("kfp dsl compile --py FILE.py --output FILE.yaml"));
        }
        let document = match platform {
            None => pipeline.clone(),
            Some(platform) => json!({ "pipeline_spec": pipeline, "platform_spec": platform }),
        };
        Ok(Self { document, pipeline: pipeline.into() })
    }

    /// A pipeline from the server, with or without a platform.
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

    /// The parameters of a run, from `NAME=VALUE` arguments.
    pub(crate) fn parameters(&self, arguments: &[String]) -> Result<Value> {
        let empty = Map::new();
        let definitions = self.pipeline.at("/root/inputDefinitions/parameters").and_then(Value::as_object);
        let definitions = definitions.unwrap_or(&empty);
        let names = || definitions.keys().cloned().collect::<Vec<_>>().join(", ");
        let mut parameters = Map::new();
        for argument in arguments {
            let (name, value) = argument
                .split_once('=')
                .ok_or_else(|| Error::invalid(format!("--param {argument}: expected NAME=VALUE")))?;
            let Some(definition) = definitions.get(name) else {
                let available = if definitions.is_empty() { "none".to_owned() } else { names() };
                return Err(Error::invalid(format!(
                    "the pipeline has no parameter `{name}`; available: {available}"
                )));
            };
            let kind = definition.get("parameterType").and_then(Value::as_str).unwrap_or("STRING");
            parameters.insert(name.to_owned(), typed(name, value, kind)?);
        }
        let is_missing = |(name, definition): &(&String, &Value)| {
            let optional = definition.get("isOptional").and_then(Value::as_bool) == Some(true);
            !optional && definition.get("defaultValue").is_none() && !parameters.contains_key(*name)
        };
        let missing: Vec<_> = definitions.iter().filter(is_missing).map(|(name, _)| name.as_str()).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Error::invalid(format!("missing pipeline parameters: {missing}"))
                .hint(format!("add --param {}=VALUE", missing.split(", ").next().unwrap_or("NAME"))));
        }
        Ok(parameters.into())
    }
}

fn typed(name: &str, text: &str, kind: &str) -> Result<Value> {
    let wrong = |what: &str| Error::invalid(format!("--param {name}={text}: expected {what}"));
    match kind {
        "NUMBER_INTEGER" => text.parse::<i64>().map(Value::from).map_err(|_| wrong("an integer")),
        "NUMBER_DOUBLE" => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Value::from).ok_or_else(|| wrong("a number"))
        }
        "BOOLEAN" => text.parse::<bool>().map(Value::from).map_err(|_| wrong("true or false")),
        "LIST" => json_of(text).filter(Value::is_array).ok_or_else(|| wrong("a JSON list, such as [1, 2]")),
        "STRUCT" => {
            json_of(text).filter(Value::is_object).ok_or_else(|| wrong("a JSON object, such as {\"a\": 1}"))
        }
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
    fn values_get_the_types_of_the_pipeline() {
        assert_eq!(
            parameters(&["epochs=3", "rate=1e-3", "layers=[1, 2]", "name=3", "deep=true"]).unwrap(),
            json!({ "epochs": 3, "rate": 0.001, "layers": [1, 2], "name": "3", "deep": true })
        );
    }

    #[test]
    fn invalid_parameters_are_refused() {
        let refused = |words: &[&str]| parameters(words).unwrap_err().message;
        assert_eq!(refused(&[]), "missing pipeline parameters: epochs");
        assert!(refused(&["epoch=3"]).contains("available: deep, epochs, layers, name, rate"));
        assert_eq!(refused(&["epochs=x"]), "--param epochs=x: expected an integer");
        for words in
            [&["epochs"][..], &["epochs=1", "rate=NaN"], &["epochs=1", "layers=1"], &["epochs=1", "deep=yes"]]
        {
            assert_eq!(parameters(words).unwrap_err().code, ErrorCode::Invalid, "{words:?}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        let refused = |text: &str| read(text).map(drop).unwrap_err();
        assert!(refused("kind: Workflow\n").message.contains("an Argo Workflow"));
        assert_eq!(refused("a: 1\n").message, "x.yaml is not a compiled pipeline");
        assert_eq!(refused("---\n").message, "x.yaml is empty");
        assert!(refused("a: 1\na: 2\n").message.ends_with("line 2: duplicate key `a`, first on line 1"));
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
    fn platform_is_sent_with_pipeline() {
        let spec = read(&format!("{IRIS}---\nplatforms: {{kubernetes: {{}}}}\n")).unwrap();
        assert_eq!(spec.document().pointer("/platform_spec/platforms/kubernetes"), Some(&json!({})));
        assert_eq!(Spec::of_server(spec.document()).name(), "iris");
    }
}
