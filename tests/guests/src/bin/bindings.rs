//! Rewrites `kf-plugin-sdk/src/bindings.rs` from the WIT.

fn main() -> Result<(), kf_guests::bindings::Error> {
    kf_guests::bindings::write()
}
