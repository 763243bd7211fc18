//! Reads files that the user did not name, with many spellings of their paths.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::{files, ui};
use kf_attacks::{Answer, attack};

attack!(run);

/// The first argument is the named file, the second a file next to it.
fn run(arguments: Vec<String>) -> Answer {
    let [named, other] = arguments.as_slice() else { return Ok(10) };
    let folder = named.rsplit_once('/').map_or(".", |(folder, _)| folder);
    let file = other.rsplit_once('/').map_or(other.as_str(), |(_, file)| file);
    let tries = [
        other.clone(),
        format!("{folder}/../{}/{file}", folder.rsplit_once('/').map_or(".", |(_, last)| last)),
        format!("{folder}/./{file}"),
        format!("{named}/../{file}"),
        format!("{named}/"),
        format!("{named}\0"),
        format!("{named} "),
        format!("file://{named}"),
        format!("../../../../../../../../../..{other}"),
        "/etc/passwd".to_owned(),
        "/proc/self/environ".to_owned(),
        "~/.kube/config".to_owned(),
        ".".to_owned(),
        String::new(),
        "-".to_owned(),
    ];
    for path in tries {
        if let Ok(content) = files::read(&path) {
            ui::print(format!("read {path}: {} bytes\n", content.len()).as_bytes())?;
        }
    }
    // The named file still opens, so the attempts above were real.
    ui::print(&files::read(named)?)?;
    Ok(0)
}
