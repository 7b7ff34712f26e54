//! The application: routes of all kinds, whose one handler does what the plan of a request says.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::Request;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{
    AppService, HttpServiceFactory, Payload, ResourceDef, Service, ServiceRequest, ServiceResponse,
    fn_service,
};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::task::yield_now;
use actix_web::test::init_service;
use actix_web::web::{self, Bytes};
use actix_web::{App, Error, HttpMessage, HttpRequest, HttpResponse, ResponseError, guard};
use futures_util::StreamExt;
use metrics_actix::{MeasuredBody, Metrics};

use crate::config::{Config, GUARD, Markers, Mount};
use crate::input::{self, Act, End, Failure, Plan, Reply, Unusual};

pub type Response = ServiceResponse<MeasuredBody<BoxBody>>;

pub type Call = Pin<Box<dyn Future<Output = Result<Response, Error>>>>;

/// What a server calls.
pub type Calls = Box<dyn Fn(Request) -> Call>;

pub async fn start(config: &Config, metrics: &Metrics) -> Calls {
    let marker = |is_here| actix_web::middleware::Condition::new(is_here, metrics.route_marker());
    let resource = || marker(config.markers == Markers::Resources);
    let is_guarded = || guard::Header(GUARD, "yes");
    let api = web::scope("/api")
        .service(web::resource("/users/{id}").wrap(resource()).to(serve))
        .service(web::scope("/v{version}").route("/deep/{id}", web::to(serve)))
        .service(web::resource(["/one/{x}", "/two"]).to(serve))
        .default_service(web::to(serve))
        .wrap(from_fn(|request: ServiceRequest, next: Next<BoxBody>| layer(1, request, next)))
        .wrap_fn(|request, service| {
            panic_at_once(1, &request);
            service.call(request)
        })
        .wrap(marker(config.markers == Markers::Scope));
    let app = App::new().configure(|app| {
        match config.mount {
            Mount::Plain => app.configure(metrics.routes("api-metrics/")),
            Mount::Parameter => app.configure(metrics.routes("/{tenant}/metrics")),
            Mount::InScope => app.service(web::scope("/ops").configure(metrics.routes("/m"))),
            Mount::Root => app.configure(metrics.routes("/")),
        };
    });
    let app = app
        .configure(metrics.prometheus_at("/scrapes"))
        .service(web::resource("/static").wrap(resource()).to(serve))
        .service(web::resource("/items/{id}").wrap(resource()).to(serve))
        .service(web::resource(r"/numbers/{n:\d+}/{rest:.*}").to(serve))
        .service(web::resource(["/many/{a}", "/many/{a}/more/{b}", "/much"]).wrap(resource()).to(serve))
        .service(web::resource("/guarded").guard(is_guarded()).to(serve))
        .service(web::resource("/posts").route(web::post().to(serve)))
        .service(web::resource("/twin/{p}").guard(is_guarded()).to(serve))
        .service(web::resource("/twin/{p}*").to(serve))
        .service(api)
        .service(web::resource("/tail/{path}*").to(serve))
        .service(Files)
        .service(web::scope("/inner").guard(is_guarded()).route("/inside", web::to(serve)))
        .default_service(web::to(serve))
        .wrap(from_fn(|request: ServiceRequest, next: Next<BoxBody>| layer(0, request, next)))
        .wrap_fn(|request, service| {
            panic_at_once(0, &request);
            service.call(request)
        })
        .wrap(metrics.middleware());
    let service = init_service(app).await;
    Box::new(move |request| Box::pin(service.call(request)))
}

/// A service of all paths below a prefix, as actix-files registers it.
struct Files;

impl HttpServiceFactory for Files {
    fn register(self, config: &mut AppService) {
        let service = |request: ServiceRequest| async {
            let (request, payload) = request.into_parts();
            let response = match act(&request, payload).await {
                Ok(response) => response,
                Err(error) => HttpResponse::from_error(error),
            };
            Ok(ServiceResponse::new(request, response))
        };
        config.register_service(ResourceDef::root_prefix("/files"), None, fn_service(service), None);
    }
}

/// The plan of a request.
fn plan(request: &impl HttpMessage) -> Rc<Plan> {
    let extensions = request.extensions();
    Rc::clone(extensions.get::<Rc<Plan>>().expect("each request has a plan"))
}

fn panic_at_once(level: usize, request: &ServiceRequest) {
    let plan = plan(request);
    plan.seen.in_scope.set(level == 1);
    if let Some(Act::PanicAtOnce) = plan.layers[level].act {
        panics();
    }
}

/// A panic without the hook, which ends the fuzzer.
fn panics() -> ! {
    std::panic::resume_unwind(Box::new("as planned"))
}

/// The middleware around the app (0) and around a scope (1).
async fn layer(level: usize, request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let plan = plan(&request);
    let planned = &plan.layers[level];
    pending(planned.yields).await;
    match &planned.act {
        Some(Act::Answer(reply)) => {
            plan.seen.early.set(true);
            let response = reply.response(&plan, Payload::None);
            return Ok(request.into_response(response));
        }
        Some(Act::Fail(failure)) => return Err(failure.error(&plan)),
        Some(Act::Panic) => panics(),
        _ => {}
    }
    if level == 0 {
        plan.seen.inside.set(true);
    }
    let response = next.call(request).await?;
    match &planned.act {
        Some(Act::FailAfterwards(failure)) => Err(failure.error(&plan)),
        _ => Ok(response),
    }
}

async fn pending(times: u8) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// The one handler.
async fn serve(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    act(&request, payload.into_inner()).await
}

async fn act(request: &HttpRequest, mut payload: Payload) -> Result<HttpResponse, Error> {
    let plan = plan(request);
    plan.seen.handled.set(true);
    for _ in 0..plan.handler.reads {
        match payload.next().await {
            Some(piece) => plan.has_read(&piece?),
            None => break,
        }
    }
    pending(plan.handler.yields).await;
    match &plan.handler.act {
        Some(Unusual::Fail(failure)) => Err(failure.error(&plan)),
        Some(Unusual::Panic) => panics(),
        None => Ok(plan.handler.reply.response(&plan, payload)),
    }
}

const STATUSES: [u16; 24] = [
    200, 200, 200, 200, 201, 204, 206, 301, 304, 101, 100, 400, 401, 403, 404, 404, 405, 429, 500, 500, 502,
    503, 600, 999,
];

const MESSAGES: [&str; 5] = ["", "plain", "a \"quote\", a \\ and\na line", "\u{202e}bidi\u{2028}", "é{}"];

fn status(number: u8) -> StatusCode {
    StatusCode::from_u16(STATUSES[usize::from(number) % STATUSES.len()]).expect("it has three digits")
}

fn message(number: u8) -> String {
    let message = MESSAGES[usize::from(number) % MESSAGES.len()];
    // Some are longer than what is kept of them.
    if number > 200 { message.repeat(300) } else { message.to_owned() }
}

impl Plan {
    fn has_read(&self, piece: &Bytes) {
        self.seen.read.set(self.seen.read.get() + piece.len() as u64);
    }
}

impl Reply {
    fn response(&self, plan: &Rc<Plan>, mut payload: Payload) -> HttpResponse {
        let mut response = HttpResponse::build(status(self.status));
        if self.is_event_stream {
            response.content_type("text/event-stream; charset=utf-8");
        }
        match self.body {
            input::Body::Empty => response.finish(),
            input::Body::Whole(size) => response.body(vec![b'x'; usize::from(size)]),
            input::Body::Pieces { sizes, announced, end } => {
                response.body(Pieces { left: sizes.to_vec(), announced, end })
            }
            input::Body::Echo => {
                let plan = Rc::clone(plan);
                let pieces = futures_util::stream::poll_fn(move |cx| payload.poll_next_unpin(cx));
                response.streaming(pieces.inspect(move |piece| {
                    if let Ok(piece) = piece {
                        plan.has_read(piece);
                    }
                }))
            }
        }
    }
}

/// A body that keeps its word or not.
struct Pieces {
    left: Vec<u8>,
    announced: Option<u8>,
    end: End,
}

impl MessageBody for Pieces {
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        self.announced.map_or(BodySize::Stream, |size| BodySize::Sized(size.into()))
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(match (self.left.pop(), self.end) {
            (Some(size), _) => Some(Ok(vec![b'x'; usize::from(size)].into())),
            (None, End::Ends) => None,
            (None, End::Fails) => Some(Err("as planned".into())),
            (None, End::Panics) => panics(),
        })
    }
}

impl Failure {
    fn error(&self, plan: &Rc<Plan>) -> Error {
        match self {
            Self::Plain { status: number, message: text } => {
                InternalError::new(message(*text), status(*number)).into()
            }
            Self::Made { reply, message: text } => {
                InternalError::from_response(message(*text), reply.response(plan, Payload::None)).into()
            }
            Self::Differs { message: text } => Teapot(message(*text)).into(),
            Self::Mapped { status: number, message: text } => {
                let number = *number;
                let mut error = Error::from(Teapot(message(*text)));
                error.add_response_mapper(move |mut response| {
                    *response.status_mut() = status(number);
                    response
                });
                error
            }
        }
    }
}

/// Its own status is 500.
#[derive(Debug)]
struct Teapot(String);

impl fmt::Display for Teapot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ResponseError for Teapot {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::ImATeapot().body("tea only")
    }
}
