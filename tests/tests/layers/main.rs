//! Checks the architecture: no files in a ring, no import upwards, no crate that depends on one above it.
//!
//! A file imports another if its code names something that the other one defines, by a `use`, by a path within the code or
//! through a re-export. Code of tests does not count. The layers are in [`table`], and in `docs/how-it-works.md`.

mod crates;
mod fixtures;
mod graph;
mod resolve;
mod syntax;
mod table;
mod tree;
