//! The output of a running kf, line by line.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::{Home, TIMEOUT, wait_for_exit};

/// A running kf and its output so far.
pub struct Following {
    what: String,
    kf: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Following {
    pub fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.kf(arguments);
        let mut kf = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = Lines::of(kf.stdout.take().unwrap());
        let stderr = Lines::of(kf.stderr.take().unwrap());
        Self { what: arguments.join(" "), kf, stdout, stderr }
    }

    /// Waits for a line on stdout that contains this.
    #[track_caller]
    pub fn line(&self, with: &str) -> String {
        self.stdout.expect(with)
    }

    /// Waits for a line on stderr that contains this.
    #[track_caller]
    pub fn stderr_line(&self, with: &str) -> String {
        self.stderr.expect(with)
    }

    /// Every line on stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// Panics with its stderr if it has ended.
    #[track_caller]
    pub fn assert_running(&mut self) {
        if let Some(status) = self.kf.try_wait().unwrap() {
            panic!("{} ended with {status}: {:#?}", self.what, self.stderr.all());
        }
    }

    /// Waits until it ends by itself.
    pub fn finish(mut self) -> ExitStatus {
        wait_for_exit(&mut self.kf)
    }

    /// Waits until it ends by itself; also returns all lines of stdout and stderr.
    pub fn finish_with_lines(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let status = wait_for_exit(&mut self.kf);
        (status, self.stdout.rest(), self.stderr.rest())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _gone = self.kf.kill();
        let _gone = self.kf.wait();
    }
}

/// The lines of a stream as they arrive, each to be waited for with a deadline.
pub fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, coming) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    coming
}

struct Lines {
    coming: Receiver<String>,
    seen: RefCell<Vec<String>>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        Self { coming: lines_of(stream), seen: RefCell::default() }
    }

    #[track_caller]
    fn expect(&self, with: &str) -> String {
        let begun = Instant::now();
        loop {
            let Ok(line) = self.coming.recv_timeout(TIMEOUT.saturating_sub(begun.elapsed())) else {
                panic!("no line with `{with}` in {:#?}", self.seen.borrow());
            };
            self.seen.borrow_mut().push(line.clone());
            if line.contains(with) {
                return line;
            }
        }
    }

    fn all(&self) -> Vec<String> {
        self.seen.borrow_mut().extend(self.coming.try_iter());
        self.seen.borrow().clone()
    }

    /// All lines, once the program has ended.
    fn rest(&self) -> Vec<String> {
        while let Ok(line) = self.coming.recv_timeout(TIMEOUT) {
            self.seen.borrow_mut().push(line);
        }
        self.seen.borrow().clone()
    }
}

/// A pod that is never scheduled.
pub fn waiting_pod(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  schedulerName: nobody
  containers: [{{name: main, image: 'kf.test/none'}}]
"
    )
}
