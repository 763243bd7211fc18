//! Reads files outside of the named directory, with many spellings of their paths.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::{files, ui};
use kf_attacks::{Answer, attack};

attack!(run);

/// The first argument is the named directory, the second a file next to it.
fn run(arguments: Vec<String>) -> Answer {
    let [directory, secret] = arguments.as_slice() else { return Ok(10) };
    let file = secret.rsplit_once('/').map_or(secret.as_str(), |(_, file)| file);
    let paths = [
        secret.clone(),
        file.to_owned(),
        format!("../{file}"),
        format!("sub/../../{file}"),
        format!("up/{file}"),
        format!("./up/{file}"),
        "link".to_owned(),
        "link/".to_owned(),
        format!("/proc/self/root{secret}"),
        "/proc/self/environ".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        String::new(),
        "sub".to_owned(),
        "train.py/".to_owned(),
        "train.py\0".to_owned(),
    ];
    for path in paths {
        if let Ok(content) = files::read_below(directory, &path) {
            ui::print(format!("read {path}: {} bytes\n", content.len()).as_bytes())?;
        }
    }
    let directories = [
        format!("{directory}/.."),
        format!("{directory}/"),
        format!("{directory}/up"),
        directory.rsplit_once('/').map_or("/", |(parent, _)| parent).to_owned(),
        "/".to_owned(),
        ".".to_owned(),
        "-".to_owned(),
        String::new(),
    ];
    for other in directories {
        if files::walk(&other, &[]).is_ok() || files::read_below(&other, file).is_ok() {
            ui::print(format!("walked {other}\n").as_bytes())?;
        }
    }
    // A named directory does not grant reading it, or its files, as a named file.
    for path in [directory.clone(), format!("{directory}/train.py")] {
        if files::read(&path).is_ok() {
            ui::print(format!("read {path}\n").as_bytes())?;
        }
    }
    for entry in files::walk(directory, &[])?.files {
        if !["train.py", "swapped"].contains(&entry.path.as_str()) {
            ui::print(format!("found {}\n", entry.path).as_bytes())?;
        }
    }
    // One of these is sometimes a file and sometimes a link to the secret.
    for _ in 0..2_000 {
        if files::read_below(directory, "swapped")
            .is_ok_and(|content| content != b"mine\n" && !content.is_empty())
        {
            ui::print(b"read through a link that was swapped in\n")?;
        }
    }
    // A file below the directory still opens, so the attempts above were real.
    ui::print(&files::read_below(directory, "train.py")?)?;
    Ok(0)
}
