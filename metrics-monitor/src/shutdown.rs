//! The end of a monitor: what it sends last, in which order, and what was left.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use metrics_export::alert::DeliveryCounts;

use crate::state::State;

/// How often the end looks whether something has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was not sent when a monitor ended; empty if all went well.
///
/// Its `Display` is one line, for a log or for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Unsent {
    /// Requests that were still in progress. They are measured, and counted by whoever reads later.
    pub requests: u64,
    /// Whether an answer of the monitor's own endpoints was still being computed.
    pub is_answering: bool,
    /// What was lost, per destination.
    pub losses: Vec<Loss>,
    /// Alert notices that their destinations did not accept in the last attempt.
    pub notices: Vec<Loss>,
}

/// What a destination did not receive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The name of the exporter or of the destination of alerts, or `fleet`.
    pub destination: String,
    /// What was lost, such as `2 windows with 120 requests`.
    pub what: String,
    /// Why the last attempt failed, if one did.
    pub reason: Option<String>,
}

impl Unsent {
    /// Returns whether everything was sent.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether everything was sent in time. Notices that their destinations refused do not count.
    pub(crate) fn is_in_time(&self) -> bool {
        self.requests == 0 && !self.is_answering && self.losses.is_empty()
    }

    /// Nothing was sent, for this reason.
    pub(crate) fn unknown(reason: &str) -> Self {
        let (destination, what) = ("any destination".to_owned(), "the last windows".to_owned());
        let loss = Loss { destination, what, reason: Some(reason.to_owned()) };
        Self { losses: vec![loss], ..Self::default() }
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("everything was sent");
        }
        let mut parts: Vec<_> = self.losses.iter().chain(&self.notices).map(ToString::to_string).collect();
        if self.requests > 0 {
            parts.push(format!("{} still in progress", counted(self.requests, "request")));
        }
        if self.is_answering {
            parts.push("the monitor was still computing an answer".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destination, what, reason } = self;
        write!(f, "{what} not sent to {destination}")?;
        reason.iter().try_for_each(|reason| write!(f, " ({reason})"))
    }
}

/// A number of things, such as `1 window` or `2 windows`.
fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Sends everything, in the order of [`Monitor::shutdown`](crate::Monitor::shutdown). Returns what was left at the
/// timeout.
pub(crate) fn wind_down(state: &State, begun: Instant, timeout: Duration) -> Unsent {
    let left = || timeout.saturating_sub(begun.elapsed());
    let has_answered = state.lanes.wait_until_idle(left());
    wait(|| state.registry.in_flight() == 0, left() / 2);
    let requests = state.registry.in_flight();
    state.ticker.stop();
    let notices = state.alerting.delivery();
    state.alerting.stop();
    #[cfg(feature = "redis")]
    let last_report = state.fleet.as_ref().map(|fleet| (fleet, fleet.write_last()));
    let last_write = state.history_writer.as_ref().map(|writer| (writer, writer.write_last()));
    let mut losses = export(state, left());
    #[cfg(feature = "redis")]
    if let Some((fleet, report)) = last_report {
        let has_tried = wait(|| fleet.has_tried(report), left());
        let failing = fleet.status().failing;
        if !has_tried || failing.is_some() {
            let what = "the last report".to_owned();
            losses.push(Loss { destination: "fleet".to_owned(), what, reason: failing.map(|(_, why)| why) });
        }
    }
    let has_sent = wait(|| state.alerting.is_finished(), left());
    #[cfg(feature = "redis")]
    if let Some(alerts) = &state.fleet_alerts {
        // Only now: the deliveries ask it.
        alerts.stop();
        // If it is late, the lease ends by itself.
        wait(|| alerts.is_finished(), left());
    }
    if !has_sent {
        losses.push(Loss {
            destination: "alerts".to_owned(),
            what: "the last notices".to_owned(),
            reason: Some("their threads did not end in time".to_owned()),
        });
    }
    if let Some((writer, write)) = last_write
        && let Err(why) = write.wait(left())
    {
        losses.push(Loss {
            destination: writer.destination.to_owned(),
            what: "what was counted since it was last written".to_owned(),
            reason: Some(why),
        });
    }
    let notices = lost_notices(&notices, state.alerting.delivery());
    Unsent { requests, is_answering: !has_answered, losses, notices }
}

/// Sends the last windows of the exporters.
fn export(state: &State, timeout: Duration) -> Vec<Loss> {
    let before = state.exporting.counts();
    if state.exporting.shutdown(timeout) {
        return Vec::new();
    }
    let after = state.exporting.counts();
    let mut losses = Vec::new();
    for (before, after) in before.iter().zip(after) {
        let windows = after.windows_dropped - before.windows_dropped;
        if windows > 0 {
            let calls = after.calls_dropped - before.calls_dropped;
            let what = format!("{} with {}", counted(windows, "window"), counted(calls, "request"));
            losses.push(Loss { destination: after.exporter, what, reason: after.last_error });
        }
    }
    if losses.is_empty() {
        losses.push(Loss {
            destination: "exporters".to_owned(),
            what: "the last windows".to_owned(),
            reason: Some("they did not end in time".to_owned()),
        });
    }
    losses
}

/// The notices that were given up since `before`.
fn lost_notices(before: &[DeliveryCounts], after: Vec<DeliveryCounts>) -> Vec<Loss> {
    let lost = |counts: &DeliveryCounts| counts.dropped + counts.failed;
    let of = |(before, after): (&DeliveryCounts, DeliveryCounts)| {
        let notices = lost(&after) - lost(before);
        (notices > 0).then(|| Loss {
            destination: after.destination.to_owned(),
            what: format!("{} of alerts", counted(notices, "notice")),
            reason: after.last_error,
        })
    };
    before.iter().zip(after).filter_map(of).collect()
}

/// Waits until something holds. Whether it did in time.
fn wait(until: impl Fn() -> bool, timeout: Duration) -> bool {
    let begun = Instant::now();
    while !until() {
        let Some(left) = timeout.checked_sub(begun.elapsed()) else { return false };
        thread::sleep(left.min(LOOK_EVERY));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_told_in_one_line() {
        assert_eq!(Unsent::default().to_string(), "everything was sent");
        let loss = Loss {
            destination: "otlp".to_owned(),
            what: "2 windows with 120 requests".to_owned(),
            reason: Some("connection refused".to_owned()),
        };
        let unsent = Unsent { requests: 3, is_answering: true, losses: vec![loss], ..Unsent::default() };
        assert!(!unsent.is_empty());
        assert_eq!(
            unsent.to_string(),
            "2 windows with 120 requests not sent to otlp (connection refused); 3 requests still in progress; \
             the monitor was still computing an answer"
        );
    }
}
