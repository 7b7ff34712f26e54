//! The thread that writes an instance's own report.
//!
//! A report is cumulative and replaces the one before. So a write counts nothing twice, even if it is repeated or its
//! acknowledgement is lost. Nothing is queued: the next attempt writes the figures of its own time.
//!
//! # Epochs
//!
//! An epoch is named by the time it began, in milliseconds since 1970; epoch 0 is the one before any reset. Before each
//! write, an instance reads the epoch's key. If it finds a later epoch than its own, it writes all that it counted so
//! far to the key of the old epoch. Once that is acknowledged, the same state becomes its baseline in the new epoch. So
//! each request is in exactly one epoch. An instance that started after the epoch began keeps all that it counted. If
//! the key is gone or older, as after Redis lost its data, the instance sets it to its own epoch: the latest epoch that
//! any instance knows prevails.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use metrics_core::{Registry, Snapshot};

use super::commands::{command, epoch_of, get, refused, set};
use super::keys::{Detail, minute_of, since_1970};
use super::link::{Link, TARGET};
use super::shared::Shared;
use crate::backoff::Backoff;
use crate::fleet::instance::Instance;
use crate::fleet::report::Report;
use crate::state_log::{Line, StateLog};

/// The most instances that the index keeps, which is the most that can be read.
const MAX_INDEXED: i64 = super::settings::MAX_INSTANCES as i64;

/// The longest pause, in intervals.
const MAX_PAUSE: u32 = 6;

/// The pause after a last report: as long as a year.
const UNTIL_ASKED: Duration = Duration::from_secs(365 * 86_400);

/// Writes until a last report is asked for, and then only last reports, until the member is dropped.
pub(super) struct Writer {
    shared: Arc<Shared>,
    registry: Registry,
    link: Option<Link>,
    epoch: u64,
    /// The state when the epoch began; `None` if the instance started later.
    baseline: Option<Snapshot>,
    /// The current minute, and the state when it began.
    minute: (u64, Snapshot),
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, registry: Registry) -> Self {
        let minute = (minute_of(shared.started), registry.snapshot());
        Self { shared, registry, link: None, epoch: 0, baseline: None, minute }
    }

    pub(super) fn run(mut self) {
        let mut failures = 0;
        let mut log = StateLog::new(TARGET, "fleet: writing to Redis");
        loop {
            let begun = Instant::now();
            let last_report = self.shared.last_report();
            let stopping = last_report.is_some();
            let was_connected = self.link.is_some();
            let mut result = self.write(stopping);
            if result.is_err() && was_connected {
                // The server may have closed it meanwhile, and the last write has no later chance.
                self.link = None;
                result = self.write(stopping);
            }
            let took = begun.elapsed();
            let failed = result.is_err();
            let line = match &result {
                Ok(_) => log.worked(),
                Err(reason) => log.failed(reason, Instant::now()),
            };
            line.into_iter().for_each(Line::log);
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
            if let Some(report) = last_report {
                self.shared.tried_last(report);
            }
            failures = if failed { failures + 1 } else { 0 };
            if failed {
                // Its next answer could belong to an earlier command.
                self.link = None;
            }
            let pause = if stopping { UNTIL_ASKED } else { self.pause(failures) };
            if !self.shared.pause(pause) {
                return;
            }
        }
    }

    /// The interval. After failures it doubles each time, and varies at random, so that the instances of a fleet do not
    /// all come back at one time.
    fn pause(&self, failures: u32) -> Duration {
        let interval = self.shared.settings.interval;
        if failures == 0 {
            return interval;
        }
        Backoff { first: interval, longest: interval.saturating_mul(MAX_PAUSE) }.pause_after(failures)
    }

    fn write(&mut self, stopped: bool) -> Result<Written, String> {
        let shared = Arc::clone(&self.shared);
        let settings = &shared.settings;
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(Link::connect(&settings.address, settings.timeout)?),
        };
        link.check_role()?;
        let found = link.run(&[get(&shared.keys.epoch(), 20)])?;
        let found = found.into_iter().next().map_or(0, |answer| epoch_of(answer, SystemTime::now()));
        let latest = found.max(shared.known_epoch());
        let errors = self.registry.recent_errors();
        let snapshot = self.registry.snapshot();
        // Not the snapshot's, which never runs backwards: others look for keys by their own clocks.
        let now = SystemTime::now();

        let began = self.baseline.as_ref().map_or(shared.started, Snapshot::taken);
        let report = |snapshot: Snapshot, epoch, stopped, with_errors: bool| {
            let mut errors = if with_errors { errors.clone() } else { Vec::new() };
            errors.retain(|error| error.time >= began);
            let instance = Instance {
                service: shared.identity.service.clone(),
                name: shared.identity.instance.clone(),
                version: shared.identity.version.clone(),
                started: shared.started,
                written: now,
                interval: settings.interval,
                epoch,
                stopped,
                fingerprints: settings.fingerprints,
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
        let id = shared.identity.id(shared.started);
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
        // Not only if it is later: a clock that was set back begins a minute, too.
        let has_ended = this_minute != self.minute.0;
        if has_ended {
            // Trimmed by number, not by age: an instance whose clock is ahead would drop all others.
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

/// How many bytes the report had, and everything written with it.
struct Written {
    report: u64,
    all: u64,
}
