//! A bash in which a person presses Tab.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::terminal::Terminal;
use super::{Home, kf_program};

/// An interactive bash that has sourced what `kf completion bash` prints.
pub struct Bash(Terminal);

impl Bash {
    pub fn start(home: &Home) -> Self {
        let programs = home.path().join("programs");
        fs_err::create_dir_all(&programs).unwrap();
        symlink(kf_program(), programs.join("kf")).unwrap();
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "-i"]).env_clear().current_dir(home.path());
        // The words of a line that was entered, to see what it came to.
        let rc = "source <(kf completion bash); words() { printf '<%s>' \"$@\"; echo; }; echo is ready";
        for (name, value) in home.kf([""; 0]).get_envs() {
            bash.env(name, value.unwrap());
        }
        let path = format!("{}:/usr/bin:/bin", programs.display());
        // Names are waited for, however busy the machine is.
        bash.env("PATH", path).env("KF_COMPLETE_TIMEOUT", "300");
        bash.env("INPUTRC", "/dev/null").env("TERM", "dumb").env("PS1", "> ");
        let mut terminal = Terminal::start(bash);
        terminal.type_text(&format!("{rc}\n"));
        terminal.expect("\nis ready");
        Self(terminal)
    }

    /// Types the beginning of a line, presses Tab, and enters the line: its words must then be these.
    #[track_caller]
    pub fn completes(&mut self, begun: &str, words: &[&str]) {
        const START_OF_LINE: char = '\u{1}';
        self.0.type_text(&format!("{begun}\t{START_OF_LINE}words \n"));
        let words: String = words.iter().map(|word| format!("<{word}>")).collect();
        self.0.expect(&format!("\n{words}\r\n"));
    }
}
