//! Seven ways in which a destination fails: nothing is lost or doubled without being counted, and exporters recover as
//! soon as the destination does.
//!
//! Windows of 50 ms and attempts of 300 ms keep the tests short.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use metrics_actix::datadog::Datadog;
use metrics_actix::elasticsearch::Elasticsearch;
use metrics_actix::otlp::{Otlp, Temporality};
use metrics_actix::push::{Engine, Exporter, ExporterCounts, PushSettings};
use metrics_actix::sentry::Sentry;
use metrics_actix::{HttpOptions, Service};
use metrics_core::{Outcome, Registry};
use tests::{Adjusted, Fault, Stub};

use crate::allocator::bytes_in_use;
use crate::bulk;
use crate::datadog::Received;
use crate::decode;
use crate::sentry;

pub(crate) const FAULTS: [Fault; 7] = [
    Fault::Refused,
    Fault::BlackHole,
    Fault::HalfOpen,
    Fault::Slow,
    Fault::Reset,
    Fault::Refusing,
    Fault::SlowHandshake,
];

const INTERVAL: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_millis(300);

/// Waits until the counts of the only exporter satisfy a condition, and returns them.
pub(crate) fn counts(engine: &Engine, until: impl Fn(&ExporterCounts) -> bool) -> ExporterCounts {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let counts = engine.counts().remove(0);
        if until(&counts) {
            return counts;
        }
        assert!(Instant::now() < deadline, "{counts:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Makes requests until it is stopped. Returns how many there were, and how many of them failed.
struct Load {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<(u64, u64)>,
}

impl Load {
    fn start(registry: &Registry) -> Self {
        let (stop, registry) = (Arc::new(AtomicBool::new(false)), registry.clone());
        let stopped = Arc::clone(&stop);
        let endpoint = registry.endpoint("GET", "/items/{id}");
        let fail = move |registry: &Registry, errors| {
            let message = format!("failure {errors}");
            registry.record_error(endpoint, Outcome::Status(500), Duration::from_millis(3), &message);
        };
        // Before the thread runs, so that there is a request at once.
        fail(&registry, 0);
        let thread = thread::spawn(move || {
            let (mut calls, mut errors) = (1, 1);
            while !stopped.load(Ordering::Relaxed) {
                // Fewer than the error log holds in a second.
                if calls % 200 == 0 {
                    fail(&registry, errors);
                    errors += 1;
                } else {
                    registry.record(endpoint, 200, Duration::from_micros(100 + calls % 900));
                }
                calls += 1;
                thread::sleep(Duration::from_micros(200));
            }
            (calls, errors)
        });
        Self { stop, thread }
    }

    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Sends under load through a fault and after it, and stops. Returns the requests and errors, and the exporter's
/// counts.
fn through(stub: &Stub, exporter: impl Exporter) -> ((u64, u64), ExporterCounts) {
    let registry = Registry::builder().error_log_capacity(10_000).build().unwrap();
    let engine = Engine::builder(registry.clone(), Service::new("shop")).exporter(exporter).start().unwrap();
    let load = Load::start(&registry);
    let failing = counts(&engine, |counts| counts.failing >= 3 && counts.windows >= 20);
    assert_eq!((failing.windows_sent, failing.last_sent), (0, None), "{failing:?}");
    assert!(failing.last_error.is_some());
    stub.heal();
    counts(&engine, |counts| counts.windows_sent >= 3 && counts.failing == 0);
    let counted = load.stop();
    assert!(engine.shutdown(Duration::from_secs(60)));
    let counts = engine.counts().remove(0);
    let settled = counts.windows_sent + counts.windows_idle + counts.windows_merged + counts.windows_dropped;
    assert_eq!(counts.windows, settled);
    assert_eq!((counts.windows_waiting, counts.last_error.as_deref()), (0, None));
    (counted, counts)
}

fn options(stub: &Stub, timeout: Duration) -> HttpOptions {
    let options = HttpOptions::new().interval(INTERVAL).timeout(timeout);
    match stub.authority() {
        Some(authority) => options.root_certificates(authority),
        None => options,
    }
}

fn otlp(stub: &Stub, temporality: Temporality) -> Otlp {
    let otlp = Otlp::builder().endpoint(stub.url()).temporality(temporality);
    otlp.http(options(stub, TIMEOUT)).build().unwrap()
}

#[test]
fn each_delta_arrives_once_after_any_fault() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let received = Arc::new(Mutex::new(Vec::new()));
                let stub = Stub::start(fault, {
                    let received = Arc::clone(&received);
                    move |body| {
                        received.lock().unwrap().push(decode::requests(body));
                        Vec::new()
                    }
                });
                let ((calls, _), counts) = through(&stub, otlp(&stub, Temporality::Delta));
                assert_eq!((counts.windows_dropped, counts.calls_dropped), (0, 0));
                let received: Vec<u64> = received.lock().unwrap().clone();
                let sum = received.iter().sum::<u64>();
                match fault {
                    // Accepted without an answer, and sent again: OTLP has no ids for windows.
                    Fault::HalfOpen => assert!(sum >= calls, "{fault:?}: {sum} of {calls}"),
                    _ => assert_eq!(sum, calls, "{fault:?}"),
                }
            });
        }
    });
}

#[test]
fn cumulative_counts_are_right_from_the_first_window_that_arrives() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let last = Arc::new(Mutex::new(0));
                let stub = Stub::start(fault, {
                    let last = Arc::clone(&last);
                    move |body| {
                        let requests = decode::requests(body);
                        let before = std::mem::replace(&mut *last.lock().unwrap(), requests);
                        assert!(
                            requests >= before,
                            "a cumulative count went down: {requests} after {before}"
                        );
                        Vec::new()
                    }
                });
                let ((calls, _), _) = through(&stub, otlp(&stub, Temporality::Cumulative));
                assert_eq!(*last.lock().unwrap(), calls, "{fault:?}");
            });
        }
    });
}

#[test]
fn each_document_is_stored_once_after_any_fault() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let stored = Arc::new(Mutex::new(HashMap::new()));
                let stub = Stub::start(fault, {
                    let stored = Arc::clone(&stored);
                    move |body| bulk::store(body, &stored)
                });
                let exporter = Elasticsearch::builder(stub.url())
                    .api_key("c2VjcmV0OnNlY3JldA==")
                    .http(options(&stub, TIMEOUT));
                let ((calls, errors), counts) = through(&stub, exporter.build().unwrap());
                assert_eq!((counts.errors_dropped, counts.errors_missed, counts.errors_sent), (0, 0, errors));
                let stored = stored.lock().unwrap();
                let of = |dataset: &str| {
                    let of = |document: &&serde_json::Value| document["event"]["dataset"] == dataset;
                    stored.values().filter(of).collect::<Vec<_>>()
                };
                assert_eq!(of("http.errors").len() as u64, errors, "{fault:?}");
                let whole = of("http.summary").into_iter().filter(|summary| summary["labels"].is_null());
                let sum: u64 = whole.map(|summary| summary["requests"]["count"].as_u64().unwrap()).sum();
                assert_eq!(sum, calls, "{fault:?}");
            });
        }
    });
}

/// A window that was accepted without an answer is sent again under the same number.
#[test]
fn each_hit_and_each_trace_counts_once_after_any_fault() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let received = Arc::new(Mutex::new(Received::default()));
                let stub = Stub::start(fault, {
                    let received = Arc::clone(&received);
                    move |body| {
                        received.lock().unwrap().take(body);
                        Vec::new()
                    }
                });
                let datadog = Datadog::builder().agent_url(stub.url()).max_traces(1_000);
                let datadog = datadog.http(options(&stub, TIMEOUT));
                let ((calls, errors), counts) = through(&stub, datadog.build().unwrap());
                assert_eq!((counts.errors_dropped, counts.errors_missed, counts.errors_sent), (0, 0, errors));
                let received = received.lock().unwrap();
                let arrived = (received.hits(), received.errors(), received.traces());
                assert_eq!(arrived, (calls, errors, errors), "{fault:?}");
            });
        }
    });
}

/// Sentry keeps one event for each id. Sessions have no ids.
#[test]
fn each_event_arrives_once_and_each_request_as_a_session_after_any_fault() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let received = Arc::new(Mutex::new(sentry::Received::default()));
                let stub = Stub::start(fault, {
                    let received = Arc::clone(&received);
                    move |body| {
                        received.lock().unwrap().take(body);
                        Vec::new()
                    }
                });
                let exporter = Sentry::builder().dsn(sentry::dsn(&stub)).release("shop@1.2.3");
                let exporter = exporter.max_events(1_000).events_per_minute(1_000);
                // An attempt that runs out of time on a busy machine would count its sessions twice.
                let timeout = match fault {
                    Fault::Refused | Fault::Reset | Fault::Refusing => Duration::from_secs(60),
                    _ => TIMEOUT * 10,
                };
                let exporter = exporter.http(options(&stub, timeout));
                let ((calls, errors), counts) = through(&stub, exporter.build().unwrap());
                assert_eq!((counts.errors_dropped, counts.errors_missed, counts.errors_sent), (0, 0, errors));
                assert_eq!(counts.rejected, 0);
                let received = received.lock().unwrap();
                assert_eq!(received.events(), errors, "{fault:?}");
                match fault {
                    // Accepted without an answer, and sent again.
                    Fault::HalfOpen => assert!(received.sessions() >= calls, "{fault:?}"),
                    _ => assert_eq!((received.sessions(), received.errored()), (calls, errors), "{fault:?}"),
                }
            });
        }
    });
}

#[test]
fn a_sentry_that_was_never_reached_does_not_look_healthy_while_windows_are_idle() {
    let stub = Stub::start(Fault::Refused, |_| Vec::new());
    let options = HttpOptions::new().interval(INTERVAL);
    let exporter = Sentry::builder().dsn(sentry::dsn(&stub)).release("shop@1.2.3").http(options);
    let registry = Registry::new();
    let engine = Engine::builder(registry.clone(), Service::new("shop"))
        .exporter(exporter.build().unwrap())
        .start()
        .unwrap();
    let idle = counts(&engine, |counts| counts.windows >= 3 && counts.windows_waiting == 0);
    assert_eq!((idle.windows_idle, idle.windows_sent, idle.last_sent), (idle.windows, 0, None), "{idle:?}");
    registry.record(registry.endpoint("GET", "/"), 200, Duration::from_millis(1));
    counts(&engine, |counts| counts.failing > 0);
    stub.heal();
    let sent = counts(&engine, |counts| counts.windows_sent > 0);
    assert_eq!((sent.windows_sent, sent.failing), (1, 0), "{sent:?}");
}

#[test]
fn old_windows_are_dropped_and_each_request_in_them_is_counted() {
    let received = Arc::new(Mutex::new(0));
    let stub = Stub::start(Fault::Refused, {
        let received = Arc::clone(&received);
        move |body| {
            *received.lock().unwrap() += decode::requests(body);
            Vec::new()
        }
    });
    let registry = Registry::new();
    let exporter = Adjusted {
        inner: otlp(&stub, Temporality::Delta),
        adjust: |settings| settings.max_age = INTERVAL * 4,
    };
    let engine = Engine::builder(registry.clone(), Service::new("shop")).exporter(exporter).start().unwrap();
    let load = Load::start(&registry);
    counts(&engine, |counts| counts.windows_dropped >= 3);
    stub.heal();
    counts(&engine, |counts| counts.windows_sent >= 3);
    let (calls, _) = load.stop();
    assert!(engine.shutdown(Duration::from_secs(60)));
    let counts = engine.counts().remove(0);
    assert!(counts.calls_dropped > 0);
    assert_eq!(*received.lock().unwrap() + counts.calls_dropped, calls);
}

/// A shutdown waits neither for slow destinations nor for an attempt in progress, which may take a minute.
#[test]
fn a_shutdown_ends_in_time_and_counts_what_is_left() {
    thread::scope(|scope| {
        for fault in FAULTS {
            scope.spawn(move || {
                let stub = Stub::start(fault, |_| Vec::new());
                let (url, timeout) = (stub.url(), Duration::from_secs(60));
                let options = || options(&stub, timeout);
                let otlp = Otlp::builder().endpoint(&*url).temporality(Temporality::Delta);
                let sentry = Sentry::builder().dsn(sentry::dsn(&stub)).release("shop@1.2.3");
                let registry = Registry::new();
                let engine = Engine::builder(registry.clone(), Service::new("shop"))
                    .exporter(otlp.http(options()).build().unwrap())
                    .exporter(Elasticsearch::builder(&*url).http(options()).build().unwrap())
                    .exporter(Datadog::builder().agent_url(&*url).http(options()).build().unwrap())
                    .exporter(sentry.http(options()).build().unwrap())
                    .start()
                    .unwrap();
                let load = Load::start(&registry);
                counts(&engine, |counts| counts.windows >= 5);
                let (calls, _) = load.stop();
                let begun = Instant::now();
                let all = engine.shutdown(Duration::from_millis(500));
                let took = begun.elapsed();
                println!("{fault:?}: all sent: {all}, {} ms over time", took.as_millis() as i64 - 500);
                // Far below the attempt's minute, even on a busy machine.
                assert!(took < Duration::from_secs(30), "{fault:?}: {took:?}");
                assert!(!(all && fault == Fault::BlackHole));
                for counts in engine.counts() {
                    assert_eq!(counts.windows_sent, 0, "{fault:?}: {counts:?}");
                    let (waiting, dropped) = (counts.windows_waiting, counts.calls_dropped);
                    assert_eq!((waiting, dropped), (0, calls), "{fault:?}: {counts:?}");
                    assert_eq!((counts.errors_sent, counts.errors_waiting), (0, 0), "{fault:?}: {counts:?}");
                }
            });
        }
    });
}

#[test]
#[ignore = "needs a process of its own, and a minute"]
fn memory_stays_flat_while_destinations_fail() {
    let registry = Registry::new();
    let stubs: Vec<_> = FAULTS.into_iter().map(|fault| Stub::start(fault, |_| Vec::new())).collect();
    let mut engine = Engine::builder(registry.clone(), Service::new("shop"));
    for stub in &stubs {
        let documents = Elasticsearch::builder(stub.url()).max_windows(20).max_errors(200);
        let documents = documents.http(HttpOptions::new().interval(INTERVAL).timeout(TIMEOUT));
        let sentry = Sentry::builder().dsn(sentry::dsn(stub)).release("shop@1.2.3");
        let sentry = sentry.http(options(stub, TIMEOUT)).build().unwrap();
        // Fewer than by default, so that the queue is soon full.
        let adjust = |settings: &mut PushSettings| settings.max_errors = 200;
        engine = engine
            .exporter(otlp(stub, Temporality::Delta))
            .exporter(documents.build().unwrap())
            .exporter(Adjusted { inner: sentry, adjust });
    }
    let engine = engine.start().unwrap();
    let load = Load::start(&registry);
    // The maximum of ten samples, since an attempt in progress needs some hundreds of kilobytes.
    let most = || {
        let looks = (0..10).map(|_| {
            thread::sleep(Duration::from_secs(2));
            bytes_in_use() / 1_024
        });
        looks.max().unwrap()
    };
    // Fills all queues.
    thread::sleep(Duration::from_secs(15));
    let (before, after) = (most(), most());
    load.stop();
    let counts = engine.counts();
    assert!(counts.iter().all(|counts| counts.windows_sent == 0 && counts.attempts_failed > 5), "{counts:?}");
    println!("{before} KiB in use, and {after} KiB 20 s later");
    assert!(after < before + 1_024, "{before} KiB in use, and {after} KiB 20 s later");
}
