//! Opens sessions and ports where it is not allowed, with hostile strings in every argument.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, Port, SessionOptions};
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

const WORDS: [&str; 8] = [
    "../../kube-system/pods/web",
    "web/exec?command=sh&stdin=true#",
    "web?ports=22",
    "%2e%2e",
    "..",
    "",
    "web\0",
    "web\r\nhost: evil",
];

/// Counts the attempts that got through.
fn run(_: Vec<String>) -> Answer {
    let mut through = 0;
    let mut tried = |what: &str, worked: bool| {
        if worked {
            through += 1;
            ui::note(&format!("got through: {}", what.escape_debug()));
        }
    };
    let options = |container: Option<&str>| SessionOptions {
        container: container.map(str::to_owned),
        stdin: true,
        tty: false,
    };
    let command = vec!["id".to_owned()];
    let ports = [Port { local: 0, remote: 22 }];
    for word in WORDS {
        tried(word, sessions::exec(None, word, &command, &options(None)).is_ok());
        tried(word, sessions::attach(None, word, &options(None)).is_ok());
        tried(word, sessions::start(None, word, &command, &options(None)).is_ok());
        tried(word, sessions::open_port_forward(None, word, &ports).is_ok());
        tried(word, sessions::attach(None, "web", &options(Some(word))).is_ok());
    }
    for namespace in ["kube-system", "..", ""] {
        tried(namespace, sessions::exec(Some(namespace), "web", &command, &options(None)).is_ok());
        tried(namespace, sessions::start(Some(namespace), "web", &command, &options(None)).is_ok());
        tried(namespace, sessions::open_port_forward(Some(namespace), "web", &ports).is_ok());
    }
    let terminal = SessionOptions { tty: true, ..options(None) };
    tried("a process with a terminal", sessions::start(None, "web", &command, &terminal).is_ok());
    Ok(through)
}
