//! Two instances of a service around one Redis, for as long as it is told: under load with all outcomes, hostile
//! clients, failing destinations, resets and restarts. At the end the clients, the summaries, Prometheus, the fleet and
//! the exporters must have counted the same.
//!
//! `cargo run --release -p tests --bin soak -- --seconds 60`. It needs `redis-server`, and ends with an error if
//! anything disagrees. Ctrl-C ends it early, with the same comparison.

mod book;
mod connection;
mod destinations;
mod faults;
mod hostile;
mod http2;
mod life;
mod load;
mod mutex;
mod processes;
mod routes;
mod service;
mod verdict;
mod witness;
mod world;

use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use actix_web::rt::signal::unix::{SignalKind, signal};
use futures_util::future::{Either, select};
use serde_json::Value;
use tests::{Redis, Turns};

use crate::load::{Times, p99};
use crate::mutex::lock;
use crate::processes::Processes;
use crate::verdict::Verdict;
use crate::world::{Slot, World};

const HELP: &str = "\
Runs two instances of a service under load, hostile clients and faults, and compares what everybody counted.

Usage: soak [OPTIONS]

      --seconds N   how long to run, 10 to 1000000 (default: 60)
      --rate N      total requests a second, without those of hostile clients, 10 to 100000 (default: 800)
      --trouble MS  how long each fault lasts, 500 to 60000 ms (default: 1500 up to ten minutes, then 4000)
  -h, --help        print this help";

/// What the command line says.
#[derive(Debug)]
struct Options {
    seconds: u64,
    rate: u64,
    trouble: Option<u64>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self { seconds: 60, rate: 800, trouble: None };
        while let Some(argument) = arguments.next() {
            let mut number = |least, most| {
                let value = arguments.next().unwrap_or_default();
                let number = value.parse().ok().filter(|number| (least..=most).contains(number));
                number.ok_or_else(|| format!("{argument} is {value:?}; allowed: {least} to {most}"))
            };
            match &*argument {
                "--seconds" => options.seconds = number(10, 1_000_000)?,
                "--rate" => options.rate = number(10, 100_000)?,
                "--trouble" => options.trouble = Some(number(500, 60_000)?),
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
    let result = if arguments.next_if(|argument| argument == "serve").is_some() {
        service::run(&arguments.next().unwrap_or_default()).map_err(|error| error.to_string())
    } else {
        match Options::parse(arguments) {
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
    let slots = [Slot::start("steady", &url)?, Slot::start("restarted", &url)?];
    let world = World::new(slots, url, Duration::from_secs(options.seconds));
    let (times, mut processes) = (Times::default(), Processes::default());
    let mut turns = Turns::default();
    thread::scope(|scope| {
        scope.spawn(|| stop_on_signals(&world));
        start_clients(scope, &world, options, &times);
        scope.spawn(|| keep_doing(&world, Duration::from_secs(1), |life| life.scrape()));
        scope.spawn(|| keep_doing(&world, Duration::from_millis(2_300), |life| life.reset()));
        let redis = &mut redis;
        let faults = scope.spawn(|| faults::make(&world, redis, options.trouble()));
        watch(&world, &times, &mut turns, &mut processes);
        let had = faults.join().unwrap_or_else(|_| {
            world.complain("what makes trouble panicked".to_owned());
            0
        });
        println!("load ended after {:.0} s with {had} troubles", world.begun.elapsed().as_secs_f64());
    });
    let fleet = settle(&world);
    for (slot, signal) in world.slots.iter().zip(["INT", "TERM"]) {
        world.check(slot.current().end(signal));
    }
    drop(redis);
    let verdict = Verdict::of(&world, fleet.as_ref());
    verdict.print();
    let warm_up = (options.seconds as f64 / 5.0).min(600.0);
    println!("growth after the first {warm_up:.0} s of each life, +- the standard error;");
    println!(
        "the rest is what is resident without history, shards and the like, which are bounded by the settings:"
    );
    processes.growth(warm_up).iter().for_each(|line| println!("  {line}"));
    println!("the well-behaved client, without and with hostile ones: {turns}");
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
    let every = Duration::from_secs(1) * load::LANES * world.slots.len() as u32 / options.rate as u32;
    for slot in &world.slots {
        for lane in 0..load::LANES {
            scope.spawn(move || load::mix(world, slot, lane, every));
        }
        let hostile = load::LANES;
        scope.spawn(move || hostile::flood(world, slot, hostile));
        scope.spawn(move || hostile::flood(world, slot, hostile + 1));
        scope.spawn(move || hostile::make_up_keys(world, slot, hostile + 2));
        scope.spawn(|| hostile::guess(world, slot));
        scope.spawn(|| hostile::listen(world, slot));
    }
    let [steady, _] = &world.slots;
    let further = load::LANES + 3;
    scope.spawn(move || load::behave(world, steady, further, times));
    scope.spawn(move || http2::mix(world, steady, further + 1));
}

/// Does something with each living instance until the end, this often.
fn keep_doing(world: &World, every: Duration, what: impl Fn(&life::Life) -> Result<(), String>) {
    while world.pause(every) {
        for slot in &world.slots {
            world.check(what(&slot.current()));
        }
    }
}

/// Gives hostile clients their turns, takes samples, and prints a line a minute.
fn watch(world: &World, times: &Times, turns: &mut Turns, processes: &mut Processes) {
    let turn = Duration::from_secs(1);
    let mut minute = Vec::new();
    let (mut printed, mut requests) = (Instant::now(), 0);
    loop {
        let mut pair = [Duration::ZERO; 2];
        for (is_hostile, p99_of_turn) in [false, true].into_iter().zip(&mut pair) {
            world.is_hostile.store(is_hostile, Ordering::Relaxed);
            // What was under way belongs to the turn before.
            world.pause(turn / 5);
            times.take();
            world.pause(turn);
            let took = times.take();
            *p99_of_turn = p99(&took);
            minute.extend(took);
        }
        let seconds = world.begun.elapsed().as_secs_f64();
        for slot in &world.slots {
            let life = slot.current();
            processes.sample(&life.name, life.id, seconds, life.kept_bytes());
        }
        processes.sample("the soak itself", std::process::id(), seconds, 0);
        if world.is_over() {
            break;
        }
        let [without, with] = pair;
        turns.push(without, with);
        if printed.elapsed() >= Duration::from_secs(60) {
            minute.sort_unstable();
            let sent = world.requests.load(Ordering::Relaxed);
            let names = world.slots.each_ref().map(|slot| slot.current().name.clone());
            let [steady, restarted] = names.each_ref().map(|name| {
                let [kib, descriptors, kept] = processes.last(name);
                format!("{name} {kib:.0} KiB ({kept:.0} kept) {descriptors} descriptors")
            });
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
    world.is_hostile.store(false, Ordering::Relaxed);
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
