use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::ComponentKind;

/// A StatefulSet's pods carry a label of its name and a hash, together at most 63 bytes.
const LONGEST_NOTEBOOK: usize = 52;
/// A workspace's name is the value of a label; the controller cuts what it derives from it.
const LONGEST_WORKSPACE: usize = 63;

/// Whether a server of this name could ever run.
///
/// The cluster takes any name; of some the controller then makes no pod, and says so only in its own
/// log.
pub fn check_name(kind: ComponentKind, name: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::invalid(format!("`{name}` cannot be a {kind}'s name: {why}")));
    let longest = if kind == ComponentKind::Notebook { LONGEST_NOTEBOOK } else { LONGEST_WORKSPACE };
    if name.is_empty() {
        return refuse("it is empty".into());
    }
    if name.len() > longest {
        return refuse(format!("it has {} characters, and at most {longest} work", name.len()));
    }
    if let Some(wrong) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return refuse(format!("it has `{wrong}`, and only a-z, 0-9 and - work"));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return refuse("it starts or ends with -".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(kind: ComponentKind, name: &str) -> String {
        check_name(kind, name).err().map(|error| error.message).unwrap_or_default()
    }

    #[test]
    fn names_of_which_no_pod_comes_are_refused() {
        let notebook = |name: &str| why(ComponentKind::Notebook, name);
        for good in ["a", "9num", "alice-2", &"a".repeat(52)] {
            assert_eq!(notebook(good), "");
        }
        assert!(notebook(&"a".repeat(53)).ends_with("it has 53 characters, and at most 52 work"));
        assert!(notebook("a.b").ends_with("it has `.`, and only a-z, 0-9 and - work"));
        assert!(notebook("Alice").contains("`A`"));
        assert!(notebook("-a").ends_with("it starts or ends with -"));
        assert!(notebook("").ends_with("it is empty"));
    }

    #[test]
    fn a_workspace_may_have_a_longer_name_but_no_dot() {
        let workspace = |name: &str| why(ComponentKind::Workspace, name);
        assert_eq!(workspace(&"a".repeat(60)), "");
        assert!(workspace(&"a".repeat(64)).contains("at most 63"));
        assert!(workspace("a.b").contains("`.`"));
    }
}
