//! How long a scrape, the summary and the application's own work take while strangers attack and Redis hangs, beside
//! the same without an attack. The times are only printed; they are those of an optimised build with
//! `cargo test --release -p tests --test fleet -- --ignored --nocapture attack`.
//!
//! `METRICS_TEST_ATTACK_SECONDS` is how long all turns take; default: 20.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use metrics_actix::fleet::FleetSettings;
use metrics_core::Registry;
use tests::{Redis, Server, until};

const RESET: &str = "reset-0123456789abcdef";

/// Callers that reset the fleet, each one time after the other.
const RESETTERS: usize = 16;

/// Connections of HTTP/2 that ask for events and read none.
const SILENT: usize = 4;

/// Requests in a batch of each flood, and the pause after it: 1,000 to 2,000 a second of each kind, as far as the
/// machine has time for them.
const BATCH: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

const TURN: Duration = Duration::from_secs(1);

/// What the well-behaved client asks for.
const ASKED: [&str; 3] = ["/api/metrics/prometheus", "/api/metrics/summary", "/block"];

fn shop(config: &mut ServiceConfig) {
    let block = || async { web::block(|| "done").await.unwrap_or("gave up") };
    config.route("/items/{id}", web::get().to(|| async { "a chair" })).route("/block", web::get().to(block));
}

/// Whether an attack goes on, and whether the test is over.
#[derive(Default)]
struct Flags {
    attacks: AtomicBool,
    is_over: AtomicBool,
}

impl Flags {
    /// Calls `act` again and again during attacks, until the test is over. It is told whether the attack goes on.
    fn attack(&self, mut act: impl FnMut(&dyn Fn() -> bool)) {
        let attacks = || self.attacks.load(Ordering::Relaxed) && !self.is_over.load(Ordering::Relaxed);
        while !self.is_over.load(Ordering::Relaxed) {
            if attacks() { act(&attacks) } else { sleep(Duration::from_millis(5)) }
        }
    }
}

/// Ends all attacks, also when the test fails.
struct Over<'a>(&'a Flags);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Sends a batch over a connection of its own and reads the answers, as often as the attack lasts. `lines` makes a
/// request line and header lines out of the request's number.
fn flood(server: &Server, attacks: &dyn Fn() -> bool, lines: impl Fn(usize) -> String) {
    let mut client = server.raw();
    let mut sent = 0;
    while attacks() {
        let batch: String =
            (sent..sent + BATCH).map(|i| format!("{}\r\nhost: test\r\n\r\n", lines(i))).collect();
        client.write(batch);
        sent += BATCH;
        let answered = |read: &[u8]| String::from_utf8_lossy(read).matches("HTTP/1.1 ").count();
        assert_eq!(answered(client.read_while(|read| answered(read) < BATCH).as_bytes()), BATCH);
        sleep(PAUSE);
    }
}

/// The median, the 99th percentile and the maximum, in milliseconds.
fn figures(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    format!("median {:7.2}  p99 {:7.2}  max {:7.2}  of {}", at(0.5), at(0.99), at(1.0), times.len())
}

fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(1).collect()
}

#[test]
#[ignore = "needs redis-server, and prints times"]
fn a_scrape_the_summary_and_the_applications_blocking_work_are_timed_during_an_attack() {
    let seconds = std::env::var("METRICS_TEST_ATTACK_SECONDS").map_or(20.0, |text| text.parse().unwrap());
    let redis = Redis::start();
    let registry = Registry::builder().max_series(1_000).build().unwrap();
    for route in 0..300 {
        registry.record_nanos(registry.endpoint("GET", &format!("/{route}")), 200, 1_000);
    }
    let builder = Metrics::builder("shop").with_registry(registry).api_key_header("x-api-key");
    let fleet = FleetSettings::new(&redis.url()).unwrap();
    let metrics = builder.reset_token(RESET).fleet(fleet).instance("a").build().unwrap();
    let server = Server::with_blocking_threads(2, 2, &metrics, shop);
    let ready = || (server.client().send("GET", "/api/metrics/fleet/summary").status == 200).then_some(());
    until("the fleet is read", ready);

    let flags = Flags::default();
    let bearer = format!("Bearer {RESET}");
    let mut times: [[Vec<Duration>; 2]; ASKED.len()] = Default::default();
    let mut loads = Vec::new();
    thread::scope(|scope| {
        let (server, flags, bearer) = (&server, &flags, bearer.as_str());
        for _ in 0..RESETTERS {
            let client = server.client();
            scope.spawn(move || {
                flags.attack(|_| {
                    let reply =
                        client.send_with("POST", "/api/metrics/fleet/reset", &[("authorization", bearer)]);
                    assert!([200, 503].contains(&reply.status), "{}", reply.status);
                });
            });
        }
        let floods: [fn(usize) -> String; 3] = [
            |i| format!("GET /{i}/.git/config HTTP/1.1"),
            |i| format!("GET /items/{i} HTTP/1.1\r\nx-api-key: made up {i}"),
            |i| format!("POST /api/metrics/reset HTTP/1.1\r\nauthorization: Bearer guess-{i}"),
        ];
        for lines in floods {
            scope.spawn(move || flags.attack(|attacks| flood(server, attacks, lines)));
        }
        scope.spawn(move || {
            flags.attack(|attacks| {
                let mut clients: Vec<_> = (0..SILENT).map(|_| server.http2(0)).collect();
                for client in &mut clients {
                    for _ in 0..64 {
                        client.get("/api/metrics/events");
                    }
                }
                while attacks() {
                    for client in &mut clients {
                        client.read_for(Duration::from_millis(20));
                    }
                }
            });
        });

        let over = Over(flags);
        let client = server.client();
        let begun = Instant::now();
        for turn in 0_usize.. {
            if turn >= 2 && turn.is_multiple_of(2) && begun.elapsed().as_secs_f64() >= seconds {
                break;
            }
            let attacks = turn % 2;
            redis.signal(["CONT", "STOP"][attacks]);
            flags.attacks.store(attacks == 1, Ordering::Relaxed);
            // Until the attack has begun everywhere, or is over.
            sleep(TURN / 4);
            let turn_ends = Instant::now() + TURN;
            while Instant::now() < turn_ends {
                for (path, times) in ASKED.into_iter().zip(&mut times) {
                    let begun = Instant::now();
                    let reply = client.send("GET", path);
                    times[attacks].push(begun.elapsed());
                    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
                }
                sleep(Duration::from_millis(5));
            }
            loads.push(load_average());
        }
        drop(over);
        redis.signal("CONT");
    });
    println!("in milliseconds; the machine's load average at the end of each turn: {}", loads.join(" "));
    for (path, times) in ASKED.into_iter().zip(&mut times) {
        for (name, times) in ["without", "with"].into_iter().zip(times) {
            println!("{path:24} {name:>7} an attack: {}", figures(times));
        }
    }
}
