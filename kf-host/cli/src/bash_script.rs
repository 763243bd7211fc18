//! The completion script for bash.
//!
//! It is clap_complete's script, extended to pass the line, which shows where words were split.

/// The script for a program of this name, started as `completer` with `variable` set.
pub fn script(variable: &str, name: &str, completer: &str) -> String {
    include_str!("bash_script.sh")
        .replace("VARIABLE", variable)
        .replace("COMPLETER", completer)
        .replace("NAME", name)
}
