//! A request that has not ended yet.

use std::rc::Rc;

use metrics_core::{EndpointId, Outcome, Start};

use crate::request::read_bytes::ReadBytes;
use crate::seen_routes::CountedAt;
use crate::worker::AppWorker;

/// The part of a request that exists until it has ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) worker: Rc<AppWorker>,
    pub(super) start: Start,
    /// What the service reads of its body; `None` without a body.
    pub(super) read: Option<Rc<ReadBytes>>,
}

impl Open {
    /// Ends a request that is not counted, unless the note says that it was left out before.
    pub(super) fn discard(self, note: Option<CountedAt>) {
        if let Some(count) = self.read {
            count.end(None);
            self.worker.unused_counts().give_back(count);
        }
        if !matches!(note, Some(CountedAt::LeftOut)) {
            self.worker.recorder().discard(self.start);
        }
    }
}

/// Ends the count of what is read of a request's body. Returns the bytes that were read until now. Those that are read
/// later are added where the request is counted.
#[cold]
#[inline(never)]
pub(super) fn end_reading(
    worker: &AppWorker,
    count: Rc<ReadBytes>,
    endpoint: EndpointId,
    outcome: Outcome,
) -> u64 {
    let bytes = count.end(Some((endpoint, outcome)));
    worker.unused_counts().give_back(count);
    bytes
}
