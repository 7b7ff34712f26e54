//! Two instances of a service around one Redis, for as long as it is told: under load with all outcomes, hostile
//! clients, failing destinations, resets and restarts. At the end the clients, the summaries, Prometheus, the fleet and
//! the exporters must have counted the same.
//!
//! `cargo run --release -p tests --bin soak -- --seconds 60`. It needs `redis-server`, and ends with an error if
//! anything disagrees. Ctrl-C ends it early, with the same comparison.
//!
//! `soak storm` sends hostile errors instead, as many as it is told. `soak restarts` restarts a service with a history
//! again and again.

mod book;
mod connection;
mod destinations;
mod faults;
mod heap;
mod hostile;
mod http2;
mod life;
mod load;
mod mutex;
mod processes;
mod program;
mod recent;
mod restarts;
mod routes;
mod service;
mod storm;
mod turn;
mod verdict;
mod watch;
mod witness;
mod world;

use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use actix_web::rt::signal::unix::{SignalKind, signal};
use futures_util::future::{Either, select};
use serde_json::Value;
use tests::Redis;

use crate::life::Life;
use crate::load::Times;
use crate::mutex::lock;
use crate::turn::Group;
use crate::verdict::Verdict;
use crate::watch::watch;
use crate::world::{Slot, World};

const HELP: &str = "\
Runs two instances of a service under load, hostile clients and faults, and compares what everybody counted.

Usage: soak [OPTIONS]
       soak storm [STORM OPTIONS]
       soak restarts [RESTARTS OPTIONS]

      --seconds N   how long to run, 10 to 1000000 (default: 60)
      --rate N      total requests a second, without those of hostile clients, 10 to 100000 (default: 800)
      --trouble MS  how long each fault lasts, 500 to 60000 ms (default: 1500 up to ten minutes, then 4000)
      --hostile A,B which hostile clients there are: paths, keys, guesses, listeners (default: all of them)

soak storm sends errors that each have a message, a path and a consumer of their own, and needs no Redis.

      --errors N    how many, 1000 to 100000000 (default: 100000)
      --rate N      hostile requests a second at most, 10 to 100000 (default: 8000)

soak restarts stops and kills a service, which must then show what a shadow shows that is never restarted.

      --lives N     how many times, 1 to 10000 (default: 100)
      --fleet       with the history in a Redis; without, in a file
      --seed N      of what is sent, and when it is killed (default: another one each time)

  -h, --help        print this help";

/// Kinds of hostile clients.
const HOSTILE: [&str; 4] = ["paths", "keys", "guesses", "listeners"];

fn hostile_clients(names: String) -> Result<String, String> {
    match names.split(',').find(|name| !HOSTILE.contains(name)) {
        None => Ok(names),
        Some(name) => Err(format!("--hostile has {name:?}; allowed: {}", HOSTILE.join(", "))),
    }
}

/// What the command line says.
#[derive(Debug)]
struct Options {
    seconds: u64,
    rate: Option<u64>,
    trouble: Option<u64>,
    hostile: String,
    errors: u64,
    lives: u64,
    fleet: bool,
    seed: u64,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            seconds: 60,
            rate: None,
            trouble: None,
            hostile: HOSTILE.join(","),
            errors: 100_000,
            lives: 100,
            fleet: false,
            seed: fastrand::u64(..),
        };
        while let Some(argument) = arguments.next() {
            let mut number = |least, most| {
                let value = arguments.next().unwrap_or_default();
                let number = value.parse().ok().filter(|number| (least..=most).contains(number));
                number.ok_or_else(|| format!("{argument} is {value:?}; allowed: {least} to {most}"))
            };
            match &*argument {
                "--seconds" => options.seconds = number(10, 1_000_000)?,
                "--rate" => options.rate = Some(number(10, 100_000)?),
                "--trouble" => options.trouble = Some(number(500, 60_000)?),
                "--hostile" => options.hostile = hostile_clients(arguments.next().unwrap_or_default())?,
                "--errors" => options.errors = number(1_000, 100_000_000)?,
                "--lives" => options.lives = number(1, 10_000)?,
                "--fleet" => options.fleet = true,
                "--seed" => options.seed = number(0, u64::MAX)?,
                "-h" | "--help" => return Ok(None),
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(Some(options))
    }

    /// How long each fault lasts.
    fn trouble(&self) -> Duration {
        let long = if self.seconds > 600 { 4_000 } else { 1_500 };
        Duration::from_millis(self.trouble.unwrap_or(long))
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut is = |name: &str| arguments.next_if(|argument| argument == name).is_some();
    let result = if is("serve") {
        service::run(&arguments.next().unwrap_or_default()).map_err(|error| error.to_string())
    } else if is("serve-storm") {
        storm::serve::run(&arguments.next().unwrap_or_default()).map_err(|error| error.to_string())
    } else if is("serve-restarts") {
        restarts::serve::run(&arguments.next().unwrap_or_default()).map_err(|error| error.to_string())
    } else {
        let [is_storm, is_restarts] = ["storm", "restarts"].map(is);
        match Options::parse(arguments) {
            Ok(Some(options)) if is_storm => storm::run(options.errors, options.rate.unwrap_or(8_000) as u32),
            Ok(Some(options)) if is_restarts => restarts::run(options.lives, options.fleet, options.seed),
            Ok(Some(options)) => soak(&options),
            Ok(None) => {
                println!("{HELP}");
                Ok(())
            }
            Err(error) => Err(format!("{error}; try --help")),
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn soak(options: &Options) -> Result<(), String> {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return Err("redis-server is not installed; on Debian: apt-get install redis-server".to_owned());
    }
    // So that a killed Redis comes back with all that it acknowledged.
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let url = redis.url();
    let start = |name, group| Slot::start(name, &url, group);
    let slots = [start("steady", Group::Monitored)?, start("restarted", Group::Monitored)?];
    let bare = [start("bare", Group::Bare)?, start("bare too", Group::Bare)?];
    let world = &World::new(slots, bare, url.clone(), Duration::from_secs(options.seconds));
    let times = Times::default();
    let watched = thread::scope(|scope| {
        scope.spawn(|| stop_on_signals(world));
        start_clients(scope, world, options, &times);
        let monitored = world.slots.each_ref();
        scope.spawn(move || keep_doing(world, &monitored, Duration::from_secs(1), Life::scrape));
        scope.spawn(move || keep_doing(world, &monitored, Duration::from_millis(2_300), Life::reset));
        let all: Vec<_> = world.all_slots().collect();
        scope.spawn(move || keep_doing(world, &all, Duration::from_secs(1), Life::weigh));
        let redis = &mut redis;
        let faults = scope.spawn(|| faults::make(world, redis, options.trouble()));
        let watched = watch(world, &times);
        let had = faults.join().unwrap_or_else(|_| {
            world.complain("what makes trouble panicked".to_owned());
            0
        });
        println!("load ended after {:.0} s with {had} troubles", world.begun.elapsed().as_secs_f64());
        watched
    });
    let fleet = settle(world);
    for (slot, signal) in world.slots.iter().zip(["INT", "TERM"]) {
        world.check(slot.current().end(signal));
    }
    world.bare.iter().for_each(|slot| world.check(slot.current().end("TERM")));
    drop(redis);
    let verdict = Verdict::of(world, fleet.as_ref());
    verdict.print();
    let warm_up = (options.seconds as f64 / 5.0).min(600.0);
    watched.print(warm_up);
    let complaints = world.complaints();
    println!("{} disagreements, {} complaints", verdict.disagreements.len(), complaints.len());
    verdict.disagreements.iter().chain(&complaints).for_each(|line| println!("  {line}"));
    if verdict.disagreements.is_empty() && complaints.is_empty() {
        Ok(())
    } else {
        Err("not everybody counted the same, or something happened that must not".to_owned())
    }
}

/// Ends the soak early after Ctrl-C or SIGTERM.
fn stop_on_signals(world: &World) {
    actix_web::rt::System::new().block_on(async {
        let (Ok(mut interrupted), Ok(mut terminated)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let signals = std::pin::pin!(select(Box::pin(interrupted.recv()), Box::pin(terminated.recv())));
        let over = std::pin::pin!(async {
            while !world.is_over() {
                actix_web::rt::time::sleep(Duration::from_millis(100)).await;
            }
        });
        if let Either::Left(_) = select(signals, over).await {
            println!("stopped by a signal");
            world.stop.store(true, Ordering::Relaxed);
        }
    });
}

fn start_clients<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    world: &'scope World,
    options: &Options,
    times: &'scope Times,
) {
    // Numbers of clients are unique for each instance.
    let every =
        Duration::from_secs(1) * load::LANES * world.slots.len() as u32 / options.rate.unwrap_or(800) as u32;
    for slot in world.all_slots() {
        for lane in 0..load::LANES {
            scope.spawn(move || load::mix(world, slot, lane, every));
        }
        let hostile = load::LANES;
        for name in options.hostile.split(',') {
            match name {
                "paths" => {
                    scope.spawn(move || hostile::flood(world, slot, hostile));
                    scope.spawn(move || hostile::flood(world, slot, hostile + 1));
                }
                "keys" => drop(scope.spawn(move || hostile::make_up_keys(world, slot, hostile + 2))),
                "guesses" => drop(scope.spawn(|| hostile::guess(world, slot))),
                _ => drop(scope.spawn(|| hostile::listen(world, slot))),
            }
        }
    }
    let further = load::LANES + 3;
    for [steady, _] in [&world.slots, &world.bare] {
        scope.spawn(move || load::behave(world, steady, further, times));
        scope.spawn(move || http2::mix(world, steady, further + 1));
    }
}

/// Does something with each living instance until the end, this often.
fn keep_doing(world: &World, slots: &[&Slot], every: Duration, what: fn(&Life) -> Result<(), String>) {
    while world.pause(every) {
        for slot in slots {
            world.check(what(&slot.current()));
        }
    }
}

/// Waits until the fleet has all that the clients saw. Then nothing is under way, and the endpoints of living instances
/// must say the same. Returns the fleet's figures.
fn settle(world: &World) -> Option<Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let sent: u64 = world.lives().iter().map(|life| lock(&life.seen).calls()).sum();
    let mut fleet = None;
    while Instant::now() < deadline {
        match world.slots[0].current().data("GET", "fleet/summary") {
            Ok(summary) if summary["stale"] == false => {
                let is_whole = summary["total_calls"] == sent;
                fleet = Some(summary);
                if is_whole {
                    break;
                }
            }
            Ok(_) => {}
            Err(error) => eprintln!("{error}"),
        }
        thread::sleep(Duration::from_millis(200));
    }
    for slot in &world.slots {
        let life = slot.current();
        world.check(life.scrape());
        world.check(life.agrees());
    }
    fleet
}
