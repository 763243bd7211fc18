//! The examples of README.md and of the guides, as a user types them.

/// A line to type, and what the README shows of its output.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub line: String,
    /// The answer typed at kf's prompt.
    pub answer: Option<String>,
    pub output: Vec<String>,
}

/// The fenced blocks of a document: their language and their text.
pub fn blocks(readme: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut is_inside = false;
    for line in readme.lines() {
        match line.strip_prefix("```") {
            Some(_) if is_inside => is_inside = false,
            Some(language) => {
                is_inside = true;
                blocks.push((language, String::new()));
            }
            None if is_inside => {
                let (_, text) = blocks.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    blocks
}

/// The steps of a section: its indented lines.
pub fn steps(readme: &str, section: &str) -> Vec<Step> {
    let (_, rest) = readme.split_once(&format!("\n## {section}\n")).unwrap();
    let text = rest.split("\n## ").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(line) = line.strip_prefix("$ ") {
            steps.push(Step { line: line.to_owned(), ..Step::default() });
            continue;
        }
        let step = steps.last_mut().unwrap();
        step.answer = line.split_once(" [y/N] ").map(|(_, answer)| answer.to_owned()).or(step.answer.take());
        if line.trim() != "…" {
            step.output.push(line.to_owned());
        }
    }
    steps
}

/// The words of a line, with placeholders for numbers, durations and digests, which differ from run to run.
fn comparable(line: &str) -> String {
    // Parts of Kubeflow that other tests add to the cluster bring rights that the tour's cluster lacks.
    if line.starts_with("You have all rights it ") {
        return "You have all rights it needs".to_owned();
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

/// The lines that the README shows and kf did not print.
pub fn missing<'s>(step: &'s Step, output: &str) -> Vec<&'s str> {
    let output: Vec<String> = output.lines().map(comparable).collect();
    let is_missing = |line: &&String| !output.contains(&comparable(line));
    step.output.iter().filter(is_missing).map(String::as_str).collect()
}

#[test]
fn outdated_readme_line_is_reported() {
    let readme = "\n## Tour\n\nText.\n\n    $ kf add x\n    x 1.2.0 (1.5 MB, b3d2…1605)\n    …\n    Add x? [y/N] y\n    $ kf y\n\n## Else\n\n    $ kf z\n";
    let steps = steps(readme, "Tour");
    let output = ["x 1.2.0 (1.5 MB, b3d2…1605)", "Add x? [y/N] y"].map(str::to_owned).to_vec();
    let first = Step { line: "kf add x".to_owned(), answer: Some("y".to_owned()), output };
    assert_eq!(steps, [first, Step { line: "kf y".to_owned(), ..Step::default() }]);
    assert_eq!(missing(&steps[0], "x  0.1.0 (12 MB, 00ff…aaaa)\nAdd x? [y/N] y"), [""; 0]);
    assert_eq!(missing(&steps[0], "x 0.1.0 (12 MB, 00ff…aaaa)\nInstall x? [y/N] y"), ["Add x? [y/N] y"]);
}
