//! Checks whether completion is installed in the user's shell.
//!
//! The shell is not started. The check looks for a completion script in the shell's folders, and for a line that loads
//! one in its start-up files.

use std::path::{Path, PathBuf};

use kf_home::files;

use super::check::Check;
use crate::env;

const MAX_STARTUP_FILE_BYTES: u64 = 1 << 20;

/// Where a shell finds completion scripts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    /// Paths of a completion script for kf.
    scripts: Vec<PathBuf>,
    /// Start-up files that may load one.
    startup: Vec<PathBuf>,
    /// How to install it.
    hint: &'static str,
}

/// The folders that contain them.
#[derive(Debug)]
struct Folders {
    home: PathBuf,
    config: PathBuf,
    zsh: PathBuf,
    /// Folders of program data, the user's first.
    data: Vec<PathBuf>,
}

impl Folders {
    fn from_env() -> Option<Self> {
        let home = std::env::home_dir().filter(|home| home.is_absolute())?;
        let folder = |name: &str| env::var(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let own = folder(env::XDG_DATA_HOME).unwrap_or_else(|| home.join(".local/share"));
        let shared = env::var(env::XDG_DATA_DIRS).unwrap_or_else(|| "/usr/local/share:/usr/share".into());
        // In a Python virtual environment the data of `bin/kf` is in `share`.
        let beside = std::env::current_exe().ok().and_then(|kf| Some(kf.parent()?.parent()?.join("share")));
        let data = std::iter::once(own).chain(std::env::split_paths(&shared)).chain(beside).collect();
        Some(Self {
            config: folder(env::XDG_CONFIG_HOME).unwrap_or_else(|| home.join(".config")),
            zsh: folder(env::ZDOTDIR).unwrap_or_else(|| home.clone()),
            home,
            data,
        })
    }
}

/// None for a shell without completion support.
fn places(shell: &str, folders: &Folders) -> Option<Places> {
    let Folders { home, config, zsh, data } = folders;
    let in_data = |path: &str| data.iter().map(|folder| folder.join(path)).collect::<Vec<_>>();
    let in_home = |names: &[&str]| names.iter().map(|name| home.join(name)).collect::<Vec<_>>();
    Some(match shell {
        "bash" => Places {
            scripts: [
                in_data("bash-completion/completions/kf"),
                in_data("bash-completion/completions/kf.bash"),
                vec![PathBuf::from("/etc/bash_completion.d/kf")],
            ]
            .concat(),
            startup: in_home(&[".bashrc", ".bash_profile", ".profile", ".bash_completion"]),
            hint: "echo 'source <(kf completion bash)' >> ~/.bashrc",
        },
        "zsh" => Places {
            scripts: [
                in_data("zsh/site-functions/_kf"),
                in_data("zsh/vendor-completions/_kf"),
                in_home(&[".zfunc/_kf", ".zsh/completions/_kf", ".oh-my-zsh/completions/_kf"]),
            ]
            .concat(),
            startup: vec![zsh.join(".zshrc"), zsh.join(".zprofile")],
            hint: "echo 'source <(kf completion zsh)' >> ~/.zshrc",
        },
        "fish" => Places {
            scripts: [
                vec![config.join("fish/completions/kf.fish")],
                in_data("fish/vendor_completions.d/kf.fish"),
            ]
            .concat(),
            startup: vec![config.join("fish/config.fish")],
            hint: "kf completion fish > ~/.config/fish/completions/kf.fish",
        },
        "elvish" => Places {
            startup: vec![config.join("elvish/rc.elv"), home.join(".elvish/rc.elv")],
            hint: "echo 'eval (kf completion elvish | slurp)' >> ~/.config/elvish/rc.elv",
            ..Places::default()
        },
        _ => return None,
    })
}

/// Whether a start-up file has a line that loads the script. Other file types are skipped: reading a pipe would block.
fn loads(file: &Path) -> bool {
    if !file.is_file() {
        return false;
    }
    let bytes = files::read_bounded(file, MAX_STARTUP_FILE_BYTES).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    lines.any(|line| line.contains("kf completion") || line.contains(env::KF_COMPLETE))
}

pub fn check() -> Check {
    const NAME: &str = "completion";
    let Some(path) = env::var(env::SHELL) else { return Check::skipped(NAME, "SHELL is not set") };
    let path = PathBuf::from(path);
    let shell = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(folders) = Folders::from_env() else { return Check::skipped(NAME, "no home folder") };
    let Some(places) = places(&shell, &folders) else {
        return Check::skipped(NAME, format_args!("unsupported shell {shell}")).fact("shell", shell);
    };
    let found = places.scripts.iter().find(|script| script.is_file());
    match found.or_else(|| places.startup.iter().find(|file| loads(file))) {
        Some(file) => Check::ok(NAME, format!("{shell}, in {}", file.display()))
            .fact("file", file.display().to_string())
            .fact("installed", true),
        None => Check::warning(NAME, format!("not installed for {shell}"))
            .fact("installed", false)
            .hint(Some(places.hint)),
    }
    .fact("shell", shell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_script_is_found_in_shell_paths() {
        let folders = Folders {
            home: "/home/ada".into(),
            config: "/home/ada/.config".into(),
            zsh: "/home/ada/zsh".into(),
            data: vec!["/home/ada/.local/share".into(), "/venv/share".into()],
        };
        for (shell, file) in [
            ("bash", "/home/ada/.local/share/bash-completion/completions/kf"),
            ("bash", "/venv/share/bash-completion/completions/kf"),
            ("bash", "/home/ada/.bashrc"),
            ("zsh", "/venv/share/zsh/site-functions/_kf"),
            ("zsh", "/home/ada/zsh/.zshrc"),
            ("fish", "/home/ada/.config/fish/completions/kf.fish"),
            ("elvish", "/home/ada/.config/elvish/rc.elv"),
        ] {
            let places = places(shell, &folders).unwrap();
            let all = places.scripts.iter().chain(&places.startup);
            assert!(all.into_iter().any(|place| place == Path::new(file)), "{shell}: {places:?}");
            assert!(places.hint.contains(&format!("kf completion {shell}")), "{shell}");
        }
        assert_eq!(places("tcsh", &folders), None);
    }
}
