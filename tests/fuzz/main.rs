//! Parsers of what comes from outside, with random changes of valid documents: they accept or refuse, and never panic,
//! hang or use up the memory.
//!
//! | from | what | tests |
//! |---|---|---|
//! | a registry | root, timestamp, snapshot, targets, the roles of authors and shards, the indexes, the catalogue | [`registry`] |
//! | an author | `plugin.toml`, `command.json`, the sections of a component | [`documents`], [`guests`] |
//! | another signer | a staging folder, signatures, key files | [`signing`] |
//! | this machine | receipts | [`registry`] |
//! | a cloned project | `kf.lock` | [`documents`] |
//! | the command line | requests such as `team/train@^1` | [`documents`] |
//!
//! Kubeconfigs, JSON of clusters, logs and YAML are tested like this where they are parsed.
//!
//! Ordinary tests run the same changes every time. `KF_FUZZ_CASES` sets another number of them, and
//! `cargo xtask fuzz [TARGET] --minutes N` runs other changes for that long.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests, too")]
#![expect(unreachable_pub, reason = "a test program exports nothing")]

mod documents;
mod guests;
mod mutate;
mod registry;
#[path = "../conformance/repository.rs"]
#[expect(dead_code, reason = "shared with the tests of conformance")]
mod repository;
mod run;
mod signing;
