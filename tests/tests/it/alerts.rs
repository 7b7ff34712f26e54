//! Alerts on a real server: traffic raises and resolves them, and their notices arrive.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use metrics_core::Window;
use metrics_core::alert::{Comparison, Metric, Rule, Scope, State};
use serde_json::Value;
use tests::{Client, Receiver, Server};

fn shop(config: &mut ServiceConfig) {
    let slow = || async {
        actix_web::rt::time::sleep(Duration::from_millis(5_200)).await;
        HttpResponse::InternalServerError().finish()
    };
    let panics = || async {
        if true {
            panic!("a test panics");
        }
        HttpResponse::Ok().finish()
    };
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().finish() }))
        .route("/panics", web::get().to(panics))
        .route("/slow", web::get().to(slow));
    for i in 0..400 {
        let fails = || async { HttpResponse::InternalServerError().finish() };
        config.route(&format!("/many/{i}"), web::get().to(fails));
    }
}

/// Fires as soon as one call in twenty fails, and resolves as soon as fewer do.
pub(crate) fn error_rate() -> Rule {
    let rule = Rule::new("error_rate", Metric::ErrorRate, Comparison::Above, 5.0);
    rule.window(Window::OneMinute)
}

/// Waits until the answer of `GET alerts` fulfils a condition.
fn alerts(client: &Client, until: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let answer = client.metrics("GET", "alerts");
        if until(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The state of each rule.
fn states(answer: &Value) -> BTreeMap<&str, &str> {
    let rules = answer["rules"].as_array().unwrap().iter();
    rules.map(|rule| (rule["rule"].as_str().unwrap(), rule["state"].as_str().unwrap())).collect()
}

#[test]
fn traffic_that_breaks_the_default_rules_makes_them_fire_and_better_traffic_resolves_them() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    let before = client.metrics("GET", "alerts");
    assert_eq!(before["alerts"].as_array().unwrap().len(), 6);
    assert!(states(&before).values().all(|state| *state == "inactive"), "{before}");

    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(server.client().send("GET", "/slow").status, 500));
        }
    });
    // All but the one that is not about requests of the service.
    let fired = alerts(&client, |answer| {
        states(answer).iter().all(|(rule, state)| (*state == "firing") == (*rule != "wrong_tokens"))
    });
    assert_eq!(metrics.alerts().iter().filter(|alert| alert.state == State::Firing).count(), 5);
    let first = &fired["alerts"][0];
    assert_eq!((&first["rule"], &first["severity"]), (&"error_rate".into(), &"critical".into()));
    assert_eq!(
        (&first["value"], &first["threshold"], &first["route"]),
        (&100.0.into(), &5.0.into(), &Value::Null)
    );
    assert_eq!(first["summary"], "error rate 100 % over 5 min (limit 5 %)");
    assert!(first["since"].as_str().unwrap().ends_with('Z'));

    for i in 0..700 {
        client.send("GET", &format!("/items/{i}"));
    }
    // The errors themselves stay for five minutes.
    let resolved = alerts(&client, |answer| {
        states(answer).iter().filter(|(_, state)| **state == "resolved").count() == 4
    });
    assert_eq!((&resolved["alerts"][0]["rule"], states(&resolved)["errors"]), (&"errors".into(), "firing"));
    let nowhere = serde_json::json!({"sent": 0, "dropped": 0, "failed": 0, "destinations": []});
    assert_eq!(resolved["delivery"], nowhere);
}

#[test]
fn strangers_probes_raise_no_default_alert() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    (0..200).for_each(|i| assert_eq!(client.send("GET", &format!("/items/{i}")).status, 200));
    (0..20).for_each(|_| assert_eq!(client.send("GET", "/.git/config").status, 404));
    // With these, 4.8 % of the calls of routes fail, and 13 % of all calls.
    (0..10).for_each(|_| assert_eq!(client.send("GET", "/fails").status, 500));
    let fired = alerts(&client, |answer| states(answer)["errors"] == "firing");
    let states = states(&fired);
    assert_eq!((states["error_rate"], states["consecutive_errors"]), ("inactive", "firing"));
    let summary = |rule: &str| {
        let mut alerts = fired["alerts"].as_array().unwrap().iter();
        alerts.find(|alert| alert["rule"] == rule).unwrap()["summary"].clone()
    };
    assert_eq!(summary("errors"), "10 server errors in 5 min (limit 10)");
    assert_eq!(summary("consecutive_errors"), "10 errors in a row in 5 min (limit 10)");
    // The summary's own rate is of all calls.
    assert_eq!(client.metrics("GET", "summary")["total_errors"], 30);
}

#[test]
fn panics_fire_a_rule_of_server_errors() {
    let rate = Rule::new("server_errors", Metric::ServerErrorRate, Comparison::Above, 1.0);
    let metrics = Metrics::builder("shop")
        .without_default_alerts()
        .alert(rate.window(Window::OneMinute))
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    client.send("GET", "/items/1");
    // The connection ends without an answer.
    for _ in 0..3 {
        let mut raw = server.raw();
        raw.request("GET", "/panics");
        raw.read_while(|_| true);
    }
    let fired = alerts(&client, |answer| states(answer)["server_errors"] == "firing");
    assert_eq!(fired["alerts"][0]["summary"], "server error rate 75 % over 1 min (limit 1 %)");
    let summary = client.metrics("GET", "summary");
    assert_eq!((&summary["server_errors"], &summary["panicked"]), (&3.into(), &3.into()));
}

#[test]
fn errors_are_forgotten_with_their_window() {
    let rules = "[[rule]]\nname = \"errors\"\nmetric = \"errors\"\ncomparison = \">=\"\nthreshold = 10\n\
                 window = \"1m\"\n\
                 [[rule]]\nname = \"in_a_row\"\nmetric = \"consecutive_errors\"\ncomparison = \">=\"\nthreshold = 10\n\
                 window = \"1m\"\n";
    let metrics = Metrics::builder("shop").without_default_alerts().alerts_toml(rules).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    (0..10).for_each(|_| assert_eq!(client.send("GET", "/fails").status, 500));
    let has = |state: &'static str| {
        move |answer: &Value| states(answer) == BTreeMap::from([("errors", state), ("in_a_row", state)])
    };
    alerts(&client, has("firing"));
    client.send("GET", "/items/1");
    alerts(&client, |answer| states(answer)["in_a_row"] == "resolved");
    alerts(&client, has("resolved"));
}

#[test]
fn a_webhook_that_fails_twice_still_gets_each_notice() {
    let receiver = Receiver::start(vec![500, 503]);
    let metrics = Metrics::builder("shop")
        .instance("host-1")
        .version("1.2.3")
        .public_url("https://ops.example.com/shop/")
        .trace_url("https://jaeger.example/trace/{trace_id}")
        .without_default_alerts()
        .alert(error_rate())
        .alert_webhook(receiver.url("/hook?key=hunter2"))
        .alert_log()
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    client.send_with("GET", "/fails", &[("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"))]);
    let (path, first) = receiver.next();
    assert_eq!(path, "/hook?key=hunter2");
    let link = format!("https://jaeger.example/trace/{trace}");
    assert_eq!(
        first["text"],
        format!(
            "[firing, warning] shop (host-1, 1.2.3): error rate 100 % over 1 min (limit 5 %) {link}\n\
             https://ops.example.com/shop/"
        )
    );
    let notice = &first["notices"][0];
    assert_eq!((&notice["trace_id"], &notice["trace_url"]), (&trace.into(), &link.into()));
    assert_eq!((&first["instance"], &first["version"]), (&"host-1".into(), &"1.2.3".into()));
    assert_eq!(first["dashboard"], "https://ops.example.com/shop/");
    assert_eq!((&first["service"], &first["notices"][0]["value"]), (&"shop".into(), &100.0.into()));
    assert_eq!([receiver.next().1, receiver.next().1], [first.clone(), first]);

    for i in 0..50 {
        client.send("GET", &format!("/items/{i}"));
    }
    let (_, resolved) = receiver.next();
    let text = resolved["text"].as_str().unwrap();
    assert!(text.starts_with("[resolved, warning] shop (host-1, 1.2.3): error rate "), "{text}");
    assert!(text.contains(" % over 1 min (limit 5 %) https://jaeger.example/"), "{text}");
    let answer = alerts(&client, |answer| answer["delivery"]["destinations"][0]["sent"] == 2);
    let expected = serde_json::json!({
        "destination": "webhook", "sent": 2, "dropped": 0, "failed": 0, "retried": 2, "queued": 0, "last_error": null
    });
    assert_eq!(answer["delivery"]["destinations"][0], expected);
    assert_eq!(answer["delivery"]["destinations"][1]["destination"], "log");
    assert!(!answer.to_string().contains("hunter2"));
}

#[test]
fn dead_destinations_delay_nothing_and_their_queues_are_bounded() {
    // One never accepts a connection. The other does not exist.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Four alerts for each of 400 routes are more than the queue holds.
    let each = |name| Rule::new(name, Metric::Errors, Comparison::AtLeast, 1.0).scope(Scope::EachRoute);
    let metrics = ["each", "each_too", "each_again", "each_once_more"]
        .into_iter()
        .fold(Metrics::builder("shop"), |builder, name| builder.alert(each(name)))
        .alert_webhook(format!("http://{}/", hangs.local_addr().unwrap()))
        .alertmanager(format!("http://{gone}"))
        .build()
        .unwrap();
    let server = Server::start(2, &metrics, shop);
    let client = server.client();
    (0..400).for_each(|i| assert_eq!(client.send("GET", &format!("/many/{i}")).status, 500));
    let answer = alerts(&client, |answer| answer["delivery"]["dropped"].as_u64() >= Some(200));
    for destination in answer["delivery"]["destinations"].as_array().unwrap() {
        assert!(destination["queued"].as_u64() <= Some(1_024 + 32), "{destination}");
        assert_eq!(destination["sent"], 0);
    }
    let last_tick = || {
        let history = client.metrics("GET", "history?window=5m&step=1s");
        history["points"].as_array().unwrap().last().unwrap()["time"].clone()
    };
    let tick = last_tick();
    (0..500).for_each(|i| assert_eq!(client.send("GET", &format!("/items/{i}")).status, 200));
    let deadline = Instant::now() + Duration::from_secs(20);
    while last_tick() == tick {
        assert!(Instant::now() < deadline, "the history stands still");
        std::thread::sleep(Duration::from_millis(100));
    }
    // A notice that is being sent may take until its timeout.
    let ended = actix_web::rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60)));
    assert!(ended);
}
