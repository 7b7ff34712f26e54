//! The bodies of `GET fleet/...`: as for one instance, with the state of the fleet.

use std::time::SystemTime;

use metrics_core::{Point, SnapshotParts, Summary, Trend, Window};
use serde::Serialize;

use super::consumers::ConsumersBody;
use super::figures::{CoreFigures, DetailedFigures, per_second};
use super::history::HistoryBody;
use super::time::Time;
use crate::fleet::redis::{Answer, Stale, WriterStatus};
use crate::fleet::{InstanceFigures, Presence, RefusedReport, VersionFigures};

/// The body of `GET fleet/summary` and `GET fleet/routes`: the same as for one instance, with the state of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetBody<T> {
    #[serde(flatten)]
    body: T,
    #[serde(flatten)]
    state: FleetState,
}

impl<T> FleetBody<T> {
    /// Adds the state to a body.
    pub fn new(body: T, state: FleetState) -> Self {
        Self { body, state }
    }
}

impl ConsumersBody {
    /// Lists the `top` consumers of a fleet; `None` without reports.
    pub fn of_fleet(answer: &Answer, top: usize) -> Option<Self> {
        let SnapshotParts { consumers, health, since, taken, .. } = answer.fleet.without_endpoints()?;
        let span = taken.duration_since(since).unwrap_or_default();
        Some(Self::of(&consumers, health.consumers_refused, since, span, top))
    }
}

impl HistoryBody {
    /// Creates the body from the minutes of a fleet's trend.
    pub fn of_fleet(Answer { fleet, summary, trend, .. }: &Answer, window: Option<Window>) -> Self {
        let (Some(last), Some(summary), Some(snapshot)) = (trend.last(), summary, fleet.snapshot()) else {
            return Self::empty(window);
        };
        let total = Point {
            time: last.time,
            span: trend.iter().map(|point| point.span).sum(),
            figures: summary.total.clone(),
            histogram: snapshot.histogram(),
            all_calls: summary.total.calls,
        };
        let trend = Trend { window, step: "1m", points: trend.clone(), total, timed: true };
        Self::new(&trend, &[], &[])
    }
}

/// Which instances the figures cover, and what is missing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FleetState {
    /// Whether Redis does not answer, so that the figures are those of this instance only.
    stale: bool,
    stale_since: Option<Time>,
    stale_reason: Option<String>,
    /// The number of reports in the figures: one for each instance, or one for each instance and minute.
    reports: usize,
    /// The number of reports that were invalid and left out.
    skipped: u64,
    /// The first reports that were left out.
    skipped_first: Vec<RefusedBody>,
    /// When the epoch began, in milliseconds since 1970; 0 if the fleet was never reset.
    epoch: u64,
    /// When Redis was read.
    read: Time,
    /// The number of bytes read.
    read_bytes: usize,
    /// How long reading took.
    read_seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RefusedBody {
    source: String,
    reason: String,
}

impl FleetState {
    /// Creates the state for an answer of Redis.
    pub fn found(answer: &Answer) -> Self {
        let (refused, skipped) = answer.fleet.refused();
        let body = |RefusedReport { source, reason }: &RefusedReport| RefusedBody {
            source: source.clone(),
            reason: reason.clone(),
        };
        Self {
            stale: false,
            stale_since: None,
            stale_reason: None,
            reports: answer.fleet.instances().len(),
            skipped,
            skipped_first: refused.iter().map(body).collect(),
            epoch: answer.epoch,
            read: Time(answer.read),
            read_bytes: answer.bytes,
            read_seconds: answer.took.as_secs_f64(),
        }
    }

    /// Creates the state for a Redis that did not answer, so that the figures are those of this instance only.
    pub fn stale(stale: &Stale, status: &WriterStatus) -> Self {
        Self {
            stale: true,
            stale_since: Some(Time(stale.since)),
            stale_reason: Some(stale.reason.clone()),
            reports: 0,
            skipped: 0,
            skipped_first: Vec::new(),
            epoch: status.epoch,
            read: Time(SystemTime::now()),
            read_bytes: 0,
            read_seconds: 0.0,
        }
    }
}

/// The body of `GET fleet/instances`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstancesBody {
    instances: Vec<InstanceBody>,
    up: usize,
    /// Own metrics whose kind differs between instances, a sentence each.
    notes: Vec<String>,
    /// How the answering instance writes its own reports.
    writer: WriterBody,
}

impl InstancesBody {
    /// Lists the instances of the epoch, those with the latest report first.
    pub fn new(answer: Option<&Answer>, status: &WriterStatus) -> Self {
        let differences = answer.map(|answer| answer.fleet.differences());
        let of = |figures: &InstanceFigures| {
            let notes = differences.as_ref().map(|differences| differences.of(figures));
            InstanceBody::new(figures, notes.unwrap_or_default())
        };
        let mut instances: Vec<_> =
            answer.into_iter().flat_map(|answer| answer.fleet.instances()).map(of).collect();
        instances.sort_by(|a, b| b.last_seen.0.cmp(&a.last_seen.0).then_with(|| a.name.cmp(&b.name)));
        let up = instances.iter().filter(|instance| instance.state == Presence::Up.name()).count();
        let notes = differences.map(|differences| differences.metrics().to_vec()).unwrap_or_default();
        Self { instances, up, notes, writer: WriterBody::from(status) }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct InstanceBody {
    name: String,
    version: String,
    /// `up`, `stale` or `gone`.
    state: &'static str,
    started: Time,
    last_seen: Time,
    total_calls: u64,
    total_errors: u64,
    p95_response_time: f64,
    report_bytes: usize,
    /// How it differs from the sum or from most instances, a sentence each.
    notes: Vec<String>,
}

impl InstanceBody {
    fn new(figures: &InstanceFigures, notes: Vec<String>) -> Self {
        Self {
            name: figures.instance.name.clone(),
            version: figures.instance.version.clone(),
            state: figures.presence.name(),
            started: Time(figures.instance.started),
            last_seen: Time(figures.instance.written),
            total_calls: figures.calls,
            total_errors: figures.errors,
            p95_response_time: figures.p95.as_secs_f64(),
            report_bytes: figures.bytes,
            notes,
        }
    }
}

/// The body of `GET fleet/versions`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionsBody {
    /// The newest version first.
    versions: Vec<VersionBody>,
}

impl VersionsBody {
    /// Lists versions, the newest first.
    pub fn new(versions: &[VersionFigures]) -> Self {
        Self { versions: versions.iter().map(VersionBody::from).collect() }
    }

    /// Lists only the version of the answering instance, with its own figures.
    pub fn own(version: &str, summary: &Summary) -> Self {
        Self::new(&[VersionFigures {
            version: version.to_owned(),
            first_started: summary.since,
            instances: 1,
            up: 1,
            window: summary.window,
            figures: summary.total.clone(),
        }])
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct VersionBody {
    version: String,
    /// When its first instance started that is still in the figures.
    first_started: Time,
    instances: usize,
    up: usize,
    #[serde(flatten)]
    first: CoreFigures,
    #[serde(flatten)]
    more: DetailedFigures,
    requests_per_second: f64,
}

impl From<&VersionFigures> for VersionBody {
    fn from(version: &VersionFigures) -> Self {
        let VersionFigures { figures, .. } = version;
        Self {
            version: version.version.clone(),
            first_started: Time(version.first_started),
            instances: version.instances,
            up: version.up,
            first: CoreFigures::from(figures),
            more: DetailedFigures::from(figures),
            requests_per_second: per_second(figures.calls, version.window),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WriterBody {
    writes: u64,
    failures: u64,
    bytes: u64,
    report_bytes: u64,
    last_success: Option<Time>,
    last_latency: f64,
    failing_since: Option<Time>,
    last_error: Option<String>,
    epoch: u64,
}

impl From<&WriterStatus> for WriterBody {
    fn from(status: &WriterStatus) -> Self {
        Self {
            writes: status.writes,
            failures: status.failures,
            bytes: status.bytes,
            report_bytes: status.last_report_bytes,
            last_success: status.last_success.map(Time),
            last_latency: status.last_latency.as_secs_f64(),
            failing_since: status.failing.as_ref().map(|(since, _)| Time(*since)),
            last_error: status.failing.as_ref().map(|(_, reason)| reason.clone()),
            epoch: status.epoch,
        }
    }
}
