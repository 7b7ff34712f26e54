//! The slowest requests: from the middleware to `GET slow`.

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, rt};
use metrics_actix::{Metrics, Until};
use serde_json::{Value, json};
use tests::{Server, settled};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

fn shop(config: &mut ServiceConfig) {
    let dawdle = |request: HttpRequest| async move {
        let millis = request.match_info().query("millis").parse().unwrap_or(0);
        rt::time::sleep(Duration::from_millis(millis)).await;
        HttpResponse::Ok().body("done")
    };
    config
        .route("/dawdle/{millis}", web::get().to(dawdle))
        .route("/fast", web::get().to(|| async { "fast" }));
}

fn requests(slow: &Value) -> &Vec<Value> {
    slow["requests"].as_array().unwrap_or_else(|| panic!("{slow}"))
}

#[test]
fn the_slowest_requests_are_listed_with_whose_they_were_whatever_a_crowd_of_fast_ones_does() {
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("shop")
            .api_key_header("x-api-key")
            .keep_paths(true)
            .measure(until)
            .build()
            .unwrap();
        let server = Server::start(1, &metrics, shop);
        let client = server.client();
        let headers = [TRACEPARENT, ("x-request-id", "req-7")];
        for _ in 0..100 {
            client.send("GET", "/fast");
        }
        client.send_with("GET", "/dawdle/150?token=secret", &headers);
        client.send("GET", "/dawdle/100");
        settled(&metrics, 102);

        let slow = client.metrics("GET", "slow");
        let [slowest, second, rest @ ..] = &requests(&slow)[..] else { panic!("{slow}") };
        assert_eq!([&slowest["route"], &second["route"]], ["/dawdle/{millis}"; 2]);
        assert!(slowest["response_time"].as_f64() >= Some(0.15), "{slowest}");
        assert_eq!((&slowest["status"], &slowest["outcome"]), (&json!(200), &json!("200")));
        assert_eq!(slowest["consumer"], "_anonymous");
        assert_eq!(slowest["worker"], 0);
        if until == Until::Head {
            let known = [&slowest["path"], &slowest["request_id"], &slowest["trace_id"]];
            assert_eq!(known, ["/dawdle/150", "req-7", TRACE]);
        }
        assert!(rest.iter().all(|request| request["route"] == "/fast") && rest.len() == 48, "{slow}");
        assert_eq!(slow["dropped"], 0);

        let fast = client.metrics("GET", "slow?window=1m&method=GET&route=/fast");
        let times: Vec<_> =
            requests(&fast).iter().map(|request| request["response_time"].as_f64().unwrap()).collect();
        assert!(times.len() == 10 && times.is_sorted_by(|a, b| a >= b), "{fast}");
        let summary = client.metrics("GET", "routes");
        let routes = summary["routes"].as_array().unwrap();
        let of_fast = routes.iter().find(|route| route["route"] == "/fast").unwrap();
        assert_eq!(of_fast["max_response_time"].as_f64().unwrap(), times[0]);
    }
}

#[test]
fn a_wrong_question_is_refused_with_what_is_allowed() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    for (query, complaint) in [
        ("window=2m", "window is"),
        ("route=/fast", "method and route belong together"),
        ("metric=cache", "metric is unknown here; allowed: method and route"),
    ] {
        let reply = server.client().send("GET", &format!("/api/metrics/slow?{query}"));
        assert!(reply.status == 400 && reply.body.contains(complaint), "{query}: {}", reply.body);
    }
}
