//! A bash in which a person presses Tab, and one in which a person types what a README shows.

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

/// The prompt of a [`Session`], a line of its own: it says how the line before has ended.
const PROMPT: (&str, &str) = ("[exit ", "] ready");

/// An interactive bash in which a person types one line after another. It begins with no variable of kf's, and with no
/// `kf` on its path.
pub struct Session(Terminal);

/// What a typed line came to.
pub struct Typed {
    pub code: i32,
    /// What was on the screen, without the line itself.
    pub said: String,
}

impl Session {
    pub fn start(home: &Path) -> Self {
        let (before, after) = PROMPT;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "--noediting", "-i"]).env_clear().current_dir(home);
        bash.env("HOME", home).env("TMPDIR", home).env("PATH", "/usr/bin:/bin").env("TERM", "xterm-256color");
        bash.env("PS1", format!("{before}$?{after}\\n"));
        // A terminal that does not say how wide it is, so that lines are laid out as a README shows them.
        let mut terminal = Terminal::start(bash);
        terminal.expect(after);
        Self(terminal)
    }

    /// Types a line, and the answer to what it asks.
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
        // The rest of the prompt, the line as the terminal echoes it, and what it came to.
        let said = ends.next().unwrap().splitn(3, '\n').nth(2).unwrap();
        Typed { code: code.parse().unwrap(), said: said.to_owned() }
    }
}
