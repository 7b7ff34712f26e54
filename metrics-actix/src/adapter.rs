//! Hands requests to the monitor, and its answers back: paths, bodies, content codings and responses are actix-web's.
//! Where the endpoints are mounted is in `mount.rs`.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, AcceptEncoding, Encoding, Header};
use actix_web::http::{StatusCode, Version};
use actix_web::rt::time::timeout;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_core::Stream;
use metrics_monitor::{Answer, Body, Coding, Endpoint, Monitor, Peer, Request};

use crate::request::headers::RequestHeaders;

/// The longest body of a request to an endpoint, in bytes. No endpoint needs one.
const MAX_BODY_BYTES: u64 = 1_024;

/// The longest time that such a body may take.
const MAX_BODY_TIME: Duration = Duration::from_secs(5);

/// The response of an endpoint whose path below the mount is `below`.
pub(crate) async fn respond(
    monitor: &Monitor,
    endpoint: &'static Endpoint,
    below: &str,
    request: &HttpRequest,
    body: Payload,
) -> HttpResponse {
    to_response(answer(monitor, endpoint, below, request, body).await)
}

async fn answer(
    monitor: &Monitor,
    endpoint: &'static Endpoint,
    below: &str,
    request: &HttpRequest,
    body: Payload,
) -> Answer {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let headers = RequestHeaders { headers: request.headers(), authority };
    // The mount as the client wrote it, for relative links; the rest decoded, as the router matched it.
    let (mount, _) = split(request.path(), below);
    let (_, path) = split(request.match_info().as_str(), below);
    // A slash that was appended to the endpoint's path says nothing.
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let plain = Request {
        method: request.method().as_str(),
        mount,
        path,
        query: request.query_string(),
        headers: &headers,
        // actix-web knows no address of the clients of a Unix socket.
        peer: request.peer_addr().map_or(Peer::UnixSocket, |peer| Peer::Address(peer.ip())),
        is_secure: request.app_config().secure(),
        is_http_1_0: request.version() == Version::HTTP_10,
        coding: coding(request),
    };
    let admitted = match monitor.admit(endpoint, &plain) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    match timeout(MAX_BODY_TIME, read_away(request, body)).await {
        Ok(Ok(true)) => admitted.answer(&plain).await,
        Ok(Ok(false)) => {
            let message = format!("the request body is too large; allowed: at most {MAX_BODY_BYTES} bytes");
            Answer::failure(413, "payload_too_large", &message)
        }
        Ok(Err(_)) => Answer::failure(400, "bad_request", "the request body could not be read"),
        Err(_) => {
            let message = format!("the request body did not arrive within {} s", MAX_BODY_TIME.as_secs());
            Answer::failure(408, "request_timeout", &message)
        }
    }
}

/// The path under which the endpoints are mounted, and the rest: as many segments as the endpoint has below the mount.
fn split<'a>(path: &'a str, below: &str) -> (&'a str, &'a str) {
    let slashes = path.rmatch_indices('/').map(|(position, _)| position);
    let at = slashes.take(below.matches('/').count()).last().unwrap_or(path.len());
    path.split_at(at)
}

/// The content coding to use: gzip, if the client prefers it to none at all.
fn coding(request: &HttpRequest) -> Coding {
    let supported = [Encoding::gzip(), Encoding::identity()];
    let negotiate = |accept: AcceptEncoding| accept.negotiate(supported.iter());
    let accepts = cfg!(feature = "gzip") && request.headers().contains_key(header::ACCEPT_ENCODING);
    if accepts && AcceptEncoding::parse(request).ok().and_then(negotiate) == Some(Encoding::gzip()) {
        Coding::Gzip
    } else {
        Coding::Identity
    }
}

/// Reads a body away. Returns whether it kept to the limit.
async fn read_away(request: &HttpRequest, body: Payload) -> Result<bool, PayloadError> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse().ok()).unwrap_or(0_u64) > MAX_BODY_BYTES {
        return Ok(false);
    }
    let mut body = pin!(body);
    let mut read = 0;
    while let Some(chunk) = std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        read += chunk?.len() as u64;
        if read > MAX_BODY_BYTES {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An answer as actix-web sends it.
fn to_response(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in &answer.headers {
        response.insert_header((*name, &**value));
    }
    match answer.body {
        Body::Bytes(bytes) => response.body(bytes),
        // Closed, so that the client reconnects to a server that still accepts connections.
        Body::Events(events) => response.force_close().body(Events(events)),
    }
}

/// Server-sent events as a body.
struct Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl MessageBody for Events {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.0.as_mut().poll_next(cx).map(|event| event.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::rt::time::sleep;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, web};

    use super::*;
    use crate::Metrics;

    #[test]
    fn a_path_is_split_into_the_mount_and_the_segments_of_the_endpoint() {
        for (path, endpoint, expected) in [
            ("/api/metrics", "", ("/api/metrics", "")),
            ("/api/metrics/", "/", ("/api/metrics", "/")),
            ("/api/metrics/summary", "/summary", ("/api/metrics", "/summary")),
            ("/metrics/dashboard/main.js", "/dashboard/{file}", ("/metrics", "/dashboard/main.js")),
            ("/fleet/summary", "/fleet/summary", ("", "/fleet/summary")),
            ("/", "/", ("", "/")),
            ("/api/metrics/summary/", "/summary/", ("/api/metrics", "/summary/")),
        ] {
            assert_eq!(split(path, endpoint), expected);
        }
    }

    #[cfg(not(feature = "redis"))]
    #[actix_web::test]
    async fn a_build_without_a_fleet_says_so_and_counts_no_question_for_one() {
        let metrics = Metrics::builder("orders").build().unwrap();
        let app = App::new().configure(metrics.routes("/metrics")).wrap(metrics.middleware());
        let app = init_service(app).await;
        for path in ["/metrics/fleet/summary", "/metrics/fleet/versions/", "/metrics/fleet/reset"] {
            let request = TestRequest::get().uri(path).peer_addr(([127, 0, 0, 1], 1).into()).to_request();
            let response = call_service(&app, request).await;
            assert_eq!(response.status(), 404, "{path}");
            let body = actix_web::test::read_body(response).await;
            let body = String::from_utf8_lossy(&body);
            assert!(body.contains("cargo feature `redis`"), "{path}: {body}");
        }
        assert_eq!(metrics.registry().summary().total.calls, 0);
    }

    #[test]
    fn gzip_is_for_clients_that_accept_it() {
        for (encodings, expected) in [
            (None, false),
            (Some("gzip"), true),
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1.0, gzip;q=0.8"), true),
            (Some("br, GZIP;q=0.5"), true),
            // The server may choose.
            (Some("*"), false),
            (Some("identity"), false),
            (Some("xgzip, identity"), false),
            (Some("br"), false),
            (Some("gzip;q=0"), false),
            (Some("gzip; q=0.000, br"), false),
            (Some("gzip;q=0.1, identity;q=0.5"), false),
            (Some(""), false),
            (Some(";;,q=x"), false),
        ] {
            let mut request = TestRequest::get();
            if let Some(encodings) = encodings {
                request = request.insert_header((header::ACCEPT_ENCODING, encodings));
            }
            let is_gzip = coding(&request.to_http_request()) == Coding::Gzip;
            assert_eq!(is_gzip, expected && cfg!(feature = "gzip"), "{encodings:?}");
        }
    }

    #[actix_web::test]
    async fn at_the_root_there_is_the_page_and_no_redirect() {
        let metrics = Metrics::builder("test").build().unwrap();
        let app = init_service(App::new().configure(metrics.routes("/"))).await;
        for (path, status) in [("/", 200), ("/dashboard/main.js", 200), ("/dashboard/other", 404)] {
            let response = call_service(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!(response.status(), status, "{path}");
        }
    }

    #[actix_web::test]
    async fn the_scrapes_can_be_mounted_at_the_root_and_at_the_path_of_a_scope() {
        let metrics = Metrics::builder("test").build().unwrap();
        let scope = web::scope("/metrics").configure(metrics.prometheus_at(""));
        let app = init_service(App::new().service(scope).configure(metrics.prometheus_at("/"))).await;
        for path in ["/", "/metrics/"] {
            let response = call_service(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!(response.status(), 200, "{path}");
        }
    }

    #[actix_web::test]
    async fn a_percent_encoded_path_is_the_same_path() {
        let metrics = Metrics::builder("test").build().unwrap();
        let scope = web::scope("/{tenant}").configure(metrics.routes("metrics"));
        let app = init_service(App::new().service(scope)).await;
        for (path, status, location) in [
            ("/a%20b/m%65trics/dashboard/m%61in.js", 200, None),
            ("/a/metrics/dashboard/main%2Fjs", 404, None),
            ("/a/m%65trics", 307, Some("./m%65trics/")),
        ] {
            let response = call_service(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!(response.status(), status, "{path}");
            let known = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap());
            assert_eq!(known, location, "{path}");
        }
    }

    #[actix_web::test]
    async fn a_client_that_goes_away_occupies_no_scrape() {
        let metrics = Metrics::builder("orders").build().unwrap();
        let app = init_service(App::new().configure(metrics.prometheus_at("/metrics"))).await;
        let scrape = || call_service(&app, TestRequest::with_uri("/metrics").to_request());
        for _ in 0..100 {
            // Begun and dropped.
            timeout(Duration::ZERO, scrape()).await.ok();
        }
        for _ in 0..500 {
            if scrape().await.status() == StatusCode::OK {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("scrapes are still refused");
    }
}
