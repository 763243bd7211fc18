//! The namespaces a user may list, to complete the host's `--namespace`.
//!
//! Kubernetes has no list of "my namespaces": a user without permission to list all of them gets none.

use kf_core::api::ApiError;
use serde_json::Value;

use crate::connection::Connection;

/// The page size. A user with more namespaces has typed the start of a name.
const MAX_NAMESPACES: usize = 500;

/// Their names, with the user's own rights.
///
/// # Errors
///
/// If the user is not allowed to list them, or the server does not respond.
pub async fn list(connection: &Connection) -> Result<Vec<String>, ApiError> {
    let answer = connection.get(&format!("/api/v1/namespaces?limit={MAX_NAMESPACES}")).await?;
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
    fn item_without_name_is_skipped() {
        let list = json!({"items": [{"metadata": {"name": "team-a"}}, {}, {"metadata": {"name": 7}}]});
        assert_eq!(names(&list), ["team-a"]);
        assert_eq!(names(&json!({})), [""; 0]);
    }
}
