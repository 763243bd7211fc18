//! One change at a time for each name.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::time::{Duration, Instant};

use kf_core::PluginName;

use crate::error::{Error, Result};
use crate::paths::Home;

/// The right to change what is installed under one name. Dropping it, or dying, gives it back.
///
/// Whatever changes a receipt or a slot asks for it, so no change can forget it.
#[derive(Debug)]
pub struct NameLock {
    name: PluginName,
    _file: File,
}

impl NameLock {
    /// Takes the lock, or says at once who holds it ([`Error::Busy`]).
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

    /// Takes the lock, waiting for it. `on_wait` is told once, with the other process's id where known.
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
        // Only a courtesy for whoever waits; the lock does not depend on it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { name: name.clone(), _file: file })
    }
}

/// Takes a lock if it is free within a moment: a program that another thread is just starting holds every
/// file of this one until it runs, and with it locks that were given up in the meantime.
pub fn try_lock(file: &File) -> std::result::Result<(), TryLockError> {
    const MOMENT: Duration = Duration::from_millis(200);
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < MOMENT => {
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
