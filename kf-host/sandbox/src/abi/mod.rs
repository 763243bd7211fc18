//! One module for each version of the ABI that is served.
//!
//! The WIT of a released version never changes, so neither does what its module accepts. When there is
//! a newer version, this one's host functions forward to that one's.

pub(crate) mod since_0_1;
