//! A service under load whose destinations all fail in the same way for a while performs as without exporters.
//!
//! `METRICS_TEST_FAULT_SECONDS` is how long each fault lasts; default: 60. The printed times are this machine's, and
//! those of an unoptimised build unless the tests are built with `--release`.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, rt};
use metrics_actix::datadog::Datadog;
use metrics_actix::elasticsearch::Elasticsearch;
use metrics_actix::otlp::{Otlp, Temporality};
use metrics_actix::push::{Exporter, ExporterCounts, PushSettings};
use metrics_actix::sentry::Sentry;
use metrics_actix::{HttpOptions, Metrics};
use serde_json::Value;
use tests::{Adjusted, Fault, Server, Stub, Turns, settled};

use crate::allocator::bytes_in_use;
use crate::bulk;
use crate::datadog::Received;
use crate::decode;
use crate::faults::FAULTS;
use crate::load::{Load, p99};
use crate::sentry;

/// How much memory may grow and still count as flat: an attempt in progress needs some hundreds of kilobytes.
const FLAT_BYTES: usize = 2 << 20;

fn shop(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "a chair, the end" }))
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().body("the end") }));
}

/// An exporter with short pauses between attempts, so that the test is short.
fn hasty<E: Exporter>(inner: E) -> Adjusted<E> {
    let adjust = |settings: &mut PushSettings| {
        settings.max_pause = settings.interval * 4;
        settings.first_pause = settings.interval;
    };
    Adjusted { inner, adjust }
}

/// One destination of each kind, and what arrives there.
struct Destinations {
    otlp: (Stub, Arc<Mutex<u64>>),
    elastic: (Stub, Arc<Mutex<HashMap<String, Value>>>),
    datadog: (Stub, Arc<Mutex<Received>>),
    sentry: (Stub, Arc<Mutex<sentry::Received>>),
}

impl Destinations {
    fn start(fault: Fault) -> Self {
        let requests = Arc::new(Mutex::new(0));
        let stored = Arc::new(Mutex::new(HashMap::new()));
        let received = Arc::new(Mutex::new(Received::default()));
        let (counted, storing, receiving) =
            (Arc::clone(&requests), Arc::clone(&stored), Arc::clone(&received));
        let otlp = Stub::start(fault, move |body| {
            *counted.lock().unwrap() += decode::requests(body);
            Vec::new()
        });
        let elastic = Stub::start(fault, move |body| bulk::store(body, &storing));
        let datadog = Stub::start(fault, move |body| {
            receiving.lock().unwrap().take(body);
            Vec::new()
        });
        let envelopes = Arc::new(Mutex::new(sentry::Received::default()));
        let sentry = Stub::start(fault, {
            let envelopes = Arc::clone(&envelopes);
            move |body| {
                envelopes.lock().unwrap().take(body);
                Vec::new()
            }
        });
        Self {
            otlp: (otlp, requests),
            elastic: (elastic, stored),
            datadog: (datadog, received),
            sentry: (sentry, envelopes),
        }
    }

    fn heal(&self) {
        [&self.otlp.0, &self.elastic.0, &self.datadog.0, &self.sentry.0].into_iter().for_each(Stub::heal);
    }

    /// A monitor that sends to all of them, with windows of this length.
    fn monitor(&self, interval: Duration) -> Metrics {
        let options = |stub: &Stub| {
            let options = HttpOptions::new().interval(interval).timeout(interval * 4);
            match stub.authority() {
                Some(authority) => options.root_certificates(authority),
                None => options,
            }
        };
        let (otlp, elastic, datadog, sentry) =
            (&self.otlp.0, &self.elastic.0, &self.datadog.0, &self.sentry.0);
        let to_otlp = Otlp::builder().endpoint(otlp.url()).temporality(Temporality::Delta);
        let to_elastic = Elasticsearch::builder(elastic.url()).max_errors(500);
        let to_datadog = Datadog::builder().agent_url(datadog.url()).max_traces(1_000).sample_rate(0.05);
        let to_sentry = Sentry::builder().dsn(sentry::dsn(sentry)).release("shop@1.2.3");
        let to_sentry = to_sentry.traces_sample_rate(0.05).max_transactions(5);
        Metrics::builder("shop")
            .exporter(hasty(to_otlp.http(options(otlp)).build().unwrap()))
            .exporter(hasty(to_elastic.http(options(elastic)).build().unwrap()))
            .exporter(hasty(to_datadog.http(options(datadog)).build().unwrap()))
            .exporter(hasty(to_sentry.http(options(sentry)).build().unwrap()))
            .build()
            .unwrap()
    }
}

/// Runs load for one turn. Returns the durations of its requests, and the allocated and resident bytes at its end.
fn turn(server: &Server, lasts: Duration) -> (Vec<Duration>, [usize; 2]) {
    let load = Load::start(server);
    thread::sleep(lasts);
    let memory = [bytes_in_use(), resident_bytes()];
    (load.stop(), memory)
}

/// The maximum of each column.
fn most(memory: &[[usize; 2]]) -> [usize; 2] {
    memory.iter().fold([0, 0], |[used, resident], look| [used.max(look[0]), resident.max(look[1])])
}

/// Pages have 4 KiB where these tests run.
fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) << 12
}

fn wait_until(metrics: &Metrics, all: impl Fn(&ExporterCounts) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !metrics.exporters().iter().all(&all) {
        assert!(Instant::now() < deadline, "{:?}", metrics.exporters());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Checks that everything counted has arrived, or was counted as dropped.
fn check(fault: Fault, metrics: &Metrics, destinations: &Destinations, calls: u64, errors: u64) {
    for counts in metrics.exporters() {
        let settled =
            counts.windows_sent + counts.windows_idle + counts.windows_merged + counts.windows_dropped;
        assert_eq!((counts.windows, counts.windows_waiting), (settled, 0), "{fault:?}: {counts:?}");
        assert_eq!((counts.failing, counts.requests_waiting, counts.errors_waiting), (0, 0, 0), "{counts:?}");
        let logged = counts.errors_sent + counts.errors_dropped + counts.errors_missed;
        let expected = if counts.exporter == "otlp" { 0 } else { errors };
        assert_eq!(logged, expected, "{fault:?}: {counts:?}");
    }
    let [otlp, elastic, datadog, sentry] = &metrics.exporters()[..] else { panic!("there are four") };
    let requests = *destinations.otlp.1.lock().unwrap() + otlp.calls_dropped;
    match fault {
        // Accepted without an answer, and sent again: OTLP has no ids for windows.
        Fault::HalfOpen => assert!(requests >= calls, "{requests} of {calls}"),
        _ => assert_eq!(requests, calls, "{fault:?}"),
    }
    let stored = destinations.elastic.1.lock().unwrap();
    let of = |dataset: &str| {
        let of = |document: &&Value| document["event"]["dataset"] == dataset;
        stored.values().filter(of).collect::<Vec<_>>()
    };
    let whole = of("http.summary").into_iter().filter(|summary| summary["labels"].is_null());
    let summed: u64 = whole.map(|summary| summary["requests"]["count"].as_u64().unwrap()).sum();
    assert_eq!(summed + elastic.calls_dropped, calls, "{fault:?}");
    let errors = of("http.errors").len() as u64;
    match fault {
        // Accepted without an answer, and dropped later.
        Fault::HalfOpen => assert!(errors >= elastic.errors_sent, "{errors}: {elastic:?}"),
        _ => assert_eq!(errors, elastic.errors_sent, "{fault:?}"),
    }
    let received = destinations.datadog.1.lock().unwrap();
    assert_eq!(received.hits() + datadog.calls_dropped, calls, "{fault:?}");
    let sessions = destinations.sentry.1.lock().unwrap().sessions() + sentry.calls_dropped;
    // Sessions whose answer is too late, as may happen under load, are sent again, and have no ids either.
    assert!(sessions >= calls, "{fault:?}: {sessions} of {calls}");
}

#[test]
#[ignore = "needs a process of its own, and minutes"]
fn a_service_performs_as_without_exporters_while_all_destinations_fail() {
    let seconds = std::env::var("METRICS_TEST_FAULT_SECONDS").map_or(60.0, |text| text.parse().unwrap());
    let lasts = Duration::from_secs_f64(seconds);
    let one_turn = Duration::from_secs(1).min(lasts / 12);
    let without_exporters = Metrics::builder("shop").build().unwrap();
    let plain = Server::start(2, &without_exporters, shop);
    for fault in FAULTS {
        let destinations = Destinations::start(fault);
        let metrics = destinations.monitor(lasts / 100);
        let server = Server::start(2, &metrics, shop);
        // Fills the queues.
        let mut calls = turn(&server, lasts / 2).0.len();
        let (mut compared, mut memory) = (Turns::default(), Vec::new());
        let begun = Instant::now();
        while begun.elapsed() < lasts / 2 {
            let (without, _) = turn(&plain, one_turn);
            let (with, look) = turn(&server, one_turn);
            compared.push(p99(&without), p99(&with));
            calls += with.len();
            memory.push(look);
        }
        let (earlier, later) = memory.split_at(memory.len() / 2);
        let ([used, resident], [used_later, resident_later]) = (most(earlier), most(later));
        for counts in metrics.exporters() {
            assert!(counts.windows_sent == 0 && counts.failing > 1, "{counts:?}");
        }

        // Heals under load, without a restart.
        let load = Load::start(&server);
        destinations.heal();
        let healed = Instant::now();
        wait_until(&metrics, |counts| counts.windows_sent >= 3 && counts.failing == 0);
        let recovered = healed.elapsed();
        let calls = (calls + load.stop().len()) as u64;
        let total = settled(&metrics, calls).total;
        drop(server);
        let begun = Instant::now();
        assert!(rt::System::new().block_on(metrics.shutdown(Duration::from_secs(30))));
        let shutdown = begun.elapsed();
        check(fault, &metrics, &destinations, calls, total.errors);

        println!(
            "{fault:?}: {compared}; recovered after {} ms, shut down after {} ms; in use {} KiB, later {} KiB; \
             resident {} KiB, later {} KiB",
            recovered.as_millis(),
            shutdown.as_millis(),
            used >> 10,
            used_later >> 10,
            resident >> 10,
            resident_later >> 10,
        );
        assert!(used_later < used + FLAT_BYTES, "{fault:?}: {used} bytes in use, and {used_later} later");
        // The allocator's arenas grow for a while.
        assert!(
            resident_later < resident + 4 * FLAT_BYTES,
            "{fault:?}: {resident} bytes, {resident_later} later"
        );
    }
}
