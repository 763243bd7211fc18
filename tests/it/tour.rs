//! README.md's tour, line by line, as somebody types it who has nothing but the README.
//!
//! The lines and what is shown below them are read out of the README, so that neither can drift: what kf says has
//! every line of it, but for numbers and durations.

use kf_tests::cluster::{User, skip_without_node};

use crate::common::team::Team;
use crate::common::terminal::{Terminal, shown};
use crate::common::{Home, output_of};

/// What the tour adds itself. `cargo xtask demo --keep` has added the other commands.
const BEFORE: [&str; 4] = ["hello", "whoami", "status", "logs"];

/// A line to type, and what the README shows of its output.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    line: String,
    /// The key that is typed where kf asks.
    answer: Option<String>,
    output: Vec<String>,
}

/// The steps of a section: its indented lines.
fn steps(readme: &str, section: &str) -> Vec<Step> {
    let (_, rest) = readme.split_once(&format!("\n## {section}\n")).unwrap();
    let text = rest.split("\n## ").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(line) = line.strip_prefix("$ ") {
            steps.push(Step { line: line.to_owned(), ..Step::default() });
            continue;
        }
        let step = steps.last_mut().unwrap();
        match line.split_once(" [y/N] ") {
            Some((question, answer)) => {
                step.output.push(format!("{question} [y/N]"));
                step.answer = Some(answer.to_owned());
            }
            None if line.trim() == "…" => {}
            None => step.output.push(line.to_owned()),
        }
    }
    steps
}

/// The words of a line, with one letter for what differs from run to run: numbers, durations and digests.
fn comparable(line: &str) -> String {
    // Parts of Kubeflow that other tests add to the cluster bring rights that are missing on the tour's.
    if line.starts_with("You may do all it ") {
        return "You may do all it needs".to_owned();
    }
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        if word.contains('…') {
            words.push("N".to_owned());
            continue;
        }
        let mut masked = String::new();
        let mut letters = word.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter.is_ascii_digit() {
                while letters.next_if(|next| next.is_ascii_digit() || ".smhd".contains(*next)).is_some() {}
                masked.push('N');
            } else {
                masked.push(letter);
            }
        }
        words.push(masked);
    }
    words.join(" ")
}

/// The lines that the README shows and kf did not say.
fn missing<'s>(step: &'s Step, said: &str, namespace: &str) -> Vec<&'s str> {
    let said: Vec<String> = said.lines().map(|line| comparable(&line.replace(namespace, "team-a"))).collect();
    let is_missing = |line: &&String| !said.contains(&comparable(line));
    step.output.iter().filter(is_missing).map(String::as_str).collect()
}

/// Types a line: its exit code, and all it wrote.
fn play(home: &Home, step: &Step) -> (Option<i32>, String) {
    let shell = home.shell(&step.line);
    let Some(answer) = &step.answer else {
        let output = output_of(&mut { shell });
        let text = [output.stdout, output.stderr].concat();
        return (output.status.code(), String::from_utf8(text).unwrap());
    };
    // A terminal that does not say how wide it is: what the README shows is laid out for 80 columns, and the
    // namespace of a test has a longer name.
    let mut terminal = Terminal::start(shell);
    terminal.expect("[y/N]");
    terminal.type_text(&format!("{answer}\n"));
    let (status, screen) = terminal.finish();
    (status.code(), shown(&screen).replace("[y/N] y", "[y/N]"))
}

#[test]
fn tour_of_the_readme_works_word_for_word() {
    if skip_without_node("tour_of_the_readme_works_word_for_word") {
        return;
    }
    let team = Team::with_node("tour");
    let viewer = team.kubeconfig(User::Viewer).display().to_string();
    let home = team.home(User::DataScientist, &BEFORE).env("VIEWER", &viewer);
    let steps = steps(include_str!("../../README.md"), "A five-minute tour");
    let lines: Vec<&str> = steps.iter().map(|step| step.line.as_str()).collect();
    assert!(lines.len() > 7 && lines.contains(&"kf command add train"), "{lines:?}");
    let mut last = Some(0);
    for step in &steps {
        if step.line == "echo $?" {
            let code = last.map(|code| code.to_string());
            assert_eq!(step.output.first(), code.as_ref(), "the exit code that is shown");
            continue;
        }
        let (code, said) = play(&home, step);
        let line = &step.line;
        assert_eq!(
            missing(step, &said, team.name()),
            [""; 0],
            "`{line}` ends with {code:?} and says:\n{said}"
        );
        let is_refused = step.output.iter().any(|line| line.starts_with("error: "));
        assert_eq!(code == Some(0), !is_refused, "`{line}` ends with {code:?}: {said}");
        last = code;
    }
}

#[test]
fn line_that_kf_does_not_say_any_more_is_found() {
    let readme = "\n## Tour\n\nText.\n\n    $ kf add x\n    x 1.2.0 (1.5 MB, b3d2…1605)\n    …\n    Add x? [y/N] y\n    $ kf y\n\n## Else\n\n    $ kf z\n";
    let steps = steps(readme, "Tour");
    let output = ["x 1.2.0 (1.5 MB, b3d2…1605)", "Add x? [y/N]"].map(str::to_owned).to_vec();
    let first = Step { line: "kf add x".to_owned(), answer: Some("y".to_owned()), output };
    assert_eq!(steps, [first, Step { line: "kf y".to_owned(), ..Step::default() }]);
    assert_eq!(missing(&steps[0], "x  0.1.0 (12 MB, 00ff…aaaa)\nAdd x? [y/N]", "ns"), [""; 0]);
    assert_eq!(missing(&steps[0], "x 0.1.0 (12 MB, 00ff…aaaa)\nInstall x? [y/N]", "ns"), ["Add x? [y/N]"]);
}
