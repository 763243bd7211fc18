//! Lists the attacks, so that an attack without a test does not compile.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=attacks");
    let mut names: Vec<String> = fs_err::read_dir("attacks")?
        .map(|entry| Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    let names = names.join(", ");
    let text = format!(
        "/// Hands the names of all attacks to another macro.\n\
         #[macro_export]\n\
         macro_rules! foreach_attack {{\n    ($macro:ident) => {{ $macro! {{ {names} }} }};\n}}\n"
    );
    let folder = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs_err::write(folder.join("attacks.rs"), text)
}
