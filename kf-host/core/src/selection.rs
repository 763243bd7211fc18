//! The default namespace of later runs, which a command can read and change.

use crate::api::ApiError;

/// The selection for the cluster of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// None if the kubeconfig's namespace is used.
    pub namespace: Option<String>,
    /// The one selected before it.
    pub previous: Option<String>,
}

/// Access to the stored selection. Strings are as the guest gave them.
pub trait Selection: Send {
    /// The current selection.
    ///
    /// # Errors
    ///
    /// A layer does not allow it, or the stored selection is unusable.
    fn current(&mut self) -> Result<Selected, ApiError>;

    /// Selects a namespace and remembers the previous one. None goes back to the kubeconfig's.
    ///
    /// # Errors
    ///
    /// As for [`Selection::current`], and the text is not a valid namespace.
    fn select(&mut self, namespace: Option<String>) -> Result<(), ApiError>;
}
