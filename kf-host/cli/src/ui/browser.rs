//! Opens pages in the user's browser.
//!
//! `KF_BROWSER`, or else `BROWSER`, is the program with its arguments. `%s` is replaced with the URL, which
//! is otherwise appended. `KF_BROWSER=none` disables the browser. No shell is involved.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::env;

/// How long to wait for the program to fail.
const FAILURE_WINDOW: Duration = Duration::from_secs(3);

/// Opens a page. False if there is no browser, or it fails at once.
pub fn open(url: &str) -> bool {
    let Some(words) = program().map(|program| words(&program, url)) else { return false };
    let Some((first, rest)) = words.split_first() else { return false };
    // The browser must not write to this terminal or receive its Ctrl-C.
    let started = Command::new(first)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    started.is_ok_and(is_running_or_succeeded)
}

/// The program, if there is one.
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
    // Without a screen xdg-open would start a text browser in this terminal.
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

/// Whether the program is still running, or succeeded.
fn is_running_or_succeeded(mut child: Child) -> bool {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if started.elapsed() >= FAILURE_WINDOW => return true,
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
    fn browser_gets_url_as_one_argument() {
        assert_eq!(words("firefox", URL), ["firefox", URL]);
        assert_eq!(words("firefox --new-tab %s", URL), ["firefox", "--new-tab", URL]);
        assert_eq!(words("w --url=%s -x", URL), ["w", &format!("--url={URL}"), "-x"]);
        assert_eq!(words("sh -c $(x)", URL), ["sh", "-c", "$(x)", URL]);
    }

    #[test]
    fn browser_that_fails_at_once_is_not_shown() {
        let run = |program: &str| Command::new(program).spawn().unwrap();
        assert!(is_running_or_succeeded(run("true")));
        assert!(!is_running_or_succeeded(run("false")));
    }
}
