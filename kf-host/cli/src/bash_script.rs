//! The script that has bash ask kf at each Tab.
//!
//! It is that of the library, and also hands over where the words stand, which only the line says.

/// The script for a program of this name, started as `completer` with `variable` set.
pub fn script(variable: &str, name: &str, completer: &str) -> String {
    include_str!("bash_script.sh")
        .replace("VARIABLE", variable)
        .replace("COMPLETER", completer)
        .replace("NAME", name)
}
