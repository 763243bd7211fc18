//! Logging for diagnosis: `-v`, `-vv` and `KF_LOG`.
//!
//! Only kf's own events are logged. Those of libraries could contain headers or bodies. For a request to the API
//! server the same fields are logged as in the audit log. Without a flag or the variable no subscriber is
//! installed, and an event costs only a comparison.

use std::io;

use kf_core::failure::{Failure, Result};
use kf_core::text;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;

use crate::env;
use crate::ui::{Ui, escape};

/// The prefix of the names of kf's crates.
const TARGET_PREFIX: &str = "kf";

/// Starts logging, if it was requested.
///
/// # Errors
///
/// `KF_LOG` is invalid, or names a crate that is not part of kf.
pub fn start(ui: &Ui, verbosity: u8) -> Result<()> {
    let targets = match env::var(env::KF_LOG) {
        Some(filter) => parse(&filter.to_string_lossy())?,
        None if verbosity == 0 => return Ok(()),
        None => Targets::new().with_target(TARGET_PREFIX, level(verbosity)),
    };
    let lines = fmt::layer()
        .with_timer(fmt::time::uptime())
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(Lines(ui.clone()))
        .with_filter(targets);
    // The only possible error is that logging was started before.
    let _ = tracing::subscriber::set_global_default(registry().with(lines));
    Ok(())
}

fn level(verbosity: u8) -> LevelFilter {
    match verbosity {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        2.. => LevelFilter::DEBUG,
    }
}

/// Parses a filter such as `debug` or `info,kf_cluster=debug`.
fn parse(filter: &str) -> Result<Targets> {
    let invalid = |why: String| {
        Failure::usage(format!("invalid {}: {why}", env::KF_LOG)).hint(format!(
            "{}=debug kf …, or {}=info,kf_cluster=debug kf …",
            env::KF_LOG,
            env::KF_LOG
        ))
    };
    let asked: Targets =
        filter.parse().map_err(|error| invalid(format!("`{}`: {error}", text::excerpt(filter))))?;
    let everywhere =
        Targets::new().with_target(TARGET_PREFIX, asked.default_level().unwrap_or(LevelFilter::OFF));
    asked.iter().try_fold(everywhere, |targets, (target, level)| match target.starts_with(TARGET_PREFIX) {
        true => Ok(targets.with_target(target, level)),
        false => Err(invalid(format!("`{}` is not part of kf", text::excerpt(target)))),
    })
}

/// Writes log lines as messages, above the progress line and without escape sequences.
struct Lines(Ui);

impl<'l> MakeWriter<'l> for Lines {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Line<'l> {
        Line(&self.0)
    }
}

struct Line<'l>(&'l Ui);

impl io::Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.message_verbatim(&escape::line(&String::from_utf8_lossy(line)));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn enabled(filter: &str, target: &str, level: Level) -> bool {
        parse(filter).unwrap().would_enable(target, &level)
    }

    #[test]
    fn level_applies_to_kf_targets_only() {
        assert!(enabled("debug", "kf_cluster::audit", Level::DEBUG));
        assert!(!enabled("debug", "kf_cluster::audit", Level::TRACE));
        assert!(!enabled("trace", "hyper::proto", Level::ERROR));
        assert!(!enabled("trace", "kube_client::client", Level::ERROR));
    }

    #[test]
    fn level_can_be_set_for_one_crate() {
        let filter = "info,kf_cluster=trace";
        assert!(enabled(filter, "kf_cluster::connection", Level::TRACE));
        assert!(enabled(filter, "kf_command::run", Level::INFO));
        assert!(!enabled(filter, "kf_command::run", Level::DEBUG));
        assert!(!enabled("kf_cluster=trace", "kf_command::run", Level::ERROR));
    }

    #[test]
    fn invalid_or_foreign_log_filters_are_refused() {
        for filter in ["loud", "kf_cluster=loud", "hyper=trace", "info,kube_client=debug", "=debug"] {
            assert!(parse(filter).is_err(), "{filter}");
        }
    }
}
