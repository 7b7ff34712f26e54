//! Reads the reports of all instances, and adds them up.

use std::time::{Duration, Instant, SystemTime};

use redis::{Cmd, Value};

use super::keys::{Detail, id, minute_of, since_1970};
use super::link::Link;
use super::member::Shared;
use super::view::{Answer, Question};
use super::write::{epoch_of, get, refused};
use crate::fleet::{Fleet, MAX_REPORT_BYTES, Report};

/// The most bytes that are read for one answer.
const MAX_BYTES: usize = 256 << 20;

/// The longest time that is read for one answer.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The longest index of instances, in bytes: those of 10,000 take a tenth of it.
const MAX_INDEX_BYTES: i64 = 16 << 20;

/// Commands that are sent before their answers are read.
const BATCH: usize = 64;

/// The longest name of an instance with its start, in bytes.
const MAX_ID_BYTES: usize = 96;

pub(super) fn answer(shared: &Shared, link: &mut Link, question: Question) -> Result<Answer, String> {
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
            let minutes = (0..=minutes.into()).rev().map(|ago| this.saturating_sub(ago));
            minutes.map(|minute| shared.keys.window(detail, minute, id)).collect()
        }
    };
    let mut bytes = 0;
    let wanted: Vec<_> = ids.iter().flat_map(|id| keys(id).into_iter().map(move |key| (id, key))).collect();
    for batch in wanted.chunks(BATCH) {
        if bytes > MAX_BYTES || begun.elapsed() > MAX_TIME {
            let why =
                format!("not read: an answer takes up to {MAX_BYTES} bytes and {} s", MAX_TIME.as_secs());
            batch.iter().for_each(|(_, key)| fleet.refuse(key, &why));
            continue;
        }
        let commands: Vec<Cmd> = batch.iter().map(|(_, key)| get(key, MAX_REPORT_BYTES + 1)).collect();
        for ((id, key), answer) in batch.iter().zip(link.run(&commands)?) {
            match answer {
                Ok(Value::BulkString(report)) => {
                    bytes += report.len();
                    // One that is not there reads as empty.
                    if !report.is_empty() {
                        add(&mut fleet, id, key, &report, now);
                    }
                }
                Ok(_) => fleet.refuse(key, "the answer is no string"),
                Err(error) => fleet.refuse(key, &error),
            }
        }
    }
    if question == Question::Reset {
        let next = (since_1970(SystemTime::now()).as_millis() as u64).max(epoch + 1);
        let mut command = redis::cmd("SET");
        command.arg(shared.keys.epoch()).arg(next);
        refused(link.run(&[command])?)?;
        shared.learn_epoch(next);
        shared.write_now();
    }
    let summary = fleet.summary();
    Ok(Answer { fleet, summary, epoch, read: now, bytes, took: begun.elapsed() })
}

/// Adds a report, unless it is one of another instance.
fn add(fleet: &mut Fleet, wanted: &str, key: &str, bytes: &[u8], now: SystemTime) {
    match Report::decode_at(bytes, now) {
        Ok(report) if id(&report.instance.name, report.instance.started) == wanted => {
            fleet.add(key, report, bytes.len());
        }
        Ok(_) => fleet.refuse(key, "the report is of another instance"),
        Err(error) => fleet.refuse(key, &error.to_string()),
    }
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
