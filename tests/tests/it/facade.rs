//! What other crates emit through the `metrics` facade is in the endpoints.

use actix_web::web::ServiceConfig;
use metrics_actix::Metrics;
use metrics_actix::facade::Facade;
use serde_json::{Value, json};
use tests::Server;

fn no_routes(_: &mut ServiceConfig) {}

#[test]
fn what_is_emitted_through_the_facade_is_among_the_applications_metrics() {
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
    for business in [&data("/api/metrics/business")["metrics"], &data("/api/metrics/summary")["business"]] {
        assert_eq!(business["jobs_done_queue_mail"], json!({"kind": "counter", "value": 3}), "{business}");
        assert_eq!(business["queue_length"]["value"], 2.5);
        assert_eq!(
            (&business["db_query"]["calls"], &business["db_query"]["max_time"]),
            (&1.into(), &0.25.into())
        );
        assert_eq!(business["metrics_facade_refused"]["value"], 0);
    }
}
