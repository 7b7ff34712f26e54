//! Names that the application gives.

use super::*;

struct Operation(&'static str);

/// As a GraphQL endpoint, which knows the operation only from the body.
async fn graphql(request: HttpRequest, body: String) -> HttpResponse {
    let known = ["Orders", "PlaceOrder"].into_iter().find(|name| *name == body);
    if let Some(name) = known {
        request.extensions_mut().insert(Operation(name));
    }
    HttpResponse::Ok().finish()
}

#[actix_web::test]
async fn an_application_names_the_routes_that_it_finds_by_itself() {
    let metrics = Metrics::builder("test")
        .exclude("/graphql Secret")
        .exclude("/health")
        .route_with(|request| match request.path() {
            "/graphql" => {
                let extensions = request.extensions();
                extensions.get::<Operation>().map(|operation| format!("/graphql {}", operation.0))
            }
            "/health" => Some("never".to_owned()),
            "/secret" => Some("/graphql Secret".to_owned()),
            "/empty" => Some(String::new()),
            path if path.starts_with("/upstream/") => Some("/upstream/{path}*".to_owned()),
            _ => None,
        })
        .build()
        .unwrap();
    let app = App::new()
        .configure(metrics.routes("/api/metrics"))
        .route("/graphql", web::post().to(graphql))
        .route("/health", ok())
        .route("/secret", ok())
        .route("/empty", ok())
        .route("/items/{id}", ok())
        .default_service(ok())
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for body in ["Orders", "PlaceOrder", "Unknown", "Orders"] {
        let request = TestRequest::post().uri("/graphql").set_payload(body).to_request();
        assert!(try_call_service(&app, request).await.is_ok());
    }
    call!(app, ["/health", "/secret", "/empty", "/items/1", "/upstream/a", "/upstream/b/c", "/other"]);
    call!(app, ["/api/metrics/summary"]);
    let all = expected([
        ("/graphql Orders", 2),
        ("/graphql PlaceOrder", 1),
        ("/graphql", 1),
        ("/empty", 3),
        ("/items/{id}", 3),
        ("/upstream/{path}*", 6),
        ("_unmatched", 3),
    ]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn names_of_an_application_are_bounded_and_cut_as_all_labels_are() {
    let registry = Registry::builder().max_series(20).build().unwrap();
    let hooks = Hooks::new().route_with(|request| Some(request.path().to_owned()));
    let metrics = Metrics::builder("test").with_registry(registry).hooks(hooks).build().unwrap();
    let app = init_service(App::new().default_service(ok()).wrap(metrics.middleware())).await;
    let long = format!("/{}", "x".repeat(1_000));
    let odd = "/%22%5C%0A%7B%7D";
    for path in [long.as_str(), odd].into_iter().map(str::to_owned).chain((0..100).map(|i| format!("/{i}"))) {
        assert!(try_call_service(&app, TestRequest::with_uri(&path).to_request()).await.is_ok());
    }
    let seen = routes(&metrics);
    // 20 names, and `_other`. `_unmatched`, which is what these would be without names, takes no row from them.
    assert_eq!((seen.len(), seen["_other"], seen.values().sum::<u64>()), (21, 82, 102));
    assert!(seen.contains_key(&long[..metrics_core::MAX_NAME_BYTES]) && seen.contains_key(odd));
}

#[actix_web::test]
async fn a_panic_of_the_hook_that_names_routes_is_a_panic_of_the_request() {
    let metrics =
        Metrics::builder("test").route_with(|_| -> Option<&str> { panic!("in the hook") }).build().unwrap();
    let app = init_service(App::new().route("/items", ok()).wrap(metrics.middleware())).await;
    for _ in 0..2 {
        let call = app.call(TestRequest::with_uri("/items").to_request());
        let call = std::panic::AssertUnwindSafe(call);
        assert!(futures_util::FutureExt::catch_unwind(call).await.is_err());
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.panicked, summary.in_flight), (2, 0));
}
