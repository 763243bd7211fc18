use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::WorkloadKind;

/// The pods of a StatefulSet have a label with its name and a hash, of at most 63 bytes together.
const MAX_NOTEBOOK_NAME_LEN: usize = 52;
/// A workspace's name is a label value; the controller truncates names derived from it.
const MAX_WORKSPACE_NAME_LEN: usize = 63;

/// Checks that a server of this name can run.
///
/// The API server accepts any name. For some, the controller then creates no pod and reports that only in its own
/// log.
pub fn check_name(kind: WorkloadKind, name: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::invalid(format!("invalid {kind} name `{name}`: {why}")));
    let longest = if kind == WorkloadKind::Notebook { MAX_NOTEBOOK_NAME_LEN } else { MAX_WORKSPACE_NAME_LEN };
    if name.is_empty() {
        return refuse("it is empty".into());
    }
    if name.len() > longest {
        return refuse(format!("{} characters, at most {longest} are allowed", name.len()));
    }
    if let Some(wrong) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return refuse(format!("`{wrong}` is not allowed, only a-z, 0-9 and -"));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return refuse("must not start or end with -".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(kind: WorkloadKind, name: &str) -> String {
        check_name(kind, name).err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn notebook_names_without_pod_are_refused() {
        let notebook = |name: &str| why(WorkloadKind::Notebook, name);
        for good in ["a", "9num", "alice-2", &"a".repeat(52)] {
            assert_eq!(notebook(good), "");
        }
        assert!(notebook(&"a".repeat(53)).ends_with("53 characters, at most 52 are allowed"));
        assert!(notebook("a.b").ends_with("`.` is not allowed, only a-z, 0-9 and -"));
        assert!(notebook("Alice").contains("`A`"));
        assert!(notebook("-a").ends_with("must not start or end with -"));
        assert!(notebook("").ends_with("it is empty"));
    }

    #[test]
    fn workspace_name_can_be_longer_but_has_no_dot() {
        let workspace = |name: &str| why(WorkloadKind::Workspace, name);
        assert_eq!(workspace(&"a".repeat(60)), "");
        assert!(workspace(&"a".repeat(64)).contains("at most 63"));
        assert!(workspace("a.b").contains("`.`"));
    }
}
