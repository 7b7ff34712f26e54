//! The slowest requests of the last day, exactly.
//!
//! Recorders list the slowest requests of each frame of ten seconds: see [`ranks`](crate::record::ranks). Here they are
//! merged, and what can never be among the slowest of a window again is dropped: a request that enough slower ones
//! followed. All windows end now, so that loses nothing.
//!
//! Only readers come here, under a lock of their own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::events::context::{EventDetails, RequestDetails};
use crate::events::error_log::Names;
use crate::labels::endpoint::{EndpointId, EndpointName};
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceContext;

/// The length of a frame, with which each window begins.
pub(crate) const FRAME: Duration = Duration::from_secs(10);

/// How many of the slowest requests are known of each endpoint, for windows up to five minutes.
pub(crate) const OF_ENDPOINT: usize = 10;

/// How many of the slowest requests are known of the service, for windows up to a day.
pub(crate) const OF_SERVICE: usize = 50;

/// Whole frames that are kept for an endpoint and for the service.
const ENDPOINT_FRAMES: u64 = 30;
const SERVICE_FRAMES: u64 = 8_640;

/// The memory of all lists. Above it, the fastest requests go.
pub(crate) const MAX_BYTES: usize = 1_408 << 10;

/// The slowest requests of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowRequests {
    /// The slowest first.
    pub requests: Vec<SlowRequest>,
    /// When the window began, by the wall clock. For display.
    pub since: SystemTime,
    /// The length of the window, which begins with a frame of ten seconds.
    pub window: Duration,
    /// Requests since the start that were dropped to bound the memory, the fastest first. If there are any, the lists
    /// of endpoints may lack some.
    pub dropped: u64,
}

/// One of the slowest requests.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowRequest {
    /// When the request ended, by the wall clock.
    pub time: SystemTime,
    /// The endpoint of the request.
    pub endpoint: Arc<EndpointName>,
    /// How the request ended.
    pub outcome: Outcome,
    /// How long the request took.
    pub response_time: Duration,
    /// Its position in a trace, if it is known.
    pub trace: Option<TraceContext>,
    /// Further details of the request, as far as they are known.
    pub details: RequestDetails,
}

/// A request that a recorder listed.
#[derive(Debug, Clone)]
pub(crate) struct SlowEvent {
    pub(crate) time: SystemTime,
    /// The number of the frame in which it ended, since the registry was made.
    pub(crate) frame: u64,
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) nanos: u64,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) details: EventDetails,
}

impl SlowEvent {
    /// Its memory with two counts of references, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + 16 + self.details.heap_bytes()
    }

    fn resolve(&self, names: Names<'_>) -> SlowRequest {
        SlowRequest {
            time: self.time,
            endpoint: names.endpoints.name(self.endpoint),
            outcome: self.outcome,
            response_time: Duration::from_nanos(self.nanos),
            trace: self.trace,
            details: self.details.resolve(names.consumers),
        }
    }
}

/// The lists of a registry.
#[derive(Debug, Default)]
pub(crate) struct SlowLists {
    /// By an endpoint's bits.
    endpoints: BTreeMap<u64, List>,
    service: List,
    dropped: u64,
}

/// Requests of which each may be among the slowest of a window, the oldest frame first.
#[derive(Debug, Default)]
struct List(Vec<Arc<SlowEvent>>);

impl SlowLists {
    /// Adds what recorders listed, in a frame that is at most `now`. `dropped` is what they could not list.
    pub(crate) fn add(&mut self, events: Vec<SlowEvent>, dropped: u64, now: u64) {
        self.dropped += dropped;
        let is_empty = events.is_empty();
        for event in events {
            let event = Arc::new(event);
            self.service.0.push(Arc::clone(&event));
            self.endpoints.entry(event.endpoint.bits()).or_default().0.push(event);
        }
        self.service.prune(OF_SERVICE, now.saturating_sub(SERVICE_FRAMES));
        self.endpoints.retain(|_, list| {
            list.prune(OF_ENDPOINT, now.saturating_sub(ENDPOINT_FRAMES));
            !list.0.is_empty()
        });
        if !is_empty {
            self.bound();
        }
    }

    /// Drops the fastest requests of endpoints while all take too much memory.
    fn bound(&mut self) {
        let Some(mut excess) = self.bytes().checked_sub(MAX_BYTES).filter(|&excess| excess > 0) else {
            return;
        };
        let all = self.endpoints.values().flat_map(|list| &list.0);
        let mut fastest: Vec<_> = all.map(|event| (event.nanos, event.bytes())).collect();
        fastest.sort_unstable();
        let mut least = 0;
        for (nanos, bytes) in fastest {
            least = nanos;
            excess = excess.saturating_sub(bytes);
            if excess == 0 {
                break;
            }
        }
        for list in self.endpoints.values_mut() {
            let before = list.0.len();
            list.0.retain(|event| event.nanos > least);
            self.dropped += (before - list.0.len()) as u64;
        }
        self.endpoints.retain(|_, list| !list.0.is_empty());
    }

    /// The slowest requests of the frames from `first` on that ended after `since`: of the service, or of an endpoint.
    pub(crate) fn read(
        &self,
        first: u64,
        since: SystemTime,
        endpoint: Option<&EndpointName>,
        names: Names<'_>,
    ) -> Vec<SlowRequest> {
        let is_of =
            |event: &SlowEvent| endpoint.is_none_or(|name| *names.endpoints.name(event.endpoint) == *name);
        let lists = endpoint.map(|_| self.endpoints.values()).into_iter().flatten().chain([&self.service]);
        let mut found: Vec<_> = lists
            .flat_map(|list| &list.0)
            .filter(|event| event.frame >= first && event.time >= since && is_of(event))
            .collect();
        found.sort_by_key(|event| (Reverse(event.nanos), Reverse(event.time)));
        // The service's list shares events with those of endpoints.
        found.dedup_by(|a, b| Arc::ptr_eq(a, b));
        found.truncate(if endpoint.is_some() { OF_ENDPOINT } else { OF_SERVICE });
        found.into_iter().map(|event| event.resolve(names)).collect()
    }

    /// How many requests were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The memory of all lists, in bytes. Counts a request twice that is in two lists.
    pub(crate) fn bytes(&self) -> usize {
        let events = self.endpoints.values().chain([&self.service]).flat_map(|list| &list.0);
        events.map(|event| event.bytes() + size_of::<Arc<SlowEvent>>()).sum()
    }
}

impl List {
    /// Drops requests of frames before `first`, and those that `most` slower ones of the same or later frames followed.
    fn prune(&mut self, most: usize, first: u64) {
        // Stable, so that of equally slow requests of a frame the earlier one goes first.
        self.0.sort_by_key(|event| event.frame);
        let mut slowest: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut keeps = vec![false; self.0.len()];
        let mut end = self.0.len();
        while end > 0 {
            let frame = self.0[end - 1].frame;
            let begin = self.0[..end].partition_point(|event| event.frame < frame);
            for at in begin..end {
                slowest.push(Reverse((self.0[at].nanos, at)));
                if slowest.len() > most {
                    slowest.pop();
                }
            }
            let least = slowest.peek().map_or((0, 0), |&Reverse(least)| least);
            for (at, keep) in keeps[..end].iter_mut().enumerate().skip(begin) {
                *keep = frame >= first && (self.0[at].nanos, at) >= least;
            }
            end = begin;
        }
        let mut keeps = keeps.into_iter();
        self.0.retain(|_| keeps.next().unwrap_or(false));
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels::endpoint::Endpoints;

    fn event(endpoint: EndpointId, frame: u64, nanos: u64) -> SlowEvent {
        let time = SystemTime::UNIX_EPOCH + FRAME * frame as u32;
        let (outcome, details) = (Outcome::Status(200), EventDetails::default());
        SlowEvent { time, frame, endpoint, outcome, nanos, trace: None, details }
    }

    proptest! {
        #[test]
        fn what_is_kept_has_the_slowest_of_each_window_that_ends_now(
            frames in proptest::collection::vec(proptest::collection::vec(0_u64..200, 0..40), 1..40),
            most in 1_usize..12,
        ) {
            let endpoint = Endpoints::new(1, 8).intern("GET", "/");
            let (mut list, mut all) = (List::default(), Vec::new());
            for (frame, durations) in frames.iter().enumerate() {
                for &nanos in durations {
                    list.0.push(Arc::new(event(endpoint, frame as u64, nanos)));
                    all.push((frame as u64, nanos));
                }
                list.prune(most, 0);
                for first in 0..=frame as u64 {
                    let slowest = |mut nanos: Vec<u64>| {
                        nanos.sort_unstable_by(|a, b| b.cmp(a));
                        nanos.truncate(most);
                        nanos
                    };
                    let kept = list.0.iter().filter(|event| event.frame >= first).map(|event| event.nanos);
                    let exact = all.iter().filter(|(frame, _)| *frame >= first).map(|&(_, nanos)| nanos);
                    prop_assert_eq!(slowest(kept.collect()), slowest(exact.collect()));
                }
                let bound = most * (frame + 1);
                prop_assert!(list.0.len() <= bound);
            }
        }
    }

    #[test]
    fn requests_of_a_day_ago_are_gone_and_those_of_an_endpoint_after_five_minutes() {
        let endpoint = Endpoints::new(1, 8).intern("GET", "/");
        let mut lists = SlowLists::default();
        let lengths = |lists: &SlowLists| {
            let of_endpoints = lists.endpoints.values().map(|list| list.0.len()).sum::<usize>();
            (of_endpoints, lists.service.0.len())
        };
        lists.add(vec![event(endpoint, 5, 7)], 0, 5);
        assert_eq!(lengths(&lists), (1, 1));
        lists.add(Vec::new(), 0, 5 + ENDPOINT_FRAMES);
        assert_eq!(lengths(&lists), (1, 1));
        lists.add(Vec::new(), 0, 6 + ENDPOINT_FRAMES);
        assert_eq!(lengths(&lists), (0, 1));
        lists.add(Vec::new(), 0, 6 + SERVICE_FRAMES);
        assert_eq!(lengths(&lists), (0, 0));
    }
}
