//! Tests over real folders and a real HTTP server.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests; clippy only excuses functions marked as tests"
)]

mod assembling;
mod built_in;
mod editing;
mod fixture;
mod install;
mod mirror;
mod mirrors;
mod previous;
mod programs;
mod properties;
mod published_folder;
mod publishing;
mod resolving;
mod rotation;
mod second_opinion;
mod server;
mod splitting;
mod staging;
mod threats;
mod tls;
