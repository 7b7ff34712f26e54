//! What alert rules read: figures at the last tick, errors in a row, and traces of examples.

use std::time::Duration;

use super::timeline::Requested;
use super::{History, Window, summarised};
use crate::events::error_log::RecentError;
use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceId;
use crate::read::summary::Summary;

/// About how often [`History::tick`] is called.
const TICK: Duration = Duration::from_secs(1);

impl History {
    /// The figures of all requests in a window that ends with the last tick, without the application's own metrics and
    /// recent errors. Reads nothing again that the tick has read.
    pub(crate) fn at_last_tick(&self, window: Window) -> Summary {
        self.total_at_last_tick(window, Requested::All)
    }

    /// Like [`History::at_last_tick`], without 4xx of endpoints that catch all paths.
    pub(crate) fn matched_at_last_tick(&self, window: Window) -> Summary {
        self.total_at_last_tick(window, Requested::Matched)
    }

    fn total_at_last_tick(&self, window: Window, which: Requested) -> Summary {
        let timeline = self.timeline();
        let now = &timeline.total_until;
        summarised(&now.snapshot, timeline.total(now, timeline.length_of(window), which))
    }

    /// The figures of each endpoint in a window that ends now, without the application's own metrics and recent errors.
    pub(crate) fn by_endpoint(&self, window: Window) -> Summary {
        self.by_endpoint_of(window, Requested::All)
    }

    /// Like [`History::by_endpoint`], without 4xx of endpoints that catch all paths. The total has them.
    pub(crate) fn matched_by_endpoint(&self, window: Window) -> Summary {
        self.by_endpoint_of(window, Requested::Matched)
    }

    fn by_endpoint_of(&self, window: Window, which: Requested) -> Summary {
        let (now, timeline) = self.endpoints_now();
        summarised(&now, timeline.endpoints(&now, timeline.length_of(window), which))
    }

    /// The most errors in a row at any moment of the last `recent` of a window, which a success may have ended since. A
    /// streak that both began and ended between two ticks counts as at most 64.
    pub(crate) fn most_consecutive_errors(&self, window: Window, recent: Duration) -> u64 {
        let timeline = self.timeline();
        let length = timeline.length_of(window);
        // A frame counts if at least half of it is in the window; each has to count at least once.
        let recent = (recent + TICK).min(length);
        timeline.consecutive_errors(length).max(timeline.longest_streak(recent))
    }

    /// The trace of the latest error of a window that is asked for, if one is known: of those in the log, or else of
    /// the examples of groups, which a storm of other errors does not push out.
    pub(crate) fn trace_of_error(
        &self,
        window: Window,
        is_asked: impl Fn(&EndpointName, Outcome) -> bool,
    ) -> Option<TraceId> {
        let latest = |errors: &mut dyn Iterator<Item = RecentError>| {
            let asked = errors.filter(|error| is_asked(&error.endpoint, error.outcome));
            let traced = asked.filter_map(|error| Some((error.time, error.trace?.trace)));
            traced.max_by_key(|&(time, _)| time).map(|(_, trace)| trace)
        };
        let groups = || self.error_groups(window).groups.into_iter().flat_map(|group| group.examples);
        latest(&mut self.registry.recent_errors().into_iter()).or_else(|| latest(&mut groups()))
    }

    /// The trace of the slowest request of a window that is asked for, if one is known.
    pub(crate) fn trace_of_slow(
        &self,
        window: Window,
        endpoint: Option<&EndpointName>,
        is_asked: impl Fn(&EndpointName, Outcome) -> bool,
    ) -> Option<TraceId> {
        let mut slowest = self.slow_requests(window, endpoint).requests.into_iter();
        slowest.find_map(|request| {
            request.trace.filter(|_| is_asked(&request.endpoint, request.outcome)).map(|trace| trace.trace)
        })
    }
}
