//! Testing a command natively: no WebAssembly, no cluster, no waiting.
//!
//! [`FakeHost`] is a small cluster in memory, a terminal that remembers, and a clock that moves
//! only when the command waits. What happens while it waits is written down beforehand:
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
//! let events = watch.next()?; // "blocks" for 90 s that take no time
//! assert_eq!(events[0].object.name(), "mnist");
//! assert_eq!(kf.now().age(host.start()), Duration::ZERO);
//! assert_eq!(host.start().age(kf.now()), Duration::from_secs(90));
//! # Ok::<(), Error>(())
//! ```
//!
//! It decides with kf's own code, so it refuses what kf refuses: a call that no rule of the package's
//! `plugin.toml` allows, a place outside the namespace of the run without `scope = "cluster"`, an invalid
//! name or selector, a body that says something else than its request. So a test that passes here does not
//! fail there for want of a right. What the *user* may not do is [`FakeCluster::deny`]. It counts no budgets,
//! checks no schema, and takes no JSON patch.

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
