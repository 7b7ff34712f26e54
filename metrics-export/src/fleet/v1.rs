//! Version 1 of the format, which this version reads and no longer writes.
//!
//! It has no lengths, so that nothing can be skipped in it: what it does not define is refused.

mod bits;
mod counts;
mod decode;

pub(super) use self::decode::read;
