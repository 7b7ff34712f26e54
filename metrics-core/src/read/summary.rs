//! Summaries: the figures that people read, computed from the window between two snapshots.

pub(crate) mod figures;
pub(crate) mod metrics;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use self::figures::Figures;
use self::metrics::{MetricSummary, summarise_metrics};
use crate::events::error_log::RecentError;
use crate::labels::endpoint::EndpointName;
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::endpoint::EndpointSnapshot;
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::snapshot::health::Health;

/// The figures of one window: of all requests, of each endpoint, of the application's own metrics; and the recent
/// errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The figures of all requests.
    pub total: Figures,
    /// The figures of each endpoint with counts in the window or with requests in flight, those with the most calls
    /// first.
    pub endpoints: Vec<EndpointSummary>,
    /// The latest errors, newest first: as many as the error log holds.
    pub recent_errors: Vec<RecentError>,
    /// The application's own metrics, by name.
    pub business: Vec<MetricSummary>,
    /// Requests in flight now.
    pub in_flight: u64,
    /// Responses still open now, such as server-sent events and WebSockets.
    pub open_streams: u64,
    /// When the window began, by the wall clock. For display.
    pub since: SystemTime,
    /// The length of the window, by the monotonic clock.
    pub window: Duration,
    /// How full the registry's tables are, and what did not fit.
    pub health: Health,
}

/// One endpoint's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointSummary {
    /// The endpoint's name.
    pub name: Arc<EndpointName>,
    /// Its figures.
    pub figures: Figures,
    /// Requests in flight at the endpoint now. Only known if the service calls
    /// [`Recorder::enter`](crate::Recorder::enter).
    pub in_flight: u64,
}

impl EndpointSummary {
    /// Sorts by calls, most first, and then by name.
    pub(crate) fn sort(endpoints: &mut [Self]) {
        endpoints.sort_by(|a, b| {
            let by_name = || (&a.name.route, &a.name.method).cmp(&(&b.name.route, &b.name.method));
            b.figures.calls.cmp(&a.figures.calls).then_with(by_name)
        });
    }
}

impl Summary {
    /// Returns the calls per second in the window; 0 for a window of no length.
    pub fn requests_per_second(&self) -> f64 {
        if self.window.is_zero() { 0.0 } else { self.total.calls as f64 / self.window.as_secs_f64() }
    }
}

impl Snapshot {
    /// Like [`Snapshot::summary`], without 4xx of endpoints that [catch all](crate::EndpointName::catches_all) paths.
    /// If such 4xx share histograms with other statuses, the durations leave out both.
    pub fn summary_of_matched(&self) -> Summary {
        let is_probe = |endpoint: &EndpointSnapshot, group: &GroupSnapshot| {
            endpoint.name.catches_all() && group.counts.iter().any(|(outcome, _)| outcome.is_client_error())
        };
        let figures = |endpoints: &[&EndpointSnapshot]| {
            let groups = || endpoints.iter().flat_map(|each| each.groups().map(move |group| (*each, group)));
            let timed: Vec<_> =
                groups().filter(|(each, group)| !is_probe(each, group)).map(|(_, group)| group).collect();
            let mut figures = Figures::of(timed.iter().copied());
            let probes = groups().filter(|(each, group)| is_probe(each, group));
            let counts = probes.flat_map(|(_, group)| group.counts.iter().copied());
            figures.add_counts(counts.filter(|(outcome, _)| !outcome.is_client_error()));
            figures
        };
        let all: Vec<_> = self.endpoints().collect();
        let mut summary = self.summary();
        summary.total = figures(&all);
        for endpoint in all.iter().filter(|endpoint| endpoint.name.catches_all()) {
            let of = summary.endpoints.iter_mut().find(|known| known.name == endpoint.name);
            of.into_iter().for_each(|known| known.figures = figures(&[*endpoint]));
        }
        EndpointSummary::sort(&mut summary.endpoints);
        summary
    }

    /// Returns the figures of this span, without recent errors, which a snapshot does not hold.
    pub fn summary(&self) -> Summary {
        let mut endpoints: Vec<_> = self
            .endpoints()
            .map(|endpoint| EndpointSummary {
                name: Arc::clone(&endpoint.name),
                figures: Figures::of(endpoint.groups.iter()),
                in_flight: endpoint.in_flight,
            })
            .collect();
        EndpointSummary::sort(&mut endpoints);
        let groups = self.endpoints().flat_map(EndpointSnapshot::groups);
        Summary {
            total: Figures::of(groups),
            endpoints,
            business: summarise_metrics(&self.metrics),
            recent_errors: Vec::new(),
            in_flight: self.in_flight,
            open_streams: self.open_streams,
            since: self.since,
            window: self.span,
            health: self.health,
        }
    }
}
