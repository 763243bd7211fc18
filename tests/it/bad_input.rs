//! Everything that goes wrong before anything starts: one clear error, nothing changed.
