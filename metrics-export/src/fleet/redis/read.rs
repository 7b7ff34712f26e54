//! Reads the reports of all instances and adds them up.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use redis::{Cmd, Value};

use super::commands::{epoch_of, get, refused};
use super::keys::{Detail, id, minute_of, since_1970};
use super::link::{Link, TARGET};
use super::minutes::{Kept, Minutes};
use super::question::{Answer, InstanceId, Question, ReadFailed, RouteId};
use super::shared::Shared;
use super::trend::Sums;
use super::view::Read;
use crate::fleet::codes::MAX_REPORT_BYTES;
use crate::fleet::decoded::Decoded;
use crate::fleet::merge::Fleet;
use crate::state_log::{Line, StateLog};

/// The most bytes read for one answer.
const MAX_BYTES: usize = 256 << 20;

/// The longest time spent on one answer.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The largest index of instances, in bytes; one of 10,000 instances takes a tenth of it.
const MAX_INDEX_BYTES: i64 = 16 << 20;

/// How many commands are sent before their answers are read.
const BATCH: usize = 64;

/// The most threads that add up reports.
const MAX_ADDERS: usize = 4;

/// The minutes that reports are kept for.
const MAX_MINUTES: u64 = 120;

/// The longest name of an instance with its start, in bytes.
const MAX_ID_BYTES: usize = 96;

/// Reads over one connection for as long as it works.
pub(super) struct Reader {
    shared: Arc<Shared>,
    link: Option<Link>,
    minutes: Minutes,
    log: StateLog,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let log = StateLog::new(TARGET, "fleet: reading from Redis");
        Self { shared, link: None, minutes: Minutes::default(), log }
    }
}

impl Read for Reader {
    fn read(&mut self, question: Question) -> Result<Answer, ReadFailed> {
        let Self { shared, link, minutes, .. } = self;
        let result = guarded("adding up reports", || read_with(shared, link, minutes, question));
        let line = match &result {
            Ok(_) => self.log.worked(),
            Err(failed) => {
                self.link = None;
                self.log.failed(&failed.reason, Instant::now())
            }
        };
        line.into_iter().for_each(Line::log);
        result
    }

    fn rest(&mut self) {
        self.minutes = Minutes::default();
    }
}

/// Reads over the connection that is open, or over a new one.
fn read_with(
    shared: &Shared,
    link: &mut Option<Link>,
    minutes: &mut Minutes,
    question: Question,
) -> Result<Answer, ReadFailed> {
    let settings = &shared.settings;
    let connect = || Link::connect(&settings.address, settings.timeout);
    if let Some(idle) = link {
        // The server may have closed it meanwhile. A reset that may have arrived is not sent again: its figures would
        // be those of the next epoch.
        match answer(shared, idle, minutes, question) {
            Err(failed) if !failed.may_be_reset => {}
            known => return known,
        }
    }
    answer(shared, link.insert(connect()?), minutes, question)
}

fn answer(
    shared: &Shared,
    link: &mut Link,
    kept: &mut Minutes,
    question: Question,
) -> Result<Answer, ReadFailed> {
    let begun = Instant::now();
    let now = SystemTime::now();
    link.check_role()?;
    let found = link.run(&[get(&shared.keys.epoch(), 20)])?;
    let found = found.into_iter().next().map_or(0, |answer| epoch_of(answer, now));
    shared.learn_epoch(found);
    let epoch = shared.known_epoch();

    let is_by_version = matches!(question, Question::Versions { .. });
    let mut fleet = if is_by_version { Fleet::by_version(now) } else { Fleet::new(now) };
    let mut ids = instances(shared, link, now, &mut fleet)?;
    let this = minute_of(now);
    let before = |minutes: u8, ago: u8| {
        let last = this.saturating_sub(ago.into());
        last.saturating_sub(minutes.into())..=last
    };
    // Sums are of all instances, so those of one are read for each answer.
    let mut keeps = true;
    if let Question::Trend { instance: Some(instance), .. } = question {
        ids.retain(|id| id.rsplit_once('-').is_some_and(|(name, _)| InstanceId::of(name) == instance));
        keeps = false;
    }
    let window = match question {
        Question::SinceReset | Question::Reset | Question::Versions { minutes: None } => None,
        Question::Minutes { minutes, routes: true } => Some((before(minutes, 0), Kept::Routes)),
        Question::Minutes { minutes, routes: false } => Some((before(minutes, 0), Kept::Total)),
        Question::Versions { minutes: Some(minutes) } => Some((before(minutes, 0), Kept::Versions)),
        Question::Trend { ago, minutes, route, .. } => {
            Some((before(minutes, ago), route.map_or(Kept::Total, Kept::Route)))
        }
    };
    kept.forget(this.saturating_sub(MAX_MINUTES));
    let mut wanted = Vec::new();
    for id in &ids {
        match &window {
            None => {
                let key = shared.keys.report(epoch, id);
                wanted.push(Wanted { id, key, minute: None, sum: None, route: None });
            }
            Some((minutes, sum)) => {
                let (detail, route) = match sum {
                    Kept::Total | Kept::Versions => (Detail::Total, None),
                    Kept::Route(route) => (Detail::Routes, Some(*route)),
                    Kept::Routes => (Detail::Routes, None),
                };
                let is_missing = |&minute: &u64| !keeps || !kept.has(minute, *sum, id);
                wanted.extend(minutes.clone().rev().filter(is_missing).map(|minute| {
                    let key = shared.keys.window(detail, minute, id);
                    Wanted { id, key, minute: Some(minute), sum: keeps.then_some(*sum), route }
                }));
            }
        }
    }
    let kept = Mutex::new(kept);
    let is_trend = matches!(question, Question::Trend { .. });
    let sums = if is_trend { Sums::by_minute(fleet) } else { Sums::whole(fleet) };
    let (mut sums, bytes) = add_all(link, &wanted, sums, &kept, begun)?;
    if let Some((minutes, sum)) = window.filter(|_| keeps) {
        for minute in minutes {
            locked(&kept).add_to(sums.of(Some(minute)), minute..=minute, sum);
        }
    }
    let (mut fleet, trend) = sums.finish();
    if question == Question::Reset {
        let next = (since_1970(SystemTime::now()).as_millis() as u64).max(epoch + 1);
        let mut command = redis::cmd("SET");
        command.arg(shared.keys.epoch()).arg(next);
        // Without an answer, it is unknown whether it arrived.
        let answers = link.run(&[command]).map_err(|reason| ReadFailed { reason, may_be_reset: true })?;
        refused(answers)?;
        shared.learn_epoch(next);
        shared.write_now();
    }
    let summary = fleet.summary();
    Ok(Answer { fleet, summary, trend, epoch, read: now, bytes, took: begun.elapsed() })
}

/// A key to read, and the instance that its value should belong to.
struct Wanted<'a> {
    id: &'a str,
    key: String,
    /// The minute, if it is a report of one.
    minute: Option<u64>,
    /// The sum of that minute in which the report is kept once it is final, if in any.
    sum: Option<Kept>,
    /// The endpoint whose figures are wanted; `None` for all.
    route: Option<RouteId>,
}

/// The value of a key.
struct Found<'a> {
    wanted: &'a Wanted<'a>,
    report: Vec<u8>,
    /// Whether it is the newest report of its instance. Gauges and requests in flight count from that one only, and
    /// reports of earlier minutes are final.
    is_newest: bool,
}

/// Reads the values of these keys, of each instance the newest first, while other threads add them up: reports of
/// minutes that are final to those that are kept. Also returns how many bytes were read.
fn add_all(
    link: &mut Link,
    wanted: &[Wanted<'_>],
    sums: Sums,
    kept: &Mutex<&mut Minutes>,
    begun: Instant,
) -> Result<(Sums, usize), String> {
    let sums = Mutex::new(sums);
    let refuse = |key: &str, why: &str| locked(&sums).whole.refuse(key, why);
    let mut bytes = 0;
    let mut newest_of = None;
    thread::scope(|scope| {
        // Leaves half of the processors to the service.
        let adders =
            thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, MAX_ADDERS));
        let (found, waiting) = mpsc::sync_channel::<Found<'_>>(adders);
        // Owned by the adders alone, so that sending fails once all of them are gone.
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..adders {
            let (waiting, sums) = (Arc::clone(&waiting), &sums);
            let adder = move || {
                loop {
                    let Ok(found) = locked(&waiting).recv() else { return };
                    add(sums, kept, &found);
                }
            };
            let thread = thread::Builder::new().name("metrics-fleet-add".to_owned());
            thread
                .spawn_scoped(scope, adder)
                .map_err(|error| format!("cannot start a thread to add up reports: {error}"))?;
        }
        drop(waiting);
        for batch in wanted.chunks(BATCH) {
            if bytes > MAX_BYTES || begun.elapsed() > MAX_TIME {
                let seconds = MAX_TIME.as_secs();
                let why = format!("not read: an answer is limited to {MAX_BYTES} bytes and {seconds} s");
                batch.iter().for_each(|wanted| refuse(&wanted.key, &why));
                continue;
            }
            let commands: Vec<Cmd> =
                batch.iter().map(|wanted| get(&wanted.key, MAX_REPORT_BYTES + 1)).collect();
            let mut keys = batch.iter();
            link.run_each(&commands, |answer| {
                let Some(wanted) = keys.next() else { return };
                let Wanted { id, key, .. } = wanted;
                match answer {
                    // A missing key reads as empty.
                    Ok(Value::BulkString(report)) if report.is_empty() => {}
                    Ok(Value::BulkString(report)) => {
                        bytes += report.len();
                        let is_newest = newest_of.replace(*id) != Some(*id);
                        // Fails only if all adders panicked, and then the scope panics at its end.
                        let _ = found.send(Found { wanted, report, is_newest });
                    }
                    Ok(_) => refuse(key, "the value is not a string"),
                    Err(error) => refuse(key, &error),
                }
            })?;
        }
        Ok::<_, String>(())
    })?;
    Ok((sums.into_inner().unwrap_or_else(PoisonError::into_inner), bytes))
}

/// Adds a report, unless it belongs to another instance.
fn add(sums: &Mutex<Sums>, kept: &Mutex<&mut Minutes>, found: &Found<'_>) {
    let Found { wanted: Wanted { id: wanted, key, minute, sum, route }, report, is_newest } = found;
    let now = locked(sums).whole.now();
    let bytes = report.len();
    let read = || Decoded::read_at(report, now).map_err(|error| error.to_string());
    match guarded("reading a report", read) {
        Ok(mut report) if id(&report.instance.name, report.instance.started) == *wanted => {
            if let Some(route) = route {
                report.keep_endpoints(|name| RouteId::of(name) == *route);
            }
            if *is_newest {
                return locked(sums).of(*minute).add(key, report, bytes);
            }
            report.drop_state();
            if let (Some(minute), Some(sum)) = (minute, sum) {
                let mut kept = locked(kept);
                if kept.has_room(*sum) {
                    return kept.add((*minute, *sum), wanted, (key, report, bytes), now);
                }
            }
            // Without room it is read again for the next answer.
            locked(sums).of(*minute).add(key, report, bytes);
        }
        Ok(_) => locked(sums).whole.refuse(key, "the report belongs to another instance"),
        Err(reason) => locked(sums).whole.refuse(key, &reason),
    }
}

/// Runs `work` and turns a panic into an error, so that no value in Redis can end the thread that reads it.
fn guarded<T, E: From<String>>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // State that a panic left half changed is dropped with its error.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|_| Err(format!("{what} panicked, which is a bug in this library").into()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The instances that wrote last.
fn instances(
    shared: &Shared,
    link: &mut Link,
    now: SystemTime,
    fleet: &mut Fleet,
) -> Result<Vec<String>, String> {
    let index = shared.keys.index();
    let mut size = redis::cmd("MEMORY");
    // `SAMPLES 0` counts all members; a sample could miss a long one.
    size.arg("USAGE").arg(&index).arg("SAMPLES").arg(0);
    // A user who may not run this command reads without the check.
    if let Some(Ok(Value::Int(bytes))) = link.run(&[size])?.first()
        && *bytes > MAX_INDEX_BYTES
    {
        return Err(format!("{index} takes {bytes} bytes; allowed: up to {MAX_INDEX_BYTES}"));
    }
    let max = shared.settings.max_instances;
    let oldest = since_1970(now).saturating_sub(shared.settings.retention).as_millis() as u64;
    let mut command = redis::cmd("ZREVRANGEBYSCORE");
    command.arg(&index).arg("+inf").arg(oldest).arg("LIMIT").arg(0).arg(max + 1);
    let answer = link.run(&[command])?.into_iter().next().unwrap_or(Err("Redis sent no answer".to_owned()));
    let members = match answer {
        Ok(Value::Array(members)) => members,
        Ok(_) => return Err(format!("{index} is not a sorted set")),
        Err(error) => return Err(format!("{index}: {error}")),
    };
    if members.len() > max {
        fleet.refuse(
            &index,
            &format!("the fleet has more than {max} instances; only the last {max} to write are read"),
        );
    }
    let mut ids = Vec::new();
    for member in members.into_iter().take(max) {
        match member {
            Value::BulkString(id) if id.len() <= MAX_ID_BYTES => match String::from_utf8(id) {
                Ok(id) => ids.push(id),
                Err(_) => fleet.refuse(&index, "the name of an instance is not UTF-8"),
            },
            _ => fleet.refuse(
                &index,
                &format!("the name of an instance is too long; allowed: up to {MAX_ID_BYTES} bytes"),
            ),
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests;
