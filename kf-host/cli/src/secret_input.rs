//! Secrets from a file descriptor.

use std::io::{BufRead as _, BufReader, Read as _};

use kf_core::Kind;
use kf_core::failure::{Context as _, Failure, Result};
use secrecy::SecretString;

/// The first line that can be read from a file descriptor of this process, with at most `max` bytes. `what` names it.
pub fn read_line(fd: u32, what: &str, max: u64) -> Result<SecretString> {
    let failed = || format!("cannot read the {what} from file descriptor {fd}");
    // Opening it by its path needs no `unsafe`.
    let file = fs_err::File::open(format!("/proc/self/fd/{fd}")).context(Kind::Usage, failed)?;
    let mut line = String::new();
    BufReader::new(file.take(max)).read_line(&mut line).context(Kind::Usage, failed)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    if line.is_empty() {
        return Err(Failure::usage(format!("{}: it is empty", failed())));
    }
    Ok(SecretString::from(line))
}
