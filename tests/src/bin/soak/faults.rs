//! What goes wrong, one thing after the other.

use std::time::Duration;

use tests::{Fault, Redis};

use crate::destinations::KINDS;
use crate::mutex::lock;
use crate::world::{Slot, World};

const FAULTS: [Fault; 6] =
    [Fault::Refused, Fault::BlackHole, Fault::Reset, Fault::Refusing, Fault::Slow, Fault::EveryThird];

/// The instance that is restarted; the other one lives as long as the soak.
const RESTARTED: usize = 1;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// A destination of all instances.
    Destination(usize, Fault),
    /// All destinations, each in another way.
    AllDestinations,
    /// Redis is frozen.
    Frozen,
    /// Redis is killed, and starts again with its data.
    Killed,
    /// An instance ends with this signal and starts again.
    Restart(&'static str),
    /// The same, while all destinations fail.
    RestartMeanwhile(&'static str),
}

/// All of it, so that a short soak sees each kind.
fn plan() -> Vec<Trouble> {
    let mut plan = vec![
        Trouble::Restart("TERM"),
        Trouble::Frozen,
        Trouble::AllDestinations,
        Trouble::Restart("INT"),
        Trouble::Killed,
        Trouble::RestartMeanwhile("TERM"),
    ];
    for turn in 0..FAULTS.len() {
        for kind in 0..KINDS.len() {
            // Another fault for each destination, so that neighbours in the plan differ.
            plan.push(Trouble::Destination(kind, FAULTS[(turn + kind) % FAULTS.len()]));
        }
        let signal = ["INT", "TERM"][turn % 2];
        plan.push(if turn % 3 == 2 { Trouble::RestartMeanwhile(signal) } else { Trouble::Restart(signal) });
    }
    plan
}

/// Makes trouble in turn until the end. Each lasts this long, and as long a calm follows. Returns how often there
/// was trouble.
pub(crate) fn make(world: &World, redis: &mut Redis, lasts: Duration) -> usize {
    let plan = plan();
    let mut had = 0;
    for trouble in plan.iter().cycle() {
        if !world.pause(lasts) {
            break;
        }
        had += 1;
        world.check(once(world, redis, lasts, *trouble));
    }
    had
}

fn once(world: &World, redis: &mut Redis, lasts: Duration, trouble: Trouble) -> Result<(), String> {
    let restarted: &Slot = &world.slots[RESTARTED];
    match trouble {
        Trouble::Destination(kind, fault) => {
            set(world, kind, fault);
            world.pause(lasts);
            set(world, kind, Fault::None);
        }
        Trouble::AllDestinations => {
            set_all(world, true);
            world.pause(lasts);
            set_all(world, false);
        }
        Trouble::Frozen => {
            redis.signal("STOP");
            world.pause(lasts);
            redis.signal("CONT");
        }
        Trouble::Killed => {
            redis.kill();
            world.pause(lasts);
            redis.restart();
        }
        Trouble::Restart(signal) => restarted.restart(signal, &world.redis)?,
        Trouble::RestartMeanwhile(signal) => {
            set_all(world, true);
            world.pause(lasts);
            // Meanwhile, the destinations still fail.
            let ended = restarted.restart(signal, &world.redis);
            set_all(world, false);
            ended?;
        }
    }
    Ok(())
}

fn set(world: &World, kind: usize, fault: Fault) {
    for slot in &world.slots {
        if let Some(destinations) = &*lock(&slot.current().destinations) {
            destinations.set(kind, fault);
        }
    }
}

fn set_all(world: &World, fails: bool) {
    for (kind, fault) in FAULTS.into_iter().enumerate().take(KINDS.len()) {
        set(world, kind, if fails { fault } else { Fault::None });
    }
}
