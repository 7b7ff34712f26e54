//! A request as the monitor sees it, whatever framework received it.

use std::fmt;

use crate::policy::headers::Headers;
use crate::policy::peer::Peer;

/// A request to an endpoint. No endpoint needs the body, so the adapter reads and drops it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The path under which the endpoints are mounted, such as `/api/metrics`, as the client requested it.
    pub mount: &'a str,
    /// The path below that, such as `/summary`.
    pub path: &'a str,
    /// The query string, without the question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a dyn Headers,
    /// The other end of the connection.
    pub peer: Peer,
    /// Whether the connection is encrypted up to this process.
    pub is_secure: bool,
    /// Whether it was sent over HTTP/1.0, which browsers do not use.
    pub is_http_1_0: bool,
    /// The content coding that was negotiated.
    pub coding: Coding,
}

/// How an answer's body may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coding {
    /// Not at all.
    #[default]
    Identity,
    /// With gzip, if the endpoint supports it and the feature `gzip` is on.
    Gzip,
}

impl fmt::Debug for Request<'_> {
    /// Without the headers, which hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, query, peer, coding, .. } = self;
        f.debug_struct("Request")
            .field("method", method)
            .field("path", path)
            .field("query", query)
            .field("peer", peer)
            .field("coding", coding)
            .finish_non_exhaustive()
    }
}
