//! Interactive bash: one to test completion, and one to type the lines of a README.

use std::os::unix::fs::symlink;
use std::path::Path;
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
        // Prints the words of the line that was completed.
        let rc = "source <(kf completion bash); words() { printf '<%s>' \"$@\"; echo; }; echo is ready";
        for (name, value) in home.kf([""; 0]).get_envs() {
            bash.env(name, value.unwrap());
        }
        let path = format!("{}:/usr/bin:/bin", programs.display());
        // Long enough for a busy machine.
        bash.env("PATH", path).env("KF_COMPLETE_TIMEOUT", "300");
        bash.env("INPUTRC", "/dev/null").env("TERM", "dumb").env("PS1", "> ");
        let mut terminal = Terminal::start(bash);
        terminal.type_text(&format!("{rc}\n"));
        terminal.expect("\nis ready");
        Self(terminal)
    }

    /// Types the beginning of a line, presses Tab and Enter, and asserts the words of the completed line.
    #[track_caller]
    pub fn completes(&mut self, begun: &str, words: &[&str]) {
        const START_OF_LINE: char = '\u{1}';
        self.0.type_text(&format!("{begun}\t{START_OF_LINE}words \n"));
        let words: String = words.iter().map(|word| format!("<{word}>")).collect();
        self.0.expect(&format!("\n{words}\r\n"));
    }
}

/// The prompt of a [`Session`], on its own line, around the exit code of the line before.
const PROMPT: (&str, &str) = ("[exit ", "] ready");

/// An interactive bash for one line after another. It starts without kf's variables and without `kf` on its path.
pub struct Session(Terminal);

/// The result of a typed line.
pub struct Typed {
    pub code: i32,
    /// What appeared on the screen, without the line itself.
    pub output: String,
}

impl Session {
    pub fn start(home: &Path) -> Self {
        let (before, after) = PROMPT;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "--noediting", "-i"]).env_clear().current_dir(home);
        bash.env("HOME", home).env("TMPDIR", home).env("PATH", "/usr/bin:/bin").env("TERM", "xterm-256color");
        bash.env("PS1", format!("{before}$?{after}\\n"));
        // The terminal reports no width, so that lines wrap as a README shows them.
        let mut terminal = Terminal::start(bash);
        terminal.expect(after);
        Self(terminal)
    }

    /// Types a line, and the answer to its prompt.
    #[track_caller]
    pub fn enter(&mut self, line: &str, answer: Option<&str>) -> Typed {
        const QUESTION: &str = "[y/N]";
        let (before, after) = PROMPT;
        let (questions, prompts) = (self.0.times(QUESTION), self.0.times(after));
        self.0.type_text(&format!("{line}\n"));
        if let Some(answer) = answer {
            self.0.expect_times(QUESTION, questions + 1);
            self.0.type_text(&format!("{answer}\n"));
        }
        self.0.expect_times(after, prompts + 1);
        let screen = self.0.screen();
        let mut ends = screen.rsplit(before);
        let code = ends.next().and_then(|end| end.split(']').next()).unwrap();
        // The rest of the prompt, the echoed line, and its output.
        let output = ends.next().unwrap().splitn(3, '\n').nth(2).unwrap();
        Typed { code: code.parse().unwrap(), output: output.to_owned() }
    }
}
