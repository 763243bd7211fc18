//! Running added commands against a real cluster.
