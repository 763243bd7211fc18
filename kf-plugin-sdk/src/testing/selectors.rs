//! Which objects a selector means.

use crate::error::{Error, Result};
use crate::objects::Object;

/// The fields the API server selects by, beyond the name and the namespace.
const POD_FIELDS: [&str; 8] = [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];
const EVENT_FIELDS: [&str; 10] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// Whether labels are as a selector wants them; an error if it is none.
pub(super) fn labels_fit(object: &Object, selector: &str) -> Result<bool> {
    let conditions: Vec<_> = outside_parentheses(selector);
    conditions.into_iter().filter(|text| !text.trim().is_empty()).try_fold(true, |fits, text| {
        Ok(label_fits(object, text.trim()).ok_or_else(|| no_selector("label", selector))? && fits)
    })
}

fn label_fits(object: &Object, text: &str) -> Option<bool> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(object.label(key.trim()).is_none());
    }
    if let Some((head, list)) = text.split_once('(') {
        let values: Vec<_> = list.trim_end().strip_suffix(')')?.split(',').map(str::trim).collect();
        let (key, word) = head.trim().split_once(' ')?;
        let is_in = object.label(key).is_some_and(|value| values.contains(&value));
        return match word.trim() {
            "in" => Some(is_in),
            "notin" => Some(!is_in),
            _ => None,
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(object.label(key.trim()) != Some(value.trim()));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(object.label(key.trim()) == Some(value.trim()));
    }
    Some(object.label(text).is_some())
}

fn outside_parentheses(text: &str) -> Vec<&str> {
    let mut inside = false;
    text.split(|letter| {
        match letter {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        letter == ',' && !inside
    })
    .collect()
}

/// Whether fields are as a selector wants them; an error if it is none, or if the API server does not
/// select objects of the kind by one of its fields.
pub(super) fn fields_fit(object: &Object, selector: &str) -> Result<bool> {
    conditions(selector)?.into_iter().try_fold(true, |fits, (path, wanted, value)| {
        let known = match object.kind() {
            "Pod" => POD_FIELDS.contains(&path),
            "Event" => EVENT_FIELDS.contains(&path),
            _ => false,
        };
        if !known && path != "metadata.name" && path != "metadata.namespace" {
            return Err(Error::invalid(format!("field label not supported: {path}")));
        }
        let is = object.str(&format!("/{}", path.replace('.', "/"))).unwrap_or_default();
        Ok(fits && (is == value) == wanted)
    })
}

/// The one name a selector of fields admits.
pub(super) fn selected_name(selector: &str) -> Option<&str> {
    let conditions = conditions(selector).ok()?;
    let (_, _, name) =
        conditions.into_iter().find(|(path, wanted, _)| *path == "metadata.name" && *wanted)?;
    Some(name)
}

/// Path, whether it is to be equal, and the value.
fn conditions(selector: &str) -> Result<Vec<(&str, bool, &str)>> {
    let parts = selector.split(',').filter(|text| !text.is_empty());
    let parts = parts.map(|text| {
        let differs = text.split_once("!=").map(|(path, value)| (path, false, value));
        let equals = || text.split_once("==").or_else(|| text.split_once('='));
        differs.or_else(|| equals().map(|(path, value)| (path, true, value)))
    });
    parts.collect::<Option<_>>().ok_or_else(|| no_selector("field", selector))
}

fn no_selector(what: &str, text: &str) -> Error {
    Error::invalid(format!("`{text}` is no {what} selector"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Object {
        json!({ "kind": "Pod", "metadata": { "name": "web", "labels": { "app": "web", "tier": "front" } },
                "status": { "phase": "Running" } })
        .into()
    }

    #[test]
    fn every_operator_of_a_label_selector_counts() {
        for fits in ["", "app", "app=web,tier==front", "app!=db", "app in (web, db)", "x notin (y)", "!x"] {
            assert_eq!(labels_fit(&pod(), fits), Ok(true), "{fits}");
        }
        for other in ["x", "app=db", "app!=web", "app in (db)", "app notin (web),tier", "!app"] {
            assert_eq!(labels_fit(&pod(), other), Ok(false), "{other}");
        }
        assert!(labels_fit(&pod(), "app like (web)").is_err());
    }

    #[test]
    fn only_fields_the_api_server_selects_by_are_taken() {
        assert_eq!(fields_fit(&pod(), "status.phase=Running,metadata.name!=db"), Ok(true));
        assert_eq!(fields_fit(&pod(), "metadata.name=db"), Ok(false));
        assert!(fields_fit(&pod(), "spec.priority=1").is_err());
        assert!(fields_fit(&pod(), "status.phase").is_err());
        let job = json!({ "kind": "Job", "metadata": { "name": "mnist" }, "status": { "phase": "Running" } });
        assert!(fields_fit(&job.into(), "status.phase=Running").is_err());
    }
}
