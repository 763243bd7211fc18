//! What kf's tests share.

#[path = "../cluster/mod.rs"]
pub mod cluster;
pub mod file_server;
#[path = "../bench/rounds.rs"]
pub mod rounds;
