//! Own metrics with labels, over HTTP.

use std::time::{Duration, Instant};

use actix_web::web::ServiceConfig;
use metrics_actix::Metrics;
use metrics_actix::alert::{Comparison, Metric, Rule, Scope};
use serde_json::{Value, json};
use tests::Server;

fn no_routes(_: &mut ServiceConfig) {}

#[test]
fn a_set_of_labels_is_in_every_answer_and_the_name_of_the_metric_is_all_of_them() {
    let rule = |name: &str, of: &str, threshold| {
        Rule::new(name, Metric::Value, Comparison::Above, threshold).scope(Scope::OwnMetric(of.to_owned()))
    };
    let metrics = Metrics::builder("jobs")
        .without_default_alerts()
        .alert(rule("all", "jobs", 6.0))
        .alert(rule("mail", r#"jobs{queue="mail",to="a \"b\""}"#, 4.0))
        .alert(rule("sms", r#"jobs{queue="sms"}"#, 2.0))
        .build()
        .unwrap();
    let jobs = metrics.registry().counter("jobs").unwrap();
    jobs.with_labels([("queue", "mail"), ("to", "a \"b\"")]).add(5);
    jobs.with("queue", "sms").add(2);
    let server = Server::start(1, &metrics, no_routes);
    let client = server.client();

    let listed = &client.metrics("GET", "business?window=5m")["metrics"];
    let labels: Vec<_> = listed.as_array().unwrap().iter().map(|metric| &metric["labels"]).collect();
    assert_eq!(labels, [&json!({"queue": "mail", "to": "a \"b\""}), &json!({"queue": "sms"})]);
    let summary = client.metrics("GET", "summary?window=5m");
    assert_eq!(summary["business"][r#"jobs{queue="mail",to="a \"b\""}"#]["value"], 5);

    let deadline = Instant::now() + Duration::from_secs(60);
    let history = |metric: &str| -> Value {
        let metric: String = metric.bytes().map(|byte| format!("%{byte:02x}")).collect();
        client.metrics("GET", &format!("history?window=5m&metric={metric}"))
    };
    let counted = |history: &Value| -> u64 {
        history["points"].as_array().unwrap().iter().map(|point| point["value"].as_u64().unwrap()).sum()
    };
    for (metric, count) in
        [("jobs", 7), (r#"jobs{queue="mail",to="a \"b\""}"#, 5), (r#"jobs{queue="sms"}"#, 2)]
    {
        loop {
            let history = history(metric);
            assert_eq!(history["metric"], metric);
            if counted(&history) == count {
                break;
            }
            assert!(Instant::now() < deadline, "{history}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert_eq!(client.send("GET", "/api/metrics/history?metric=jobs%7Bqueue%3D%22x%22%7D").status, 400);

    let firing = || -> Vec<String> {
        let alerts = client.metrics("GET", "alerts");
        let alerts = alerts["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["rule"].as_str().unwrap().to_owned()).collect()
    };
    while firing() != ["all", "mail"] {
        assert!(Instant::now() < deadline, "{:?}", firing());
        std::thread::sleep(Duration::from_millis(50));
    }
}
