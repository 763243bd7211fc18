/// Somebody who can hand out rights in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granter {
    /// As the binding names them.
    pub subject: String,
    /// What makes them able to.
    pub role: String,
    /// A lesser role of the namespace that ordinary work needs, if there is one.
    pub enough: Option<String>,
}
