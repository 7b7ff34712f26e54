//! Lets plain `cargo bench` from the root run the benches.
//!
//! `benches` is no default member: the features that it needs of our crates would then be those of the demo, too. This
//! package is one, and `benches/all.rs` runs `cargo bench -p benches`.
#![forbid(unsafe_code)]
