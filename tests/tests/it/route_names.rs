//! Routes that are not one plain template: directories, tails, resources with several patterns, guards, scopes, and
//! names that the application gives.

mod given;

use std::collections::BTreeMap;

use actix_files::Files;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::{App, Error, HttpMessage, HttpRequest, HttpResponse, error, guard, web};
use metrics_actix::{Hooks, Metrics};
use metrics_core::{Outcome, Registry};

/// The routes that were called, in the order of their names, with the numbers of calls.
fn routes(metrics: &Metrics) -> BTreeMap<String, u64> {
    let endpoints = metrics.registry().summary().endpoints;
    endpoints.iter().map(|endpoint| (endpoint.name.route.to_string(), endpoint.figures.calls)).collect()
}

fn expected<const N: usize>(routes: [(&str, u64); N]) -> BTreeMap<String, u64> {
    routes.map(|(route, calls)| (route.to_owned(), calls)).into()
}

/// Calls each path three times, since a route may be looked up in another way once it is known.
macro_rules! call {
    ($app:expr, $paths:expr) => {
        for _ in 0..3 {
            for path in $paths {
                let _ = try_call_service(&$app, TestRequest::with_uri(path).to_request()).await;
            }
        }
    };
}
use call;

fn ok() -> actix_web::Route {
    web::to(|| async { HttpResponse::Ok().finish() })
}

const DIR: &str = env!("CARGO_MANIFEST_DIR");

#[actix_web::test]
async fn files_are_the_tail_below_their_mount_in_every_place() {
    let metrics = Metrics::builder("test").build().unwrap();
    let app = App::new()
        .service(Files::new("/listed", DIR).show_files_listing())
        .service(Files::new("/indexed/", DIR).index_file("Cargo.toml").redirect_to_slash_directory())
        .service(Files::new("/tenants/{tenant}", DIR))
        .service(
            web::scope("/v1")
                .service(Files::new("/static", DIR))
                .service(web::scope("/{theme}").service(Files::new("/", DIR).index_file("Cargo.toml"))),
        )
        .route("/api/items/{id}", ok())
        .service(Files::new("/", DIR).index_file("Cargo.toml"))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    call!(
        app,
        ["/listed", "/listed/", "/listed/src", "/listed/src/lib.rs", "/listed/nowhere", "/listed/%20x"]
    );
    call!(app, ["/indexed", "/indexed/", "/indexed/Cargo.toml", "/indexed/.env"]);
    call!(app, ["/tenants/a/Cargo.toml", "/tenants/b/nowhere", "/tenants/b"]);
    call!(app, ["/v1/static/Cargo.toml", "/v1/static", "/v1/static/a/b"]);
    call!(app, ["/v1/dark/Cargo.toml", "/v1/light/none", "/v1/dark/"]);
    call!(
        app,
        ["/", "/Cargo.toml", "/src/lib.rs", "/.git/config", "/wp-login.php", "/api/items", "/%2e%2e/x"]
    );
    call!(app, ["/api/items/7"]);
    let seen = routes(&metrics);
    let all = expected([
        ("/listed/{path}*", 18),
        ("/indexed/{path}*", 12),
        ("/tenants/{tenant}/{path}*", 9),
        ("/v1/static/{path}*", 9),
        ("/v1/{theme}/{path}*", 9),
        ("/{path}*", 21),
        ("/api/items/{id}", 3),
    ]);
    assert_eq!(seen, all);
    for endpoint in metrics.registry().summary().endpoints {
        assert_eq!(endpoint.name.catches_all(), endpoint.name.route.ends_with("/{path}*"), "{endpoint:?}");
    }
}

#[actix_web::test]
async fn files_keep_their_tail_below_a_scope_whose_guard_refused_the_request() {
    for (at, below) in [("/", "/{path}*"), ("/api", "/api/{path}*")] {
        let metrics = Metrics::builder("test").build().unwrap();
        let app = App::new()
            .configure(metrics.routes("/api/metrics"))
            .service(web::scope("/api/closed").guard(guard::fn_guard(|_| false)).route("/x", ok()))
            .service(web::scope("").guard(guard::Host("admin.example")).route("/users", ok()))
            .service(Files::new(at, DIR))
            .wrap(metrics.middleware());
        let app = init_service(app).await;
        call!(app, ["/api/metrics/nothing", "/api/closed/nothing", "/api/Cargo.toml"]);
        assert_eq!(routes(&metrics), expected([(below, 9)]));
    }
}

#[actix_web::test]
async fn files_are_no_list_of_patterns_that_another_resource_has_at_a_path_of_the_same_end() {
    let metrics = Metrics::builder("test").build().unwrap();
    let listed = || web::resource(["/docs", "/docs/{tail}*"]);
    let app = App::new()
        .service(Files::new("/a/docs", DIR))
        .service(web::scope("/b").service(Files::new("/docs", DIR)))
        .service(web::scope("/c").service(listed().name("named").route(ok())))
        .service(web::scope("/d/{id}").service(web::scope("/e").service(listed().route(ok()))))
        .service(listed().route(ok()))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    call!(app, ["/a/docs", "/a/docs/x", "/b/docs", "/b/docs/x", "/docs", "/docs/x"]);
    call!(app, ["/c/docs", "/c/docs/x", "/d/7/e/docs", "/d/7/e/docs/x"]);
    let all = expected([
        ("/a/docs/{path}*", 6),
        ("/b/docs/{path}*", 6),
        ("/docs", 3),
        ("/docs/{tail}*", 3),
        ("/c/docs", 3),
        ("/c/docs/{tail}*", 3),
        ("/d/{id}/e/docs", 3),
        ("/d/{id}/e/docs/{tail}*", 3),
    ]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn tails_keep_their_star_whichever_way_they_are_written() {
    let metrics = Metrics::builder("test").build().unwrap();
    let app = App::new()
        .route("/named/{rest}*", ok())
        .route("/all/{rest:.*}", ok())
        .route("/some/{rest:.+}", ok())
        .route("/png/{rest:.*\\.png}", ok())
        .route("/one/{id}", ok())
        .route("/{tail:.*}", web::to(|| async { HttpResponse::NotFound().finish() }))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    call!(app, ["/named/a", "/named/a/b", "/all/a", "/all/", "/all/a/b", "/some/a", "/some/a/b/c"]);
    call!(app, ["/png/a.png", "/png/a/b.png", "/one/1", "/.git/config", "/x", "/"]);
    let all = expected([
        ("/named/{rest}*", 6),
        ("/all/{rest}*", 9),
        ("/some/{rest}*", 6),
        ("/png/{rest}", 6),
        ("/one/{id}", 3),
        ("/{tail}*", 9),
    ]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn of_several_patterns_the_one_that_matched_is_the_route() {
    let metrics = Metrics::builder("test").build().unwrap();
    let found = || web::to(|path: web::Path<String>| async move { HttpResponse::new(status(&path)) });
    fn status(id: &str) -> actix_web::http::StatusCode {
        if id == "0" { actix_web::http::StatusCode::NOT_FOUND } else { actix_web::http::StatusCode::OK }
    }
    let app = App::new()
        .service(web::resource(["/v1/x", "/v2/x", "/v3/x"]).route(ok()))
        .service(web::resource(["/a/{id}", "/b/{id}/c", r"/d/{id:\d+}"]).route(found()))
        .service(
            web::scope("/t/{tenant}")
                .service(web::resource(["/orders", "/bestellungen/{year}"]).route(ok()))
                .service(web::resource(["/f/{p}*", "/g/{p}*"]).route(ok())),
        )
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    call!(app, ["/v1/x", "/v2/x", "/v3/x", "/v4/x"]);
    call!(app, ["/a/1", "/b/1/c", "/d/1", "/b/0/c", "/a/0", "/d/0", "/d/x"]);
    call!(app, ["/t/1/orders", "/t/2/bestellungen/2026", "/t/2/f/a", "/t/2/f/a/b", "/t/2/g/a", "/t/2/g/a/b"]);
    let all = expected([
        ("/v1/x", 3),
        ("/v2/x", 3),
        ("/v3/x", 3),
        ("_unmatched", 6),
        ("/a/{id}", 6),
        ("/b/{id}/c", 6),
        ("/d/{id}", 6),
        ("/t/{tenant}/orders", 3),
        ("/t/{tenant}/bestellungen/{year}", 3),
        ("/t/{tenant}/f/{p}*", 6),
        ("/t/{tenant}/g/{p}*", 6),
    ]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn a_pattern_that_goes_on_where_another_one_of_its_resource_ends_changes_no_name() {
    let paths = [
        "/items",
        "/items/7",
        "/v2/orders/1",
        "/v1/orders/1",
        "/v2/orders/1/lines",
        "/s",
        "/s/",
        "/s/7",
        "/all",
        "/all/a",
        "/all/a/b",
        "/s/all",
        "/s/all/a",
        "/gone/1",
    ];
    for reversed in [false, true] {
        let metrics = Metrics::builder("test").build().unwrap();
        let app = App::new()
            .service(web::resource(["/items", "/items/{id}"]).route(ok()))
            .service(
                web::resource(["/v1/orders/{id}", "/v2/orders/{id}", "/v2/orders/{id}/{part}"]).route(ok()),
            )
            .service(
                web::scope("/s")
                    .service(web::resource(["/all", "/all/{tail}*"]).route(ok()))
                    .service(web::resource(["", "/", "/{id}"]).route(ok())),
            )
            .service(web::resource(["/all", "/all/{tail:.*}"]).route(ok()))
            .service(
                web::resource(["/gone", "/gone/{id}"]).to(|| async { HttpResponse::NotFound().finish() }),
            )
            .wrap(metrics.middleware());
        let app = init_service(app).await;
        let mut paths = paths.to_vec();
        if reversed {
            paths.reverse();
        }
        call!(app, &paths);
        let all = expected([
            ("/items", 3),
            ("/items/{id}", 3),
            ("/v1/orders/{id}", 3),
            ("/v2/orders/{id}", 3),
            ("/v2/orders/{id}/{part}", 3),
            ("/s", 3),
            ("/s/", 3),
            ("/s/{id}", 3),
            ("/all", 3),
            ("/all/{tail}*", 6),
            ("/s/all", 3),
            ("/s/all/{tail}*", 3),
            ("/gone/{id}", 3),
        ]);
        assert_eq!(routes(&metrics), all, "{reversed}");
    }
}

#[actix_web::test]
async fn a_parameter_that_takes_slashes_may_stand_before_the_end() {
    let metrics = Metrics::builder("test").build().unwrap();
    let app = App::new()
        .service(web::resource("/git/{repo:.*}/info").route(ok()))
        .service(web::resource(["/one/{repo:.*}/info", "/two/{repo:.*}/info"]).route(ok()))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for folder in ["git", "one", "two"] {
        call!(app, [&format!("/{folder}/a/info"), &format!("/{folder}/a/b/info")]);
    }
    let all = expected([("/git/{repo}/info", 6), ("/one/{repo}/info", 6), ("/two/{repo}/info", 6)]);
    assert_eq!(routes(&metrics), all);
}

async fn refuse<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.headers().contains_key("x-refused") {
        return Ok(request.into_response(HttpResponse::Unauthorized()));
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

#[actix_web::test]
async fn an_answer_before_routing_is_of_the_first_pattern() {
    let metrics = Metrics::builder("test").build().unwrap();
    let app = App::new()
        .service(web::resource(["/v1/x", "/v2/x"]).route(ok()))
        .service(Files::new("/static", DIR))
        .route("/items/{id}", ok())
        .wrap(from_fn(refuse))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for _ in 0..3 {
        for path in ["/v2/x", "/static/a", "/items/7", "/nowhere"] {
            for refused in [false, true] {
                let mut request = TestRequest::with_uri(path);
                if refused {
                    request = request.insert_header(("x-refused", "yes"));
                }
                let _ = try_call_service(&app, request.to_request()).await;
            }
        }
    }
    let all =
        expected([("/v1/x", 3), ("/v2/x", 3), ("/static/{path}*", 6), ("/items/{id}", 6), ("_unmatched", 6)]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn a_request_that_only_a_guard_refused_keeps_the_route_of_its_path() {
    let metrics = Metrics::builder("test").build().unwrap();
    let closed = || guard::fn_guard(|_| false);
    let app = App::new()
        .service(web::scope("/api").guard(closed()).route("/hello", ok()))
        .service(web::resource("/other/{id}").guard(closed()).route(ok()))
        .service(web::scope("/{any}").route("/known", ok()))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    call!(app, ["/api/hello", "/api/nothing", "/other/1", "/x/known", "/x/unknown", "/x"]);
    let all = expected([
        ("/api/hello", 3),
        ("/other/{id}", 3),
        ("/{any}/known", 3),
        // The scope takes /api/nothing, too.
        ("_unmatched", 9),
    ]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn a_404_is_of_the_resource_that_answered_and_not_of_a_scope_that_has_its_path() {
    let metrics = Metrics::builder("test").build().unwrap();
    let missing = || web::to(|| async { HttpResponse::NotFound().finish() });
    let fails = |path: web::Path<String>| async move {
        if path.as_str() == "0" { HttpResponse::NotFound().finish() } else { HttpResponse::Ok().finish() }
    };
    let app = App::new()
        .route("/items/{id}", web::get().to(fails))
        // The scope has the path of the resource after it, which only answers if the guard refuses.
        .service(web::scope("/orders/{id}").guard(guard::Header("x-scope", "yes")).route("/lines", ok()))
        .route("/orders/{id}", web::to(fails))
        .service(web::scope("/users").default_service(missing()).route("", web::get().to(|| async { "" })))
        .service(Files::new("/files", DIR))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for _ in 0..3 {
        call!(
            app,
            ["/items/1", "/items/0", "/orders/1", "/orders/0", "/users", "/users/x", "/files", "/nowhere"]
        );
        for path in ["/orders/1", "/orders/0"] {
            let request = TestRequest::with_uri(path).insert_header(("x-scope", "yes"));
            assert_eq!(try_call_service(&app, request.to_request()).await.unwrap().status(), 404);
        }
    }
    let all = expected([
        ("/items/{id}", 18),
        ("/orders/{id}", 18),
        ("/users", 9),
        ("/files/{path}*", 9),
        // As actix-web says: the scope took these, or no pattern did.
        ("_unmatched", 24),
    ]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn scopes_without_a_path_redirects_and_external_resources_are_labelled_by_their_templates() {
    let metrics = Metrics::builder("test").build().unwrap();
    let app = App::new()
        .external_resource("docs", "https://docs.example/{page}")
        .service(web::redirect("/old/{id}", "/new"))
        .service(web::redirect("/docs", "/docs/"))
        .service(
            web::scope("")
                .route("/empty", ok())
                .service(web::scope("/{a}/{b}").route("/{c}-{d}.json", ok()).route("", ok())),
        )
        .default_service(ok())
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    call!(app, ["/old/7", "/docs", "/empty", "/1/2/3-4.json", "/1/2", "/a%20b/c/d-e%2Ff.json", "/nowhere"]);
    let all = expected([
        ("/old/{id}", 3),
        ("/docs", 3),
        ("/empty", 3),
        ("/{a}/{b}/{c}-{d}.json", 6),
        ("/{a}/{b}", 3),
        ("_unmatched", 3),
    ]);
    assert_eq!(routes(&metrics), all);
}

#[actix_web::test]
async fn query_is_a_method_of_its_own_and_head_and_options_are_theirs() {
    let metrics = Metrics::builder("test").build().unwrap();
    let app = init_service(App::new().route("/search", ok()).wrap(metrics.middleware())).await;
    for method in ["QUERY", "HEAD", "OPTIONS", "PROPFIND", "query", "QUERYING"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = TestRequest::with_uri("/search").method(method).to_request();
        assert!(try_call_service(&app, request).await.is_ok());
    }
    let endpoints = metrics.registry().summary().endpoints;
    let mut seen: Vec<_> = endpoints.iter().map(|e| (&*e.name.method, e.figures.calls)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("HEAD", 1), ("OPTIONS", 1), ("QUERY", 1), ("_OTHER", 3)]);
}

/// A middleware that ends a request with an error, so that nothing of the request is left.
async fn fail<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    if request.headers().contains_key("x-refused") {
        return Err(error::ErrorTooManyRequests("too many"));
    }
    next.call(request).await
}

#[actix_web::test]
async fn a_marker_around_a_scope_tells_the_route_of_an_error_of_its_middleware() {
    let metrics = Metrics::builder("test").build().unwrap();
    let scope = web::scope("/api/{tenant}").route("/items/{id}", ok());
    let app = App::new()
        .service(scope.wrap(from_fn(fail)).wrap(metrics.route_marker()))
        .route("/plain", ok())
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    for path in ["/api/a/items/7", "/api/b/items/8", "/api/b/nothing"] {
        for refused in [false, true] {
            let mut request = TestRequest::with_uri(path);
            if refused {
                request = request.insert_header(("x-refused", "yes"));
            }
            let _ = app.call(request.to_request()).await;
        }
    }
    assert_eq!(routes(&metrics), expected([("/api/{tenant}/items/{id}", 4), ("_unmatched", 2)]));
    let summary = metrics.registry().summary();
    assert!(summary.total.outcomes.contains(&(Outcome::Status(429), 3)));
    assert!(summary.endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
}
