//! A Redis with a fleet of simulated instances: the cost of writing and reading. Needs `redis-server` on the path.
//!
//! `cargo run --profile bench -p benches --bin fleet [--small] [--digits 1|2] [INSTANCES...]`; small instances have five
//! endpoints and a hundredth of the calls. `--leases N [SECONDS]` measures what the leases and the saved histories of N
//! instances cost Redis, in a minute by default.

mod leases;
mod redis;

use std::error::Error;
use std::io::BufReader;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics_core::{PartsError, Registry, Snapshot};
use metrics_export::Service;
use metrics_export::fleet::redis::{FleetSettings, Member, Question};
use metrics_export::fleet::{Fingerprints, Fleet, Instance, Report};

use self::redis::{INTERVAL, Redis, command, millis};

/// How large the instances are.
#[derive(Clone, Copy)]
struct Scale {
    endpoints: usize,
    /// How many calls each instance had since the epoch began, and in one minute.
    calls: [u64; 2],
}

const LARGE: Scale = Scale { endpoints: 200, calls: [2_000_000, 60_000] };

const SMALL: Scale = Scale { endpoints: 5, calls: [20_000, 600] };

/// How many instances have figures of their own; the others repeat them.
const PROFILES: u64 = 4;

/// How many commands an instance sends with each write, besides its three reports.
const OTHER_COMMANDS: usize = 3;

/// How many times each reading is taken after the first one; the median counts.
const READINGS: usize = 5;

/// How long leases are measured, in seconds.
const LEASES_FOR: u64 = 60;

fn main() -> ExitCode {
    if let Some((instances, time)) = leases_arguments() {
        return match leases::run(instances, time) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let Some((scale, digits, mut sizes)) = arguments() else {
        eprintln!(
            "error: allowed: --leases N [SECONDS], or --small, --digits 1 or 2 (the default), and numbers of \
             instances, such as 10 100 1000 (the default)"
        );
        return ExitCode::from(2);
    };
    if sizes.is_empty() {
        sizes = vec![10, 100, 1_000];
    }
    println!(
        "{} endpoints; {} calls since the epoch began, {} in a minute; {digits} significant digits",
        scale.endpoints, scale.calls[0], scale.calls[1]
    );
    println!(
        "instances | report | minute by route | written/s | commands/s | in Redis | reset: first / later reading | 5m | \
         5m by route | processor time to add up reset"
    );
    for size in sizes {
        if let Err(error) = run(scale, size, digits) {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Parses how many instances have leases, and how long they are measured.
fn leases_arguments() -> Option<(usize, Duration)> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != "--leases" {
        return None;
    }
    let instances = arguments.next()?.parse().ok()?;
    let seconds = arguments.next().map_or(Some(LEASES_FOR), |seconds| seconds.parse().ok())?;
    Some((instances, Duration::from_secs(seconds)))
}

/// Parses how large the instances are, the significant digits and the numbers of instances.
fn arguments() -> Option<(Scale, u8, Vec<usize>)> {
    let mut arguments = std::env::args().skip(1).peekable();
    let scale = if arguments.next_if(|argument| argument == "--small").is_some() { SMALL } else { LARGE };
    let digits = match arguments.next_if(|argument| argument == "--digits") {
        Some(_) => arguments.next()?.parse().ok().filter(|digits| (1..=2).contains(digits))?,
        None => 2,
    };
    Some((scale, digits, arguments.map(|argument| argument.parse().ok()).collect::<Option<_>>()?))
}

/// Measures a fleet of this size on a Redis of its own.
fn run(scale: Scale, size: usize, digits: u8) -> Result<(), Box<dyn Error>> {
    let redis = Redis::start()?;
    let mut link = redis.link()?;
    let snapshot = |seed, calls| snapshot(scale, seed, calls).limited_to_digits(digits);
    let profiles: Vec<_> = (0..PROFILES)
        .map(|seed| Ok::<_, PartsError>([snapshot(seed, scale.calls[0])?, snapshot(seed, scale.calls[1])?]))
        .collect::<Result<_, _>>()?;
    let before = used_memory(&mut link)?;
    let now = SystemTime::now();
    let minute = now.duration_since(UNIX_EPOCH)?.as_secs() / 60;
    let (mut bytes, mut sizes) = (0, (0, 0));
    let mut adding = Adding { fleet: Fleet::new(now), took: Some(Duration::ZERO) };
    for i in 0..size {
        let [all, one_minute] = &profiles[i % profiles.len()];
        let started = UNIX_EPOCH + Duration::from_nanos(i as u64);
        let encoded = |snapshot: &Snapshot| {
            let instance = Instance {
                service: "bench".to_owned(),
                name: format!("instance-{i}"),
                version: "1.0.0".to_owned(),
                started,
                written: now,
                interval: INTERVAL,
                epoch: 0,
                stopped: false,
                fingerprints: Fingerprints::default(),
            };
            Report { instance, snapshot: snapshot.clone(), errors: Vec::new() }.encode()
        };
        let id = format!("instance-{i}-{i}");
        let [report, total, routes] = [all, &one_minute.total(), one_minute].map(encoded);
        bytes += report.len() + total.len() + routes.len();
        sizes = (report.len(), routes.len());
        adding.add(&report);
        set(&mut link, &format!("metrics:bench:0:{id}"), &report)?;
        for ago in 0..6 {
            set(&mut link, &format!("metrics:bench:total:{}:{id}", minute - ago), &total)?;
            set(&mut link, &format!("metrics:bench:routes:{}:{id}", minute - ago), &routes)?;
        }
        let millis = now.duration_since(UNIX_EPOCH)?.as_millis().to_string();
        command(&mut link, &[b"ZADD", b"metrics:bench:instances", millis.as_bytes(), id.as_bytes()])?;
    }
    let memory = used_memory(&mut link)?.saturating_sub(before);
    let settings = FleetSettings::new(&redis.url())?
        .interval(Duration::from_secs(60))
        .max_instances(10_000)
        .timeout(Duration::from_secs(10));
    let reader = Member::start(Registry::new(), &Service::new("bench"), settings)?;
    let read = |question| {
        let [first, later] = readings(&reader, question, size)?;
        Ok::<_, Box<dyn Error>>(format!("{:.0} / {:.0} ms", millis(first), millis(later)))
    };
    let reset = read(Question::SinceReset)?;
    let window = read(Question::Minutes { minutes: 5, routes: false })?;
    let routes = read(Question::Minutes { minutes: 5, routes: true })?;
    let per_second = |amount: usize| amount as f64 / INTERVAL.as_secs_f64();
    println!(
        "{size:9} | {:6} B | {:15} B | {:6.2} MB | {:10.0} | {:5.0} MiB | {reset} | {window} | {routes} | {}",
        sizes.0,
        sizes.1,
        per_second(bytes) / 1e6,
        per_second(size * (3 + OTHER_COMMANDS)),
        memory as f64 / f64::from(1 << 20),
        adding.took.map_or("not known".to_owned(), |took| format!("{:.0} ms", millis(took))),
    );
    Ok(())
}

/// Adds up reports in this thread and measures the processor time, which depends less on the machine's other load.
struct Adding {
    fleet: Fleet,
    took: Option<Duration>,
}

impl Adding {
    fn add(&mut self, report: &[u8]) {
        let before = processor_time();
        self.fleet.add_bytes("bench", report);
        let took = || processor_time()?.checked_sub(before?);
        self.took = self.took.zip(took()).map(|(sum, took)| sum + took);
    }
}

/// The time for which this thread has run; Linux only.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The time to read and add up: the first time, and the median after that.
fn readings(reader: &Member, question: Question, size: usize) -> Result<[Duration; 2], Box<dyn Error>> {
    let mut took = Vec::new();
    let mut read = UNIX_EPOCH;
    let deadline = Instant::now() + Duration::from_secs(180);
    while took.len() <= READINGS {
        if Instant::now() > deadline {
            return Err(format!("{question:?} has no answer").into());
        }
        // An answer that takes longer than callers wait is ready a little later.
        if let Ok(answer) = reader.ask(question)?.wait()
            && answer.read != read
        {
            read = answer.read;
            let (refused, count) = answer.fleet.refused();
            if count > 0 {
                println!("          {count} reports left out: {}", refused[0].reason);
            }
            assert!(answer.fleet.instances().len() + count as usize >= size, "{question:?}");
            took.push(answer.took);
        }
        // An answer is reused for a second, or for as long as it took to read.
        std::thread::sleep(Duration::from_millis(100));
    }
    let first = took.remove(0);
    took.sort();
    Ok([first, took[took.len() / 2]])
}

/// The figures of an instance after `calls` calls.
fn snapshot(scale: Scale, seed: u64, calls: u64) -> Snapshot {
    let endpoints = scale.endpoints;
    let registry = Registry::new();
    let endpoints: Vec<_> =
        (0..endpoints).map(|i| registry.endpoint("GET", &format!("/services/{i}/items/{{id}}"))).collect();
    let recorder = registry.recorder();
    let mut random = fastrand::Rng::with_seed(seed);
    // The busiest endpoint gets 20 times the calls of the median one.
    let weight = |rank: usize| 1.0 / (1.0 + rank as f64 / 5.0);
    let weights: f64 = (0..scale.endpoints).map(weight).sum();
    for (rank, &endpoint) in endpoints.iter().enumerate() {
        for _ in 0..(calls as f64 * weight(rank) / weights) as u64 {
            let status = match random.u32(0..200) {
                0 => 500,
                1..=3 => 404,
                _ => 200,
            };
            // The sum of twelve uniform numbers is close to normal.
            let normal = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
            recorder.record_nanos(endpoint, status, (350_000.0 * (0.8 * normal).exp()) as u64);
        }
    }
    registry.snapshot()
}

fn set(link: &mut BufReader<TcpStream>, key: &str, value: &[u8]) -> Result<(), Box<dyn Error>> {
    command(link, &[b"SET", key.as_bytes(), value, b"EX", b"7200"]).map(drop)
}

fn used_memory(link: &mut BufReader<TcpStream>) -> Result<usize, Box<dyn Error>> {
    let info = command(link, &[b"INFO", b"memory"])?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).ok_or("no used_memory")?;
    Ok(used.trim().parse()?)
}
