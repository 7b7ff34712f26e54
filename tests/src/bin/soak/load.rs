//! Clients that cause all outcomes, and one that behaves well and is timed.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::life::Life;
use crate::mutex::lock;
use crate::world::{Slot, World};

/// Clients of each instance.
pub(crate) const LANES: u32 = 12;

/// What a request does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// Reads the whole answer, which should have this status.
    Whole(u16),
    /// Gets no answer, since the service panics.
    Panics,
    /// Leaves while the service works.
    Leaves,
    /// Leaves in the middle of the body.
    BreaksOff,
}

/// A request: its share in a hundred, method, path, body, and what happens.
type Kind = (u64, &'static str, &'static str, &'static str, Way);

const KINDS: [Kind; 15] = [
    (52, "GET", "/items/7", "", Way::Whole(200)),
    (8, "POST", "/orders", "two chairs", Way::Whole(201)),
    (5, "GET", "/old", "", Way::Whole(302)),
    (8, "GET", "/missing/4711", "", Way::Whole(404)),
    (4, "GET", "/nowhere/at/all", "", Way::Whole(404)),
    (3, "DELETE", "/refused", "", Way::Whole(409)),
    (3, "GET", "/locked", "", Way::Whole(401)),
    (3, "GET", "/fails", "", Way::Whole(500)),
    (2, "GET", "/busy", "", Way::Whole(503)),
    (4, "GET", "/slow", "", Way::Whole(200)),
    (2, "GET", "/big", "", Way::Whole(200)),
    (2, "GET", "/streams", "", Way::Whole(200)),
    (1, "GET", "/panics", "", Way::Panics),
    (2, "POST", "/waits", "", Way::Leaves),
    (1, "GET", "/streams", "", Way::BreaksOff),
];

/// A numbered client of one instance. It sends one request at a time, so that the service can tell which was its last.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    world: &'a World,
    slot: &'a Slot,
    lane: u32,
    number: u64,
    connection: Option<(Arc<Life>, Connection)>,
}

impl<'a> Lane<'a> {
    pub(crate) fn new(world: &'a World, slot: &'a Slot, lane: u32) -> Self {
        Self { world, slot, lane, number: 0, connection: None }
    }

    /// Sends a request and counts what became of it. Returns how long its answer took.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        head: &str,
        body: &str,
        way: Way,
    ) -> Option<Duration> {
        let life = self.slot.current();
        let kept = self.connection.take().filter(|(of, _)| Arc::ptr_eq(of, &life));
        let mut connection = match kept.map_or_else(|| Connection::to(life.addr), |(_, kept)| Ok(kept)) {
            Ok(connection) => connection,
            // It ends or starts. Nothing was sent.
            Err(_) => {
                std::thread::sleep(Duration::from_millis(20));
                return None;
            }
        };
        self.number += 1;
        self.world.requests.fetch_add(1, Ordering::Relaxed);
        let path = format!("{path}?lane={}&n={}", self.lane, self.number);
        let begun = Instant::now();
        let answered = match way {
            Way::Whole(_) | Way::Panics => {
                let answered = connection.exchange(method, &path, head, body);
                if answered.as_ref().is_ok_and(|answer| !answer.is_last) {
                    self.connection = Some((Arc::clone(&life), connection));
                }
                answered.map(|answer| Some(answer.status))
            }
            Way::Leaves => leave(connection, method, &path).map(|()| None),
            Way::BreaksOff => break_off(connection, method, &path).map(|()| None),
        };
        let took = begun.elapsed();
        match answered {
            Ok(Some(status)) => {
                lock(&life.seen).add(&status.to_string(), 1);
                if !matches!(way, Way::Whole(expected) if expected == status) {
                    self.world.complain(format!("{}: {method} {path}: {status}", life.name));
                }
            }
            _ => self.resolve(&life, way),
        }
        Some(took)
    }

    /// Asks what became of a request without a whole answer.
    fn resolve(&self, life: &Life, way: Way) {
        match life.resolve(self.lane, self.number) {
            Ok(Some((outcome, truncated))) => {
                let mut seen = lock(&life.seen);
                seen.add(&outcome, 1);
                seen.truncated += u64::from(truncated);
            }
            Ok(None) => {}
            Err(complaint) => self.world.complain(format!("{complaint} ({way:?})")),
        }
    }
}

/// Leaves as soon as the service has begun, which it says because it is asked whether it expects the body.
fn leave(mut connection: Connection, method: &str, path: &str) -> io::Result<()> {
    let head = "host: localhost\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n";
    connection.write(format!("{method} {path} HTTP/1.1\r\n{head}"))?;
    connection.read_to(b"\r\n\r\n")?;
    connection.reset();
    Ok(())
}

/// Leaves after the first piece of a streamed body.
fn break_off(mut connection: Connection, method: &str, path: &str) -> io::Result<()> {
    connection.write(format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))?;
    connection.read_to(b"piece 0")?;
    connection.reset();
    Ok(())
}

/// Sends a mix of all requests until the end, this often.
pub(crate) fn mix(world: &World, slot: &Slot, lane: u32, every: Duration) {
    let mut client = Lane::new(world, slot, lane);
    let mut due = Instant::now();
    let mut random = u64::from(lane) + 1;
    while world.waits_for(slot.group, false) {
        // Knuth's linear congruential generator; its high bits are good enough for a mix.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut draw = (random >> 33) % 100;
        let kind = KINDS.iter().find(|kind| {
            let found = draw < kind.0;
            draw = draw.saturating_sub(kind.0);
            found
        });
        let (_, method, path, body, way) = kind.expect("the shares add up to a hundred");
        client.send(method, path, "", body, *way);
        // Late requests are not made up for.
        let now = Instant::now();
        due = (due + every).max(now);
        world.pause(due - now);
    }
}

/// The times of the well-behaved client, since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Times(Mutex<Vec<Duration>>);

impl Times {
    pub(crate) fn add(&self, took: Duration) {
        lock(&self.0).push(took);
    }

    pub(crate) fn take(&self) -> Vec<Duration> {
        let mut taken = std::mem::take(&mut *lock(&self.0));
        taken.sort_unstable();
        taken
    }
}

/// The pause of the well-behaved client between two requests.
const WELL_EVERY: Duration = Duration::from_millis(5);

/// Sends requests that are answered at once, and times them.
pub(crate) fn behave(world: &World, slot: &Slot, lane: u32, times: &Times) {
    let mut client = Lane::new(world, slot, lane);
    while world.waits_for(slot.group, false) {
        let took = client.send("GET", "/items/1", "", "", Way::Whole(200));
        if let Some(took) = took {
            times.add(took);
        }
        std::thread::sleep(WELL_EVERY);
    }
}

/// The 99th percentile of durations in ascending order.
pub(crate) fn p99(took: &[Duration]) -> Duration {
    took.get((took.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}
