//! Renders plans, rights and reports as text.

pub mod availability;
pub mod batch;
pub mod findings;
pub mod plan;
pub mod precedence;
pub mod report;
pub mod rights;
pub mod wrap;
