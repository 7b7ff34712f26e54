//! The methods by which requests in flight are counted.

/// The methods that HTTP defines (RFC 9110, RFC 5789 and RFC 10008), and `_OTHER` for all others, since clients can
/// make up any number of them.
pub const METHODS: [&str; 11] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE", "QUERY", "_OTHER"];

/// The numbers of methods that fit: those of [`METHODS`], and [`UNKNOWN`].
pub(crate) const LANES: usize = 16;

/// Requests whose method was not told.
pub(crate) const UNKNOWN: usize = LANES - 1;
