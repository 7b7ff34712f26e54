//! Errors that inner middlewares return: counted as what the client gets, which stays as it was.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU16, Ordering};

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::error::{self, InternalError};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::{Compress, ErrorHandlerResponse, ErrorHandlers, Logger, Next, from_fn};
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error, HttpResponse, ResponseError, rt};
use metrics_actix::{Metrics, Until};
use metrics_core::{Outcome, Summary};
use tests::{Reply, Server, settled};

/// Its response has another status than its `status_code`, which is 500.
#[derive(Debug)]
struct Teapot;

impl fmt::Display for Teapot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no coffee")
    }
}

impl ResponseError for Teapot {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::ImATeapot().insert_header(("x-short", "stout")).body("tea only")
    }
}

fn from_response(status: StatusCode) -> Error {
    let response = HttpResponse::build(status).insert_header(("x-from", "response")).body("made before");
    InternalError::from_response("the cause", response).into()
}

/// As a middleware of CORS does to errors.
fn with_header(mut error: Error) -> Error {
    error.add_response_mapper(|mut response| {
        let any = header::HeaderValue::from_static("*");
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        response
    });
    error
}

fn with_status(mut error: Error, status: StatusCode) -> Error {
    error.add_response_mapper(move |mut response| {
        *response.status_mut() = status;
        response
    });
    error
}

fn error_of(path: &str) -> Error {
    match path {
        "/x/teapot" => Teapot.into(),
        "/x/plain" => error::ErrorForbidden("not you"),
        "/x/ready" => from_response(StatusCode::UNAUTHORIZED),
        "/x/ready-500" => from_response(StatusCode::INTERNAL_SERVER_ERROR),
        "/x/choose" => InternalError::from_response(
            "which one?",
            HttpResponse::NonAuthoritativeInformation().body("/a, /b"),
        )
        .into(),
        "/x/fine" => {
            InternalError::from_response("a cached answer", HttpResponse::Ok().body("cached")).into()
        }
        "/x/cors" => with_header(Teapot.into()),
        "/x/cors-ready" => with_header(from_response(StatusCode::CONFLICT)),
        "/x/mapped" => with_status(error::ErrorInternalServerError("broken"), StatusCode::NOT_FOUND),
        "/x/nothing" => InternalError::from_response("", HttpResponse::NoContent().finish()).into(),
        _ => error::ErrorNotFound(""),
    }
}

const PATHS: [(&str, u16); 10] = [
    ("/x/teapot", 418),
    ("/x/plain", 403),
    ("/x/ready", 401),
    ("/x/ready-500", 500),
    ("/x/choose", 203),
    ("/x/fine", 200),
    ("/x/cors", 418),
    ("/x/cors-ready", 409),
    ("/x/mapped", 404),
    ("/x/nothing", 204),
];

fn refuse(request: ServiceRequest, _: Next<BoxBody>) -> Ready<Result<ServiceResponse, Error>> {
    ready(Err(error_of(request.path())))
}

fn refusing(config: &mut ServiceConfig) {
    config.service(web::scope("/x").wrap(from_fn(refuse)));
}

fn total(metrics: &Metrics) -> (Vec<(Outcome, u64)>, u64, u64, u64) {
    let Summary { total, in_flight, .. } = metrics.registry().summary();
    (total.outcomes, total.response_bytes, total.aborted, in_flight)
}

/// A status, headers in alphabetical order, and a body.
type Essence = (u16, Vec<(String, String)>, Vec<u8>);

/// What a client gets, without what the server adds.
fn essence(reply: Reply<Vec<u8>>) -> Essence {
    let is_own = |name: &str| ["content-length", "date"].contains(&name);
    let mut headers: Vec<_> = reply.headers.into_iter().filter(|(name, _)| !is_own(name)).collect();
    headers.sort();
    (reply.status, headers, reply.body)
}

/// The same of an app without the monitor.
async fn plain(path: &str) -> Essence {
    let app = init_service(App::new().configure(refusing)).await;
    let error = app.call(TestRequest::get().uri(path).to_request()).await.unwrap_err();
    let response = error.error_response();
    let headers = response.headers().iter();
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    (response.status().as_u16(), headers, to_bytes(response.into_body()).await.unwrap().to_vec())
}

#[test]
fn an_error_of_an_inner_middleware_counts_with_the_status_and_the_bytes_that_the_client_got() {
    let plain = PATHS.map(|(path, _)| rt::System::new().block_on(plain(path)));
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(until).build().unwrap();
        let server = Server::start(1, &metrics, refusing);
        let mut expected = std::collections::BTreeMap::new();
        let mut bytes = 0;
        for ((path, status), plain) in PATHS.into_iter().zip(&plain) {
            let reply = server.client().send_with("GET", path, &[]);
            bytes += reply.body.len() as u64;
            *expected.entry(Outcome::Status(status)).or_insert(0) += 1;
            assert_eq!((reply.status, essence(reply)), (status, plain.clone()), "{path}");
        }
        // A response to HEAD has no body.
        assert_eq!(server.client().send("HEAD", "/x/teapot").status, 418);
        *expected.get_mut(&Outcome::Status(418)).unwrap() += 1;
        settled(&metrics, PATHS.len() as u64 + 1);
        assert_eq!(total(&metrics), (expected.into_iter().collect(), bytes, 0, 0), "{until:?}");
        let errors = metrics.registry().recent_errors();
        let find = |status| errors.iter().find(|error| error.outcome == Outcome::Status(status)).unwrap();
        assert_eq!((&*find(418).message, &*find(401).message), ("no coffee", "the cause"));
    }
}

#[test]
fn exclusions_and_consumers_go_by_the_status_that_the_client_got() {
    let metrics = Metrics::builder("test")
        .exclude_status(418)
        .exclude_status(204)
        .api_key_header("x-api-key")
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, refusing);
    for (path, _) in PATHS {
        server.client().send("GET", path);
    }
    let summary = settled(&metrics, PATHS.len() as u64 - 3);
    assert!(
        summary.total.outcomes.iter().all(|(outcome, _)| ![418, 204].contains(&outcome.status().unwrap()))
    );
    assert!(summary.recent_errors.iter().all(|error| error.outcome != Outcome::Status(418)));
    let snapshot = metrics.registry().snapshot();
    let calls: Vec<_> = snapshot.consumers().iter().map(|c| (&*c.name, c.calls)).collect();
    assert_eq!(calls, [("_rejected", 2), ("_unanswered", 5)]);
}

/// What a server does with the result of a service.
async fn served<B: MessageBody + 'static>(result: Result<ServiceResponse<B>, Error>) -> (u16, Vec<u8>) {
    let response = match result {
        Ok(response) => HttpResponse::from(response.map_into_boxed_body()),
        Err(error) => error.error_response(),
    };
    (response.status().as_u16(), to_bytes(response.into_body()).await.unwrap().to_vec())
}

#[actix_web::test]
async fn an_error_that_an_outer_middleware_answers_ends_with_its_status_code() {
    let metrics = Metrics::builder("test").build().unwrap();
    let replace = |request: ServiceRequest, next: Next<_>| async move {
        match next.call(request).await {
            Ok(response) => Ok::<_, Error>(response.map_into_boxed_body()),
            Err(_) => {
                let request = TestRequest::default().to_http_request();
                Ok(ServiceResponse::new(request, HttpResponse::Accepted().body("later")))
            }
        }
    };
    let app = App::new().configure(refusing).wrap(metrics.middleware()).wrap(from_fn(replace));
    let app = init_service(app).await;
    let result = app.call(TestRequest::get().uri("/x/teapot").to_request()).await;
    assert_eq!(served(result).await, (202, b"later".to_vec()));
    assert_eq!(total(&metrics), (vec![(Outcome::Status(500), 1)], 0, 0, 0));
}

#[actix_web::test]
async fn a_request_is_in_flight_until_a_response_is_made_of_its_error() {
    let metrics = Metrics::builder("test").build().unwrap();
    let app = init_service(App::new().configure(refusing).wrap(metrics.middleware())).await;
    let result = app.call(TestRequest::get().uri("/x/teapot").to_request()).await;
    assert_eq!(total(&metrics), (vec![], 0, 0, 1));
    assert_eq!(served(result).await, (418, b"tea only".to_vec()));
    assert_eq!(total(&metrics), (vec![(Outcome::Status(418), 1)], 8, 0, 0));
}

#[actix_web::test]
async fn an_error_of_which_two_responses_are_made_counts_as_the_one_that_is_sent() {
    // The status is logged, and the server makes the response that is sent.
    for (path, status, bytes) in [("/x/teapot", 418, 8), ("/x/ready", 500, 0)] {
        let metrics = Metrics::builder("test").build().unwrap();
        let app = init_service(App::new().configure(refusing).wrap(metrics.middleware())).await;
        let error = app.call(TestRequest::get().uri(path).to_request()).await.unwrap_err();
        drop(error.error_response());
        let (sent, body) = served(Err::<ServiceResponse, _>(error)).await;
        assert_eq!((sent, body.len() as u64), (status, bytes));
        assert_eq!(total(&metrics), (vec![(Outcome::Status(status), 1)], bytes, 0, 0), "{path}");
    }
    // The first one is sent, also while the error lives on.
    let metrics = Metrics::builder("test").build().unwrap();
    let app = init_service(App::new().configure(refusing).wrap(metrics.middleware())).await;
    let error = app.call(TestRequest::get().uri("/x/teapot").to_request()).await.unwrap_err();
    let first = error.error_response();
    drop(error.error_response());
    assert_eq!(to_bytes(first.into_body()).await.unwrap(), "tea only");
    drop(error.error_response());
    assert_eq!(total(&metrics), (vec![(Outcome::Status(418), 1)], 8, 0, 0));
    drop(error);
    assert_eq!(total(&metrics), (vec![(Outcome::Status(418), 1)], 8, 0, 0));
}

/// Makes a response with another status each time.
#[derive(Debug)]
struct Moody(AtomicU16);

impl fmt::Display for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it depends")
    }
}

impl ResponseError for Moody {
    fn error_response(&self) -> HttpResponse {
        let status = self.0.fetch_add(1, Ordering::Relaxed);
        HttpResponse::build(StatusCode::from_u16(status).unwrap()).body("a mood")
    }
}

#[actix_web::test]
async fn of_several_responses_of_an_error_the_one_that_is_left_counts_whichever_it_is() {
    for (kept, status) in [(0, 500), (1, 501), (2, 502)] {
        let metrics = Metrics::builder("test").build().unwrap();
        let refuse = |_: ServiceRequest, _: Next<BoxBody>| {
            ready(Err::<ServiceResponse, _>(Error::from(Moody(AtomicU16::new(500)))))
        };
        let app = init_service(App::new().wrap(from_fn(refuse)).wrap(metrics.middleware())).await;
        let error = app.call(TestRequest::get().to_request()).await.unwrap_err();
        let mut responses: Vec<_> = (0..3).map(|_| error.error_response()).collect();
        let sent = responses.swap_remove(kept);
        drop(responses);
        // The server drops the error before it reads the body.
        drop(error);
        assert_eq!((sent.status().as_u16(), total(&metrics).0), (status, vec![(Outcome::Status(status), 1)]));
        assert_eq!(to_bytes(sent.into_body()).await.unwrap(), "a mood");
        assert_eq!(total(&metrics), (vec![(Outcome::Status(status), 1)], 6, 0, 0));
    }
}

#[actix_web::test]
async fn a_response_that_is_made_past_the_mappers_counts_with_the_status_code() {
    // As `ServiceResponse::from_err` in an outer middleware.
    for (path, status) in [("/x/ready", 401), ("/x/plain", 403)] {
        let metrics = Metrics::builder("test").build().unwrap();
        let app = init_service(App::new().configure(refusing).wrap(metrics.middleware())).await;
        let error = app.call(TestRequest::get().uri(path).to_request()).await.unwrap_err();
        let response = HttpResponse::from_error(error);
        assert_eq!(response.status().as_u16(), status);
        assert!(!to_bytes(response.into_body()).await.unwrap().is_empty());
        assert_eq!(total(&metrics), (vec![(Outcome::Status(status), 1)], 0, 0, 0));
    }
}

#[actix_web::test]
async fn the_body_of_an_error_that_nobody_reads_counts_as_broken_off() {
    for until in [Until::Head, Until::BodyEnd] {
        let metrics = Metrics::builder("test").measure(until).build().unwrap();
        let app = init_service(App::new().configure(refusing).wrap(metrics.middleware())).await;
        let error = app.call(TestRequest::get().uri("/x/teapot").to_request()).await.unwrap_err();
        let response = error.error_response();
        drop(error);
        drop(response);
        assert_eq!(total(&metrics), (vec![(Outcome::Status(418), 1)], 8, 1, 0), "{until:?}");
    }
}

#[actix_web::test]
async fn a_panic_while_a_response_is_made_of_an_error_is_a_panic_of_the_request() {
    let metrics = Metrics::builder("test").build().unwrap();
    let refuse = |_: ServiceRequest, _: Next<BoxBody>| {
        let mut error = Error::from(Teapot);
        error.add_response_mapper(|_| panic!("a mapper has a bug"));
        ready(Err::<ServiceResponse, _>(error))
    };
    let app = App::new().wrap(from_fn(refuse)).wrap(metrics.middleware());
    let app = init_service(app).await;
    let error = app.call(TestRequest::get().to_request()).await.unwrap_err();
    let render = std::panic::AssertUnwindSafe(move || error.error_response());
    assert!(std::panic::catch_unwind(render).is_err());
    assert_eq!(total(&metrics), (vec![(Outcome::Panicked, 1)], 0, 0, 0));
}

fn keep<B>(response: ServiceResponse<B>) -> Result<ErrorHandlerResponse<B>, Error> {
    Ok(ErrorHandlerResponse::Response(response.map_into_left_body()))
}

#[actix_web::test]
async fn other_middlewares_around_it_change_neither_status_nor_count() {
    for outside in [true, false] {
        let metrics = Metrics::builder("test").build().unwrap();
        let app = App::new().configure(refusing);
        let result = if outside {
            let app = app.wrap(metrics.middleware()).wrap(Compress::default());
            let app =
                init_service(app.wrap(ErrorHandlers::new().default_handler(keep)).wrap(Logger::default()));
            served(app.await.call(TestRequest::get().uri("/x/ready").to_request()).await).await
        } else {
            let app = app.wrap(Compress::default()).wrap(ErrorHandlers::new().default_handler(keep));
            let app = init_service(app.wrap(Logger::default()).wrap(metrics.middleware()));
            served(app.await.call(TestRequest::get().uri("/x/ready").to_request()).await).await
        };
        assert_eq!(result, (401, b"made before".to_vec()));
        assert_eq!(total(&metrics), (vec![(Outcome::Status(401), 1)], 11, 0, 0), "{outside}");
    }
}

#[test]
fn errors_of_extractors_and_handlers_count_as_their_responses() {
    let metrics = Metrics::builder("test").build().unwrap();
    let server = Server::start(1, &metrics, |config| {
        let json = web::JsonConfig::default().error_handler(|error, _| {
            InternalError::from_response(error, HttpResponse::Conflict().body("no JSON")).into()
        });
        config
            .app_data(json)
            .route("/json", web::get().to(|_: web::Json<u8>| async { "" }))
            .route("/path/{id}", web::get().to(|_: web::Path<u8>| async { "" }))
            .route("/query", web::get().to(|_: web::Query<Vec<u8>>| async { "" }))
            .route("/own", web::get().to(|| async { Err::<&str, _>(Teapot) }));
    });
    let mut bytes = 0;
    for (path, status) in [("/json", 409), ("/path/x", 404), ("/query?a=b", 400), ("/own", 418)] {
        let reply = server.client().send("GET", path);
        bytes += reply.body.len() as u64;
        assert_eq!(reply.status, status, "{path}");
    }
    settled(&metrics, 4);
    let expected = [400, 404, 409, 418].map(|status| (Outcome::Status(status), 1)).to_vec();
    assert_eq!(total(&metrics), (expected, bytes, 0, 0));
}
