//! The route label of a request is what `match_pattern` returns after routing, for all kinds of apps and paths.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::test::{TestRequest, init_service, try_call_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, Resource, Scope, delete, get, guard, route};
use metrics_actix::Metrics;
use metrics_core::Registry;

/// Parts of a pattern, each with its template and a path that it matches.
const PARTS: [(&str, &str, &str); 10] = [
    ("/a", "/a", "/a"),
    ("/b", "/b", "/b"),
    ("/items", "/items", "/items"),
    ("/{id}", "/{id}", "/x%20y"),
    (r"/{id:\d+}", "/{id}", "/42"),
    (r"/{code:[a-z]{2}}", "/{code}", "/ab"),
    ("/{x}-{y}", "/{x}-{y}", "/x-y"),
    ("/{file}.json", "/{file}.json", "/k.json"),
    ("/v{major}", "/v{major}", "/v1"),
    ("/caf%C3%A9", "/caf%C3%A9", "/caf%C3%A9"),
];

/// Parts that capture the rest of a path, as the last part of a pattern.
const TAILS: [(&str, &str, &str); 3] =
    [("/{rest:.*}", "/{rest}*", "/b/c"), ("/{rest}*", "/{rest}*", "/b//c"), ("/f{rest}*", "/f{rest}*", "/f")];

/// Parts of the requested paths.
const SENT: [&str; 18] = [
    "/a",
    "/b",
    "/items",
    "/7",
    "/42",
    "/ab",
    "/x-y",
    "/k.json",
    "/v1",
    "/caf%C3%A9",
    "/f",
    "/",
    "",
    "/%7Bid%7D",
    "/{id}",
    "/..",
    "/a%2Fb",
    "/%20",
];

const METHODS: [Method; 3] = [Method::GET, Method::POST, Method::DELETE];

struct Generator {
    random: fastrand::Rng,
    /// A path that matches the scopes around the current pattern.
    prefix: String,
    /// Paths that match a route of the current app, apart from guards.
    samples: Vec<String>,
}

impl Generator {
    /// Generates a pattern and a path that it matches.
    fn pattern(&mut self, tail: bool) -> (String, String) {
        let first = self.choice(&PARTS);
        let (mut pattern, mut sample) = (first.0.to_owned(), first.2.to_owned());
        let mut push = |part: (&str, &str, &str)| {
            pattern.push_str(part.0);
            sample.push_str(part.2);
        };
        if self.random.bool() {
            // A pattern cannot have two parts with the same name.
            let second = self.choice(&PARTS);
            push(if second.1 == first.1 { PARTS[1] } else { second });
        }
        if tail && self.random.u8(0..6) == 0 {
            push(self.choice(&TAILS));
        }
        (pattern, sample)
    }

    fn choice<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.random.usize(..from.len())].clone()
    }

    /// Generates the pattern of a resource and keeps its path as a sample.
    fn leaf(&mut self) -> String {
        let (pattern, sample) = self.pattern(true);
        self.samples.push(format!("{}{sample}", self.prefix));
        pattern
    }

    fn resource(&mut self) -> Resource {
        let mut resource = web::resource(self.leaf());
        if self.random.u8(0..4) == 0 {
            resource = resource.guard(guard::Header("x-guard", "open"));
        }
        for _ in 0..self.random.usize(1..=2) {
            resource = resource.route(web::method(self.choice(&METHODS)).to(answer));
        }
        resource
    }

    fn scope(&mut self, depth: usize) -> Scope {
        let (pattern, sample) = self.pattern(false);
        let outside = self.prefix.len();
        self.prefix.push_str(&sample);
        let mut scope = web::scope(&pattern);
        if self.random.u8(0..4) == 0 {
            scope = scope.guard(guard::Header("x-guard", "open"));
        }
        for _ in 0..self.random.usize(1..=3) {
            scope = match self.random.usize(0..=depth) {
                0 => scope.service(self.resource()),
                _ => scope.service(self.scope(depth - 1)),
            };
        }
        self.prefix.truncate(outside);
        if self.random.bool() {
            scope = scope.default_service(web::to(|| async { HttpResponse::NotFound().finish() }));
        }
        scope
    }

    fn routes(&mut self, config: &mut ServiceConfig) {
        for _ in 0..self.random.usize(1..=6) {
            match self.random.u8(0..3) {
                0 => config.service(self.scope(2)),
                1 => config.service(self.resource()),
                _ => config.route(&self.leaf(), web::get().to(answer)),
            };
        }
    }

    fn request(&mut self) -> TestRequest {
        let mut path =
            if self.random.u8(0..4) > 0 { self.choice(&self.samples.clone()) } else { String::new() };
        if path.is_empty() || self.random.u8(0..8) == 0 {
            path.extend((0..self.random.usize(1..=4)).map(|_| self.choice(&SENT)));
        }
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let guard = if self.random.bool() { "open" } else { "shut" };
        let found = if self.random.bool() { "yes" } else { "no" };
        let request = TestRequest::with_uri(&path).method(self.choice(&METHODS));
        request.insert_header(("x-guard", guard)).insert_header(("x-found", found))
    }
}

/// Answers 404 to half of the requests, as a resource does that has no such row.
async fn answer(request: HttpRequest) -> HttpResponse {
    let is_found = request.headers().get("x-found").is_some_and(|found| found == "yes");
    if is_found { HttpResponse::Ok().finish() } else { HttpResponse::NotFound().finish() }
}

/// The answer of actix-web, without regular expressions.
fn oracle(request: &HttpRequest) -> String {
    let Some(mut pattern) = request.match_pattern() else { return "_unmatched".to_owned() };
    for (part, template, _) in PARTS.iter().chain(&TAILS) {
        pattern = pattern.replace(part, template);
    }
    pattern
}

type Counts = BTreeMap<(String, String), u64>;

/// Calls generated apps with generated requests on this thread. Returns the expected and the measured labels.
async fn calls(metrics: &Metrics, apps: usize, requests: usize, seed: u64) -> Counts {
    let expected = Rc::new(RefCell::new(Counts::new()));
    let random = fastrand::Rng::with_seed(seed);
    let mut generator = Generator { random, prefix: String::new(), samples: Vec::new() };
    for _ in 0..apps {
        let observed = Rc::clone(&expected);
        let observe = move |request: ServiceRequest, inner: &_| {
            let observed = Rc::clone(&observed);
            let call = Service::<ServiceRequest>::call(inner, request);
            async move {
                let response: ServiceResponse<_> = call.await?;
                let request = response.request();
                let key = (request.method().to_string(), oracle(request));
                *observed.borrow_mut().entry(key).or_default() += 1;
                Ok(response)
            }
        };
        generator.samples.clear();
        let app = App::new().configure(|config| generator.routes(config));
        let app = init_service(app.wrap_fn(observe).wrap(metrics.middleware())).await;
        for _ in 0..requests {
            let request = generator.request();
            assert!(try_call_service(&app, request.to_request()).await.is_ok());
        }
    }
    Rc::try_unwrap(expected).expect("the apps are gone").into_inner()
}

#[actix_web::test]
async fn every_label_is_what_match_pattern_returns_after_routing() {
    let registry = Registry::builder().max_series(60_000).build().unwrap();
    let metrics = Metrics::builder("test").with_registry(registry).build().unwrap();
    let (apps, requests) = (150, 200);
    let expected = calls(&metrics, apps, requests, 7).await;
    let summary = metrics.registry().summary();
    let measured: Counts = summary
        .endpoints
        .iter()
        .map(|e| ((e.name.method.to_string(), e.name.route.to_string()), e.figures.calls))
        .collect();
    assert_eq!(summary.total.calls, (apps * requests) as u64);
    let unmatched: u64 =
        measured.iter().filter(|((_, r), _)| r == "_unmatched").map(|(_, calls)| calls).sum();
    // The test covers enough: many routes, and neither all nor no requests matched.
    assert!(measured.len() > 500, "{}", measured.len());
    assert!(unmatched > 1_000 && unmatched < summary.total.calls - 5_000, "{unmatched}");
    let differing: Vec<_> = expected
        .keys()
        .chain(measured.keys())
        .filter(|key| expected.get(*key) != measured.get(*key))
        .map(|key| (key, expected.get(key), measured.get(key)))
        .take(10)
        .collect();
    assert!(differing.is_empty(), "expected and measured: {differing:#?}");
}

#[get("/macro/{id}")]
async fn by_macro() -> &'static str {
    ""
}

#[route("/several/{id}", method = "GET", method = "PUT")]
async fn by_several_methods() -> &'static str {
    ""
}

#[delete("/macro/{id}")]
async fn by_another_method() -> &'static str {
    ""
}

#[actix_web::test]
async fn macros_files_and_two_apps_on_a_worker_are_labelled_by_their_templates() {
    let metrics = Metrics::builder("test").build().unwrap();
    let files = || actix_files::Files::new("/static", env!("CARGO_MANIFEST_DIR")).index_file("Cargo.toml");
    let shop = init_service(
        App::new()
            .service(by_macro)
            .service(by_another_method)
            .service(web::scope("/v1").service(by_several_methods).service(files()))
            .wrap(metrics.middleware()),
    )
    .await;
    // The same paths with other names.
    let other = init_service(
        App::new().route("/{kind}/{name}", web::get().to(|| async { "" })).wrap(metrics.middleware()),
    )
    .await;
    let requests = [
        (Method::GET, "/macro/1", 200),
        (Method::DELETE, "/macro/1", 200),
        (Method::GET, "/v1/several/1", 200),
        (Method::PUT, "/v1/several/1", 200),
        (Method::GET, "/v1/static/Cargo.toml", 200),
        (Method::GET, "/v1/static/src/lib.rs", 200),
        (Method::GET, "/v1/static/", 200),
        (Method::GET, "/v1/static/nowhere", 404),
        (Method::GET, "/v1/static/%2e%2e/secret", 404),
        (Method::GET, "/v1/elsewhere", 404),
    ];
    for _ in 0..3 {
        for (method, path, status) in &requests {
            let request = TestRequest::with_uri(path).method(method.clone());
            let response = try_call_service(&shop, request.to_request()).await.unwrap();
            assert_eq!(response.status().as_u16(), *status, "{path}");
        }
        let request = TestRequest::with_uri("/macro/1").to_request();
        try_call_service(&other, request).await.unwrap();
    }
    let summary = metrics.registry().summary();
    let measured: BTreeMap<_, _> = summary
        .endpoints
        .iter()
        .map(|e| (format!("{} {}", e.name.method, e.name.route), e.figures.calls / 3))
        .collect();
    let expected = [
        ("DELETE /macro/{id}", 1),
        ("GET /macro/{id}", 1),
        ("GET /v1/several/{id}", 1),
        // actix-files has one pattern for the whole directory.
        ("GET /v1/static/{path}*", 5),
        ("GET /{kind}/{name}", 1),
        ("GET _unmatched", 1),
        ("PUT /v1/several/{id}", 1),
    ];
    assert_eq!(measured, expected.map(|(name, calls)| (name.to_owned(), calls)).into());
}
