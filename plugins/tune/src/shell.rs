//! A trial's command, as Katib runs it.
//!
//! Katib sends the output of a trial to a file, and for that joins the command and its arguments by spaces and hands the
//! line to `sh -c`: a word with a space becomes two, and a quote is the shell's. Only a command that begins with `sh -c`
//! is left as it is, so the words are quoted into one.
//!
//! The values of the parameters are put into the experiment's JSON as they are, which not every value survives.

use kf_plugin_sdk::{Error, ErrorCode, Kf, Object, Result};
use serde_json::{Value, json};

use crate::space::{Parameter, Space};

const COMMAND: &str = "/spec/trainer/command";
const ARGUMENTS: &str = "/spec/trainer/args";

/// Makes one line for a shell of a training job's command. False where it has none: its image or its runtime has, and
/// that cannot be seen from here.
pub(crate) fn quote_command(job: &mut Object) -> bool {
    let words = |pointer: &str| -> Vec<String> {
        let words = job.list(pointer).iter().filter_map(Value::as_str);
        words.map(quoted).collect()
    };
    let command = words(COMMAND);
    if command.is_empty() {
        return false;
    }
    // Output of every command on the line is sent to the file, where it is one for the outer shell.
    let line = command.into_iter().chain(words(ARGUMENTS)).collect::<Vec<_>>().join(" ");
    job.set(COMMAND, json!(["sh", "-c", line]));
    if let Some(trainer) = job.at("/spec/trainer").cloned() {
        let mut trainer = trainer;
        if let Some(fields) = trainer.as_object_mut() {
            fields.remove("args");
        }
        job.set("/spec/trainer", trainer);
    }
    true
}

/// Refuses values that do not arrive as they were typed.
pub(crate) fn check_values(kf: &Kf, parameters: &[Parameter], is_quoted: bool) -> Result<()> {
    let is_lost =
        |letter: char| matches!(letter, '"' | '\\') || letter.is_control() || (is_quoted && letter == '\'');
    for parameter in parameters {
        let Space::Choices(choices) = &parameter.space else { continue };
        if let Some(value) = choices.iter().find(|value| value.chars().any(is_lost)) {
            let message =
                format!("Katib cannot hand the value {value:?} of --param {} to a trial", parameter.name);
            let line = kf.command_line().set("--engine", "trainer");
            return Err(Error::new(ErrorCode::Unsupported, message).hint(line));
        }
    }
    Ok(())
}

fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(trainer: Value) -> Option<Value> {
        let mut job = Object::from(json!({ "spec": { "trainer": trainer } }));
        let is_quoted = quote_command(&mut job);
        assert_eq!(is_quoted, job.at(COMMAND).is_some());
        assert!(!is_quoted || job.at(ARGUMENTS).is_none());
        job.at(COMMAND).cloned()
    }

    #[test]
    fn command_becomes_one_line_for_a_shell() {
        let python = json!({ "command": ["python3", "-c", "print(\"loss=1 2\")", "${trialParameters.lr}"] });
        assert_eq!(
            line(python),
            Some(json!(["sh", "-c", "python3 -c 'print(\"loss=1 2\")' '${trialParameters.lr}'"]))
        );
        let with_arguments = json!({ "command": ["train"], "args": ["--note", "it's", ""], "numNodes": 2 });
        assert_eq!(line(with_arguments), Some(json!(["sh", "-c", r"train --note 'it'\''s' ''"])));
        let shell = json!({ "command": ["sh", "-c", "echo a; echo loss=2"] });
        assert_eq!(line(shell), Some(json!(["sh", "-c", "sh -c 'echo a; echo loss=2'"])));
        assert_eq!(line(json!({ "args": ["--lr=${trialParameters.lr}"] })), None);
    }

    #[test]
    fn real_shell_gets_the_words_back() {
        let words = [
            "a b",
            "it's",
            "",
            "$HOME",
            "`id`",
            "x;y",
            "*",
            "\\",
            "\"q\"",
            "--lr=${trialParameters.lr}",
            "ä",
        ];
        let text = words.map(quoted).join(" ");
        let program = format!("for word in {text}; do printf '%s\\0' \"$word\"; done");
        let output = std::process::Command::new("sh").arg("-c").arg(program).output().unwrap();
        let back: Vec<_> = output.stdout.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        assert_eq!(back[..words.len()], words);
    }
}
