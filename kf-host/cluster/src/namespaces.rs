//! The namespaces a user may list, for the host's own `--namespace`.
//!
//! Kubernetes has no list of "my namespaces". Who may not list all of them sees none here.

use kf_core::api::ApiError;
use serde_json::Value;

use crate::connection::Connection;

/// The first of them; a person who looks for one of more has typed its beginning.
const MOST: usize = 500;

/// Their names, by the user's own rights.
///
/// # Errors
///
/// The user may not list them, or the server does not answer.
pub async fn list(connection: &Connection) -> Result<Vec<String>, ApiError> {
    let answer = connection.get(&format!("/api/v1/namespaces?limit={MOST}")).await?;
    Ok(names(&answer))
}

fn names(list: &Value) -> Vec<String> {
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.pointer("/metadata/name")?.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_no_name_is_left_out() {
        let list = json!({"items": [{"metadata": {"name": "team-a"}}, {}, {"metadata": {"name": 7}}]});
        assert_eq!(names(&list), ["team-a"]);
        assert_eq!(names(&json!({})), [""; 0]);
    }
}
