//! A trial's job: a training job with places for the values.
//!
//! `${lr}`, or `${trialParameters.lr}` as Katib writes it, anywhere in the job's fields. What is in
//! such brackets and no parameter is left for the container's shell.

use kf_plugin_sdk::{Error, Object, Result};
use serde_json::Value;

use crate::search::Assignment;
use crate::space::Parameter;

/// Every parameter has a place, or its values would change nothing.
pub(crate) fn check_places(template: &Object, parameters: &[Parameter]) -> Result<()> {
    let fields = template.at("/spec").map(Value::to_string).unwrap_or_default();
    let missing = parameters
        .iter()
        .find(|parameter| !places(&parameter.name).iter().any(|place| fields.contains(place.as_str())));
    let Some(Parameter { name, .. }) = missing else { return Ok(()) };
    let variable = name.to_uppercase().replace(['-', '.'], "_");
    Err(Error::invalid(format!("--param {name} is used nowhere in the trials"))
        .hint(format!("write '${{{name}}}' into the command, or --env {variable}='${{{name}}}'")))
}

/// The job with the values in their places.
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

/// One pass from left to right: a value that looks like a place is not filled again.
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

fn places(name: &str) -> [String; 2] {
    [format!("${{{name}}}"), format!("${{trialParameters.{name}}}")]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_go_to_their_places_and_nowhere_else() {
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
    fn a_parameter_without_a_place_is_refused() {
        let parameters =
            [Parameter::parse("lr=0.1,0.2").unwrap(), Parameter::parse("batch-size=8,16").unwrap()];
        let job = |command: &str| Object::from(json!({ "spec": { "trainer": { "command": [command] } } }));
        assert_eq!(check_places(&job("${lr} ${trialParameters.batch-size}"), &parameters), Ok(()));
        let error = check_places(&job("${lr}"), &parameters).unwrap_err();
        assert_eq!(error.message, "--param batch-size is used nowhere in the trials");
        let hint = "write '${batch-size}' into the command, or --env BATCH_SIZE='${batch-size}'";
        assert_eq!(error.hint.as_deref(), Some(hint));
    }
}
