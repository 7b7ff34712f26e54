//! The monitor's own answers in an application with other middlewares.

use std::collections::BTreeSet;
use std::io::Read;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::{
    Compress, Condition, DefaultHeaders, ErrorHandlers, Logger, NormalizePath, TrailingSlash,
};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, Error};
use metrics_actix::Metrics;

/// An endpoint, its status, and what its body has.
const ENDPOINTS: [(&str, u16, &str); 8] = [
    ("/", 200, "<!doctype html>"),
    ("/dashboard/main.js", 200, "class Events"),
    ("/dashboard/style.css", 200, "color-scheme"),
    ("/summary", 200, "\"success\":true"),
    ("/routes?window=1m", 200, "\"success\":true"),
    ("/prometheus", 200, "# TYPE http_requests_in_flight gauge"),
    ("/summary?window=2m", 400, "\"code\":\"bad_request\""),
    ("/dashboard/other.js", 404, "\"code\":\"not_found\""),
];

const CODINGS: [&str; 5] = ["", "gzip", "br", "deflate", "gzip, deflate, br"];

fn unpacked(coding: &str, body: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text),
        "deflate" => flate2::read::ZlibDecoder::new(body).read_to_string(&mut text),
        "" | "identity" => return String::from_utf8(body.to_vec()).unwrap(),
        other => panic!("{other} was not accepted"),
    }
    .unwrap();
    text
}

/// Checks all endpoints with all codings. `expected` is a header that the middleware sets.
async fn check<B: MessageBody>(
    name: &str,
    app: impl Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    expected: Option<(&str, &str)>,
) {
    for (path, status, part) in ENDPOINTS {
        for coding in CODINGS {
            let what = format!("{name}: {path} with {coding:?}");
            let mut request = TestRequest::with_uri(&format!("/metrics{path}"));
            if !coding.is_empty() {
                request = request.insert_header(("accept-encoding", coding));
            }
            let request = request.insert_header(("origin", "https://shop.example"));
            let response = call_service(&app, request.to_request()).await;
            assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{what}");
            let headers = response.headers().clone();
            let values =
                |name: &str| headers.get_all(name).map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
            for once in
                ["content-type", "content-encoding", "cache-control", "etag", "x-content-type-options"]
            {
                assert!(values(once).len() <= 1, "{what}: {once} is {:?}", values(once));
            }
            let vary = values("vary").join(",").to_lowercase();
            let vary: Vec<_> = vary.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
            assert_eq!(vary.iter().collect::<BTreeSet<_>>().len(), vary.len(), "{what}: vary is {vary:?}");
            if let Some((name, value)) = expected {
                assert_eq!(values(name), [value], "{what}");
            }
            let used = values("content-encoding").first().copied().unwrap_or_default().to_owned();
            assert!(used.is_empty() || used == "identity" || coding.contains(&used), "{what}: {used}");
            let body = unpacked(&used, &read_body(response).await);
            assert!(body.contains(part), "{what}: {body}");
        }
    }
}

/// An application with the endpoints, and these middlewares.
macro_rules! app {
    ($($middleware:expr),*) => {{
        let metrics = Metrics::builder("shop").build().unwrap();
        let app = App::new().configure(metrics.routes("/metrics")).wrap(metrics.middleware());
        init_service(app$(.wrap($middleware))*).await
    }};
}

#[actix_web::test]
async fn answers_are_right_beside_every_middleware_and_no_header_comes_twice() {
    check("alone", app!(), None).await;
    check("Compress", app!(Compress::default()), None).await;
    check("Condition", app!(Condition::new(true, Compress::default())), None).await;
    check("ErrorHandlers", app!(ErrorHandlers::new()), None).await;
    check("Logger", app!(Logger::default()), None).await;
    check("NormalizePath", app!(NormalizePath::new(TrailingSlash::MergeOnly)), None).await;
    let version = DefaultHeaders::new().add(("x-version", "1")).add(("cache-control", "max-age=60"));
    check("DefaultHeaders", app!(version), Some(("x-version", "1"))).await;
    let cors = || Cors::default().allowed_origin("https://shop.example");
    let allowed = Some(("access-control-allow-origin", "https://shop.example"));
    check("Cors", app!(cors()), allowed).await;
    check("Cors, then Compress", app!(cors(), Compress::default()), allowed).await;
    check("Compress, then Cors", app!(Compress::default(), cors()), allowed).await;
}

#[actix_web::test]
async fn events_are_neither_compressed_nor_held_back_by_compress() {
    let app = app!(Compress::default());
    let request =
        TestRequest::with_uri("/metrics/events").insert_header(("accept-encoding", "gzip, deflate, br"));
    let response = call_service(&app, request.to_request()).await;
    assert_eq!(response.headers().get("content-encoding").unwrap(), "identity");
    let mut body = std::pin::pin!(response.into_body());
    let first = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await.unwrap();
    let first = first.unwrap_or_else(|_| panic!("the first event arrives"));
    assert!(first.starts_with(b"event: hello\ndata: {"), "{first:?}");
}
