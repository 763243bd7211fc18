use kf_notebook_server::GROUP;
use kf_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use super::Create;

/// The Workspace. Without permission to read kinds, the options are used as typed and the controller validates
/// them.
pub(super) fn object(kf: &Kf, create: &Create, home: Option<&str>) -> Result<Object> {
    let kind = kind(kf, create)?;
    let (kind, image, pod) = match &kind {
        KindLookup::Found(kind) => {
            let image = option(kf, kind, "imageConfig", "--image-option", create.image_option.as_deref())?;
            let pod = option(kf, kind, "podConfig", "--pod-option", create.pod_option.as_deref())?;
            (kind.name(), image, pod)
        }
        KindLookup::Forbidden => {
            let (Some(kind), Some(image), Some(pod)) =
                (&create.kind, &create.image_option, &create.pod_option)
            else {
                let text = "no permission to read workspace kinds: --kind, --image-option and --pod-option are required";
                let missing = [
                    ("--kind", "KIND", &create.kind),
                    ("--image-option", "ID", &create.image_option),
                    ("--pod-option", "ID", &create.pod_option),
                ];
                let missing = missing.into_iter().filter(|(_, _, typed)| typed.is_none());
                let line = missing.fold(kf.command_line(), |line, (flag, value, _)| line.set(flag, value));
                return Err(Error::invalid(text).hint(line));
            };
            (kind.as_str(), image.clone(), pod.clone())
        }
    };
    let mut object = Object::from(json!({
        "apiVersion": format!("{GROUP}/v1beta1"), "kind": "Workspace",
        "metadata": { "name": create.name },
        "spec": {
            "kind": kind,
            "paused": false,
            "podTemplate": { "volumes": {}, "options": { "imageConfig": image, "podConfig": pod } },
        },
    }));
    if let Some(claim) = home {
        object.set("/spec/podTemplate/volumes/home", claim);
    }
    Ok(object)
}

enum KindLookup {
    Found(Object),
    Forbidden,
}

fn kind(kf: &Kf, create: &Create) -> Result<KindLookup> {
    let kinds = match kf.api("kubeflow.org/WorkspaceKind").list() {
        Ok(kinds) => kinds,
        Err(error) if error.is(ErrorCode::Forbidden) => return Ok(KindLookup::Forbidden),
        Err(error) => return Err(error),
    };
    let replacement_options: Vec<_> =
        kinds.iter().filter(|kind| kind.bool("/spec/spawner/hidden") != Some(true)).collect();
    let names: Vec<_> = replacement_options.iter().map(|kind| kind.name()).collect();
    let available = if names.is_empty() {
        "none are available".into()
    } else {
        format!("available: {}", names.join(", "))
    };
    let found = match (&create.kind, replacement_options.as_slice()) {
        // A hidden kind can still be named.
        (Some(name), _) => kinds
            .iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| Error::not_found(format!("no workspace kind `{name}`; {available}")))?,
        (None, [only]) => *only,
        (None, _) => {
            let first = names.first().copied().unwrap_or("KIND");
            return Err(Error::invalid(format!("--kind is required; {available}"))
                .hint(kf.command_line().set("--kind", first)));
        }
    };
    if found.bool("/spec/spawner/deprecated") == Some(true) {
        let message = found.str("/spec/spawner/deprecationMessage").unwrap_or("no reason given");
        kf.warn(format!("kind {} is deprecated: {message}", found.name()));
    }
    Ok(KindLookup::Found(found.clone()))
}

/// The id of an option: the given one, or the kind's default. Redirects are followed.
fn option(kf: &Kf, kind: &Object, what: &str, flag: &str, wanted: Option<&str>) -> Result<String> {
    let options = kind.list(&format!("/spec/podTemplate/options/{what}/values"));
    let id_of = |option: &'_ Value| option.get("id").and_then(Value::as_str).map(str::to_owned);
    let ids: Vec<_> = options.iter().filter_map(id_of).collect();
    let default = kind.str(&format!("/spec/podTemplate/options/{what}/spawner/default"));
    let Some(mut id) = wanted.or(default).map(str::to_owned) else {
        return Err(Error::invalid(format!("{flag} is required; available: {}", ids.join(", "))));
    };
    // At most as many steps as options, which also ends a loop.
    for _ in 0..=options.len() {
        let Some(option) = options.iter().find(|option| id_of(option).as_deref() == Some(&id)) else {
            return Err(Error::invalid(format!(
                "invalid value `{id}` for {flag}; available: {}",
                ids.join(", ")
            )));
        };
        let Some(next) = option.pointer("/redirect/to").and_then(Value::as_str) else { return Ok(id) };
        let message = option.pointer("/redirect/message/text").and_then(Value::as_str);
        let message = message.map(|message| format!(": {message}")).unwrap_or_default();
        kf.warn(format!("{id} has been replaced by {next}{message}"));
        id = next.to_owned();
    }
    Err(Error::failed(format!("the option redirects of kind {} form a loop", kind.name())))
}
