/// A user or group that can grant rights in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Granter {
    /// As the binding names it: `bob`, `group ml-admins`.
    pub subject: String,
    /// The role that lets it grant rights.
    pub role: String,
    /// The role to ask for, which is enough for ordinary work.
    pub enough: Option<String>,
}
