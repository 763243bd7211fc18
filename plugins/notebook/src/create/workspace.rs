use kf_notebook_server::GROUP;
use kf_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use super::Create;

/// The Workspace. Users often may not read kinds; then what they type is taken as it is, and the
/// controller answers.
pub(super) fn object(kf: &Kf, create: &Create, home: Option<&str>) -> Result<Object> {
    let kind = kind(kf, create)?;
    let (kind, image, pod) = match &kind {
        Catalogue::Read(kind) => {
            let image = option(kf, kind, "imageConfig", "--image-option", create.image_option.as_deref())?;
            let pod = option(kf, kind, "podConfig", "--pod-option", create.pod_option.as_deref())?;
            (kind.name(), image, pod)
        }
        Catalogue::Unreadable => {
            let (Some(kind), Some(image), Some(pod)) =
                (&create.kind, &create.image_option, &create.pod_option)
            else {
                let text = "you may not read the kinds of workspaces, so kind and options have to be named";
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

enum Catalogue {
    Read(Object),
    Unreadable,
}

fn kind(kf: &Kf, create: &Create) -> Result<Catalogue> {
    let kinds = match kf.api("kubeflow.org/WorkspaceKind").list() {
        Ok(kinds) => kinds,
        Err(error) if error.is(ErrorCode::Forbidden) => return Ok(Catalogue::Unreadable),
        Err(error) => return Err(error),
    };
    let offered: Vec<_> =
        kinds.iter().filter(|kind| kind.bool("/spec/spawner/hidden") != Some(true)).collect();
    let names: Vec<_> = offered.iter().map(|kind| kind.name()).collect();
    let there_are =
        if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) };
    let found = match (&create.kind, offered.as_slice()) {
        // A hidden one can be named all the same.
        (Some(name), _) => kinds
            .iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| Error::not_found(format!("no kind of workspace `{name}`; {there_are}")))?,
        (None, [only]) => *only,
        (None, _) => {
            let first = names.first().copied().unwrap_or("KIND");
            return Err(Error::invalid(format!("no kind of workspace is named; {there_are}"))
                .hint(kf.command_line().set("--kind", first)));
        }
    };
    if found.bool("/spec/spawner/deprecated") == Some(true) {
        let message = found.str("/spec/spawner/deprecationMessage").unwrap_or("its admin wants it to go");
        kf.warn(format!("kind {} is deprecated: {message}", found.name()));
    }
    Ok(Catalogue::Read(found.clone()))
}

/// The id of an option: the one named, or the kind's default. A replaced one is followed.
fn option(kf: &Kf, kind: &Object, what: &str, flag: &str, wanted: Option<&str>) -> Result<String> {
    let options = kind.list(&format!("/spec/podTemplate/options/{what}/values"));
    let id_of = |option: &'_ Value| option.get("id").and_then(Value::as_str).map(str::to_owned);
    let ids: Vec<_> = options.iter().filter_map(id_of).collect();
    let default = kind.str(&format!("/spec/podTemplate/options/{what}/spawner/default"));
    let Some(mut id) = wanted.or(default).map(str::to_owned) else {
        return Err(Error::invalid(format!("{flag} is missing; there are {}", ids.join(", "))));
    };
    // As many steps as there are options: a circle ends there too.
    for _ in 0..=options.len() {
        let Some(option) = options.iter().find(|option| id_of(option).as_deref() == Some(&id)) else {
            return Err(Error::invalid(format!("{flag} {id} is none of {}", ids.join(", "))));
        };
        let Some(next) = option.pointer("/redirect/to").and_then(Value::as_str) else { return Ok(id) };
        let said = option.pointer("/redirect/message/text").and_then(Value::as_str);
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        kf.warn(format!("{id} has been replaced by {next}{said}"));
        id = next.to_owned();
    }
    Err(Error::failed(format!("the options of kind {} replace each other in a circle", kind.name())))
}
