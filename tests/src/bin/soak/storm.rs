//! A storm of hostile errors, each with a message, a path and a consumer of its own: memory must stay bounded and
//! totals exact. A well-behaved client is timed without a storm, during a storm of errors, and during a storm of as
//! many successes, at a service with a monitor and at one without. What then remains is what the monitor does for
//! errors.
//!
//! `cargo run --release -p tests --bin soak -- storm --errors 1000000`.

mod clients;
pub(crate) mod serve;
mod weight;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::Turns;

use self::clients::{Field, LANES, Storm, Turn, attack, behave, look};
use self::weight::Weight;
use crate::book::Book;
use crate::load::p99;
use crate::mutex::lock;
use crate::processes::{Usage, Used};
use crate::program::Program;

/// How long a turn is measured, after its beginning, which is not.
const LASTS: Duration = Duration::from_secs(1);
const BEGINS: Duration = Duration::from_millis(150);

const STORMS: [Storm; 3] = [Storm::None, Storm::Successes, Storm::Errors];

/// What was measured at a service.
#[derive(Debug, Default)]
struct Measured {
    /// The well-behaved client without a storm, and during errors.
    storm: Turns,
    /// The same during successes, and during errors.
    errors: Turns,
    /// For each of [`STORMS`].
    used: [Used; 3],
}

/// Sends so many hostile errors, at most so many a second. Fails if memory grew, or somebody counted something else.
pub(crate) fn run(errors: u64, rate: u32) -> Result<(), String> {
    let start = |is_bare: bool| Program::start("serve-storm", &json!({ "bare": is_bare }));
    let mut services = [start(false)?, start(true)?];
    let ids = services.each_ref().map(Program::id);
    let field = Field::new(services.each_ref().map(|service| service.addr));
    let begun = Instant::now();
    let mut measured = [Measured::default(), Measured::default()];
    let mut weights = Vec::new();
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| attack(&field, rate));
        }
        scope.spawn(|| behave(&field));
        scope.spawn(|| look(&field));
        for round in 0.. {
            if field.errors() >= errors || !field.complaints().is_empty() {
                break;
            }
            take_turns(&field, ids, round, &mut measured);
            weights.extend(Weight::of(&field, ids[0]));
        }
        field.is_over.store(true, Ordering::Relaxed);
    });
    println!("{} hostile errors in {:.0} s", field.errors(), begun.elapsed().as_secs_f64());
    print_times(&measured);
    let [(status, words), (bare_status, _)] = [services[0].end("TERM")?, services[1].end("TERM")?];
    let mut complaints = field.complaints();
    complaints.extend(weight::judge(&weights));
    complaints.extend(disagreements(&lock(&field.seen[0]), &words));
    if !status.success() || !bare_status.success() {
        complaints.push(format!("the services ended with {status} and {bare_status}"));
    }
    complaints.iter().for_each(|complaint| println!("  {complaint}"));
    if complaints.is_empty() {
        println!("all agree");
        Ok(())
    } else {
        Err("memory grew, not everybody counted the same, or something happened that must not".to_owned())
    }
}

/// Gives each storm at each service a turn, in another order each time, and measures meanwhile.
fn take_turns(field: &Field, ids: [u32; 2], round: usize, measured: &mut [Measured; 2]) {
    let mut turns: Vec<_> = (0..2).flat_map(|service| STORMS.map(|storm| Turn { service, storm })).collect();
    turns.rotate_left(round % 6);
    if round / 6 % 2 == 1 {
        turns.reverse();
    }
    let mut took = [[Duration::ZERO; 3]; 2];
    for turn in turns {
        field.set(turn);
        thread::sleep(BEGINS);
        field.times.take();
        let id = ids[turn.service];
        let (begun, before) = (Instant::now(), Usage::of(id));
        thread::sleep(LASTS);
        took[turn.service][turn.storm as usize] = p99(&field.times.take());
        let used = &mut measured[turn.service].used[turn.storm as usize];
        used.add(before, Usage::of(id), begun.elapsed().as_secs_f64());
    }
    field.set(Turn { service: 0, storm: Storm::None });
    for (measured, [quiet, successes, errors]) in measured.iter_mut().zip(took) {
        measured.storm.push(quiet, errors);
        measured.errors.push(successes, errors);
    }
}

fn print_times(measured: &[Measured; 2]) {
    println!("the well-behaved client:");
    let named = || ["monitored", "not monitored"].into_iter().zip(measured);
    for (name, measured) in named() {
        println!("  {name}, without a storm and with errors: {}", measured.storm);
        println!("  {name}, with successes and with errors: {}", measured.errors);
    }
    for (name, measured) in named() {
        for (storm, used) in ["no storm", "successes", "errors"].into_iter().zip(measured.used) {
            println!("  {name}, {storm}: its service uses {used}");
        }
    }
    let [[with, its_error], [without, error]] =
        measured.each_ref().map(|measured| measured.errors.difference());
    println!(
        "  so errors cost {:+.0} us more than successes because of the monitor, standard error {:.0} us",
        with - without,
        its_error.hypot(error)
    );
}

/// What the service said at its end that its clients did not see.
fn disagreements(seen: &Book, words: &Value) -> Vec<String> {
    let mut disagreements = Vec::new();
    let summary = Book::of_summary(words);
    let prometheus = Book::of_exposition(words["exposition"].as_str().unwrap_or_default());
    let count = |name: &str| words[name].as_u64().unwrap_or(u64::MAX);
    println!("clients     {seen}\nsummary     {summary}\nPrometheus  {prometheus}");
    println!(
        "groups      {} in {} groups + {} in none = {} errors; {} groups were evicted, {} paths listed",
        count("grouped"),
        count("groups"),
        count("ungrouped"),
        count("grouped").saturating_add(count("ungrouped")),
        count("evicted"),
        count("paths"),
    );
    println!("consumers   {} calls in {} rows", count("consumer_calls"), count("consumers"));
    if [&summary, &prometheus] != [seen; 2] {
        disagreements.push("the summary, Prometheus and the clients do not say the same".to_owned());
    }
    if count("grouped").saturating_add(count("ungrouped")) != seen.errors() {
        disagreements.push(format!("{} errors are in groups or in none", seen.errors()));
    }
    // Those of the settings, and rows that stand for several.
    if count("groups") > 1_024 || count("consumers") > 10_004 || count("paths") > 64 {
        disagreements.push("a table has more rows than it may have".to_owned());
    }
    if count("consumer_calls") != seen.calls() {
        disagreements.push(format!("consumers have other calls than the {} of clients", seen.calls()));
    }
    disagreements
}
