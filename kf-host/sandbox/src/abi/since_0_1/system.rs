//! The interfaces `poll`, `clock`, `context` and `files`.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::Result;
use wasmtime::component::Resource;

use super::{WitError, invalid, wit};
use crate::directory::{DirectoryError, DirectoryFile};
use crate::fault::{Which, limit};
use crate::limits::MAX_FILE_BYTES;
use crate::poll::{self, Pollable, Timer};
use crate::state::State;

impl wit::poll::Host for State {
    async fn wait(&mut self, pollables: Vec<Resource<Pollable>>) -> Result<Vec<u32>> {
        self.call()?;
        let mut waited = Vec::with_capacity(pollables.len());
        for pollable in &pollables {
            waited.push(Arc::clone(&self.table.get(pollable)?.0));
        }
        Ok(poll::wait(&waited).await)
    }
}

impl wit::poll::HostPollable for State {
    fn ready(&mut self, this: Resource<Pollable>) -> Result<bool> {
        self.call()?;
        Ok(self.table.get(&this)?.0.is_ready())
    }

    fn drop(&mut self, this: Resource<Pollable>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl wit::clock::Host for State {
    fn now(&mut self) -> Result<u64> {
        self.call()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn after(&mut self, milliseconds: u64) -> Result<Resource<Pollable>> {
        self.call()?;
        self.push(Pollable(Arc::new(Timer::after(milliseconds))))
    }
}

impl wit::context::Host for State {
    fn current(&mut self) -> Result<wit::context::Context> {
        self.call()?;
        let context = &self.context;
        Ok(wit::context::Context {
            namespace: context.namespace.clone(),
            environment: context.environment.clone(),
            cluster: context.cluster.clone(),
            command: context.command.clone(),
            version: context.version.clone(),
            dry_run: context.dry_run,
            interactive: context.interactive,
        })
    }

    fn command_line(&mut self) -> Result<Vec<String>> {
        self.call()?;
        Ok(self.context.command_line.clone())
    }
}

impl wit::files::Host for State {
    fn read(&mut self, path: String) -> Result<Result<Vec<u8>, WitError>> {
        self.call()?;
        let Some(location) = self.files.granted.get(&path).cloned() else {
            return Ok(Err(not_named("file", &path)));
        };
        let content = if path == "-" { self.stdin()? } else { read_file(&location) };
        let content = match content {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        self.count_read(content)
    }

    fn walk(&mut self, path: String, skip: Vec<String>) -> Result<Result<wit::files::Tree, WitError>> {
        self.call()?;
        let Some(directory) = self.files.directories.get_mut(&path) else {
            return Ok(Err(not_named("directory", &path)));
        };
        let tree = directory.walk(&skip).map_err(|error| directory_error(&error));
        Ok(tree.map(|tree| wit::files::Tree {
            files: tree
                .files
                .into_iter()
                .map(|DirectoryFile { path, size, executable }| wit::files::Entry { path, size, executable })
                .collect(),
            left_out: tree.skipped,
        }))
    }

    fn read_below(&mut self, directory: String, path: String) -> Result<Result<Vec<u8>, WitError>> {
        self.call()?;
        let Some(granted) = self.files.directories.get_mut(&directory) else {
            return Ok(Err(not_named("directory", &directory)));
        };
        let file = granted.open_file(&path).map_err(|error| directory_error(&error));
        match file.and_then(|file| read_whole(&format!("`{}`", path.escape_debug()), file)) {
            Ok(content) => self.count_read(content),
            Err(error) => Ok(Err(error)),
        }
    }
}

fn not_named(what: &str, path: &str) -> WitError {
    let message = format!("{what} `{}` was not named on the command line", path.escape_debug());
    wit::types::Error { code: wit::types::ErrorCode::Forbidden, message, hint: None }
}

fn directory_error(error: &DirectoryError) -> WitError {
    let code = match error {
        DirectoryError::Outside { .. } => wit::types::ErrorCode::Forbidden,
        _ => wit::types::ErrorCode::Invalid,
    };
    wit::types::Error { code, message: error.to_string(), hint: None }
}

impl State {
    fn count_read(&mut self, content: Vec<u8>) -> Result<Result<Vec<u8>, WitError>> {
        self.files.read += content.len() as u64;
        if self.files.read > self.limits.file_bytes {
            return Err(limit(Which::Files, self.limits.file_bytes));
        }
        Ok(Ok(content))
    }

    /// The content of stdin. It can be read only once, so it is kept for further calls and counts as guest memory.
    fn stdin(&mut self) -> Result<Result<Vec<u8>, WitError>> {
        if let Some(content) = &self.files.stdin {
            return Ok(Ok(content.to_vec()));
        }
        let content = match read_whole("stdin", std::io::stdin().lock()) {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        self.space.hold(content.len())?;
        self.files.stdin = Some(content.as_slice().into());
        Ok(Ok(content))
    }
}

/// Reads a file that the user named. Links are followed, and a pipe is accepted.
fn read_file(path: &Path) -> std::result::Result<Vec<u8>, WitError> {
    let name = format!("`{}`", path.display());
    let file = fs_err::File::open(path).map_err(|error| invalid(error.to_string()))?;
    read_whole(&name, file)
}

fn read_whole(name: &str, source: impl Read) -> std::result::Result<Vec<u8>, WitError> {
    let mut content = Vec::new();
    let read = source.take(MAX_FILE_BYTES + 1).read_to_end(&mut content);
    read.map_err(|error| invalid(format!("cannot read {name}: {error}")))?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(invalid(format!("{name} is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(content)
}
