//! Options of the builder: consumers, exclusions, error messages, route markers.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, call_service, init_service, try_call_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpMessage, HttpResponse, error};
use metrics_actix::{Hooks, Identity, Metrics, Until};
use metrics_core::{Outcome, Registry};
use tests::{Server, settled};

fn consumers(metrics: &Metrics) -> BTreeMap<String, (u64, u64)> {
    let snapshot = metrics.registry().snapshot();
    snapshot.consumers().iter().map(|c| (c.name.to_string(), (c.calls, c.errors))).collect()
}

fn shop(config: &mut ServiceConfig) {
    let fails = || async { Err::<&str, _>(error::ErrorInternalServerError("out of chairs\n\u{1b}[31mred")) };
    let slow = || async {
        actix_web::rt::time::sleep(Duration::from_secs(60)).await;
        ""
    };
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/health", web::get().to(|| async { "" }))
        .route("/static/{file}*", web::get().to(|| async { "" }))
        .route("/v1/ping", web::get().to(|| async { "" }))
        .route("/fails", web::get().to(fails))
        .route("/forbidden", web::get().to(|| async { HttpResponse::Forbidden().finish() }))
        .route("/slow", web::get().to(slow));
}

#[test]
fn calls_are_counted_by_key_and_no_key_is_stored_or_shown() {
    const SECRET: &str = "sk-live-0123456789";
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("shop")
            .measure(until)
            .api_key_header("X-Api-Key")
            .consumer_alias(|key| (key == "known").then(|| "Ann".to_owned()))
            .build()
            .unwrap();
        let server = Server::start(2, &metrics, shop);
        let mut sent = 0;
        for (key, path) in [
            ("x-api-key: known\r\n", "/items/1"),
            ("x-api-key: known\r\n", "/fails"),
            ("x-api-key: known\r\n", "/forbidden"),
            ("x-api-key: sk-live-0123456789\r\n", "/items/2"),
            ("x-api-key: sk-live-0123456789\r\n", "/nowhere"),
            ("x-api-key:\r\n", "/items/3"),
            ("", "/items/4"),
        ] {
            let mut client = server.raw();
            client.write(format!("GET {path} HTTP/1.1\r\nhost: test\r\n{key}connection: close\r\n\r\n"));
            assert!(client.read_while(|_| true).starts_with("HTTP/1.1 "));
            sent += 1;
        }
        let mut client = server.raw();
        client.write("GET /slow HTTP/1.1\r\nhost: test\r\nx-api-key: known\r\n\r\n");
        while metrics.registry().summary().in_flight == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        client.reset();
        settled(&metrics, sent + 1);

        let mut seen = consumers(&metrics);
        assert_eq!(seen.remove("Ann"), Some((2, 1)));
        assert_eq!(seen.remove("_rejected"), Some((1, 1)));
        assert_eq!(seen.remove("_anonymous"), Some((2, 0)));
        assert_eq!(seen.remove("_unanswered"), Some((1, 0)));
        let (hash, calls) = seen.pop_first().unwrap();
        assert_eq!((hash.len(), calls, seen.len()), (16, (2, 1), 0));
        assert!(!serde_json::to_string(&metrics.registry().snapshot()).unwrap().contains(SECRET));

        let body = server.client().metrics("GET", "consumers?top=2");
        assert_eq!(body["consumers"].as_array().unwrap().len(), 2);
        assert_eq!(body["total_consumers"], 5);
        assert!(body["consumers"][0]["total_response_time"].as_f64() > Some(0.0), "{body}");
        assert!(!body.to_string().contains(SECRET));
    }
}

#[actix_web::test]
async fn made_up_keys_on_a_public_route_take_no_row_from_aliases_and_from_keys_of_checked_routes() {
    let registry = Registry::builder().max_consumers(50).build().unwrap();
    let metrics = Metrics::builder("shop")
        .with_registry(registry)
        .api_key_header("x-api-key")
        .consumer_alias(|key| (key == "known").then(|| "Ann".to_owned()))
        .consumers_from(["/items/{id}", "/admin/"])
        .build()
        .unwrap();
    // As a CORS middleware answers them, before keys are checked.
    let preflights = from_fn(|request: ServiceRequest, next: Next<BoxBody>| async move {
        match *request.method() {
            Method::OPTIONS => Ok(request.into_response(HttpResponse::Ok())),
            _ => next.call(request).await,
        }
    });
    let app = init_service(App::new().configure(shop).wrap(preflights).wrap(metrics.middleware())).await;
    let send = async |method: Method, path: &str, key: &str| {
        let request = TestRequest::with_uri(path).method(method).insert_header(("x-api-key", key));
        let _ = actix_web::test::read_body(call_service(&app, request.to_request()).await).await;
    };
    for i in 0..10_000 {
        send(Method::GET, "/health", &format!("made up {i}")).await;
        if i % 100 == 0 {
            send(Method::GET, "/health", "busy").await;
            send(Method::OPTIONS, "/items/1", &format!("made up {i}")).await;
        }
    }
    send(Method::GET, "/nowhere", "known").await;
    send(Method::GET, "/items/1", "a customer").await;
    send(Method::GET, "/health", "a customer").await;
    let seen = consumers(&metrics);
    assert_eq!((seen.len(), seen["_other"], seen["Ann"]), (3, (10_200, 0), (1, 1)));
    assert_eq!(seen.into_iter().find(|(name, _)| name.len() == 16).unwrap().1, (2, 0));
    assert_eq!(metrics.registry().health().consumers_refused, 0);
}

#[test]
fn busy_callers_without_a_row_are_listed_apart() {
    let registry = Registry::builder().max_consumers(1).build().unwrap();
    let metrics =
        Metrics::builder("shop").with_registry(registry).api_key_header("x-api-key").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    for key in ["first", "second", "third", "second", "second"] {
        client.send_with("GET", "/items/1", &[("x-api-key", key)]);
    }
    let body = client.metrics("GET", "consumers");
    let calls: Vec<_> =
        body["others"].as_array().unwrap().iter().map(|other| &other["calls_at_least"]).collect();
    assert_eq!(calls, [3, 1], "{body}");
    assert_eq!(body["others"][0]["calls_at_most"], 3);
    assert_eq!(body["others"][0]["consumer"].as_str().unwrap().len(), 16);
    assert_eq!(client.metrics("GET", "consumers?top=1")["others"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_key_that_only_opens_web_sockets_has_a_row() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").build().unwrap();
    let upgrade = || async { HttpResponse::SwitchingProtocols().upgrade("websocket").finish() };
    let app = App::new().route("/socket", web::get().to(upgrade)).wrap(metrics.middleware());
    let app = init_service(app).await;
    let request = || TestRequest::get().uri("/socket").insert_header(("x-api-key", "secret")).to_request();
    for _ in 0..2 {
        call_service(&app, request()).await;
    }
    let seen = consumers(&metrics);
    assert_eq!((seen.len(), seen.values().next()), (1, Some(&(2, 0))));
    assert!(!seen.contains_key("_other"));
}

#[actix_web::test]
async fn only_sampled_traces_are_exemplars_unless_all_are_asked_for() {
    let sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let unsampled = "00-11f7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    for all in [false, true] {
        let builder = Metrics::builder("shop");
        let metrics = if all { builder.unsampled_exemplars() } else { builder }.build().unwrap();
        let app = init_service(App::new().configure(shop).wrap(metrics.middleware())).await;
        for trace in [sampled, unsampled] {
            let request = TestRequest::get().uri("/fails").insert_header(("traceparent", trace));
            call_service(&app, request.to_request()).await;
        }
        let snapshot = metrics.registry().snapshot();
        let traces: Vec<_> = snapshot.exemplars().iter().map(|exemplar| exemplar.trace.to_string()).collect();
        let expected = if all { unsampled } else { sampled };
        assert_eq!(traces, [&expected[3..35]]);
        // The log has both.
        assert_eq!(metrics.registry().recent_errors().len(), 2);
    }
}

#[test]
fn top_must_be_a_number_in_range() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").build().unwrap();
    let server = Server::start(1, &metrics, shop);
    for (query, expected) in [
        ("", 200),
        ("?top=1", 200),
        ("?top=1000", 200),
        ("?other=1", 400),
        ("?top=0", 400),
        ("?top=1001", 400),
        ("?top=", 400),
        ("?top=-1", 400),
        ("?top=x", 400),
        ("?top=99999999999999999999", 400),
        ("?top=1&top=2", 400),
    ] {
        let reply = server.client().send("GET", &format!("/api/metrics/consumers{query}"));
        assert_eq!(reply.status, expected, "{query} {}", reply.body);
        assert_eq!(reply.body.contains("allowed: "), expected == 400);
    }
    let without = Metrics::builder("shop").build().unwrap();
    let server = Server::start(1, &without, shop);
    assert_eq!(server.client().send("GET", "/api/metrics/consumers").status, 404);
}

#[actix_web::test]
async fn a_hook_sees_what_inner_middlewares_stored_in_the_request() {
    #[derive(Clone)]
    struct Tenant(&'static str);
    let metrics = Metrics::builder("shop")
        .hooks(Hooks::new().consumer(|request| {
            request.extensions().get::<Tenant>().map(|tenant| Identity::Name(tenant.0.to_owned()))
        }))
        .build()
        .unwrap();
    let authenticate = |request: ServiceRequest, next: Next<_>| {
        let tenant = if request.path() == "/items/1" { "north" } else { "south" };
        request.extensions_mut().insert(Tenant(tenant));
        next.call(request)
    };
    let app = App::new().configure(shop).wrap(from_fn(authenticate)).wrap(metrics.middleware());
    let app = init_service(app).await;
    for path in ["/items/1", "/items/2", "/items/3"] {
        call_service(&app, TestRequest::get().uri(path).to_request()).await;
    }
    let expected = [("north".to_owned(), (1, 0)), ("south".to_owned(), (2, 0))];
    assert_eq!(consumers(&metrics), expected.into());
}

#[actix_web::test]
async fn excluded_requests_are_neither_counted_nor_in_flight() {
    let metrics = Metrics::builder("shop")
        .exclude("/health")
        .exclude("_unmatched")
        .exclude_prefix("/static/")
        .exclude_regex("^/v[0-9]+/ping$")
        .exclude_status(403)
        .build()
        .unwrap();
    let app = init_service(App::new().configure(shop).wrap(metrics.middleware())).await;
    for path in ["/health", "/nowhere", "/static/a/b.css", "/v1/ping", "/forbidden", "/items/1"] {
        call_service(&app, TestRequest::get().uri(path).to_request()).await;
    }
    // Not excluded as unmatched, since its route is unknown.
    let slow = app.call(TestRequest::get().uri("/slow").to_request());
    assert!(actix_web::rt::time::timeout(Duration::from_millis(5), slow).await.is_err());
    let summary = metrics.registry().summary();
    let routes: Vec<_> = summary.endpoints.iter().map(|endpoint| &*endpoint.name.route).collect();
    assert_eq!((routes, summary.total.calls, summary.in_flight), (vec!["/items/{id}", "_unmatched"], 2, 0));
    // The one dropped before its response, and the one whose response was never read.
    assert_eq!((summary.total.aborted, summary.total.truncated), (2, 1));
}

#[actix_web::test]
async fn messages_are_one_line_and_the_hook_can_change_them() {
    let default = Metrics::builder("shop").build().unwrap();
    let hooks = Hooks::new().error_message(|error| format!("<{}>\n", error.to_string().len()));
    let hooked = Metrics::builder("shop").hooks(hooks).build().unwrap();
    for (metrics, expected) in [(default, r"out of chairs\n\u{1b}[31mred"), (hooked, r"<22>\n")] {
        let app = init_service(App::new().configure(shop).wrap(metrics.middleware())).await;
        let request =
            TestRequest::get().uri("/fails?password=hunter2").insert_header(("x-secret", "hunter2"));
        call_service(&app, request.to_request()).await;
        assert_eq!(metrics.registry().summary().recent_errors[0].message, expected);
    }
}

#[actix_web::test]
async fn a_marker_shows_the_route_of_requests_in_flight_and_of_those_that_ended_without_a_response() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let slow = || async {
        actix_web::rt::time::sleep(Duration::from_secs(60)).await;
        ""
    };
    let panics = || async {
        if true {
            panic!("a test panics");
        }
        ""
    };
    let refuse = |_: ServiceRequest, _: Next<BoxBody>| async {
        Err::<ServiceResponse, _>(error::ErrorForbidden("not you"))
    };
    let give_up = |request: ServiceRequest, next: Next<BoxBody>| async move {
        let answered = request.request().clone();
        let call = next.call(request);
        assert!(actix_web::rt::time::timeout(Duration::from_millis(5), call).await.is_err());
        if answered.query_string() == "wait" {
            std::future::pending::<()>().await;
        }
        Ok::<_, actix_web::Error>(ServiceResponse::new(answered, HttpResponse::Accepted().finish()))
    };
    let app = App::new()
        .service(web::resource("/slow/{id}").wrap(metrics.route_marker()).to(slow))
        .service(web::resource("/panics").wrap(metrics.route_marker()).to(panics))
        .service(
            web::resource("/refused").wrap(from_fn(refuse)).wrap(metrics.route_marker()).to(|| async { "" }),
        )
        .service(web::resource("/patient").wrap(metrics.route_marker()).wrap(from_fn(give_up)).to(slow))
        .route("/unmarked", web::get().to(slow))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    let call = |path: &str| app.call(TestRequest::get().uri(path).to_request());
    let routes = || -> BTreeMap<String, (u64, Vec<(Outcome, u64)>)> {
        let endpoints = metrics.registry().summary().endpoints;
        endpoints.into_iter().map(|e| (e.name.route.to_string(), (e.in_flight, e.figures.outcomes))).collect()
    };
    let moment = Duration::from_millis(5);

    let mut first = Box::pin(call("/slow/1"));
    assert!(actix_web::rt::time::timeout(moment, &mut first).await.is_err());
    assert_eq!(routes()["/slow/{id}"], (1, vec![]));
    // One that is dropped meanwhile does not remove the other's mark.
    assert!(actix_web::rt::time::timeout(moment, call("/unmarked")).await.is_err());
    assert_eq!(routes()["_unmatched"], (0, vec![(Outcome::Aborted, 1)]));
    drop(first);
    assert_eq!(routes()["/slow/{id}"], (0, vec![(Outcome::Aborted, 1)]));

    assert!(try_call_service(&app, TestRequest::get().uri("/refused").to_request()).await.is_err());
    assert_eq!(routes()["/refused"], (0, vec![(Outcome::Status(403), 1)]));

    // The mark of a request that an inner middleware gave up and answered does not pass to the next request.
    call_service(&app, TestRequest::get().uri("/patient").to_request()).await;
    assert!(actix_web::rt::time::timeout(moment, call("/unmarked")).await.is_err());
    assert_eq!(routes()["/patient"], (0, vec![(Outcome::Status(202), 1)]));
    assert_eq!(routes()["_unmatched"], (0, vec![(Outcome::Aborted, 2)]));

    let mut waits = Box::pin(call("/patient?wait"));
    assert!(actix_web::rt::time::timeout(4 * moment, &mut waits).await.is_err());
    assert!(actix_web::rt::time::timeout(moment, call("/unmarked")).await.is_err());
    assert_eq!(routes()["_unmatched"], (0, vec![(Outcome::Aborted, 3)]));
    drop(waits);
    assert_eq!(routes()["/patient"], (0, vec![(Outcome::Status(202), 1), (Outcome::Aborted, 1)]));

    let mut panics = Box::pin(call("/panics"));
    let poll = std::panic::AssertUnwindSafe(|| {
        // Dropped during the panic, as a server does.
        let mut panics = std::mem::replace(&mut panics, Box::pin(call("/unmarked")));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = panics.as_mut().poll(&mut cx);
    });
    assert!(std::panic::catch_unwind(poll).is_err());
    assert_eq!(routes()["/panics"], (0, vec![(Outcome::Panicked, 1)]));
}

#[actix_web::test]
async fn bytes_are_counted_for_request_and_response_bodies() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let echo = |body: web::Bytes| async move { body };
    let app = App::new().route("/echo", web::post().to(echo)).wrap(metrics.middleware());
    let app = init_service(app).await;
    for body in ["", "four", "eight by"] {
        let request = TestRequest::post().uri("/echo").insert_header(("content-length", body.len()));
        let response = call_service(&app, request.set_payload(body).to_request()).await;
        assert_eq!(actix_web::test::read_body(response).await, body);
    }
    let figures = metrics.registry().summary().total;
    assert_eq!((figures.request_bytes, figures.response_bytes, figures.aborted), (12, 12, 0));
}

#[test]
fn a_panic_of_a_hook_counts_as_a_panic_of_the_request() {
    let hooks = Hooks::new().consumer(|_| panic!("the hook has a bug"));
    let metrics = Metrics::builder("shop").hooks(hooks).build().unwrap();
    let server = Server::start(1, &metrics, shop);
    let mut client = server.raw();
    client.write("GET /items/1 HTTP/1.1\r\nhost: test\r\n\r\n");
    client.read_while(|_| true);
    let total = settled(&metrics, 1).total;
    assert_eq!((total.calls, total.panicked, total.aborted, total.errors), (1, 1, 0, 1));
}
