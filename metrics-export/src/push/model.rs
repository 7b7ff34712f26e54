//! The end of the engine, modelled: every order in which the steps of its threads can happen.
//!
//! Threads share two states, each behind one lock ([`Watched`](super::watched::Watched)), so an execution is an order
//! of steps under a lock. The model takes these steps as the threads do: it calls the same functions of [`Control`] and
//! [`Sending`], in the same order, and tries each order of all threads, with time passing between any two of them. Loom
//! would do the same but lets no time pass, and the end is about deadlines.
//!
//! Tried by hand, each of these makes the model fail: [`Turn::acts`] ends no windows at the end, or says that a flush
//! is done before its windows ended; a shutdown reads how many windows were dropped after it asked for the flush, or at
//! its end; `flushed` drops nothing at the deadline; `end_flush` drops nothing; a window that was abandoned while it
//! was sent counts as sent when the destination answers after all; `drop_what_is_late` drops nothing, and
//! [`Act::EndSenders`] is missing. Without only one of these last two, nothing is lost: the other one drops what
//! arrives after the end.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_core::{Registry, Snapshot};

use super::control::{Act, Control, Turn};
use super::exporter::{Accepted, Failed, Process};
use super::queue::WindowQueue;
use super::sending::{Next, Sending};
use super::settings::PushSettings;
use super::watched::Wait;

/// Time passes in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// When time stands still. All deadlines are over by then.
const LAST: u64 = 4;

/// What ends the engine.
#[derive(Debug, Clone)]
struct Plan {
    /// Requests that the service answers.
    requests: usize,
    /// Whether a window ends by itself, after the first second.
    has_window: bool,
    /// The deadlines of shutdowns, in seconds.
    shutdowns: Vec<u64>,
    /// Whether all shutdowns may happen at once, or else each after the one before it.
    at_once: bool,
    /// Whether the engine is dropped then. Otherwise the process ends, as after a signal.
    drops: bool,
}

/// The thread that ends windows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Collecting {
    due: Option<Instant>,
    turn: Option<Turn>,
    acts: VecDeque<Act>,
    /// The requests in the snapshot that was taken for this act.
    snapshot: Option<usize>,
    has_ended: bool,
}

/// The thread that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Exporting {
    Waits,
    Sends(u64),
    /// The destination never answers.
    Hangs,
    Ended,
}

/// A thread in `Monitor::shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shutdown {
    /// It waits for requests under way.
    Begins,
    /// It knows how many windows were dropped before.
    Asks(Seen, u64),
    Waits(Seen, u64, u64),
    Drops(Seen, u64, bool),
    Returned,
}

/// What it saw when it waited for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Seen {
    is_idle: bool,
    measured: usize,
    /// Requests in windows that were dropped before.
    dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Dropping {
    EndsCollector,
    EndsSender,
    Done,
}

#[derive(Debug, Clone)]
struct World {
    now: u64,
    to_begin: usize,
    under_way: usize,
    measured: usize,
    /// Requests in windows that the destination accepted, as the engine counts them.
    sent: u64,
    control: Control,
    sending: Sending,
    collecting: Collecting,
    exporting: Exporting,
    shutdowns: Vec<Shutdown>,
    dropping: Dropping,
}

struct Model {
    plan: Plan,
    begun: Instant,
    /// Snapshots with 0, 1, ... requests.
    snapshots: Vec<Arc<Snapshot>>,
    seen: HashSet<u64>,
    hasher: RandomState,
    /// Executions that ended, by what shutdowns returned.
    returned: [u64; 2],
}

impl Model {
    fn explore(plan: Plan) -> Self {
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/");
        let snapshots = (0..=plan.requests).map(|request| {
            if request > 0 {
                registry.record_nanos(endpoint, 200, 1);
            }
            Arc::new(registry.snapshot())
        });
        let (seen, hasher, begun) = (HashSet::new(), RandomState::new(), Instant::now());
        let mut model = Self { plan, begun, snapshots: snapshots.collect(), seen, hasher, returned: [0, 0] };
        let settings = PushSettings {
            interval: 100 * SECOND,
            timeout: SECOND,
            // Shorter than what the destination asks for.
            first_pause: Duration::ZERO,
            max_pause: Duration::ZERO,
            max_windows: 2,
            ..PushSettings::default()
        };
        let first = World {
            now: 0,
            to_begin: model.plan.requests,
            under_way: 0,
            measured: 0,
            sent: 0,
            control: Control::default(),
            sending: Sending::new(WindowQueue::new("", settings, Arc::clone(&model.snapshots[0]))),
            collecting: Collecting {
                due: model.plan.has_window.then(|| model.at(1)),
                turn: None,
                acts: VecDeque::new(),
                snapshot: None,
                has_ended: false,
            },
            exporting: Exporting::Waits,
            shutdowns: vec![Shutdown::Begins; model.plan.shutdowns.len()],
            dropping: Dropping::EndsCollector,
        };
        let mut open = vec![first];
        while let Some(world) = open.pop() {
            world.check();
            if model.seen.insert(model.key(&world)) {
                let next = model.steps(&world);
                if next.is_empty() {
                    model.check_end(&world);
                }
                open.extend(next);
            }
        }
        model
    }

    fn at(&self, second: u64) -> Instant {
        self.begun + SECOND * second as u32
    }

    fn key(&self, world: &World) -> u64 {
        let World { now, to_begin, under_way, measured, sent, .. } = world;
        let World { control, sending, collecting, exporting, shutdowns, dropping, .. } = world;
        let threads = (control, sending.key(), collecting, exporting, shutdowns, dropping);
        self.hasher.hash_one((now, to_begin, under_way, measured, sent, threads))
    }

    /// The worlds after one step of each thread that has something to do.
    fn steps(&self, world: &World) -> Vec<World> {
        let mut next = Vec::new();
        let mut step = |change: &dyn Fn(&mut World)| {
            let mut world = world.clone();
            change(&mut world);
            next.push(world);
        };
        if world.now < LAST {
            step(&|world| world.now += 1);
        }
        if world.to_begin > 0 {
            step(&|world| {
                world.to_begin -= 1;
                world.under_way += 1;
            });
        }
        if world.under_way > 0 {
            step(&|world| {
                world.under_way -= 1;
                world.measured += 1;
            });
        }
        next.extend(self.collect(world));
        next.extend(self.export(world));
        for (i, shutdown) in world.shutdowns.iter().enumerate() {
            let may_begin = self.plan.at_once || i == 0 || world.shutdowns[i - 1] == Shutdown::Returned;
            if may_begin || *shutdown != Shutdown::Begins {
                next.extend(self.shut_down(world, i));
            }
        }
        next.extend(self.drop_engine(world));
        next
    }

    /// As `Collector::run`.
    fn collect(&self, world: &World) -> Option<World> {
        if world.collecting.has_ended {
            return None;
        }
        let (mut world, now) = (world.clone(), self.at(world.now));
        let World { control, sending, collecting, measured, .. } = &mut world;
        let Some(act) = collecting.acts.front().copied() else {
            match collecting.turn.take() {
                None => {
                    let Wait::Ready(turn) = control.turn(collecting.due, now) else { return None };
                    (collecting.turn, collecting.acts) = (Some(turn), turn.acts().into());
                }
                // From a flush on, no window ends by itself.
                Some(Turn::Due | Turn::Flush(..)) => collecting.due = None,
                Some(Turn::End) => collecting.has_ended = true,
            }
            return Some(world);
        };
        let is_done = match act {
            Act::EndDue | Act::EndAll(_) => match collecting.snapshot.take() {
                None => {
                    collecting.snapshot = Some(*measured);
                    false
                }
                Some(calls) => {
                    let flush = if let Act::EndAll(flush) = act { flush } else { None };
                    sending.end_window(Arc::clone(&self.snapshots[calls]), Process::default(), flush);
                    true
                }
            },
            Act::Flushed(number) => {
                control.flushed(number);
                true
            }
            Act::EndSenders => {
                sending.end();
                true
            }
        };
        if is_done {
            collecting.acts.pop_front();
        }
        Some(world)
    }

    /// As `sender::run`.
    fn export(&self, world: &World) -> Vec<World> {
        let now = self.at(world.now);
        match world.exporting {
            Exporting::Hangs | Exporting::Ended => Vec::new(),
            Exporting::Waits => {
                let mut world = world.clone();
                match world.sending.next(now) {
                    Wait::Until(_) => return Vec::new(),
                    Wait::Ready(Next::Flushed) => {}
                    Wait::Ready(Next::End) => world.exporting = Exporting::Ended,
                    Wait::Ready(Next::Send(..)) => {
                        let (base, sending, _) = world.sending.queue().calls();
                        world.exporting = Exporting::Sends(sending.expect("it was taken") - base);
                    }
                }
                vec![world]
            }
            Exporting::Sends(calls) => {
                let answers = |result: Option<Result<Accepted, Failed>>| {
                    let mut world = world.clone();
                    world.exporting = Exporting::Waits;
                    let before = world.sending.counts().windows_sent;
                    match result {
                        Some(result) => drop(world.sending.settle(result, calls, now)),
                        None => world.sending.skip(),
                    }
                    world.sent += calls * (world.sending.counts().windows_sent - before);
                    world
                };
                if calls == 0 {
                    return vec![answers(None)];
                }
                // At any time, before and after the deadline.
                let again = Failed { retry_after: Some(SECOND), ..Failed::temporary("") };
                vec![
                    answers(Some(Ok(Accepted::default()))),
                    answers(Some(Err(again))),
                    answers(Some(Err(Failed::permanent("")))),
                    World { exporting: Exporting::Hangs, ..world.clone() },
                ]
            }
        }
    }

    /// As `Monitor::shutdown` and `Engine::shutdown`.
    fn shut_down(&self, world: &World, i: usize) -> Option<World> {
        let (mut world, now) = (world.clone(), self.at(world.now));
        let deadline = self.plan.shutdowns[i];
        let until = self.at(deadline);
        world.shutdowns[i] = match world.shutdowns[i] {
            Shutdown::Begins => {
                let is_idle = world.under_way == 0;
                if !is_idle && world.now + 1 < deadline {
                    return None;
                }
                let dropped = world.sending.counts().calls_dropped;
                let seen = Seen { is_idle, measured: world.measured, dropped };
                Shutdown::Asks(seen, world.sending.windows_dropped())
            }
            Shutdown::Asks(seen, before) => Shutdown::Waits(seen, before, world.control.flush(until)),
            Shutdown::Waits(seen, before, flush) => match world.control.has_flushed(flush, until, now) {
                Wait::Until(_) => return None,
                Wait::Ready(in_time) => Shutdown::Drops(seen, before, in_time),
            },
            Shutdown::Drops(seen, before, in_time) => match world.sending.flushed(until, now) {
                Wait::Until(_) => return None,
                Wait::Ready(after) => {
                    // What it returns is true: whatever had ended when it looked, and was not dropped by then, was
                    // sent.
                    if seen.is_idle && in_time && before == after {
                        let counted = world.sent + seen.dropped;
                        assert!(counted >= seen.measured as u64, "true, but not all was sent: {world:#?}");
                    }
                    // And whatever had ended was counted, unless another one still sends it.
                    if in_time && self.plan.shutdowns.len() == 1 {
                        assert!(world.sending.queue().is_empty(), "something waits: {world:#?}");
                    }
                    Shutdown::Returned
                }
            },
            Shutdown::Returned => return None,
        };
        Some(world)
    }

    /// As the drop of the last clone of a monitor: no request and no shutdown has one any more.
    fn drop_engine(&self, world: &World) -> Option<World> {
        let has_clones = world.to_begin + world.under_way > 0
            || world.shutdowns.iter().any(|shutdown| *shutdown != Shutdown::Returned);
        if has_clones || !self.plan.drops {
            return None;
        }
        let mut world = world.clone();
        world.dropping = match world.dropping {
            Dropping::EndsCollector => {
                world.control.end();
                Dropping::EndsSender
            }
            Dropping::EndsSender => {
                world.sending.end();
                Dropping::Done
            }
            Dropping::Done => return None,
        };
        Some(world)
    }

    /// No thread has anything to do any more.
    fn check_end(&mut self, world: &World) {
        let have_returned = world.shutdowns.iter().all(|shutdown| *shutdown == Shutdown::Returned);
        assert!(have_returned, "a shutdown waits for ever: {world:#?}");
        let counted = world.sent + world.sending.counts().calls_dropped;
        if self.plan.drops {
            assert!(world.collecting.has_ended, "its thread waits for ever: {world:#?}");
            let is_over = matches!(world.exporting, Exporting::Hangs | Exporting::Ended);
            assert!(is_over, "its thread waits for ever: {world:#?}");
            assert_eq!(counted, world.measured as u64, "lost: {world:#?}");
        }
        self.returned[usize::from(counted == world.measured as u64)] += 1;
    }
}

impl World {
    /// Each request is sent, dropped, in a window, or in the one that is open.
    fn check(&self) {
        let (base, sending, waiting) = self.sending.queue().calls();
        assert_eq!(base, self.sent + self.sending.counts().calls_dropped, "{self:#?}");
        let ends: Vec<_> =
            [base].into_iter().chain(sending).chain(waiting).chain([self.measured as u64]).collect();
        assert!(ends.is_sorted(), "{self:#?}");
    }
}

fn explore(plan: Plan) {
    let (begun, told) = (Instant::now(), format!("{plan:?}"));
    let Model { seen, returned: [some, all], .. } = Model::explore(plan);
    println!(
        "{told}: {} states in {:?}; {all} ends with all counted, {some} others",
        seen.len(),
        begun.elapsed()
    );
    // A model in which nothing happens proves nothing.
    assert!(seen.len() > 1_000 && all > 0);
}

#[test]
fn a_shutdown_after_a_signal_counts_all_and_says_whether_all_was_sent() {
    explore(Plan { requests: 2, has_window: true, shutdowns: vec![2], at_once: true, drops: false });
}

#[test]
fn a_drop_without_a_shutdown_counts_all_as_sent_or_dropped() {
    explore(Plan { requests: 2, has_window: true, shutdowns: vec![], at_once: true, drops: true });
}

#[test]
fn a_drop_after_a_shutdown_counts_all_as_sent_or_dropped() {
    explore(Plan { requests: 2, has_window: true, shutdowns: vec![2], at_once: true, drops: true });
}

#[test]
fn a_shutdown_after_another_counts_all_as_sent_or_dropped() {
    explore(Plan { requests: 2, has_window: false, shutdowns: vec![2, 3], at_once: false, drops: true });
}

#[test]
fn a_shutdown_during_another_one_counts_all_as_sent_or_dropped() {
    explore(Plan { requests: 1, has_window: false, shutdowns: vec![2, 3], at_once: true, drops: true });
}
