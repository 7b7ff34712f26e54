//! Metrics that other crates emit through the `metrics` facade appear in the endpoints.

use actix_web::web::ServiceConfig;
use metrics_actix::Metrics;
use metrics_actix::facade::Facade;
use serde_json::{Value, json};
use tests::Server;

fn no_routes(_: &mut ServiceConfig) {}

#[test]
fn metrics_emitted_through_the_facade_are_among_the_applications_metrics() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let facade = Facade::new(metrics.registry().clone());
    metrics::with_local_recorder(&facade, || {
        metrics::counter!("jobs.done", "queue" => "mail").increment(3);
        metrics::gauge!("queue.length").set(2.5);
        metrics::histogram!("db.query").record(0.25);
    });
    let server = Server::start(1, &metrics, no_routes);
    let client = server.client();
    let data = |call| {
        let answer: Value = serde_json::from_str(&client.send("GET", call).body).unwrap();
        answer["data"].clone()
    };
    let business = &data("/api/metrics/summary")["business"];
    assert_eq!(business[r#"jobs_done{queue="mail"}"#], json!({"kind": "counter", "value": 3}), "{business}");
    assert_eq!(business["queue_length"]["value"], 2.5);
    assert_eq!(
        (&business["db_query"]["calls"], &business["db_query"]["max_time"]),
        (&json!(1), &json!(0.25))
    );
    let listed = &data("/api/metrics/business")["metrics"];
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|metric| &metric["name"]).collect();
    assert_eq!(names, ["db_query", "jobs_done", "metrics_facade_refused", "queue_length"]);
}

#[test]
fn labels_that_clients_choose_take_no_row_from_metrics_that_have_one() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let facade = Facade::new(metrics.registry().clone());
    metrics::with_local_recorder(&facade, || {
        metrics::counter!("jobs.done").increment(1);
        for i in 0..1_000 {
            metrics::counter!("made.up", "text" => i.to_string()).increment(1);
        }
        metrics::counter!("jobs.done").increment(2);
        metrics::gauge!("queue.length").set(2.5);
    });
    let server = Server::start(1, &metrics, no_routes);
    let business = &server.client().metrics("GET", "summary")["business"];
    assert_eq!(
        (&business["jobs_done"]["value"], &business["queue_length"]["value"]),
        (&json!(3), &json!(2.5))
    );
    let made_up = business.as_object().unwrap().keys().filter(|name| name.starts_with("made_up{")).count();
    assert_eq!(made_up, 128 + 1);
    assert_eq!(business[r#"made_up{text="_other"}"#]["value"], 1_000 - 128);
    assert_eq!(business["metrics_facade_refused"]["value"], 0);
}
