//! Commands to type after errors of the libraries, which do not know the command line.

use std::error::Error as StdError;

use kf_registry::Error;

/// The command to type after an error, if one helps. See [`kf_core::failure::set_find_hint`].
pub fn find(error: &(dyn StdError + 'static)) -> Option<String> {
    error.downcast_ref::<Error>().and_then(after_registry_error)
}

fn after_registry_error(error: &Error) -> Option<String> {
    const LIST: &str = "`kf command list --available` shows what can be added";
    Some(match error {
        Error::NoRegistry(id) => format!("kf registry add {id} URL --root root.json"),
        Error::RegistryExists(id) => format!("kf registry set-url {id} URL… sets its addresses"),
        Error::Unauthenticated { registry, .. } => format!("kf registry login {registry}"),
        Error::Tampered { .. } => "kf command verify".to_owned(),
        Error::UnknownPlugin { nearest, .. } => match nearest.first() {
            Some(name) => format!("did you mean {name}? `kf command list --available` shows all"),
            None => LIST.to_owned(),
        },
        Error::UnknownCollection { known, .. } => match known.first() {
            Some(first) => format!("kf command add @{first}"),
            None => LIST.to_owned(),
        },
        Error::Unapproved { .. } => "kf registry accept STAGING --approve-grants --key FILE".to_owned(),
        Error::OwnedByOther { .. } => "add --transfer to change the owner".to_owned(),
        Error::RegistryTomlExists(_) => {
            "change it with `kf registry key` and `kf registry delegate`".to_owned()
        }
        Error::NothingPublished(_) => "kf registry publish STAGING --key FILE".to_owned(),
        Error::UnknownAuthor(author) => {
            format!("kf registry delegate {author} --contact TEXT --key KEY --manifest plugin.toml")
        }
        Error::NoVersion { name, available, .. } => match available.iter().max() {
            Some(newest) => format!("kf command add {name}@{newest}"),
            None => LIST.to_owned(),
        },
        Error::BadReceipt { name, .. } => format!("kf command remove {name} && kf command add {name}"),
        Error::NotInstalled { name } => format!("kf command add {name}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use kf_core::PluginName;

    use super::*;

    fn name(name: &str) -> PluginName {
        PluginName::parse(name).unwrap()
    }

    #[test]
    fn newest_available_version_is_suggested() {
        let available = ["1.0.0-rc.1", "0.9.0"].map(|version| version.parse().unwrap()).to_vec();
        let error = Error::NoVersion { name: name("hello"), wanted: "2".into(), available };
        assert_eq!(find(&error).unwrap(), "kf command add hello@1.0.0-rc.1");
    }

    #[test]
    fn invalid_receipt_is_replaced_by_adding_the_command_again() {
        let error = Error::BadReceipt { name: name("hello"), reason: "x".into() };
        assert_eq!(find(&error).unwrap(), "kf command remove hello && kf command add hello");
    }

    #[test]
    fn other_error_has_no_hint() {
        assert_eq!(find(&std::fmt::Error), None);
        assert_eq!(find(&Error::Publish("x".into())), None);
    }
}
