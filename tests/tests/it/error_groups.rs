//! Errors as groups: from requests to `GET errors/groups` and `GET errors`.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, error};
use metrics_actix::Metrics;
use serde_json::{Value, json};
use tests::{Client, Server, settled};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

fn shop(config: &mut ServiceConfig) {
    let locked = |request: HttpRequest| async move {
        let id = request.match_info().query("id").to_owned();
        Err::<&str, _>(error::ErrorInternalServerError(format!("order {id} is locked")))
    };
    config
        .route("/orders/{id}", web::get().to(locked))
        .route("/gone/{id}", web::get().to(|| async { HttpResponse::Gone().finish() }))
        .route("/fine", web::get().to(|| async { "fine" }));
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is no list in {value}"))
}

fn rows(groups: &Value) -> Vec<(&str, &str, &Value, u64)> {
    let row = |group: &'_ Value| (group["count"].as_u64().unwrap(), group["status"].is_null());
    list(groups, "groups")
        .iter()
        .map(|group| {
            let text = |name: &str| group[name].as_str().unwrap();
            (text("route"), text("message"), &group["status"], row(group).0)
        })
        .collect()
}

#[test]
fn a_storm_of_one_error_hides_no_other_and_each_has_examples_with_whose_requests_they_were() {
    let metrics = Metrics::builder("shop")
        .api_key_header("x-api-key")
        .consumer_alias(|key| (key == "a key of Ann").then(|| "Ann".to_owned()))
        .keep_paths(true)
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    let ann = [("x-api-key", "a key of Ann"), TRACEPARENT, ("x-request-id", "req-7")];
    client.send_with("GET", "/gone/1?token=secret", &ann);
    for i in 0..600 {
        client.send("GET", &format!("/orders/{i}"));
    }
    for path in ["/.env", "/.env", "/wp-login.php"] {
        client.send("GET", path);
    }
    client.send("GET", "/fine");
    settled(&metrics, 605);

    let groups = client.metrics("GET", "errors/groups");
    let expected = [
        ("/orders/{id}", "order <num> is locked", &json!(500), 600),
        ("_unmatched", "", &json!(404), 3),
        ("/gone/{id}", "", &json!(410), 1),
    ];
    assert_eq!(rows(&groups), expected);
    assert_eq!([&groups["more"], &groups["ungrouped"], &groups["evicted_groups"]], [0, 0, 0]);
    let paths = json!([
        {"path": "/.env", "at_least": 2, "at_most": 2},
        {"path": "/wp-login.php", "at_least": 1, "at_most": 1},
    ]);
    assert_eq!(groups["unmatched_paths"], paths);
    let gone = &list(&groups, "groups")[2];
    assert_eq!(gone["consumers"], json!([{"consumer": "Ann", "errors": 1}]));

    let errors = client.metrics("GET", &format!("errors?group={}", gone["id"].as_str().unwrap()));
    let [error] = &list(&errors, "recent_errors")[..] else { panic!("{errors}") };
    for (name, value) in [
        ("group", gone["id"].clone()),
        ("route", json!("/gone/{id}")),
        ("path", json!("/gone/1")),
        ("consumer", json!("Ann")),
        ("trace_id", json!(TRACE)),
        ("request_id", json!("req-7")),
        ("worker", json!(0)),
    ] {
        assert_eq!(error[name], value, "{name} in {error}");
    }
    // The first of the storm is long gone from the log.
    let id = list(&groups, "groups")[0]["id"].as_str().unwrap();
    let storm = client.metrics("GET", &format!("errors?group={id}"));
    let oldest = list(&storm, "recent_errors").last().unwrap();
    assert_eq!(oldest["message"], "order 0 is locked");
}

/// The routes of the errors that a query asks for, without repetitions.
fn routes(client: &Client, query: &str) -> Vec<String> {
    let mut routes: Vec<_> = ["errors", "errors/groups"]
        .iter()
        .map(|name| {
            let answer = client.metrics("GET", &format!("{name}?{query}"));
            let rows = answer.get("groups").or(answer.get("recent_errors")).unwrap().as_array().unwrap();
            let mut routes: Vec<_> =
                rows.iter().map(|row| row["route"].as_str().unwrap().to_owned()).collect();
            routes.sort_unstable();
            routes.dedup();
            routes
        })
        .collect();
    let last = routes.pop().unwrap();
    assert_eq!(routes, std::slice::from_ref(&last), "{query}");
    last
}

#[test]
fn errors_and_groups_are_filtered_by_window_route_status_group_and_consumer() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    for path in ["/orders/1", "/gone/1", "/nowhere"] {
        client.send("GET", path);
    }
    settled(&metrics, 3);
    for (query, expected) in [
        ("window=5m", &["/gone/{id}", "/orders/{id}", "_unmatched"][..]),
        ("route=/gone/{id}", &["/gone/{id}"]),
        ("route=/gone/{id}&method=POST", &[]),
        ("status=410", &["/gone/{id}"]),
        ("status=4xx", &["/gone/{id}", "_unmatched"]),
        ("status=5xx&window=1h", &["/orders/{id}"]),
        ("status=panicked", &[]),
        ("consumer=_anonymous", &["/gone/{id}", "/orders/{id}", "_unmatched"]),
        ("consumer=Ben", &[]),
        ("group=0000000000000000", &[]),
    ] {
        assert_eq!(routes(&client, query), expected, "{query}");
    }
    for (query, complaint) in [
        ("status=600", r#"status is \"600\"; allowed: 100 to 599, 4xx, 5xx, panicked"#),
        ("status=ok", r#"status is \"ok\"; allowed: "#),
        ("group=7", "group is not an id; allowed: 16 hexadecimal digits"),
        ("window=2m", "window is"),
        ("top=0", "top is out of range"),
    ] {
        let reply = client.send("GET", &format!("/api/metrics/errors/groups?{query}"));
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.body.contains(complaint), "{query}: {}", reply.body);
    }
    // A path is kept only if the application says so.
    let errors = client.metrics("GET", "errors");
    assert!(list(&errors, "recent_errors").iter().all(|error| error["path"].is_null()), "{errors}");
    assert_eq!(client.metrics("GET", "errors/groups")["unmatched_paths"], json!([]));
}
