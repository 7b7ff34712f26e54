//! Reports that are added up minute by minute.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use metrics_core::Point;

use super::keys::MINUTE;
use crate::fleet::merge::Fleet;

/// The sum of all reports, or one of each minute.
#[derive(Debug)]
pub(super) struct Sums {
    /// The sum, and what was refused.
    pub(super) whole: Fleet,
    by_minute: Option<BTreeMap<u64, Fleet>>,
}

impl Sums {
    pub(super) fn whole(fleet: Fleet) -> Self {
        Self { whole: fleet, by_minute: None }
    }

    pub(super) fn by_minute(fleet: Fleet) -> Self {
        Self { whole: fleet, by_minute: Some(BTreeMap::new()) }
    }

    /// The sum that a report of a minute, or since the epoch began, belongs to.
    pub(super) fn of(&mut self, minute: Option<u64>) -> &mut Fleet {
        match (&mut self.by_minute, minute) {
            (Some(minutes), Some(minute)) => {
                let now = self.whole.now();
                minutes.entry(minute).or_insert_with(|| Fleet::new(now))
            }
            _ => &mut self.whole,
        }
    }

    /// The sum of all, and the figures of each minute, the earliest first.
    pub(super) fn finish(mut self) -> (Fleet, Vec<Point>) {
        let now = self.whole.now();
        let mut points = Vec::new();
        for (minute, sum) in self.by_minute.into_iter().flatten() {
            points.extend(point(&sum, minute, now));
            self.whole.merge(&format!("the minute {minute}"), &sum);
        }
        (self.whole, points)
    }
}

/// The figures of a minute; `None` without reports.
fn point(sum: &Fleet, minute: u64, now: SystemTime) -> Option<Point> {
    let snapshot = sum.snapshot()?;
    let begin = SystemTime::UNIX_EPOCH + MINUTE * u32::try_from(minute).ok()?;
    // The last minute is not over.
    let span = now.duration_since(begin).unwrap_or(Duration::ZERO).min(MINUTE);
    let figures = snapshot.summary().total;
    let all_calls = figures.calls;
    Some(Point { time: begin + span, span, figures, histogram: snapshot.histogram(), all_calls })
}
