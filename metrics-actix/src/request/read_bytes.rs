//! The bytes that a service reads of a request's body: shared by the request and the stream of its body, since either
//! may end first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use metrics_core::{EndpointId, Outcome};

/// The most counts that a worker keeps for later requests. More requests than that with bodies at one time allocate.
const MAX_KEPT: usize = 1_024;

/// The bytes that were read of one body.
#[derive(Debug)]
pub(crate) struct ReadBytes(Cell<Reading>);

/// Where the bytes belong.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// The request has not ended. It will take this number of bytes.
    Open(u64),
    /// The request was counted here; the service reads on, as with a WebSocket.
    Ended(EndpointId, Outcome),
    /// The request is not counted.
    Nowhere,
}

impl ReadBytes {
    /// Counts bytes. Returns where they belong if the request was counted before.
    pub(crate) fn add(&self, bytes: u64) -> Option<(EndpointId, Outcome)> {
        match self.0.get() {
            Reading::Open(before) => {
                self.0.set(Reading::Open(before.saturating_add(bytes)));
                None
            }
            Reading::Ended(endpoint, outcome) => Some((endpoint, outcome)),
            Reading::Nowhere => None,
        }
    }

    /// The request ends, and is counted here or not at all. Returns the bytes that were read until now.
    pub(crate) fn end(&self, counted: Option<(EndpointId, Outcome)>) -> u64 {
        let reading =
            counted.map_or(Reading::Nowhere, |(endpoint, outcome)| Reading::Ended(endpoint, outcome));
        if let Reading::Open(bytes) = self.0.replace(reading) { bytes } else { 0 }
    }
}

/// The counts of a worker that nobody uses now. Kept, so that only the stream of a body is allocated for its request.
#[derive(Debug, Default)]
pub(crate) struct UnusedCounts(RefCell<Vec<Rc<ReadBytes>>>);

impl UnusedCounts {
    /// A count for a new request.
    pub(crate) fn take(&self) -> Rc<ReadBytes> {
        let unused = self.0.borrow_mut().pop();
        unused.unwrap_or_else(|| Rc::new(ReadBytes(Cell::new(Reading::Open(0)))))
    }

    /// Takes back a count from the request or from the stream, and keeps it if the other one has gone.
    pub(crate) fn give_back(&self, count: Rc<ReadBytes>) {
        let mut unused = self.0.borrow_mut();
        if Rc::strong_count(&count) == 1 && unused.len() < MAX_KEPT {
            count.0.set(Reading::Open(0));
            unused.push(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_core::Registry;

    use super::*;

    #[test]
    fn bytes_belong_to_the_request_until_it_ends_and_then_to_where_it_was_counted() {
        let counted = (Registry::new().endpoint("POST", "/"), Outcome::Status(200));
        let read = UnusedCounts::default().take();
        assert_eq!((read.add(3), read.add(4)), (None, None));
        assert_eq!(read.end(Some(counted)), 7);
        assert_eq!(read.add(5), Some(counted));
        assert_eq!(read.end(None), 0);
        assert_eq!(read.add(5), None);
    }

    #[test]
    fn a_count_is_used_again_only_when_both_have_given_it_back() {
        let unused = UnusedCounts::default();
        let request = unused.take();
        let stream = Rc::clone(&request);
        request.add(3);
        unused.give_back(request);
        assert!(unused.0.borrow().is_empty());
        unused.give_back(stream);
        assert_eq!(unused.0.borrow().len(), 1);
        assert_eq!(unused.take().end(None), 0);
    }
}
