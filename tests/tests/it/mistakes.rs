//! Mistakes in how an application uses the monitor: each is made, and told once, in the log and in `GET alerts`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, HttpServer, web};
use metrics_actix::Metrics;
use metrics_actix::push::{Accepted, Exporter, Failed, Window};
use serde_json::Value;

/// The lines of this process's log, of all tests.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The lines of the log about a service, by its name, which each test has for itself.
fn lines(service: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines
        .iter()
        .filter(|line| line.starts_with(&format!("{service}: ")) || line.starts_with(&format!("{service} ")))
        .cloned()
        .collect()
}

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "metrics_monitor" && metadata.level() == log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Takes the log. Another test may have done so before.
fn listen() {
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

/// The mistakes that `GET alerts` lists.
fn shown(metrics: &Metrics) -> Vec<(String, String)> {
    let system = actix_web::rt::System::new();
    let answer: Value = system.block_on(async {
        // Mounted at the root, in an app that has no middleware and so changes nothing.
        let app = init_service(App::new().configure(metrics.routes("/"))).await;
        read_body_json(call_service(&app, local("/alerts")).await).await
    });
    let mistakes = answer["data"]["mistakes"].as_array().unwrap().iter();
    let text = |mistake: &Value, name: &str| mistake[name].as_str().unwrap().to_owned();
    mistakes.map(|mistake| (text(mistake, "mistake"), text(mistake, "message"))).collect()
}

fn local(path: &str) -> actix_http::Request {
    TestRequest::with_uri(path)
        .peer_addr("127.0.0.1:9".parse().unwrap())
        .insert_header(("host", "localhost"))
        .to_request()
}

/// Asserts that a mistake is shown and was logged once, in the same words.
fn told_once(metrics: &Metrics, mistake: &str, part: &str) {
    let shown = shown(metrics);
    let [(name, message)] = &shown[..] else { panic!("{mistake}: {shown:?}") };
    assert_eq!(name, mistake);
    assert!(message.contains(part), "{message}");
    assert_eq!(lines(metrics.service()), [format!("{}: {message}", metrics.service())]);
}

#[test]
fn a_request_that_passes_the_middleware_twice_is_counted_once() {
    listen();
    let metrics = Metrics::builder("mistake-twice").build().unwrap();
    actix_web::rt::System::new().block_on(async {
        let order = || web::resource("/{id}").to(|| async { "" });
        let scope = web::scope("/orders").service(order()).wrap(metrics.middleware());
        let app = App::new().service(scope).wrap(metrics.middleware()).wrap(metrics.middleware());
        let app = init_service(app).await;
        for id in 0..3 {
            assert_eq!(call_service(&app, local(&format!("/orders/{id}"))).await.status(), 200);
        }
    });
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.in_flight), (3, 0));
    let routes: Vec<_> = summary.endpoints.iter().map(|endpoint| &*endpoint.name.route).collect();
    assert_eq!(routes, ["/orders/{id}"]);
    told_once(&metrics, "wrapped_twice", "wrap it once, around the App");
}

#[test]
fn monitors_that_workers_build_for_themselves_are_told() {
    listen();
    let built = std::sync::Arc::new(Mutex::new(Vec::new()));
    let each = std::sync::Arc::clone(&built);
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            let metrics = Metrics::builder("mistake-per-worker").build().unwrap();
            each.lock().unwrap().push(metrics.clone());
            App::new().wrap(metrics.middleware())
        });
        let server = server.workers(2).bind("127.0.0.1:0").unwrap().disable_signals().run();
        let handle = server.handle();
        let running = actix_web::rt::spawn(server);
        let deadline = Instant::now() + Duration::from_secs(60);
        while lines("mistake-per-worker").len() < 2 {
            assert!(Instant::now() < deadline, "{:?}", lines("mistake-per-worker"));
            actix_web::rt::time::sleep(Duration::from_millis(20)).await;
        }
        handle.stop(false).await;
        running.await.unwrap().unwrap();
    });
    let built = built.lock().unwrap();
    assert_eq!(built.len(), 2);
    for metrics in &*built {
        let shown = shown(metrics);
        assert_eq!(shown[0].0, "built_per_worker");
        assert!(shown[0].1.contains("outside the closure"), "{shown:?}");
    }
}

#[test]
fn endpoints_without_a_middleware_are_told() {
    listen();
    let metrics = Metrics::builder("mistake-unwrapped").build().unwrap();
    assert_eq!(shown(&metrics)[0].0, "never_wrapped");
    told_once(&metrics, "never_wrapped", ".wrap(metrics.middleware())");
}

#[test]
fn endpoints_behind_an_earlier_scope_are_told() {
    listen();
    let metrics = Metrics::builder("mistake-shadowed").build().unwrap();
    actix_web::rt::System::new().block_on(async {
        let api = web::scope("/api").route("/orders", web::get().to(|| async { "" }));
        let app =
            App::new().service(api).configure(metrics.routes("/api/metrics")).wrap(metrics.middleware());
        let app = init_service(app).await;
        for path in ["/api/metrics/nothing", "/api/metrics/summary", "/api/metrics/summary"] {
            assert_eq!(call_service(&app, local(path)).await.status(), 404, "{path}");
        }
        // Another app of the same monitor has no endpoints, so a stranger's guess says nothing.
        let other = init_service(App::new().wrap(metrics.middleware())).await;
        assert_eq!(call_service(&other, local("/api/metrics/routes")).await.status(), 404);
    });
    told_once(&metrics, "shadowed", "another service answers /api/metrics/summary");
}

#[test]
fn labels_of_own_metrics_with_too_many_values_are_told() {
    listen();
    let metrics = Metrics::builder("mistake-labels").build().unwrap();
    let _middleware = actix_web::rt::System::new()
        .block_on(async { init_service(App::new().wrap(metrics.middleware())).await });
    let jobs = metrics.registry().counter("jobs").unwrap();
    (0..128).for_each(|user| jobs.with("user", &user.to_string()).increment());
    assert_eq!(metrics.registry().labels_refused_of(), None);
    (0..10).for_each(|_| jobs.with("user", "one more").increment());
    let deadline = Instant::now() + Duration::from_secs(60);
    while lines("mistake-labels").is_empty() {
        assert!(Instant::now() < deadline, "it is not told");
        std::thread::sleep(Duration::from_millis(20));
    }
    told_once(&metrics, "too_many_labels", "\"jobs\" has too many sets of labels");
}

#[test]
fn a_route_that_is_excluded_without_its_slash_is_told() {
    listen();
    let metrics = Metrics::builder("mistake-slash").exclude("health").exclude("/ready").exclude("_unmatched");
    let metrics = metrics.build().unwrap();
    let _middleware = actix_web::rt::System::new()
        .block_on(async { init_service(App::new().wrap(metrics.middleware())).await });
    told_once(
        &metrics,
        "excluded_without_slash",
        "exclude(\"health\") excludes nothing, because routes start with a slash; write \"/health\"",
    );
}

#[test]
fn an_end_without_a_shutdown_while_exporters_wait_is_told() {
    struct Nowhere;
    impl Exporter for Nowhere {
        fn name(&self) -> &str {
            "nowhere"
        }
        fn export(&mut self, _: &Window, _: Instant) -> Result<Accepted, Failed> {
            Ok(Accepted::default())
        }
    }
    listen();
    let build = |name: &str| Metrics::builder(name).exporter(Nowhere).build().unwrap();
    drop(build("mistake-end"));
    let [line] = &lines("mistake-end")[..] else { panic!("{:?}", lines("mistake-end")) };
    assert!(line.contains("the last window was not sent to nowhere; end with metrics.run(server)"), "{line}");
    let ended = build("mistake-end-none");
    let unsent = actix_web::rt::System::new().block_on(ended.finish(Duration::from_secs(60)));
    assert!(unsent.is_empty(), "{unsent}");
    drop(ended);
    drop(Metrics::builder("mistake-end-no-exporter").build().unwrap());
    assert_eq!((lines("mistake-end-none").len(), lines("mistake-end-no-exporter").len()), (0, 0));
}
