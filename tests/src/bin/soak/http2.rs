//! A client of HTTP/2, with several streams on one connection.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tests::Http2;

use crate::life::Life;
use crate::mutex::lock;
use crate::world::{Slot, World};

/// The streams of a round: a client of its own each, since they are under way at the same time.
pub(crate) const LANES: u32 = 4;

/// Rounds of a connection, which has room for some kilobytes of bodies in all.
const ROUNDS: u64 = 20;

/// The pause between two rounds.
const EVERY: Duration = Duration::from_millis(50);

/// Longer than the answers of a round take.
const ANSWERS: Duration = Duration::from_secs(30);

/// Sends rounds of four streams until the end: two that are answered, one that is given up before its answer, and one
/// in the middle of its body. The instance must not end meanwhile.
pub(crate) fn mix(world: &World, slot: &Slot, lane: u32) {
    let life = slot.current();
    let mut number = 0;
    while world.waits_for(slot.group, false) {
        let mut connection = Http2::connect(life.addr, 1 << 20);
        for _ in 0..ROUNDS {
            number += 1;
            let path = |path: &str, stream: u32| format!("{path}?lane={}&n={number}", lane + stream);
            let (ok, others) = connection.read_for(Duration::ZERO);
            world.requests.fetch_add(4, Ordering::Relaxed);
            let waiting = connection.get(&path("/late", 2));
            let streaming = connection.get(&path("/streams", 3));
            connection.get(&path("/items/2", 0));
            connection.get(&path("/fails", 1));
            let begun = Instant::now();
            // The first two and the head of the streamed one; `/late` may be faster than this client on a busy machine.
            while connection.read_for(Duration::from_millis(1)).0 < ok + 2
                || connection.read_for(Duration::ZERO).1 < others + 1
            {
                if begun.elapsed() > ANSWERS {
                    world.complain(format!("{}: no answer over HTTP/2", life.name));
                    break;
                }
            }
            connection.reset(waiting);
            connection.reset(streaming);
            settle(world, &life, lane, number);
            std::thread::sleep(EVERY);
            if !world.waits_for(slot.group, false) {
                break;
            }
        }
    }
}

/// Waits for the outcomes of a round, and counts each once.
fn settle(world: &World, life: &Life, lane: u32, number: u64) {
    for stream in 0..LANES {
        match life.resolve(lane + stream, number) {
            Ok(Some((outcome, truncated))) => {
                let mut seen = lock(&life.seen);
                seen.add(&outcome, 1);
                seen.truncated += u64::from(truncated);
            }
            Ok(None) => world.complain(format!("{}: stream {stream} of {number} never arrived", life.name)),
            Err(complaint) => world.complain(complaint),
        }
    }
}
