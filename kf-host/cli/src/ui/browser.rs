//! The user's browser.
//!
//! `KF_BROWSER` and then `BROWSER` name the program, `%s` in them is the address; without `%s` it is
//! the last word. `KF_BROWSER=none` means none. No shell reads any of it.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::env;

/// How long a program that opens browsers may take to say that it could not.
const PATIENCE: Duration = Duration::from_secs(3);

/// Shows a page; false if there is no browser, or it fails at once.
pub fn open(url: &str) -> bool {
    let Some(words) = program().map(|program| words(&program, url)) else { return false };
    let Some((first, rest)) = words.split_first() else { return false };
    // What a browser has to say is not for this terminal, and Ctrl-C here not for the browser.
    let started = Command::new(first)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    started.is_ok_and(shows)
}

/// The program, if there is one to be had.
fn program() -> Option<String> {
    if let Some(own) = env::text(env::KF_BROWSER) {
        return (own != "none").then_some(own);
    }
    if let Some(list) = env::text(env::BROWSER) {
        return list.split(':').find(|entry| !entry.trim().is_empty()).map(str::to_owned);
    }
    if cfg!(target_os = "macos") {
        return Some("open".to_owned());
    }
    // Without a screen it would start one for text, in this very terminal.
    env::has_screen().then(|| "xdg-open".to_owned())
}

/// The program with its arguments.
fn words(program: &str, url: &str) -> Vec<String> {
    let mut words: Vec<String> = program.split_whitespace().map(str::to_owned).collect();
    let mut placed = false;
    for word in words.iter_mut().skip(1) {
        if word.contains("%s") {
            *word = word.replace("%s", url);
            placed = true;
        }
    }
    if !placed {
        words.push(url.to_owned());
    }
    words
}

/// Whether it still runs, or ended well.
fn shows(mut child: Child) -> bool {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if started.elapsed() >= PATIENCE => return true,
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://localhost:8888/lab?token=a;b";

    #[test]
    fn a_program_gets_the_address_as_one_word() {
        assert_eq!(words("firefox", URL), ["firefox", URL]);
        assert_eq!(words("firefox --new-tab %s", URL), ["firefox", "--new-tab", URL]);
        assert_eq!(words("w --url=%s -x", URL), ["w", &format!("--url={URL}"), "-x"]);
        assert_eq!(words("sh -c $(x)", URL), ["sh", "-c", "$(x)", URL]);
    }

    #[test]
    fn what_fails_at_once_shows_nothing() {
        let run = |program: &str| Command::new(program).spawn().unwrap();
        assert!(shows(run("true")));
        assert!(!shows(run("false")));
    }
}
