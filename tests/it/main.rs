//! kf from end to end, against a real API server.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod broker;
