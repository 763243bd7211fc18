//! Commands to type after errors of the libraries, which do not know the command line.

use std::error::Error as StdError;

use kf_core::{PluginName, shell};
use kf_registry::Error;
use kf_registry::index::{Origin, Request, Resolved};
use kf_registry::receipt::Receipt;
use semver::Version;

/// The argument of `kf command add` for exactly this release.
pub fn release(resolved: &Resolved) -> String {
    argument(&resolved.name, &resolved.version, &resolved.origin)
}

/// The command line that adds an installed command again, in the same version.
pub(crate) fn add_again(receipt: &Receipt) -> String {
    format!("kf command add {}", argument(&receipt.name, &receipt.version, &receipt.origin))
}

/// The command line that removes an installed command and adds the same version again.
pub(crate) fn reinstall(receipt: &Receipt) -> String {
    format!("kf command remove {} && {}", receipt.name, add_again(receipt))
}

/// A request as an argument of a command.
pub fn word(request: &Request) -> String {
    shell::word(&request.to_string()).into_owned()
}

fn argument(name: &PluginName, version: &Version, origin: &Origin) -> String {
    match origin {
        Origin::Registry { registry, .. } => {
            word(&Request::exact(registry.clone(), name.clone(), version.clone()))
        }
        Origin::Local { path } => shell::path(path),
        Origin::BuiltIn { .. } => name.to_string(),
    }
}

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
        Error::NoVersion { registry, name, available, .. } => match available.iter().max() {
            Some(newest) => {
                let request = Request::exact(registry.clone(), name.clone(), newest.clone());
                format!("kf command add {}", word(&request))
            }
            None => LIST.to_owned(),
        },
        Error::BadReceipt { name, .. } => format!("kf command remove {name} && kf command add {name}"),
        Error::NotInstalled { name } => format!("kf command add {name}"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use kf_core::{AuthorId, RegistryId};

    use super::*;

    fn name(name: &str) -> PluginName {
        PluginName::parse(name).unwrap()
    }

    #[test]
    fn newest_available_version_is_suggested() {
        let available = ["1.0.0-rc.1", "0.9.0"].map(|version| version.parse().unwrap()).to_vec();
        let registry = RegistryId::parse("lab").unwrap();
        let error = Error::NoVersion { registry, name: name("hello"), wanted: "2".into(), available };
        assert_eq!(find(&error).unwrap(), "kf command add lab/hello@1.0.0-rc.1");
    }

    #[test]
    fn release_is_named_with_its_origin() {
        let argument = |origin: &Origin| argument(&name("hello"), &Version::new(1, 2, 0), origin);
        let owner = AuthorId::parse("alice").unwrap();
        let registry = Origin::Registry {
            registry: RegistryId::parse("lab").unwrap(),
            owner: owner.clone(),
            keyids: Vec::new(),
            snapshot: 1,
        };
        assert_eq!(argument(&registry), "lab/hello@1.2.0");
        assert_eq!(
            argument(&Origin::Local { path: "/my files/hello.wasm".into() }),
            "'/my files/hello.wasm'"
        );
    }

    #[test]
    fn request_is_one_shell_word() {
        for (request, expected) in [
            ("hello", "hello"),
            ("lab/hello@1.2.0", "lab/hello@1.2.0"),
            ("lab/hello@^1.2", "lab/hello@'^1.2'"),
            ("hello@>=1,<2", "'hello@>=1, <2'"),
        ] {
            let request = Request::parse(request).unwrap();
            assert_eq!(word(&request), expected);
        }
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
