//! The contexts of a kubeconfig.

use std::path::Path;

use super::{KubeconfigError, Sources, read};

/// The names of all contexts, in the order of the files. `file` is the value of `--kubeconfig`. The contexts
/// themselves are not validated.
pub fn contexts(sources: &Sources, file: Option<&Path>) -> Result<Vec<String>, KubeconfigError> {
    let files = file.map_or_else(|| sources.files(), |file| vec![file.to_owned()]);
    let (document, _) = read(&files, file.is_some())?;
    Ok(document.context_names())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_of_all_files_are_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, contexts: &[&str]| {
            let entries =
                contexts.iter().map(|name| format!("- {{name: '{name}', context: {{cluster: nowhere}}}}\n"));
            let path = folder.path().join(name);
            fs_err::write(&path, format!("contexts:\n{}", entries.collect::<String>())).unwrap();
            path
        };
        let (first, second) = (file("a", &["kind-kf", "arn:aws:eks"]), file("b", &["kind-kf", "prod"]));
        let sources = Sources {
            kubeconfig: Some(std::env::join_paths([&first, &folder.path().join("none"), &second]).unwrap()),
            ..Sources::default()
        };
        assert_eq!(contexts(&sources, None).unwrap(), ["kind-kf", "arn:aws:eks", "prod"]);
        assert_eq!(contexts(&sources, Some(&second)).unwrap(), ["kind-kf", "prod"]);
        assert!(contexts(&sources, Some(&folder.path().join("none"))).is_err());
        assert!(contexts(&Sources::default(), None).unwrap().is_empty());
    }
}
