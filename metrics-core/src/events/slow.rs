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

/// The frame that is under way after this time since the registry was made.
pub(crate) fn frame_at(uptime: Duration) -> u64 {
    (uptime.as_nanos() / FRAME.as_nanos()) as u64
}

/// The first frame of a window of at least this length that ends now.
pub(crate) fn first_frame(uptime: Duration, window: Duration) -> u64 {
    frame_at(uptime).saturating_sub(window.as_secs().div_ceil(FRAME.as_secs()))
}

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
    /// Its memory with two counts of references and a list's pointer to it, in bytes.
    fn bytes_in_list(&self) -> usize {
        size_of::<Self>() + 16 + self.details.heap_bytes() + size_of::<Arc<Self>>()
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
        let mut fastest: Vec<_> = all.map(|event| (event.nanos, event.bytes_in_list())).collect();
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
        events.map(|event| event.bytes_in_list()).sum()
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
    use crate::labels::consumer::Consumers;
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

    const ROUTES: [&str; 4] = ["/a", "/b", "/c", "/d"];

    proptest! {
        /// The lists beside one plain list of all requests.
        #[test]
        fn what_is_read_is_what_a_sorted_list_of_all_requests_has(
            frames in proptest::collection::vec(proptest::collection::vec((0..3_usize, 0_u64..60), 0..60), 1..25),
            (first, since) in (0_u64..25, 0_u64..25),
        ) {
            let (endpoints, consumers) = (Endpoints::new(8, 8), Consumers::new(1, 1));
            let ids = ROUTES.map(|route| endpoints.intern("GET", route));
            let names = Names { endpoints: &endpoints, consumers: &consumers };
            let (mut lists, mut all) = (SlowLists::default(), Vec::new());
            for (frame, requests) in frames.iter().enumerate() {
                let ended = requests.iter().zip(0_u32..).map(|(&(route, nanos), i)| {
                    let event = event(ids[route], frame as u64, nanos);
                    SlowEvent { time: event.time + Duration::from_millis(i.into()), ..event }
                });
                let ended: Vec<_> = ended.collect();
                all.extend(ended.iter().map(|event| (event.frame, event.endpoint, event.nanos, event.time)));
                lists.add(ended, 0, frame as u64);
            }
            let since_time = SystemTime::UNIX_EPOCH + FRAME * since as u32;
            for asked in [None, Some(0), Some(1), Some(2), Some(3)] {
                let most = if asked.is_some() { OF_ENDPOINT } else { OF_SERVICE };
                let in_window = all.iter().filter(|&&(frame, of, ..)| {
                    frame >= first.max(since) && asked.is_none_or(|asked| ids[asked] == of)
                });
                let mut exact: Vec<_> = in_window.map(|&(_, of, nanos, time)| (nanos, time, of)).collect();
                exact.sort_by_key(|&(nanos, time, _)| Reverse((nanos, time)));
                exact.truncate(most);
                let name = asked.map(|asked| endpoints.name(ids[asked]));
                let read = lists.read(first, since_time, name.as_deref(), names);
                let id = |request: &SlowRequest| endpoints.get("GET", &request.endpoint.route).unwrap();
                let nanos = |request: &SlowRequest| request.response_time.as_nanos() as u64;
                let read: Vec<_> = read.iter().map(|of| (nanos(of), of.time, id(of))).collect();
                prop_assert_eq!(read, exact, "{:?}", asked);
            }
            prop_assert_eq!(lists.dropped(), 0);
        }
    }

    /// Lists that are exactly as large as they may be, and then one request larger.
    #[test]
    fn at_the_limit_nothing_is_dropped_and_above_it_exactly_the_fastest_of_endpoints() {
        let endpoints = Endpoints::new(1_024, 8);
        let mut of_row: Vec<_> = (0..1_000).map(|i| endpoints.intern("GET", &format!("/{i}"))).collect();
        let (quiet, alone) = (of_row.pop().unwrap(), of_row.pop().unwrap());
        let size = event(quiet, 0, 0).bytes_in_list();
        // The slowest fifty are in the list of the service, too.
        let count = (MAX_BYTES - 20 * 17) / size - OF_SERVICE;
        let mut rest = MAX_BYTES - (count + OF_SERVICE) * size;
        // From the fastest to the slowest, whatever the endpoint; the first ones have a path that fills what is left.
        let mut events: Vec<_> =
            (0..count).map(|i| event(of_row[i % of_row.len()], 0, 1_000 + i as u64)).collect();
        events[0].endpoint = alone;
        for (event, left) in events.iter_mut().zip((1..=20).rev()) {
            let path = (rest / left).saturating_sub(16);
            event.details.path = Some("p".repeat(path).into());
            rest -= path + 16;
        }
        let mut lists = SlowLists::default();
        lists.add(events.clone(), 0, 0);
        assert_eq!((rest, lists.bytes(), lists.dropped()), (0, MAX_BYTES, 0));
        let kept = |lists: &SlowLists| -> usize { lists.endpoints.values().map(|list| list.0.len()).sum() };
        assert_eq!(kept(&lists), count);
        // As large as the others, and faster than the fifty slowest.
        lists.add(vec![event(quiet, 0, 1_500)], 3, 0);
        assert_eq!((lists.dropped(), kept(&lists)), (3 + 1, count));
        assert!(lists.bytes() <= MAX_BYTES);
        assert!(!lists.endpoints.contains_key(&alone.bits()), "the fastest request was its only one");
        let fastest = lists.endpoints.values().flat_map(|list| &list.0).map(|event| event.nanos).min();
        assert_eq!((fastest, lists.service.0.len()), (Some(1_001), OF_SERVICE));
    }

    #[test]
    fn a_window_is_as_long_as_it_is_asked_for_and_less_than_a_frame_longer() {
        let seconds = Duration::from_secs;
        for uptime in [0, 1, 9, 10, 59, 60, 61, 299, 300, 301, 3_605, 90_000].map(seconds) {
            for window in [seconds(60), seconds(300), seconds(3_600), seconds(86_400)] {
                let length = uptime - FRAME * first_frame(uptime, window) as u32;
                let least = window.min(uptime);
                assert!((least..least + FRAME).contains(&length), "{length:?} of {window:?} at {uptime:?}");
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
