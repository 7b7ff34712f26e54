//! Bytes of bodies.

use serde::{Deserialize, Serialize};

/// Bytes of the bodies of requests and responses, without heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Bytes {
    pub(crate) request: u64,
    pub(crate) response: u64,
}
