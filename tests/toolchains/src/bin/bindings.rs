//! Rewrites `kf-plugin-sdk/src/bindings.rs` from the WIT.

fn main() -> Result<(), kf_toolchains::bindings::Error> {
    kf_toolchains::bindings::write()
}
