//! Exporters of a monitor: the answer of `GET exporters`, and the shutdown.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use metrics_actix::push::{Accepted, Exporter, Failed, PushSettings, Window};
use serde_json::Value;
use tests::{Example, Server};

fn shop(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().finish() }));
}

/// Answers as scripted, and forwards the windows that it gets.
struct Scripted {
    answers: Receiver<Result<Accepted, Failed>>,
    given: Sender<Window>,
}

impl Exporter for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn settings(&self) -> PushSettings {
        let mut settings = PushSettings::default();
        settings.interval = Duration::from_millis(20);
        settings.first_pause = Duration::from_millis(1);
        settings.max_pause = Duration::from_millis(10);
        settings.max_errors = 10;
        settings
    }

    fn export(&mut self, window: &Window, _deadline: Instant) -> Result<Accepted, Failed> {
        let _ = self.given.send(window.clone());
        self.answers.recv().unwrap_or_else(|_| Ok(Accepted::default()))
    }
}

#[test]
fn the_fate_of_windows_is_shown_and_the_shutdown_sends_the_last_one() {
    let ((answer, answers), (given, windows)) = (channel(), channel());
    let metrics = Metrics::builder("shop").exporter(Scripted { answers, given }).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    let shown = || client.metrics("GET", "exporters")["exporters"][0].clone();
    assert_eq!(shown()["exporter"], "scripted");
    answer.send(Err(Failed::temporary("it answered 503"))).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while shown()["failing"] != 1 {
        assert!(Instant::now() < deadline, "{}", shown());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((&shown()["last_error"], &shown()["last_sent"]), (&"it answered 503".into(), &Value::Null));

    client.send("GET", "/items/1");
    client.send("GET", "/fails");
    answer.send(Ok(Accepted { rejected: 3, reason: Some("too old".to_owned()) })).unwrap();
    drop(answer);
    assert!(actix_web::rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
    let after = &metrics.exporters()[0];
    assert_eq!((after.rejected, after.windows_waiting, after.windows_dropped), (3, 0, 0));
    assert_eq!((after.errors_sent, after.failing), (1, 0));
    // The first one failed, and its figures were sent again.
    let windows: Vec<_> = windows.try_iter().skip(1).collect();
    assert_eq!(windows.iter().map(Window::calls).sum::<u64>(), 2);
    let errors: Vec<_> = windows.iter().flat_map(|window| &window.errors).collect();
    assert_eq!((errors.len(), &*errors[0].endpoint.route), (1, "/fails"));
    assert!(windows.last().unwrap().total.endpoints().count() == 2);
}

/// Is off, and must not be asked for anything.
struct Off;

impl Exporter for Off {
    fn name(&self) -> &str {
        "off"
    }

    fn settings(&self) -> PushSettings {
        let mut settings = PushSettings::default();
        settings.interval = Duration::from_millis(10);
        settings.exact_statuses = true;
        settings
    }

    fn off(&self) -> Option<&str> {
        Some("X_ENDPOINT is invalid")
    }

    fn export(&mut self, _: &Window, _: Instant) -> Result<Accepted, Failed> {
        panic!("it is off")
    }
}

#[test]
fn an_exporter_that_is_off_says_why_and_sends_nothing() {
    let ((_, answers), (given, windows)) = (channel(), channel());
    let builder = Metrics::builder("shop").exporter(Off).exporter(Scripted { answers, given }).exporter(Off);
    let metrics = builder.build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    // Others send meanwhile.
    windows.recv_timeout(Duration::from_secs(60)).unwrap();
    windows.recv_timeout(Duration::from_secs(60)).unwrap();
    let shown = client.metrics("GET", "exporters");
    let states = [0, 1, 2].map(|place| {
        let exporter = &shown["exporters"][place];
        let sent = exporter["windows"]["made"] != 0;
        (exporter["exporter"].clone(), exporter["state"].clone(), exporter["reason"].clone(), sent)
    });
    let off = |name: &str| (name.into(), "off".into(), "X_ENDPOINT is invalid".into(), false);
    assert_eq!(states, [off("off"), ("scripted".into(), "on".into(), Value::Null, true), off("off-2")]);
    let text = client.send("GET", "/api/metrics/prometheus").body;
    for line in ["{exporter=\"off\"} 1\n", "{exporter=\"scripted\"} 0\n", "{exporter=\"off-2\"} 1\n"] {
        assert!(text.contains(&format!("\nmetrics_exporter_off{line}")), "{text}");
    }
    // Nothing is kept for it, either.
    assert_eq!(metrics.registry().snapshot().granularity(), metrics_core::Granularity::Class);
    assert!(actix_web::rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
}

#[test]
fn the_demo_names_a_missing_feature_or_a_wrong_setting_of_a_destination() {
    // Built without these features, as in the other tests.
    for (flag, value) in [
        ("--otlp", "http://127.0.0.1:4318"),
        ("--datadog", "http://127.0.0.1:8126"),
        ("--sentry", "http://key@127.0.0.1:9000/1"),
        ("--ecs-log", "/nowhere/ecs.json"),
    ] {
        let (code, said) = Example::refused(&[flag, value, "--addr", "127.0.0.1:0"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("{flag} needs the feature ")), "{said}");
    }
}
