//! Testing a command natively, without WebAssembly, a cluster or real time.
//!
//! [`FakeHost`] has a cluster in memory, a terminal that records output, and a clock that only advances while the command
//! waits. What happens meanwhile is scheduled in advance:
//!
//! ```
//! use kf_plugin_sdk::prelude::*;
//! use kf_plugin_sdk::testing::FakeHost;
//! use serde_json::json;
//! use std::time::Duration;
//!
//! let host = FakeHost::new("team-a");
//! host.serve("batch", "v1", "Job", "jobs");
//! host.at(Duration::from_secs(90), |cluster| {
//!     cluster.put(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "mnist" } }));
//! });
//!
//! let kf = host.kf();
//! let (jobs, watch) = kf.api("batch/Job").list_and_watch()?;
//! assert!(jobs.is_empty());
//! let events = watch.next()?; // "blocks" for 90 s, instantly
//! assert_eq!(events[0].object.name(), "mnist");
//! assert_eq!(kf.now().age(host.start()), Duration::ZERO);
//! assert_eq!(host.start().age(kf.now()), Duration::from_secs(90));
//! # Ok::<(), Error>(())
//! ```
//!
//! It checks calls with kf's own code, so it refuses what kf refuses: a call that no rule of the package's `plugin.toml`
//! allows, another namespace without `scope = "cluster"`, an invalid name or selector, a body that does not match its
//! request. A test that passes will not fail in kf for a missing permission of the command. [`FakeCluster::deny`] denies
//! permissions of the user. Budgets, schemas and JSON patches are not supported.

mod answers;
mod cluster;
mod convert;
mod host;
mod manifest;
mod sessions;
mod streams;
mod terminal;
mod verbs;

pub use cluster::{FakeCluster, Write};
pub use host::FakeHost;
pub use sessions::OpenedSession;
pub use terminal::Terminal;
