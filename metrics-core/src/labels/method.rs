//! The methods that requests in flight are told apart by.

/// The methods that HTTP defines (RFC 9110, RFC 5789 and RFC 10008), and `_OTHER` for all others, which clients could
/// make up without end.
pub const METHODS: [&str; 11] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE", "QUERY", "_OTHER"];

/// The numbers of methods that fit: those of [`METHODS`], and [`UNKNOWN`].
pub(crate) const LANES: usize = 16;

/// Requests whose method was not told.
pub(crate) const UNKNOWN: usize = LANES - 1;
