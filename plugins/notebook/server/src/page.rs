use kf_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::server::Server;
use crate::state::field;

/// The default port of Jupyter images.
const JUPYTER_PORT: u16 = 8888;

/// The location of a server's page on its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub port: u16,
    /// Begins and ends with `/`.
    pub path: String,
    /// The token of the server, if the pod's spec contains it.
    pub token: Option<String>,
}

impl Page {
    /// The path with the token. For the browser, not for output.
    pub fn with_token(&self) -> String {
        match &self.token {
            Some(token) => format!("{}?token={}", self.path, escaped(token)),
            None => self.path.clone(),
        }
    }
}

/// Finds the page of a server. `port_id` selects a port of a Workspace.
pub fn page(kf: &Kf, server: &Server, pod: &Object, port_id: Option<&str>) -> Result<Page> {
    let containers = pod.list("/spec/containers");
    let Some(container) = server.container(containers) else {
        return Err(Error::failed(format!("pod {} has no containers", pod.name())));
    };
    let token = token(container);
    if server.is_notebook() {
        if let Some(id) = port_id {
            return Err(Error::invalid(format!(
                "--port-id {id} applies only to workspaces, not to {server}"
            )));
        }
        let prefix = variable(container, "NB_PREFIX").map(str::to_owned);
        let path = prefix.unwrap_or_else(|| format!("/notebook/{}/{}", kf.namespace(), server.name()));
        return Ok(Page {
            port: first_port(container).unwrap_or(JUPYTER_PORT),
            path: directory(&path),
            token,
        });
    }
    let (port, path) = workspace(kf, server, container, port_id)?;
    Ok(Page { port, path, token })
}

/// A port of a Workspace's image. Its id is part of the path.
struct ImagePort {
    id: String,
    port: u16,
}

/// Port and path of a Workspace, from its kind. Many users have no permission to read kinds; then from the pod.
fn workspace(kf: &Kf, server: &Server, container: &Value, wanted: Option<&str>) -> Result<(u16, String)> {
    let base = format!("/workspace/connect/{}/{}/", kf.namespace(), server.name());
    let kind = server.object().str("/spec/kind").unwrap_or_default();
    let kind = match kf.api("kubeflow.org/WorkspaceKind").find(kind) {
        Err(error) if error.is(ErrorCode::Forbidden) => None,
        other => other?,
    };
    let Some(kind) = kind else {
        let port = first_port(container).unwrap_or(JUPYTER_PORT);
        let id = wanted.map(str::to_owned).or_else(|| id_in_variables(container, &base));
        let Some(id) = id else {
            return Err(Error::invalid(format!(
                "cannot determine the path of {server}: no permission to read its kind, and its pod does not set it"
            ))
            .hint(kf.command_line().set("--port-id", "ID")));
        };
        return Ok((port, format!("{base}{id}/")));
    };
    let ports = image_ports(server, &kind);
    let port = match wanted {
        Some(id) => ports.iter().find(|port| port.id == id).ok_or_else(|| {
            let ids: Vec<_> = ports.iter().map(|port| port.id.as_str()).collect();
            Error::invalid(format!("{server} has no port `{id}`; available: {}", ids.join(", ")))
        })?,
        None => ports.first().ok_or_else(|| {
            Error::not_found(format!("kind {} defines no port for the image of {server}", kind.name()))
        })?,
    };
    let path = if strips_prefix(&kind, &port.id) { "/".to_owned() } else { format!("{base}{}/", port.id) };
    Ok((port.port, path))
}

/// The ports of the selected image, even if an option replaces it.
fn image_ports(server: &Server, kind: &Object) -> Vec<ImagePort> {
    let chosen = server.options().map(|(image, _)| image);
    let values = kind.list("/spec/podTemplate/options/imageConfig/values");
    let image = values.iter().find(|value| value.get("id").and_then(Value::as_str) == chosen);
    let ports = image.and_then(|image| image.pointer("/spec/ports")?.as_array());
    let port = |port: &Value| {
        let number = u16::try_from(port.get("port")?.as_u64()?).ok()?;
        Some(ImagePort { id: port.get("id")?.as_str()?.to_owned(), port: number })
    };
    ports.into_iter().flatten().filter_map(port).collect()
}

/// Whether the gateway strips the path prefix. A forwarded port bypasses the gateway.
fn strips_prefix(kind: &Object, id: &str) -> bool {
    let ports = kind.list("/spec/podTemplate/ports");
    let port = ports.iter().find(|port| port.get("id").and_then(Value::as_str) == Some(id));
    port.and_then(|port| port.pointer("/httpProxy/removePathPrefix")?.as_bool()) == Some(true)
}

/// The port id in a path in the pod's environment, which the kind sets.
fn id_in_variables(container: &Value, base: &str) -> Option<String> {
    let variables = container.get("env").and_then(Value::as_array)?;
    let values = variables.iter().filter_map(|variable| field(variable, "/value"));
    let id = values.filter_map(|value| value.strip_prefix(base)).find_map(|rest| rest.split('/').next())?;
    (!id.is_empty()).then(|| id.to_owned())
}

fn first_port(container: &Value) -> Option<u16> {
    let ports = container.get("ports")?.as_array()?;
    ports.iter().find_map(|port| u16::try_from(port.get("containerPort")?.as_u64()?).ok())
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container.get("env").and_then(Value::as_array)?;
    let variable = variables.iter().find(|variable| field(variable, "/name") == Some(name))?;
    field(variable, "/value")
}

/// The token in the arguments or environment of a Jupyter server. A token from a secret is not visible here.
fn token(container: &Value) -> Option<String> {
    let words = ["command", "args"].into_iter().filter_map(|list| container.get(list)?.as_array()).flatten();
    let words: Vec<_> = words.filter_map(Value::as_str).collect();
    let options = ["--ServerApp.token", "--IdentityProvider.token", "--NotebookApp.token"];
    let joined = words.iter().flat_map(|word| word.split_whitespace()).find_map(|word| {
        let (option, value) = word.split_once('=')?;
        options.contains(&option).then_some(value)
    });
    let apart = words.windows(2).find_map(|pair| match pair {
        [option, value] if options.contains(option) => Some(*value),
        _ => None,
    });
    let given = joined.or(apart).map(|value| value.trim_matches(['\'', '"']));
    let value = match given {
        Some(value) => match value.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')) {
            Some(name) => variable(container, name)?,
            None => value,
        },
        None => variable(container, "JUPYTER_TOKEN")?,
    };
    (!value.is_empty()).then(|| value.to_owned())
}

/// The path with a `/` at both ends. A pod's spec can contain anything, so the segments are escaped.
fn directory(path: &str) -> String {
    match path.trim_matches('/') {
        "" => "/".to_owned(),
        path => format!("/{}/", path.split('/').map(escaped).collect::<Vec<_>>().join("/")),
    }
}

/// Escapes a path segment or query value.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn token_is_found_in_arguments_and_environment() {
        let found = |container: Value| token(&container);
        let of = |token: &str| Some(token.to_owned());
        assert_eq!(found(json!({ "args": ["--ServerApp.token=s3"] })), of("s3"));
        assert_eq!(found(json!({ "args": ["--IdentityProvider.token", "s3"] })), of("s3"));
        assert_eq!(
            found(json!({ "command": ["sh", "-c", "jupyter lab --NotebookApp.token='s3' -y"] })),
            of("s3")
        );
        let env = json!([{ "name": "JUPYTER_TOKEN", "value": "e" }]);
        assert_eq!(found(json!({ "env": env })), of("e"));
        assert_eq!(found(json!({ "env": env, "args": ["--ServerApp.token=$(JUPYTER_TOKEN)"] })), of("e"));
        assert_eq!(found(json!({ "env": env, "args": ["--ServerApp.token="] })), None, "no login");
        let secret = json!([{ "name": "JUPYTER_TOKEN", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
        assert_eq!(found(json!({ "env": secret })), None);
        assert_eq!(found(json!({})), None);
    }

    #[test]
    fn token_is_escaped_in_query() {
        let page = Page { port: 1, path: "/a/".into(), token: Some("a&b=c d/é".into()) };
        assert_eq!(page.with_token(), "/a/?token=a%26b%3Dc%20d%2F%C3%A9");
    }

    #[test]
    fn prefix_is_normalised_to_directory() {
        assert_eq!(directory("/notebook/team-a/alice"), "/notebook/team-a/alice/");
        assert_eq!(directory("x/"), "/x/");
        assert_eq!(directory("/"), "/");
        assert_eq!(directory("//evil.example/?x\n"), "/evil.example/%3Fx%0A/", "still a path of this server");
    }
}
