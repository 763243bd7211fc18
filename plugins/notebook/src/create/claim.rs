use kf_plugin_sdk::prelude::*;
use serde_json::json;

use super::Create;

const CLAIM: &str = "PersistentVolumeClaim";

/// The claim of the home volume.
pub(super) enum Home {
    /// Files are lost with the pod.
    None,
    Existing(String),
    New {
        name: String,
        size: String,
    },
}

/// The claim that the flags select, checked against the existing claims.
pub(super) fn home(kf: &Kf, create: &Create) -> Result<Home> {
    let name = &create.name;
    match (&create.pvc, &create.size) {
        (Some(claim), _) => {
            // Without it the pod would wait for ever. Not checked without permission to read claims.
            match kf.api(CLAIM).find(claim) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    return Err(Error::not_found(format!("no claim `{claim}` in {}", kf.namespace()))
                        .hint(kf.command_line().without("--pvc").set("--size", "10Gi")));
                }
                Err(error) if error.is(ErrorCode::Forbidden) => {}
                Err(error) => return Err(error),
            }
            Ok(Home::Existing(claim.clone()))
        }
        (None, Some(size)) => {
            let claim = format!("{name}-workspace");
            if kf.api(CLAIM).find(&claim)?.is_some() {
                let text = format!("claim {claim} already exists, perhaps from an earlier {name}");
                let line = kf.command_line().without("--size").without("--storage-class");
                return Err(Error::new(ErrorCode::Conflict, text).hint(line.set("--pvc", &claim)));
            }
            Ok(Home::New { name: claim, size: size.to_string() })
        }
        (None, None) => Ok(Home::None),
    }
}

impl Home {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Existing(name) | Self::New { name, .. } => Some(name),
        }
    }

    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::New { .. })
    }

    /// Creates the claim if it is new.
    pub(super) fn create(&self, kf: &Kf, create: &Create) -> Result<()> {
        let Self::New { name, size } = self else { return Ok(()) };
        let mut claim = Object::from(json!({
            "apiVersion": "v1", "kind": CLAIM,
            "metadata": { "name": name },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": size } },
            },
        }));
        if let Some(class) = &create.storage_class {
            claim.set("/spec/storageClassName", class.as_str());
        }
        kf.api(CLAIM).create(&claim).map(drop)
    }

    /// Adds to an error that the created claim is kept: a retry must name it.
    pub(super) fn with_claim(&self, error: Error) -> Error {
        match self {
            Self::New { name, .. } => {
                let message = format!("{} (claim {name} was created and is kept)", error.message);
                Error { message, ..error }
            }
            _ => error,
        }
    }
}
