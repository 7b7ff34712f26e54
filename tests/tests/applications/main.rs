//! Applications with and without the monitor: the same crates, the same answers.

mod builds;
