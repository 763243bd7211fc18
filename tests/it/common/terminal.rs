//! A terminal of the test's own, so that kf sees a person.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// How long a person would wait before calling it stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program on a terminal: what it wrote so far, and a keyboard.
pub struct Terminal {
    child: Child,
    keyboard: File,
    chunks: Receiver<Vec<u8>>,
    screen: Vec<u8>,
}

impl Terminal {
    pub fn start(mut command: Command) -> Self {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let name = ptsname(&main, Vec::new()).unwrap().into_string().unwrap();
        let side = || fs_err::OpenOptions::new().read(true).write(true).open(&name).unwrap().into_parts().0;
        let child = command
            .stdin(Stdio::from(side()))
            .stdout(Stdio::from(side()))
            .stderr(Stdio::from(side()))
            .spawn()
            .unwrap();
        drop(command);
        let keyboard = File::from(main);
        let mut reader = keyboard.try_clone().unwrap();
        let (sender, chunks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keyboard, chunks, screen: Vec::new() }
    }

    /// Waits until the text has appeared.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let started = Instant::now();
        while !String::from_utf8_lossy(&self.screen).contains(text) {
            match self.chunks.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
                Ok(chunk) => self.screen.extend(chunk),
                Err(_) => panic!("no `{text}` on the terminal:\n{}", String::from_utf8_lossy(&self.screen)),
            }
        }
    }

    pub fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Everything written until the program ended, and how it ended.
    pub fn finish(mut self) -> (ExitStatus, Vec<u8>) {
        while let Ok(chunk) = self.chunks.recv_timeout(PATIENCE) {
            self.screen.extend(chunk);
        }
        (self.child.wait().unwrap(), self.screen)
    }
}
