//! The template of the trials: a training job with placeholders for the values.
//!
//! A placeholder is `${lr}`, or `${trialParameters.lr}` in Katib's form, anywhere in the job's fields. Other
//! names in `${…}` are left for the container's shell.

use kf_plugin_sdk::{Error, Object, Result};
use serde_json::Value;

use crate::search::Assignment;
use crate::space::Parameter;

/// Checks that the template uses every parameter.
pub(crate) fn check_placeholders(template: &Object, parameters: &[Parameter]) -> Result<()> {
    let fields = template.at("/spec").map(Value::to_string).unwrap_or_default();
    let missing = parameters
        .iter()
        .find(|parameter| !placeholders(&parameter.name).iter().any(|text| fields.contains(text.as_str())));
    let Some(Parameter { name, .. }) = missing else { return Ok(()) };
    let variable = name.to_uppercase().replace(['-', '.'], "_");
    Err(Error::invalid(format!("--param {name} is not used in the trials"))
        .hint(format!("add '${{{name}}}' to the command, or --env {variable}='${{{name}}}'")))
}

/// The job with its placeholders replaced by values.
pub(crate) fn fill(template: &Object, values: &Assignment) -> Object {
    let mut job = template.clone();
    if let Some(spec) = template.at("/spec") {
        job.set("/spec", filled(spec, values));
    }
    job
}

fn filled(value: &Value, values: &Assignment) -> Value {
    match value {
        Value::String(text) => fill_text(text, values).into(),
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), filled(field, values))).collect()
        }
        other => other.clone(),
    }
}

/// Replaces in one pass, so a value that looks like a placeholder is not replaced.
fn fill_text(text: &str, values: &Assignment) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        let named = after.split_once('}').and_then(|(name, behind)| {
            let name = name.strip_prefix("trialParameters.").unwrap_or(name);
            values.iter().find(|(known, _)| known == name).map(|(_, value)| (value, behind))
        });
        match named {
            Some((value, behind)) => {
                result.push_str(value);
                rest = behind;
            }
            None => {
                result.push_str("${");
                rest = after;
            }
        }
    }
    result.push_str(rest);
    result
}

fn placeholders(name: &str) -> [String; 2] {
    [format!("${{{name}}}"), format!("${{trialParameters.{name}}}")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_placeholders_are_replaced() {
        let template: Object = json!({ "metadata": { "name": "${lr}" }, "spec": { "trainer": {
            "command": ["sh", "-c", "cd ${HOME} && train --lr=${lr} --opt ${trialParameters.opt} ${ ${}"],
            "env": [{ "name": "LR", "value": "${lr}" }], "numNodes": 2,
        } } })
        .into();
        let values = vec![("lr".to_owned(), "0.1".to_owned()), ("opt".to_owned(), "${lr}".to_owned())];
        let job = fill(&template, &values);
        assert_eq!(
            job.str("/spec/trainer/command/2"),
            Some("cd ${HOME} && train --lr=0.1 --opt ${lr} ${ ${}")
        );
        assert_eq!(job.str("/spec/trainer/env/0/value"), Some("0.1"));
        assert_eq!((job.int("/spec/trainer/numNodes"), job.name()), (Some(2), "${lr}"));
    }

    #[test]
    fn unused_parameter_is_refused() {
        let parameters =
            [Parameter::parse("lr=0.1,0.2").unwrap(), Parameter::parse("batch-size=8,16").unwrap()];
        let job = |command: &str| Object::from(json!({ "spec": { "trainer": { "command": [command] } } }));
        assert_eq!(check_placeholders(&job("${lr} ${trialParameters.batch-size}"), &parameters), Ok(()));
        let error = check_placeholders(&job("${lr}"), &parameters).unwrap_err();
        assert_eq!(error.message, "--param batch-size is not used in the trials");
        let hint = "add '${batch-size}' to the command, or --env BATCH_SIZE='${batch-size}'";
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
}
