//! What is decided elsewhere, in lines for people.

pub mod availability;
pub mod plan;
pub mod report;
pub mod rights;
pub mod standing;
pub mod together;
pub mod wrap;
