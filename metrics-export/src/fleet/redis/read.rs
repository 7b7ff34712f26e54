//! Reads the reports of all instances, and adds them up.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use redis::{Cmd, Value};

use super::commands::{epoch_of, get, refused};
use super::keys::{Detail, id, minute_of, since_1970};
use super::link::Link;
use super::question::{Answer, Failed, Question};
use super::shared::Shared;
use crate::fleet::codes::MAX_REPORT_BYTES;
use crate::fleet::decoded::Decoded;
use crate::fleet::merge::Fleet;

/// The most bytes that are read for one answer.
const MAX_BYTES: usize = 256 << 20;

/// The longest time that is read for one answer.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The longest index of instances, in bytes: those of 10,000 take a tenth of it.
const MAX_INDEX_BYTES: i64 = 16 << 20;

/// Commands that are sent before their answers are read.
const BATCH: usize = 64;

/// The most threads that add up what is read.
const MAX_ADDERS: usize = 4;

/// The longest name of an instance with its start, in bytes.
const MAX_ID_BYTES: usize = 96;

/// Returns a function that reads over one connection for as long as it works.
pub(super) fn reader(shared: Arc<Shared>) -> impl FnMut(Question) -> Result<Answer, Failed> {
    let mut link = None;
    move |question| {
        let result = guarded("adding up", || read_with(&shared, &mut link, question));
        if result.is_err() {
            link = None;
        }
        result
    }
}

/// Reads over the connection that is open, or over a new one.
fn read_with(shared: &Shared, link: &mut Option<Link>, question: Question) -> Result<Answer, Failed> {
    let settings = &shared.settings;
    let connect = || Link::connect(&settings.address, settings.timeout);
    if let Some(idle) = link {
        // The server may have closed it meanwhile. A reset that may have arrived is not sent again: its figures would be
        // those of the next epoch.
        match answer(shared, idle, question) {
            Err(failed) if !failed.may_be_reset => {}
            known => return known,
        }
    }
    answer(shared, link.insert(connect()?), question)
}

fn answer(shared: &Shared, link: &mut Link, question: Question) -> Result<Answer, Failed> {
    let begun = Instant::now();
    let now = SystemTime::now();
    let found = link.run(&[get(&shared.keys.epoch(), 20)])?;
    let found = found.into_iter().next().map_or(0, |answer| epoch_of(answer, now));
    shared.learn_epoch(found);
    let epoch = shared.known_epoch();

    let mut fleet = Fleet::new(now);
    let ids = instances(shared, link, now, &mut fleet)?;
    let keys = |id: &String| match question {
        Question::SinceReset | Question::Reset => vec![shared.keys.report(epoch, id)],
        Question::Minutes { minutes, routes } => {
            let detail = if routes { Detail::Routes } else { Detail::Total };
            let this = minute_of(now);
            let minutes = (0..=minutes.into()).map(|ago| this.saturating_sub(ago));
            minutes.map(|minute| shared.keys.window(detail, minute, id)).collect()
        }
    };
    let wanted: Vec<_> = ids.iter().flat_map(|id| keys(id).into_iter().map(move |key| (id, key))).collect();
    let (mut fleet, bytes) = add_all(link, &wanted, fleet, begun)?;
    if question == Question::Reset {
        let next = (since_1970(SystemTime::now()).as_millis() as u64).max(epoch + 1);
        let mut command = redis::cmd("SET");
        command.arg(shared.keys.epoch()).arg(next);
        // Once it is sent, only an answer tells.
        let answers = link.run(&[command]).map_err(|reason| Failed { reason, may_be_reset: true })?;
        refused(answers)?;
        shared.learn_epoch(next);
        shared.write_now();
    }
    let summary = fleet.summary();
    Ok(Answer { fleet, summary, epoch, read: now, bytes, took: begun.elapsed() })
}

/// What was found under a key, and of which instance it should be.
struct Found<'a> {
    id: &'a str,
    key: &'a str,
    report: Vec<u8>,
    /// Whether it is the newest of its instance, of which alone it counts what it has now.
    is_newest: bool,
}

/// Reads what is under these keys, those of an instance newest first, and adds it up in other threads meanwhile. Gives how many bytes
/// it was, too.
fn add_all(
    link: &mut Link,
    wanted: &[(&String, String)],
    fleet: Fleet,
    begun: Instant,
) -> Result<(Fleet, usize), String> {
    let fleet = Mutex::new(fleet);
    let refuse = |key: &str, why: &str| locked(&fleet).refuse(key, why);
    let mut bytes = 0;
    let mut newest_of = None;
    thread::scope(|scope| {
        // The service has the other half of the processors.
        let adders =
            thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, MAX_ADDERS));
        let (found, waiting) = mpsc::sync_channel::<Found<'_>>(adders);
        // Owned by the adders alone: who sends finds out if there are none any more.
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..adders {
            let (waiting, fleet) = (Arc::clone(&waiting), &fleet);
            let adder = move || {
                loop {
                    let Ok(found) = locked(&waiting).recv() else { return };
                    add(fleet, &found);
                }
            };
            let thread = thread::Builder::new().name("metrics-fleet-add".to_owned());
            thread
                .spawn_scoped(scope, adder)
                .map_err(|error| format!("there is no thread to add up: {error}"))?;
        }
        drop(waiting);
        for batch in wanted.chunks(BATCH) {
            if bytes > MAX_BYTES || begun.elapsed() > MAX_TIME {
                let seconds = MAX_TIME.as_secs();
                let why = format!("not read: an answer takes up to {MAX_BYTES} bytes and {seconds} s");
                batch.iter().for_each(|(_, key)| refuse(key, &why));
                continue;
            }
            let commands: Vec<Cmd> = batch.iter().map(|(_, key)| get(key, MAX_REPORT_BYTES + 1)).collect();
            let mut keys = batch.iter();
            link.run_each(&commands, |answer| {
                let Some((id, key)) = keys.next() else { return };
                match answer {
                    // One that is not there reads as empty.
                    Ok(Value::BulkString(report)) if report.is_empty() => {}
                    Ok(Value::BulkString(report)) => {
                        bytes += report.len();
                        let is_newest = newest_of.replace(id) != Some(id);
                        // Nobody is there to take it only if adding up panicked, of which the end of the scope tells.
                        let _ = found.send(Found { id, key, report, is_newest });
                    }
                    Ok(_) => refuse(key, "the answer is no string"),
                    Err(error) => refuse(key, &error),
                }
            })?;
        }
        Ok::<_, String>(())
    })?;
    Ok((fleet.into_inner().unwrap_or_else(PoisonError::into_inner), bytes))
}

/// Adds a report, unless it is one of another instance.
fn add(fleet: &Mutex<Fleet>, &Found { id: wanted, key, ref report, is_newest }: &Found<'_>) {
    let now = locked(fleet).now();
    let bytes = report.len();
    let read = || Decoded::read_at(report, now).map_err(|error| error.to_string());
    match guarded("reading it", read) {
        Ok(mut report) if id(&report.instance.name, report.instance.started) == wanted => {
            if !is_newest {
                report.drop_what_is_now();
            }
            locked(fleet).add(key, report, bytes);
        }
        Ok(_) => locked(fleet).refuse(key, "the report is of another instance"),
        Err(reason) => locked(fleet).refuse(key, &reason),
    }
}

/// What `work` gives, or that it panicked: whatever is found somewhere must not end the thread that is to read it.
fn guarded<T, E: From<String>>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    // What it was at is given up with it.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|_| Err(format!("{what} panicked, which is a bug of this library").into()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The instances that were seen last.
fn instances(
    shared: &Shared,
    link: &mut Link,
    now: SystemTime,
    fleet: &mut Fleet,
) -> Result<Vec<String>, String> {
    let index = shared.keys.index();
    let mut size = redis::cmd("MEMORY");
    // All of its members are looked at: by a sample a long one could be missed.
    size.arg("USAGE").arg(&index).arg("SAMPLES").arg(0);
    // Who may not ask is not held back by that.
    if let Some(Ok(Value::Int(bytes))) = link.run(&[size])?.first()
        && *bytes > MAX_INDEX_BYTES
    {
        return Err(format!("{index} takes {bytes} bytes; allowed: {MAX_INDEX_BYTES}"));
    }
    let max = shared.settings.max_instances;
    let oldest = since_1970(now).saturating_sub(shared.settings.retention).as_millis() as u64;
    let mut command = redis::cmd("ZREVRANGEBYSCORE");
    command.arg(&index).arg("+inf").arg(oldest).arg("LIMIT").arg(0).arg(max + 1);
    let answer = link.run(&[command])?.into_iter().next().unwrap_or(Err("no answer".to_owned()));
    let members = match answer {
        Ok(Value::Array(members)) => members,
        Ok(_) => return Err(format!("{index} is no sorted set")),
        Err(error) => return Err(format!("{index}: {error}")),
    };
    if members.len() > max {
        fleet.refuse(&index, &format!("there are more than {max} instances; those seen last are read"));
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
                &format!("the name of an instance is too long; allowed: {MAX_ID_BYTES} bytes"),
            ),
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use metrics_core::{MetricFigures, Registry};

    use super::*;
    use crate::fleet::{Instance, Report};

    #[test]
    fn what_an_instance_has_now_counts_once_in_a_window_of_several_reports() {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/");
        registry.record_nanos(endpoint, 200, 1_000);
        registry.gauge("depth").unwrap().set(5.0);
        let _under_way = registry.recorder().start();
        let snapshot = registry.snapshot();
        let now = snapshot.taken();
        let instance = Instance {
            service: "shop".to_owned(),
            name: "a".to_owned(),
            version: String::new(),
            started: now,
            written: now,
            interval: Duration::from_secs(10),
            epoch: 0,
            stopped: false,
        };
        let wanted = id("a", now);
        let report = Report { instance, snapshot, errors: Vec::new() }.encode();
        let fleet = Mutex::new(Fleet::new(now));
        for is_newest in [true, false, false] {
            add(&fleet, &Found { id: &wanted, key: "a key", report: report.clone(), is_newest });
        }
        let summary = locked(&fleet).summary().unwrap();
        assert_eq!((summary.total.calls, summary.in_flight), (3, 1));
        assert_eq!(summary.health.max_series, 1_024);
        assert_eq!(summary.business[0].figures, MetricFigures::Gauge(5.0));
    }

    #[test]
    fn a_panic_is_told_as_what_went_wrong() {
        assert_eq!(guarded("it", || Ok::<_, String>(7)), Ok(7));
        assert_eq!(guarded::<(), _>("it", || Err("no".to_owned())), Err("no".to_owned()));
        let panicked = guarded::<(), String>("it", || panic!("of a test"));
        assert_eq!(panicked, Err("it panicked, which is a bug of this library".to_owned()));
    }
}
