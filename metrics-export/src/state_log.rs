//! The log lines about a destination: it fails, works again, or lost something.

use std::time::{Duration, Instant};

use log::Level;

/// The shortest time between two lines of a kind about one destination.
const GAP: Duration = Duration::from_secs(60);

/// Decides which lines about one destination are logged: each change between failing and working, and losses, at most one
/// of a kind a minute.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct StateLog {
    target: &'static str,
    /// As lines begin, such as `otlp`.
    name: String,
    /// Failed attempts since the last success.
    failures: u64,
    /// Whether the log says that it fails.
    is_told: bool,
    /// Times that it began to fail since the last line that says so.
    untold: u64,
    next_failure: Option<Instant>,
    next_loss: Option<Instant>,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    target: &'static str,
    level: Level,
    text: String,
}

impl Line {
    /// Logs it. Called without a lock, since the application's logger may block.
    pub(crate) fn log(self) {
        log::log!(target: self.target, self.level, "{}", self.text);
    }
}

impl StateLog {
    pub(crate) fn new(target: &'static str, name: impl Into<String>) -> Self {
        Self {
            target,
            name: name.into(),
            failures: 0,
            is_told: false,
            untold: 0,
            next_failure: None,
            next_loss: None,
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&mut self, reason: &str, now: Instant) -> Option<Line> {
        self.failures = self.failures.saturating_add(1);
        if self.is_told {
            return None;
        }
        if self.failures == 1 {
            self.untold += 1;
        }
        if !is_due(&mut self.next_failure, now) {
            return None;
        }
        self.is_told = true;
        let before = match std::mem::take(&mut self.untold) {
            0 | 1 => String::new(),
            2 => "; it failed once more since the last such line".to_owned(),
            times => format!("; it failed {} more times since the last such line", times - 1),
        };
        Some(self.line(Level::Warn, &format!("fails: {reason}{before}")))
    }

    /// An attempt succeeded.
    pub(crate) fn worked(&mut self) -> Option<Line> {
        let failures = std::mem::take(&mut self.failures);
        if !std::mem::take(&mut self.is_told) {
            return None;
        }
        let attempts = if failures == 1 { "attempt" } else { "attempts" };
        Some(self.line(Level::Info, &format!("works again, after {failures} failed {attempts}")))
    }

    /// Something was lost for good. Returns a line if one is due, or if it is the last. Otherwise the next call must name
    /// it again.
    pub(crate) fn lost(&mut self, what: &str, is_last: bool, now: Instant) -> Option<Line> {
        let is_due = is_due(&mut self.next_loss, now) || is_last;
        is_due.then(|| self.line(Level::Warn, &format!("lost {what}")))
    }

    fn line(&self, level: Level, text: &str) -> Line {
        Line { target: self.target, level, text: format!("{} {text}", self.name) }
    }
}

/// Whether a line may be logged now. If so, the next one may be logged after the gap.
fn is_due(next: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = next.is_none_or(|next| next <= now);
    if is_due {
        *next = Some(now + GAP);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "metrics_export::push";

    fn text(line: Option<Line>) -> Option<(Level, String)> {
        line.map(|line| (line.level, line.text))
    }

    #[test]
    fn each_change_between_failing_and_working_is_one_line() {
        let (mut log, now) = (StateLog::new(NAME, "otlp"), Instant::now());
        assert_eq!(text(log.worked()), None);
        assert_eq!(
            text(log.failed("a refused", now)),
            Some((Level::Warn, "otlp fails: a refused".to_owned()))
        );
        assert_eq!([text(log.failed("a refused", now)), text(log.failed("b", now + GAP))], [None, None]);
        assert_eq!(
            text(log.worked()),
            Some((Level::Info, "otlp works again, after 3 failed attempts".to_owned()))
        );
        assert_eq!(text(log.worked()), None);
    }

    #[test]
    fn a_destination_that_comes_and_goes_has_a_line_a_minute() {
        let (mut log, now) = (StateLog::new(NAME, "otlp"), Instant::now());
        let mut lines = Vec::new();
        for second in 0..120 {
            lines.extend(log.failed("no", now + Duration::from_secs(second)));
            lines.extend(log.worked());
        }
        let texts: Vec<_> = lines.iter().map(|line| &*line.text).collect();
        let again = "otlp works again, after 1 failed attempt";
        let more = "otlp fails: no; it failed 59 more times since the last such line";
        assert_eq!(texts, ["otlp fails: no", again, more, again]);
    }

    #[test]
    fn a_destination_that_fails_again_within_the_minute_and_stays_so_is_told_after_it() {
        let (mut log, now) = (StateLog::new(NAME, "otlp"), Instant::now());
        assert!(log.failed("no", now).is_some() && log.worked().is_some());
        let lines: Vec<_> =
            (10..300).filter_map(|at| log.failed("no", now + Duration::from_secs(at))).collect();
        assert_eq!(lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["otlp fails: no"]);
        assert_eq!(text(log.worked()).unwrap().1, "otlp works again, after 290 failed attempts");
    }

    #[test]
    fn losses_are_told_once_a_minute() {
        let (mut log, now) = (StateLog::new(NAME, "otlp"), Instant::now());
        let first = Some((Level::Warn, "otlp lost 1 window".to_owned()));
        assert_eq!(text(log.lost("1 window", false, now)), first);
        assert_eq!(text(log.lost("2 windows", false, now + GAP / 2)), None);
        assert!(log.lost("2 windows", true, now + GAP / 2).is_some());
        assert!(log.lost("2 windows", false, now + GAP).is_some());
    }
}
