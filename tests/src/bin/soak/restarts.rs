//! A service that is restarted again and again, stopped in order or killed at any moment, and a shadow that counts the
//! same requests and is never restarted. Whatever the two show must be the same, but for what the service had not
//! written when it was killed; and that is counted nowhere twice.
//!
//! `cargo run --release -p tests --bin soak -- restarts --lives 100`, and with `--fleet`, where the history is in a
//! Redis.

mod compare;
mod load;
mod place;
pub(crate) mod serve;
mod side;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tests::{Folder, Redis};

use self::compare::{calls_of, compare, since_start};
use self::load::{Batch, Ledger, TAIL};
use self::place::Place;
use self::side::{Side, record, until, wall};
use crate::connection::Connection;

/// The times between processes that a history lists at most.
const MOST_GAPS: u64 = 100;

/// What came of all lives.
#[derive(Debug, Default)]
struct Outcome {
    kills: u64,
    stops: u64,
    /// Requests that kills lost, and the most that one lost.
    lost: u64,
    lost_at_once: u64,
    /// The longest time before a kill of which something was lost, in milliseconds.
    lost_for: f64,
}

/// The requests that a process was told when it was killed.
struct Tail {
    begun: f64,
    ended: f64,
    /// How many it must have kept, since it wrote its history twice after them.
    written: u64,
    /// How many it acknowledged by when.
    acknowledged: Vec<(u64, f64)>,
    /// With the one that was under way.
    sent: u64,
}

/// Runs that many lives, with kills and requests drawn from a seed.
pub(crate) fn run(lives: u64, is_fleet: bool, seed: u64) -> Result<(), String> {
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let place = if is_fleet { Place::Fleet(Redis::start()) } else { Place::File(Folder::new("restarts")) };
    let mut shadow = Side::start("shadow", &json!({}), Ledger::default())?;
    let (mut ledger, mut tail, mut outcome) = (Ledger::default(), None, Outcome::default());
    let mut restarted = None;
    let begun = Instant::now();
    for life in 1..=lives + 1 {
        let side =
            restarted.insert(Side::start("restarted", &place.settings(), std::mem::take(&mut ledger))?);
        let told = |error| format!("life {life}, with seed {seed}: {error}");
        let early = begin(side, &mut shadow, life, &mut random).map_err(told)?;
        inherit(side, &mut shadow, life, tail.take(), &mut outcome).map_err(told)?;
        compare(side, &mut shadow, life).map_err(told)?;
        since_start(side, early).map_err(told)?;
        if place.has_refused() {
            return Err(told("a history was set aside".to_owned()));
        }
        if life > lives {
            break;
        }
        let sent = live(side, &mut shadow, life, early, &mut random).map_err(told)?;
        wait_for_write(&place).map_err(told)?;
        compare(side, &mut shadow, life).map_err(told)?;
        if random.u32(0..4) == 0 {
            stop(side, &mut shadow, life, sent).map_err(told)?;
        } else {
            tail = Some(kill(side, &place, &mut random));
        }
        ledger = std::mem::take(&mut side.ledger);
        restarted = None;
    }
    let Outcome { kills, stops, lost, lost_at_once, lost_for } = outcome;
    let kept = shadow.ledger.calls();
    if let (true, Some(side)) = (is_fleet, &mut restarted) {
        compare::fleet(side, &shadow.ledger, kept + lost + kills)?;
    }
    println!(
        "{lives} lives in {:.0} s, {kills} killed and {stops} stopped: {kept} requests kept and in all figures those \
         of the shadow, none twice; {lost} lost in kills, {lost_at_once} at most in one, of the last {lost_for:.0} ms \
         at most",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Sends the first requests, before a fleet's history is inherited. Returns how many.
fn begin(side: &mut Side, shadow: &mut Side, life: u64, random: &mut fastrand::Rng) -> Result<u64, String> {
    let batch = Batch { life, first: 0, calls: random.u64(1..20) };
    side.record(batch)?;
    shadow.record(batch)?;
    Ok(batch.calls)
}

/// Waits until a process has the history of those before, sees what of the tail it kept, and tells the shadow.
fn inherit(
    side: &mut Side,
    shadow: &mut Side,
    life: u64,
    tail: Option<Tail>,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let gaps = (life - 1).min(MOST_GAPS);
    until(|| {
        let history = side.data("history?window=24h")?;
        match history["gaps"].as_array().map_or(0, |gaps| gaps.len() as u64) {
            found if found == gaps => Ok(()),
            found => Err(format!("{found} gaps, of {gaps}")),
        }
    })?;
    let kept = calls_of(side, TAIL)?.checked_sub(side.ledger.calls_of(TAIL));
    let Some(Tail { begun, ended, written, acknowledged, sent }) = tail else {
        outcome.stops += u64::from(life > 1);
        return if kept == Some(0) {
            Ok(())
        } else {
            Err(format!("{kept:?} requests more than were kept before"))
        };
    };
    let kept = kept.filter(|kept| (written..=sent).contains(kept));
    let kept = kept.ok_or_else(|| format!("{kept:?} requests kept, of {written} to {sent}"))?;
    side.ledger.note(TAIL, kept, begun, ended);
    if kept > 0 {
        shadow.record(Batch { life: TAIL, first: 0, calls: kept })?;
    }
    let all = acknowledged.last().map_or(0, |(number, _)| *number);
    let lost = all.saturating_sub(kept);
    let first_lost = acknowledged.iter().find(|(number, _)| *number > kept);
    outcome.kills += 1;
    outcome.lost += lost;
    outcome.lost_at_once = outcome.lost_at_once.max(lost);
    outcome.lost_for = outcome.lost_for.max(first_lost.map_or(0.0, |(_, at)| ended - at));
    Ok(())
}

/// Sends requests in bursts. Returns how many this life had then.
fn live(
    side: &mut Side,
    shadow: &mut Side,
    life: u64,
    mut first: u64,
    random: &mut fastrand::Rng,
) -> Result<u64, String> {
    for _ in 0..random.u32(1..=3) {
        let batch = Batch { life, first, calls: random.u64(1..60) };
        side.record(batch)?;
        shadow.record(batch)?;
        first += batch.calls;
        std::thread::sleep(Duration::from_millis(random.u64(0..700)));
    }
    Ok(first)
}

/// Waits for a write that began after now: for two, since the first one may have begun before.
fn wait_for_write(place: &Place) -> Result<(), String> {
    for _ in 0..2 {
        let before = place.version();
        until(|| if place.version() == before { Err("nothing is written".to_owned()) } else { Ok(()) })?;
    }
    Ok(())
}

/// Stops a process right after its last requests, which it must have written then.
fn stop(side: &mut Side, shadow: &mut Side, life: u64, first: u64) -> Result<(), String> {
    let batch = Batch { life, first, calls: 10 };
    side.record(batch)?;
    shadow.record(batch)?;
    let (status, words) = side.program.end("TERM")?;
    let is_fine = status.success() && words["all_sent"] == true;
    if is_fine { Ok(()) } else { Err(format!("it ended with {status}: {words}")) }
}

/// Kills a process at any moment, most times while it counts.
fn kill(side: &mut Side, place: &Place, random: &mut fastrand::Rng) -> Tail {
    let is_idle = random.u32(0..4) == 0;
    let begun = wall();
    let (addr, lasts) = (side.program.addr, Duration::from_millis(random.u64(0..600)));
    let (count, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (acknowledged, mut versions) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            let Ok(mut connection) = Connection::to(addr) else { return acknowledged };
            while !is_idle && !is_over.load(Ordering::Relaxed) {
                if record(&mut connection, Batch { life: TAIL, first: 0, calls: 1 }).is_err() {
                    break;
                }
                acknowledged.push((count.fetch_add(1, Ordering::Relaxed) + 1, wall()));
            }
            acknowledged
        });
        let (started, mut versions) = (Instant::now(), Vec::new());
        while started.elapsed() < lasts {
            // In this order: what was acknowledged before a version was seen, the second one after that has.
            versions.push((count.load(Ordering::Relaxed), place.version()));
            std::thread::sleep(Duration::from_millis(5));
        }
        side.program.kill();
        is_over.store(true, Ordering::Relaxed);
        (sending.join().unwrap_or_default(), versions)
    });
    versions.dedup_by(|(_, later), (_, earlier)| later == earlier);
    // Each was seen first with these counts. A write may have begun before the one before it was seen.
    let written = versions.iter().rev().nth(2).map_or(0, |(count, _)| *count);
    let sent = acknowledged.last().map_or(0, |(number, _)| *number) + u64::from(!is_idle);
    Tail { begun, ended: wall(), written, acknowledged, sent }
}
