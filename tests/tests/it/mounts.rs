//! The endpoints wherever they are mounted, and whatever a middleware or a proxy does to the slashes of a path.

mod scrapes;

use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use actix_web::middleware::{Condition, Next, NormalizePath, TrailingSlash, from_fn};
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error, HttpResponse, error, guard, rt};
use futures_util::future::LocalBoxFuture;
use metrics_actix::Metrics;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const SCRAPER: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// A client that follows redirects as browsers do.
struct Browser(Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Reply>>);

struct Reply {
    status: u16,
    location: Option<String>,
    kind: String,
    body: String,
}

/// A client of an app. `to_request` names a type that actix-web does not export.
fn browser<S, R: 'static, B>(app: S, to_request: fn(TestRequest) -> R) -> Browser
where
    S: Service<R, Response = ServiceResponse<B>, Error = Error, Future: 'static> + 'static,
    B: MessageBody + 'static,
{
    let app = Rc::new(app);
    Browser(Box::new(move |request| {
        let app = Rc::clone(&app);
        Box::pin(async move {
            let response = app.call(to_request(request)).await.unwrap();
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let kind =
                header(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
            let (status, location) = (response.status().as_u16(), header(LOCATION));
            let body = String::from_utf8_lossy(&read_body(response).await).into_owned();
            Reply { status, location, kind, body }
        })
    }))
}

impl Browser {
    /// Returns the last path, the status, the media type and the body.
    async fn get(&self, path: &str, accept: &str) -> (String, u16, String, String) {
        let mut path = path.to_owned();
        for _ in 0..5 {
            let reply = (self.0)(TestRequest::with_uri(&path).insert_header((ACCEPT, accept))).await;
            match reply.location {
                Some(location) => path = resolve(&path, &location),
                None => return (path, reply.status, reply.kind, reply.body),
            }
        }
        panic!("{path} redirects without an end");
    }
}

/// The path of a relative link.
fn resolve(base: &str, link: &str) -> String {
    assert!(!link.starts_with('/') && !link.contains("://"), "{link} is not relative");
    let base = base.split('?').next().unwrap();
    let mut parts: Vec<_> = base.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn links_are_resolved_as_browsers_do() {
    assert_eq!(resolve("/api/metrics", "./metrics/"), "/api/metrics/");
    assert_eq!(resolve("/api/metrics/metrics/", "../?page"), "/api/metrics/?page");
    assert_eq!(resolve("/api/metrics/?page", "dashboard/main.js"), "/api/metrics/dashboard/main.js");
}

/// All slashes that a middleware of actix-web can add or take away, inside and outside of ours.
fn slashes() -> impl Iterator<Item = (Option<TrailingSlash>, Option<TrailingSlash>)> {
    let all = [TrailingSlash::Trim, TrailingSlash::Always, TrailingSlash::MergeOnly];
    let both = all.into_iter().flat_map(|one| [(Some(one), None), (None, Some(one))]);
    std::iter::once((None, None)).chain(both)
}

#[actix_web::test]
async fn the_page_and_all_endpoints_work_whatever_is_done_to_slashes() {
    for mounts in [mount_at_the_root, mount_in_a_scope, mount_below_a_parameter] {
        for (inside, outside) in slashes() {
            let metrics = Metrics::builder("shop").build().unwrap();
            let app = App::new()
                .configure(|config| mounts(config, &metrics))
                .wrap(Condition::new(inside.is_some(), NormalizePath::new(inside.unwrap_or_default())))
                .wrap(metrics.middleware())
                .wrap(Condition::new(outside.is_some(), NormalizePath::new(outside.unwrap_or_default())));
            let app = browser(init_service(app).await, |request| request.to_request());
            let merges = inside.or(outside).is_some();
            let doubled = if merges { Some("//t/api//metrics//") } else { None };
            for from in ["/t/api/metrics", "/t/api/metrics/"].into_iter().chain(doubled) {
                let (path, status, kind, page) = app.get(from, BROWSER).await;
                let case = format!("{from} with {inside:?} inside and {outside:?} outside");
                assert_eq!((status, kind.as_str()), (200, "text/html"), "{case}");
                // Otherwise the script in the page appends it.
                let is_always = matches!(inside.or(outside), Some(TrailingSlash::Always));
                assert!(path.split('?').next().unwrap().ends_with('/') || is_always, "{case}: {path}");
                let base = if path.contains("/?") || path.ends_with('/') { path } else { format!("{path}/") };
                let links = page.split("=\"dashboard/").skip(1).map(|link| link.split('"').next().unwrap());
                let files: Vec<_> = links.map(|file| format!("dashboard/{file}")).collect();
                assert!(files.len() > 2);
                for link in files.iter().map(String::as_str).chain(["summary", "routes", "prometheus"]) {
                    let (_, status, ..) = app.get(&resolve(&base, link), "*/*").await;
                    assert_eq!(status, 200, "{case}: {link}");
                }
            }
            for path in ["/t/api/metrics/summary", "/t/api/metrics/prometheus", "/t/metrics"] {
                assert_eq!(app.get(path, "*/*").await.1, 200, "{path} with {inside:?} and {outside:?}");
                let with_slash = format!("{path}/");
                assert_eq!(app.get(&with_slash, "*/*").await.1, 200, "{with_slash} with {inside:?}");
            }
            // None of it is in the figures.
            assert_eq!(metrics.registry().summary().total.calls, 0);
        }
    }
}

fn mount_at_the_root(config: &mut ServiceConfig, metrics: &Metrics) {
    config.configure(metrics.routes("/t/api/metrics")).configure(metrics.prometheus_at("/t/metrics"));
}

fn mount_in_a_scope(config: &mut ServiceConfig, metrics: &Metrics) {
    let api = web::scope("/api").configure(metrics.routes("metrics"));
    config.service(web::scope("/{tenant}").service(api).configure(metrics.prometheus_at("metrics")));
}

fn mount_below_a_parameter(config: &mut ServiceConfig, metrics: &Metrics) {
    config
        .configure(metrics.routes("/{tenant}/api/metrics"))
        .configure(metrics.prometheus_at("/{tenant}/metrics"));
}

#[actix_web::test]
async fn a_mount_whose_last_part_is_unknown_shows_the_page_at_once() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new()
        .service(web::scope("/a/metrics").configure(metrics.routes("")))
        .configure(metrics.routes("/b/{instance}"))
        .configure(metrics.routes("/"))
        .wrap(NormalizePath::trim())
        .wrap(metrics.middleware());
    let app = browser(init_service(app).await, |request| request.to_request());
    for from in ["/a/metrics", "/a/metrics/", "/b/7", "/b/7/", "/"] {
        let (_, status, kind, _) = app.get(from, BROWSER).await;
        assert_eq!((status, kind.as_str()), (200, "text/html"), "{from}");
    }
    for path in ["/a/metrics/summary/", "/b/7/summary", "/summary/"] {
        assert_eq!(app.get(path, "*/*").await.1, 200, "{path}");
    }
    // Paths of nobody are counted as such.
    for path in ["/about", "/a/metrics/nothing", "/b/7/nothing", "/metrics/metrics"] {
        assert_eq!(app.get(path, "*/*").await.1, 404, "{path}");
    }
    let summary = metrics.registry().summary();
    assert_eq!((&*summary.endpoints[0].name.route, summary.total.calls), ("_unmatched", 4));
}

#[actix_web::test]
async fn a_mount_takes_no_path_of_the_application() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let ok = || web::to(|| async { HttpResponse::Ok().body("the application's") });
    let app = App::new()
        .configure(metrics.routes("/api"))
        .configure(metrics.prometheus_at("/api/scrapes"))
        .service(web::scope("/deep").configure(metrics.routes("")).route("/a/summary", ok()))
        .route("/api/orders", ok())
        .route("/api/summary/yesterday", ok())
        .route("/api/events/{id}", ok())
        .route("/api/dashboard/a/b", ok())
        .route("/api/scrapes/today", ok())
        .route("/apis", ok())
        .wrap(metrics.middleware());
    let app = browser(init_service(app).await, |request| request.to_request());
    let paths = [
        "/api/orders",
        "/api/summary/yesterday",
        "/api/events/7",
        "/api/dashboard/a/b",
        "/api/scrapes/today",
        "/apis",
        "/deep/a/summary",
    ];
    for path in paths {
        let (_, status, _, body) = app.get(path, "*/*").await;
        assert_eq!((status, body.as_str()), (200, "the application's"), "{path}");
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.endpoints.len()), (7, 7));
    for path in ["/api/summary", "/api/dashboard/main.js", "/api/s%75mmary", "/api/scrapes", "/deep/summary"]
    {
        assert_eq!(app.get(path, "*/*").await.1, 200, "{path}");
    }
    assert_eq!(metrics.registry().summary().total.calls, 7);
}

#[actix_web::test]
async fn a_path_that_repeats_the_mount_further_on_is_the_applications() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let ok = || web::to(|| async { HttpResponse::Ok().body("the application's") });
    let app = App::new()
        .configure(metrics.routes("/metrics"))
        .configure(metrics.routes("/t/{tenant}/metrics"))
        .route("/metrics/{host}/metrics", ok())
        .route("/metrics/{host}/metrics/summary", ok())
        .route("/t/{tenant}/metrics/{host}/metrics/summary", ok())
        .wrap(metrics.middleware());
    let app = browser(init_service(app).await, |request| request.to_request());
    for path in ["/metrics/a/metrics", "/metrics/a/metrics/summary", "/t/7/metrics/a/metrics/summary"] {
        let (_, status, _, body) = app.get(path, "*/*").await;
        assert_eq!((status, body.as_str()), (200, "the application's"), "{path}");
    }
    assert_eq!(metrics.registry().summary().total.calls, 3);
    for path in ["/metrics/summary", "/t/7/metrics/summary", "/t/a%2Fb/metrics/summary/"] {
        assert_eq!(app.get(path, "*/*").await.1, 200, "{path}");
    }
    assert_eq!(metrics.registry().summary().total.calls, 3);
}

#[actix_web::test]
async fn in_a_scope_and_after_an_expression_a_mount_takes_only_its_own_paths() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let ok = || web::to(|| async { HttpResponse::Ok().body("the application's") });
    let api = web::scope("/api")
        .configure(metrics.routes("metrics"))
        .route("/metrics/{host}/metrics", ok())
        .route("/metrics/{host}/metrics/summary", ok())
        .route("/{host}/metrics/summary", ok());
    let app = App::new()
        .service(web::scope("/{tenant}/x").service(api))
        .configure(metrics.routes("/files/{path:.*}/metrics"))
        .configure(metrics.routes("/v{number:[0-9]}"))
        .route("/files/{path:.*}/metrics/nothing", ok())
        .route("/v1/{host}/summary", ok())
        .wrap(metrics.middleware());
    let app = browser(init_service(app).await, |request| request.to_request());
    let others = [
        "/t/x/api/metrics/a/metrics",
        "/t/x/api/metrics/a/metrics/summary",
        "/t/x/api/a/metrics/summary",
        "/files/a/b/metrics/nothing",
        "/v1/a/summary",
    ];
    for path in others {
        let (_, status, _, body) = app.get(path, "*/*").await;
        assert_eq!((status, body.as_str()), (200, "the application's"), "{path}");
    }
    assert_eq!(metrics.registry().summary().total.calls, 5);
    for mount in ["/t/x/api/metrics", "/files/a/b/metrics", "/v1"] {
        for below in ["/summary", "/summary/", "/s%75mmary", "/dashboard/main.js"] {
            assert_eq!(app.get(&format!("{mount}{below}"), "*/*").await.1, 200, "{mount}{below}");
        }
        for from in ["", "/"] {
            let (_, status, kind, _) = app.get(&format!("{mount}{from}"), BROWSER).await;
            assert_eq!((status, kind.as_str()), (200, "text/html"), "{mount}{from}");
        }
    }
    assert_eq!(metrics.registry().summary().total.calls, 5);
    assert_eq!(app.get("/v1/summaries", "*/*").await.1, 404);
}

#[actix_web::test]
async fn the_path_that_repeats_the_mounts_last_part_leads_to_the_page() {
    for normalised in [false, true] {
        let metrics = Metrics::builder("shop").build().unwrap();
        let app = App::new()
            .configure(metrics.routes("/metrics"))
            .wrap(Condition::new(normalised, NormalizePath::trim()))
            .wrap(metrics.middleware());
        let app = browser(init_service(app).await, |request| request.to_request());
        let (path, status, kind, _) = app.get("/metrics/metrics", BROWSER).await;
        assert_eq!((&*path, status, &*kind), ("/metrics/?page", 200, "text/html"), "{normalised}");
        assert_eq!(metrics.registry().summary().total.calls, 0);
    }
}

#[actix_web::test]
async fn an_error_of_a_middleware_in_front_of_an_endpoint_is_in_no_figure() {
    let refuse = |_: ServiceRequest, _: Next<BoxBody>| async {
        Err::<ServiceResponse, _>(error::ErrorUnauthorized("who are you?"))
    };
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new()
        .configure(metrics.routes("/api/metrics"))
        .configure(metrics.prometheus_at("/scrapes"))
        .service(web::scope("/{tenant}").configure(metrics.routes("admin/metrics")))
        .wrap(from_fn(refuse))
        .wrap(metrics.middleware());
    let app = init_service(app).await;
    let get = |path: &str| app.call(TestRequest::with_uri(path).to_request());
    for path in ["/api/metrics", "/api/metrics/summary", "/scrapes", "/a/admin/metrics/routes"] {
        assert!(get(path).await.is_err(), "{path}");
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.in_flight), (0, 0));
    for path in ["/api/metrics/nothing", "/a/admin/metrics/nothing", "/orders"] {
        assert!(get(path).await.is_err(), "{path}");
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.total.client_errors, summary.in_flight), (3, 3, 0));
}

#[actix_web::test]
async fn an_answer_of_a_middleware_in_front_of_an_endpoint_is_in_no_figure_and_endpoints_take_no_row() {
    let refuse = |request: ServiceRequest, next: Next<BoxBody>| async move {
        match request.headers().contains_key("x-user") {
            true => next.call(request).await,
            false => Ok(request.into_response(HttpResponse::Unauthorized())),
        }
    };
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new()
        .configure(metrics.routes("/api/metrics"))
        .service(web::scope("/admin/metrics").wrap(from_fn(refuse)).configure(metrics.routes("")))
        .service(web::scope("/scrapes").wrap(from_fn(refuse)).configure(metrics.prometheus_at("")))
        .wrap(from_fn(refuse))
        .wrap(metrics.middleware());
    let inner = App::new()
        .service(web::scope("/admin/metrics").wrap(from_fn(refuse)).configure(metrics.routes("")))
        .service(web::scope("/scrapes").wrap(from_fn(refuse)).configure(metrics.prometheus_at("")))
        .wrap(metrics.middleware());
    let (app, inner) = (init_service(app).await, init_service(inner).await);
    let request = |path: &str| TestRequest::with_uri(path);
    for path in ["/api/metrics/summary", "/admin/metrics", "/admin/metrics/summary", "/scrapes"] {
        assert_eq!(app.call(request(path).to_request()).await.unwrap().status(), 401, "{path}");
        if !path.starts_with("/api") {
            assert_eq!(inner.call(request(path).to_request()).await.unwrap().status(), 401, "{path}");
        }
        let known = request(path).insert_header(("x-user", "Ann")).to_request();
        assert_ne!(app.call(known).await.unwrap().status(), 401, "{path}");
    }
    let summary = metrics.registry().summary();
    assert_eq!((summary.total.calls, summary.in_flight), (0, 0));
    assert_eq!(metrics.registry().health().endpoints, 0);
}

#[actix_web::test]
async fn several_mounts_of_the_same_kind_are_told_apart() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let app = App::new()
        .configure(metrics.routes("/a"))
        .configure(metrics.prometheus_at("/a"))
        .configure(metrics.prometheus_at("/b"))
        .configure(metrics.routes("/c"))
        .configure(metrics.prometheus_at("/c/summary"))
        .configure(metrics.prometheus_at("/{tenant}/d"))
        .wrap(metrics.middleware());
    let app = browser(init_service(app).await, |request| request.to_request());
    for (path, accept, expected) in [
        ("/a", "*/*", "text/plain"),
        ("/a", BROWSER, "text/html"),
        ("/b", "*/*", "text/plain"),
        ("/c", "*/*", "text/html"),
        ("/c/summary", "*/*", "application/json"),
        ("/c/summary", SCRAPER, "application/openmetrics-text"),
        ("/x/d", "*/*", "text/plain"),
    ] {
        assert_eq!(app.get(path, accept).await.2, expected, "{path} {accept}");
    }
}

async fn broken() -> HttpResponse {
    panic!("broken")
}

#[actix_web::test]
async fn behind_a_guard_a_mount_leaves_the_same_paths_to_the_application() {
    let refuse = |request: ServiceRequest, next: Next<BoxBody>| async move {
        if request.headers().contains_key("x-refused") {
            return Err(error::ErrorUnauthorized("who are you?"));
        }
        next.call(request).await
    };
    for with_marker in [false, true] {
        let metrics = Metrics::builder("shop").build().unwrap();
        let is_admin = || guard::Header("x-admin", "yes");
        let ok = || web::to(|| async { HttpResponse::Ok().body("the application's") });
        let panics = || web::to(broken);
        let resource = |path: &str| {
            let marker = metrics.route_marker();
            web::resource(path).wrap(Condition::new(with_marker, marker))
        };
        let app = App::new()
            .service(web::scope("/api").guard(is_admin()).configure(metrics.routes("metrics")))
            .service(web::scope("/own").guard(is_admin()).configure(metrics.routes("")))
            .service(resource("/api/metrics/summary").route(ok()))
            .service(resource("/api/metrics/routes").name("mine").route(ok()))
            .service(resource("/api/metrics/history").route(panics()))
            .service(resource("/own/{name}").route(ok()))
            .wrap(from_fn(refuse))
            .wrap(metrics.middleware());
        let app = init_service(app).await;
        let send = async |path: &str, header: &str| {
            let request = TestRequest::with_uri(path).insert_header((header, "yes")).to_request();
            let response = app.call(request).await.ok()?;
            Some(String::from_utf8_lossy(&read_body(response).await).into_owned())
        };
        // Nothing but the path is known of it, and that is the monitor's so far.
        assert_eq!(send("/api/metrics/summary", "x-refused").await, None);
        for path in ["/api/metrics/summary", "/api/metrics/routes", "/own/summary"] {
            assert_eq!(send(path, "x-user").await.as_deref(), Some("the application's"), "{path}");
            assert_ne!(send(path, "x-admin").await.as_deref(), Some("the application's"), "{path}");
            // The application has answered here, so this may have been for it.
            assert_eq!(send(path, "x-refused").await, None, "{path}");
        }
        let panicked = rt::spawn({
            let request = TestRequest::with_uri("/api/metrics/history").to_request();
            let call = app.call(request);
            async move { call.await.map(drop) }
        });
        assert!(panicked.await.unwrap_err().is_panic());
        let summary = metrics.registry().summary();
        let calls = |route: &str| {
            let row = summary.endpoints.iter().find(|row| &*row.name.route == route);
            row.map_or(0, |row| row.figures.calls)
        };
        assert_eq!(calls("/api/metrics/summary"), 1, "{with_marker}");
        assert_eq!(calls("/api/metrics/routes"), 1, "{with_marker}");
        assert_eq!(calls("/own/{name}"), 1, "{with_marker}");
        let panicked = if with_marker { "/api/metrics/history" } else { "_unmatched" };
        assert_eq!(calls(panicked), if with_marker { 1 } else { 4 });
        assert_eq!((summary.total.calls, summary.total.panicked), (7, 1), "{with_marker}");
        assert_eq!(summary.in_flight, 0);
    }
}
