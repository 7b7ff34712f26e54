//! The HTTP endpoints: they translate between actix-web and the figures, and hold nothing of their own.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{HttpServiceFactory, ServiceRequest};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, Route};
use metrics_core::Registry;
use metrics_export::json::{ConsumersBody, ErrorsBody, RoutesBody, SummaryBody};
use serde::Deserialize;

use crate::access::{self, Tokens};
use crate::answer;
use crate::background::Refused;
use crate::builder::{Reset, Shared};
use crate::method::MethodLabel;
use crate::scrape;

/// Names our resources, so that the middleware can leave their calls out.
const OWN_RESOURCE: &str = "metrics-actix";

/// How many consumers are listed, if the request does not say.
const DEFAULT_TOP: usize = 20;

/// How many consumers a request may ask for.
const MAX_TOP: usize = 1_000;

/// Whether a request matched one of our endpoints.
pub(crate) fn is_own(request: &HttpRequest) -> bool {
    request.match_name().is_some_and(|name| name.starts_with(OWN_RESOURCE))
}

/// What an endpoint is asked for.
#[derive(Debug, Clone, Copy)]
enum Call {
    Summary,
    Routes,
    Errors,
    Consumers { top: usize },
    Reset,
}

impl Call {
    /// Reads the registry and writes the answer.
    fn answer(self, registry: &Registry) -> Vec<u8> {
        match self {
            Self::Summary => answer::success(SummaryBody::from(&registry.summary())),
            Self::Routes => answer::success(RoutesBody::from(&registry.summary())),
            Self::Errors => answer::success(ErrorsBody::from(&registry.summary())),
            Self::Consumers { top } => answer::success(ConsumersBody::new(&registry.window(), top)),
            Self::Reset => answer::success(SummaryBody::from(&registry.reset())),
        }
    }

    /// The call with what the request's query says of it; `None` if that is out of range.
    fn with_query(self, request: &HttpRequest) -> Option<Self> {
        #[derive(Deserialize)]
        struct Query {
            top: Option<usize>,
        }
        let Self::Consumers { top } = self else { return Some(self) };
        let query = web::Query::<Query>::from_query(request.query_string()).ok()?;
        let top = query.top.unwrap_or(top);
        (1..=MAX_TOP).contains(&top).then_some(Self::Consumers { top })
    }
}

/// All endpoints under `prefix`.
pub(crate) fn configure(shared: Arc<Shared>, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let path = prefix.trim_matches('/');
    let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
    move |config| {
        let mut reads = vec![("summary", Call::Summary), ("routes", Call::Routes), ("errors", Call::Errors)];
        if shared.consumers.is_some() {
            reads.push(("consumers", Call::Consumers { top: DEFAULT_TOP }));
        }
        for (name, call) in reads {
            let routes = [web::get(), web::head()].map(|route| answering(route, &shared, call));
            config.service(resource(&prefix, name, "GET, HEAD", routes, &shared.read_tokens));
        }
        config.service(prometheus(&shared, &prefix, "prometheus"));
        let tokens = match &shared.reset {
            Reset::Absent => return,
            Reset::Open => &Tokens::default(),
            Reset::WithToken(tokens) => tokens,
        };
        let post = answering(web::post(), &shared, Call::Reset);
        config.service(resource(&prefix, "reset", "POST", [post], tokens));
    }
}

/// The endpoint for Prometheus by itself.
pub(crate) fn configure_prometheus(
    shared: Arc<Shared>,
    path: &str,
) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let path = path.trim_matches('/').to_owned();
    move |config| {
        config.service(prometheus(&shared, "", &path));
    }
}

fn prometheus(shared: &Arc<Shared>, prefix: &str, name: &str) -> impl HttpServiceFactory + use<> {
    let routes = [web::get(), web::head()].map(|route| {
        let shared = Arc::clone(shared);
        route.to(move |request: HttpRequest| scrape::answer(Arc::clone(&shared), request))
    });
    resource(prefix, name, "GET, HEAD", routes, &shared.read_tokens)
}

/// A resource that looks at the token first, and answers every method but those of its routes with 405.
fn resource<const N: usize>(
    prefix: &str,
    name: &str,
    allow: &'static str,
    routes: [Route; N],
    tokens: &Tokens,
) -> impl HttpServiceFactory + use<N> {
    let refuse = move |request: HttpRequest| async move {
        // The label, so that what strangers send is not sent back.
        let method = MethodLabel::of(request.method()).name();
        let message = format!("{method} is not supported here; allowed: {allow}");
        let mut response = answer::failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
        response
    };
    let tokens = tokens.clone();
    let gate = move |mut request: ServiceRequest, next: Next<BoxBody>| {
        let tokens = tokens.clone();
        async move {
            match access::refusal(&mut request, &tokens).await {
                Some(refusal) => Ok(request.into_response(refusal)),
                None => next.call(request).await,
            }
        }
    };
    let resource = web::resource(format!("{prefix}/{name}"))
        .name(&format!("{OWN_RESOURCE}:{prefix}/{name}"))
        .default_service(web::to(refuse));
    routes.into_iter().fold(resource, actix_web::Resource::route).wrap(from_fn(gate))
}

/// A route that answers a call on a thread of the blocking pool: merging takes up to milliseconds, in which a worker would
/// serve nobody.
fn answering(route: Route, shared: &Arc<Shared>, call: Call) -> Route {
    let shared = Arc::clone(shared);
    route.to(move |request: HttpRequest| {
        let shared = Arc::clone(&shared);
        async move {
            let Some(call) = call.with_query(&request) else {
                let message = format!("top is out of range; allowed: 1 to {MAX_TOP}");
                return answer::failure(StatusCode::BAD_REQUEST, "bad_request", &message);
            };
            let unavailable =
                |why: &str| answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why);
            let running = match shared.background.begin() {
                Ok(running) => running,
                Err(Refused::Busy) => return unavailable("too many are asking; try again"),
                Err(Refused::Closed) => return unavailable("the server is shutting down"),
            };
            let registry = shared.registry.clone();
            let answered = web::block(move || {
                let json = call.answer(&registry);
                drop(running);
                json
            });
            match answered.await {
                Ok(json) => answer::respond(StatusCode::OK, json),
                Err(_) => unavailable("the server is shutting down"),
            }
        }
    })
}
