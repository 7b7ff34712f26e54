//! Single requests that somebody wants to know of: those that were slow, and a share of all.
//!
//! They go to an [`EventLog`], as errors do. It is made with its first use, so that it takes no memory where nobody asks.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::events::event_log::{EventLog, Position};
use crate::labels::endpoint::{EndpointId, EndpointName, Endpoints};
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceContext;

/// One request, without heap memory.
#[derive(Debug, Clone)]
pub(crate) struct RequestEvent {
    pub(crate) time: SystemTime,
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) nanos: u64,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) randomness: f64,
}

/// One entry of the request log.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentRequest {
    /// When the request ended, by the wall clock.
    pub time: SystemTime,
    /// Its endpoint.
    pub endpoint: Arc<EndpointName>,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub response_time: Duration,
    /// Where it stands in a trace, if it says so.
    pub trace: Option<TraceContext>,
    /// A number from 0 to below 1 that was drawn for the request, whatever it was like: it is among a share `p` of all
    /// requests if this is below `p`. 1 if none was drawn.
    pub randomness: f64,
}

impl RequestEvent {
    /// The entry as people read it.
    pub(crate) fn resolve(&self, endpoints: &Endpoints) -> RecentRequest {
        RecentRequest {
            time: self.time,
            endpoint: endpoints.name(self.endpoint),
            outcome: self.outcome,
            response_time: Duration::from_nanos(self.nanos),
            trace: self.trace,
            randomness: self.randomness,
        }
    }
}

/// How far a reader has read the request log: see [`Registry::requests_after`](crate::Registry::requests_after).
///
/// The default is that of a reader who has read nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCursor(pub(crate) Position);

impl RequestCursor {
    /// Requests that newer ones pushed out before the reader came, or that came too fast, since the start.
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

/// The last requests that were logged.
#[derive(Debug)]
pub(crate) struct RequestLog {
    capacity: usize,
    log: OnceLock<EventLog<RequestEvent>>,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, log: OnceLock::new() }
    }

    pub(crate) fn get(&self) -> &EventLog<RequestEvent> {
        self.log.get_or_init(|| EventLog::new(self.capacity))
    }
}
