//! kf and Kubernetes: connection, credentials, the broker, preflight and streams.
//!
//! This crate does not depend on WebAssembly, the registry or the command line.

pub mod audit;
pub mod broker;
pub mod checkup;
pub mod connection;
pub mod discovery;
pub mod kubeconfig;
pub mod namespaces;
pub mod preflight;
mod streams;
