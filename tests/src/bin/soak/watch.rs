//! Gives each group and hostile clients their turns, and measures meanwhile.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tests::Turns;

use crate::heap;
use crate::load::{Times, p99};
use crate::processes::{Processes, Usage, Used};
use crate::turn::{Group, Turn};
use crate::world::World;

/// How long a turn is measured.
const LASTS: Duration = Duration::from_secs(1);

/// What was measured while clients had their turns.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    monitored: Measured,
    bare: Measured,
    processes: Processes,
}

/// The turns of a group.
#[derive(Debug, Default)]
struct Measured {
    /// The times of the well-behaved client.
    turns: Turns,
    /// What the instance that it calls used, without and with hostile clients.
    used: [Used; 2],
}

/// Gives each group and hostile clients their turns until the end, and prints a line a minute.
pub(crate) fn watch(world: &World, times: &Times) -> Watched {
    let mut watched = Watched::default();
    let mut groups = [Group::Monitored, Group::Monitored, Group::Bare].into_iter().cycle();
    let mut minute = Vec::new();
    let (mut printed, mut requests) = (Instant::now(), 0);
    loop {
        let group = groups.next().expect("it goes on for ever");
        let (measured, instance) = match group {
            Group::Monitored => (&mut watched.monitored, &world.slots[0]),
            Group::Bare => (&mut watched.bare, &world.bare[0]),
        };
        let id = instance.current().id;
        let (mut pair, mut used) = ([Duration::ZERO; 2], measured.used);
        for is_hostile in [false, true] {
            world.board.set(Turn { group, is_hostile });
            // What was under way belongs to the turn before.
            world.pause(LASTS / 5);
            times.take();
            let (begun, before) = (Instant::now(), Usage::of(id));
            world.pause(LASTS);
            let took = times.take();
            pair[usize::from(is_hostile)] = p99(&took);
            used[usize::from(is_hostile)].add(before, Usage::of(id), begun.elapsed().as_secs_f64());
            if group == Group::Monitored {
                minute.extend(took);
            }
        }
        // The last turn is cut short.
        if !world.is_over() {
            let [without, with] = pair;
            measured.turns.push(without, with);
            measured.used = used;
        }
        let seconds = world.begun.elapsed().as_secs_f64();
        for slot in world.all_slots() {
            let life = slot.current();
            let (allocated, kept) = (life.allocated_bytes(), life.kept_bytes());
            watched.processes.sample(&life.name, life.id, seconds, allocated, kept);
        }
        watched.processes.sample("the soak itself", std::process::id(), seconds, heap::allocated(), 0);
        if world.is_over() {
            break;
        }
        if printed.elapsed() >= Duration::from_secs(60) {
            minute.sort_unstable();
            let sent = world.requests.load(Ordering::Relaxed);
            let [steady, restarted] =
                world.slots.each_ref().map(|slot| watched.processes.last(&slot.current().name));
            println!(
                "{seconds:.0} s: {sent} requests, {:.0}/s, {} refused; {steady}; {restarted}; p99 {} us",
                (sent - requests) as f64 / printed.elapsed().as_secs_f64(),
                world.refused.load(Ordering::Relaxed),
                p99(&minute).as_micros(),
            );
            minute.clear();
            (printed, requests) = (Instant::now(), sent);
        }
    }
    world.board.set(Turn { group: Group::Monitored, is_hostile: false });
    watched
}

impl Watched {
    /// Prints how the processes grew from this moment of their lives on, and what hostile clients cost.
    pub(crate) fn print(&self, warm_up: f64) {
        println!("growth after the first {warm_up:.0} s of each life, +- the standard error;");
        println!(
            "resident has what the allocator keeps of freed memory, and kept is what the settings bound: history, shards:"
        );
        self.processes.growth(warm_up).iter().for_each(|line| println!("  {line}"));
        println!("the well-behaved client, without and with hostile ones:");
        for (name, measured) in [("monitored", &self.monitored), ("not monitored", &self.bare)] {
            println!("  {name}: {}", measured.turns);
            let [without, with] = measured.used;
            println!("    its service uses {without}; with hostile ones {with}");
        }
        let ([with, its_error], [without, error]) =
            (self.monitored.turns.difference(), self.bare.turns.difference());
        println!(
            "  so hostile clients cost {:+.0} us more with the monitor, standard error {:.0} us",
            with - without,
            its_error.hypot(error)
        );
    }
}
