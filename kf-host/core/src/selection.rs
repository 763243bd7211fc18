//! Which namespace later runs use when none is named: what a command may know and change of it.

use crate::api::ApiError;

/// What is selected for the cluster of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// None if the kubeconfig's is.
    pub namespace: Option<String>,
    /// The one in use before it.
    pub previous: Option<String>,
}

/// The host's memory of it. Strings are as the guest gave them.
pub trait Selection: Send {
    /// What is selected now.
    ///
    /// # Errors
    ///
    /// A layer does not allow it, or what is kept cannot be used.
    fn current(&mut self) -> Result<Selected, ApiError>;

    /// Selects a namespace and remembers the one before it. None goes back to the kubeconfig's.
    ///
    /// # Errors
    ///
    /// As for [`Selection::current`], and the text is no namespace's name.
    fn select(&mut self, namespace: Option<String>) -> Result<(), ApiError>;
}
