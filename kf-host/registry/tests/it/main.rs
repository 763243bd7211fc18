//! What a user relies on, over real folders and a real HTTP server.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests; clippy only excuses functions marked as tests"
)]

mod fixture;
mod install;
mod properties;
mod publishing;
mod second_opinion;
mod server;
mod threats;
mod tls;
