//! What kf's tests share.

#[path = "../cluster/mod.rs"]
pub mod cluster;
