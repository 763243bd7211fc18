//! Names of commands, registries and authors. They become file names, target paths and words on a
//! command line.

use super::Check;

/// Names that no plugin can have: the host's own commands, and words with a common meaning.
pub const RESERVED: &[&str] = &[
    "auth",
    "command",
    "commands",
    "complete",
    "completion",
    "controller",
    "doctor",
    "help",
    "kf",
    "login",
    "logout",
    "man",
    "plugin",
    "plugins",
    "registry",
    "self",
    "update",
    "upgrade",
    "version",
];

/// Names that are devices in every folder on Windows.
const WINDOWS_DEVICES: &[&str] = &["aux", "con", "nul", "prn"];

name_type!(
    /// A command's name: 2 to 40 of `a-z`, `0-9` and single hyphens, starting with a letter.
    PluginName, "command name", |name| {
        if RESERVED.contains(&name) { Err("reserved by kf") } else { short_name(name) }
    }
);
name_type!(
    /// The heading under which a command is listed, such as `training`; same alphabet as [`PluginName`].
    CommandGroup, "command group", short_name
);
name_type!(
    /// A registry's short name on this machine; same alphabet as [`PluginName`].
    RegistryId, "registry name", short_name
);
name_type!(
    /// The author who signs a command; same alphabet as [`PluginName`].
    AuthorId, "author name", short_name
);

name_type!(
    /// A set of commands that are added together, as in `kf command add @core`; same alphabet as [`PluginName`].
    CollectionName, "collection name", short_name
);

impl AuthorId {
    /// The TUF role this author signs with.
    pub fn role(&self) -> String {
        format!("author-{self}")
    }
}

/// The rule for all names of this module.
fn short_name(value: &str) -> Check {
    if !(2..=40).contains(&value.len()) {
        return Err("must be 2 to 40 characters long");
    }
    if !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("must start with a lower-case letter");
    }
    if !value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("only lower-case letters, digits and hyphens");
    }
    if value.contains("--") || value.ends_with('-') {
        return Err("only single hyphens between letters or digits");
    }
    let numbered = value.strip_prefix("com").or_else(|| value.strip_prefix("lpt"));
    if WINDOWS_DEVICES.contains(&value)
        || numbered.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err("a device name on Windows");
    }
    Ok(())
}
