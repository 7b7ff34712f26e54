//! The thread that writes an instance's own report.
//!
//! A report is cumulative and takes the place of the one before, so a write that is repeated, or of which nobody knows
//! whether it arrived, never counts anything twice. What is waiting to be written is never kept: the next attempt writes
//! what is counted by then.
//!
//! # Epochs
//!
//! An epoch is named by when it began, in milliseconds since 1970; 0 is the one before any reset. Before each write an
//! instance looks at the epoch's key. A later epoch than its own closes its own: it writes all that it counted until now to
//! the key of the old epoch, and only when that is acknowledged it takes the same state as its baseline in the new one. So
//! each request is in one epoch. An instance that started after the epoch began was never in another one, and keeps all that
//! it counted. A key that is gone or is behind, as after a Redis lost its data, is set to the instance's own epoch: the latest
//! epoch that any instance knows prevails.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::{Registry, Snapshot};
use redis::{Cmd, Value};

use super::keys::{Detail, id, minute_of, since_1970};
use super::link::Link;
use super::member::Shared;
use crate::fleet::{Instance, Report};

/// How far ahead of our clock an epoch may be, before it is taken for rubbish.
const MAX_AHEAD: Duration = Duration::from_secs(3_600);

/// The most instances that the index keeps: as many as can be read.
const MAX_INDEXED: i64 = super::settings::MAX_INSTANCES as i64;

/// The longest pause is this many times as long as the interval.
const MAX_PAUSE: u32 = 6;

/// How the writes of an instance go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriterStatus {
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// When the last write was acknowledged.
    pub last_success: Option<SystemTime>,
    /// How long it took.
    pub last_latency: Duration,
    /// The bytes of its report.
    pub last_report_bytes: u64,
    /// Since when writes fail, and why the last one did; `None` once one succeeds.
    pub failing: Option<(SystemTime, String)>,
    /// The epoch that is written to.
    pub epoch: u64,
}

/// Writes until the member is stopped, and then once more.
pub(super) struct Writer {
    shared: Arc<Shared>,
    registry: Registry,
    link: Option<Link>,
    epoch: u64,
    /// The state when the epoch began; `None` for all since the start.
    baseline: Option<Snapshot>,
    /// The minute that is under way, and the state when it began.
    minute: (u64, Snapshot),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, registry: Registry) -> Self {
        let minute = (minute_of(shared.started), registry.snapshot());
        Self { shared, registry, link: None, epoch: 0, baseline: None, minute }
    }

    pub(super) fn run(mut self) {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let stopping = self.shared.is_stopped();
            let was_connected = self.link.is_some();
            let mut result = self.write(stopping);
            if result.is_err() && was_connected {
                // It may have been closed meanwhile, and the last write has no other chance.
                self.link = None;
                result = self.write(stopping);
            }
            let took = begun.elapsed();
            let failed = result.is_err();
            self.shared.with_status(|status| {
                status.epoch = self.epoch;
                match result {
                    Ok(Written { report, all }) => {
                        status.writes += 1;
                        status.bytes += all;
                        status.last_report_bytes = report;
                        status.last_success = Some(SystemTime::now());
                        status.last_latency = took;
                        status.failing = None;
                    }
                    Err(reason) => {
                        status.failures += 1;
                        let since = status.failing.take().map_or_else(SystemTime::now, |(since, _)| since);
                        status.failing = Some((since, reason));
                    }
                }
            });
            if stopping {
                return;
            }
            failures = if failed { failures + 1 } else { 0 };
            if failed {
                // What it would answer next could be to what it was asked before.
                self.link = None;
            }
            self.shared.pause(self.pause(failures));
        }
    }

    /// The interval; after a failure up to twice as long each time, and a random part of that, so that the instances of a
    /// fleet do not come at one time.
    fn pause(&self, failures: u32) -> Duration {
        let interval = self.shared.settings.interval;
        if failures == 0 {
            return interval;
        }
        let longest = interval.saturating_mul(MAX_PAUSE);
        let pause = interval.saturating_mul(1 << (failures - 1).min(8)).min(longest);
        pause.mul_f64(0.5 + self.shared.random(failures.into()) / 2.0)
    }

    fn write(&mut self, stopped: bool) -> Result<Written, String> {
        let shared = Arc::clone(&self.shared);
        let settings = &shared.settings;
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(Link::connect(&settings.address, settings.timeout)?),
        };
        let found = link.run(&[get(&shared.keys.epoch(), 20)])?;
        let found = found.into_iter().next().map_or(0, |answer| epoch_of(answer, SystemTime::now()));
        let latest = found.max(shared.known_epoch());
        let errors = self.registry.recent_errors();
        let snapshot = self.registry.snapshot();
        let now = snapshot.taken();

        let began = self.baseline.as_ref().map_or(shared.started, Snapshot::taken);
        let report = |snapshot: Snapshot, epoch, stopped, with_errors: bool| {
            let mut errors = if with_errors { errors.clone() } else { Vec::new() };
            errors.retain(|error| error.time >= began);
            let instance = Instance {
                service: settings.service.clone(),
                name: settings.instance.clone(),
                version: settings.version.clone(),
                started: shared.started,
                written: now,
                interval: settings.interval,
                epoch,
                stopped,
            };
            let snapshot = snapshot
                .limited_to_digits(settings.max_significant_digits)
                .expect("the settings were checked when the member was started");
            Report { instance, snapshot, errors }.encode()
        };
        let since = |baseline: &Option<Snapshot>| match baseline {
            Some(baseline) => snapshot.difference(baseline),
            None => snapshot.clone(),
        };
        let id = id(&settings.instance, shared.started);
        let seconds = |retention: Duration| retention.as_secs();
        let mut all = 0;
        if latest > self.epoch {
            if since_1970(shared.started).as_millis() < u128::from(latest) {
                let closed = report(since(&self.baseline), self.epoch, stopped, true);
                all += closed.len() as u64;
                let key = shared.keys.report(self.epoch, &id);
                refused(link.run(&[set(&key, &closed, seconds(settings.retention))])?)?;
                self.baseline = Some(snapshot.clone());
            }
            self.epoch = latest;
            shared.learn_epoch(latest);
        }
        let own = report(since(&self.baseline), self.epoch, stopped, true);
        let minute = snapshot.difference(&self.minute.1);
        let total = report(minute.total(), self.epoch, stopped, false);
        let routes = report(minute, self.epoch, stopped, false);
        let index = shared.keys.index();
        let millis = |time: SystemTime| since_1970(time).as_millis() as u64;
        let window = |detail| shared.keys.window(detail, self.minute.0, &id);
        let mut commands = vec![
            set(&shared.keys.report(self.epoch, &id), &own, seconds(settings.retention)),
            set(&window(Detail::Total), &total, seconds(settings.window_retention)),
            set(&window(Detail::Routes), &routes, seconds(settings.window_retention)),
            command("ZADD", &index).arg(millis(now)).arg(&id).clone(),
            command("EXPIRE", &index).arg(seconds(settings.retention)).clone(),
        ];
        if found < self.epoch {
            commands.push(command("SET", &shared.keys.epoch()).arg(self.epoch).clone());
        }
        let this_minute = minute_of(now);
        // Not only later: a clock that was set back begins a minute, too.
        let has_ended = this_minute != self.minute.0;
        if has_ended {
            // By their number and not by their age: one whose clock is ahead would drop all others.
            let last = -1 - MAX_INDEXED;
            commands.push(command("ZREMRANGEBYRANK", &index).arg(0).arg(last).clone());
        }
        refused(link.run(&commands)?)?;
        if has_ended {
            self.minute = (this_minute, snapshot);
        }
        all += (own.len() + total.len() + routes.len()) as u64;
        Ok(Written { report: own.len() as u64, all })
    }
}

/// The bytes of a report, and of all that was written with it.
struct Written {
    report: u64,
    all: u64,
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key);
    command
}

/// Of a string, the bytes up to a number: a value of any length costs no more.
pub(super) fn get(key: &str, bytes: usize) -> Cmd {
    command("GETRANGE", key).arg(0).arg(bytes - 1).clone()
}

fn set(key: &str, value: &[u8], seconds: u64) -> Cmd {
    command("SET", key).arg(value).arg("EX").arg(seconds).clone()
}

/// What the server refused first.
pub(super) fn refused(answers: Vec<Result<Value, String>>) -> Result<(), String> {
    answers.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}

/// The epoch that its key holds; 0 if it holds none.
pub(super) fn epoch_of(answer: Result<Value, String>, now: SystemTime) -> u64 {
    let Ok(Value::BulkString(text)) = answer else { return 0 };
    let epoch = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let latest = since_1970(now + MAX_AHEAD).as_millis();
    if u128::from(epoch) <= latest { epoch } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_number_that_is_not_far_ahead() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let read = |text: &[u8]| epoch_of(Ok(Value::BulkString(text.to_vec())), now);
        assert_eq!(read(b"1699999999999"), 1_699_999_999_999);
        assert_eq!(read(b"1700003600000"), 1_700_003_600_000);
        for rubbish in [&b""[..], b"1700003600001", b"-1", b"x", &[0xff], b"99999999999999999999"] {
            assert_eq!(read(rubbish), 0);
        }
        assert_eq!(epoch_of(Err("WRONGTYPE".to_owned()), now), 0);
    }
}
