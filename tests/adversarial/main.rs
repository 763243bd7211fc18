//! Attacks on the sandbox, each with a guest program and a test.
//!
//! The guests are in `guests/attacks`. [`kf_attacks::foreach_attack!`] lists them, and each name on the
//! list becomes a test that calls the function of that name in [`attacks`]. A guest without a function
//! does not compile, and a function without a guest is dead code.
//!
//! The host is kf's own sandbox with a recording [screen](host::Screen) and [cluster](host::Cluster).
//! Limits are lowered if reaching the real ones would take long.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod guests;
#[cfg(test)]
mod host;
#[cfg(test)]
mod stuck;

macro_rules! tests {
    ($($attack:ident),*) => {
        $(
            #[test]
            fn $attack() {
                attacks::$attack();
            }
        )*
    };
}

kf_attacks::foreach_attack!(tests);
