//! Locks that allow one change at a time for each name.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::time::{Duration, Instant};

use kf_core::PluginName;

use crate::error::{Error, Result};
use crate::paths::Home;

/// A lock on changes of the command with one name. It is released when it is dropped, or when the process ends.
///
/// Functions that change a receipt or a replacement take it as an argument, so that none can run without it.
#[derive(Debug)]
pub struct NameLock {
    name: PluginName,
    _file: File,
}

impl NameLock {
    /// Takes the lock, or fails at once with its holder ([`Error::Busy`]).
    pub fn try_acquire(home: &Home, name: &PluginName) -> Result<Self> {
        let mut file = Self::open(home, name)?;
        match try_lock(&file) {
            Ok(()) => Self::held(name, file),
            Err(TryLockError::WouldBlock) => {
                Err(Error::Busy { name: name.to_string(), pid: holder(&mut file) })
            }
            Err(TryLockError::Error(e)) => Err(Error::writing(&home.locks(), e)),
        }
    }

    /// Waits for the lock. If another process holds it, `on_wait` is called once with the process id, if known.
    pub fn acquire(home: &Home, name: &PluginName, on_wait: impl FnOnce(Option<u32>)) -> Result<Self> {
        let mut file = Self::open(home, name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                on_wait(holder(&mut file));
                file.lock().map_err(|e| Error::writing(&home.locks(), e))?;
            }
            Err(TryLockError::Error(e)) => return Err(Error::writing(&home.locks(), e)),
        }
        Self::held(name, file)
    }

    /// The name this lock is for.
    pub fn name(&self) -> &PluginName {
        &self.name
    }

    fn open(home: &Home, name: &PluginName) -> Result<File> {
        home.locks().at(format!("{name}.lock")).open_lock()
    }

    fn held(name: &PluginName, mut file: File) -> Result<Self> {
        // The process id is only for messages; the lock does not depend on it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { name: name.clone(), _file: file })
    }
}

/// Takes a lock, retrying for a moment: a child process that another thread is starting inherits all open files
/// until it execs, and with them locks that were released in the meantime.
pub fn try_lock(file: &File) -> std::result::Result<(), TryLockError> {
    const RETRY_FOR: Duration = Duration::from_millis(200);
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if started.elapsed() < RETRY_FOR => {
                std::thread::sleep(Duration::from_millis(5));
            }
            answer => return answer,
        }
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
