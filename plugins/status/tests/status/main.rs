//! `kf status`.
#![expect(unreachable_pub, reason = "a test program has no outside to reach from")]

mod common;
mod overview;
mod reasons;
mod watching;
