//! The HTTP endpoints: they translate between actix-web and the figures, and hold nothing of their own.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{HttpServiceFactory, ServiceRequest};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, Route};
use metrics_core::{EndpointName, ParseWindowError, Window};
use metrics_export::json::{
    BusinessBody, ConsumersBody, ErrorsBody, HistoryBody, MetricHistoryBody, ResourcesBody, RoutesBody,
    SummaryBody,
};
use serde::Deserialize;

use crate::access::{self, Tokens};
use crate::answer;
use crate::background::Refused;
use crate::builder::{Reset, Shared};
use crate::dashboard;
use crate::exporters;
use crate::method::MethodLabel;
use crate::scrape;

/// Names our resources, so that the middleware can leave their calls out.
const OWN_RESOURCE: &str = "metrics-actix";

/// How many consumers are listed, if the request does not say.
pub(crate) const DEFAULT_TOP: usize = 20;

/// How many consumers a request may ask for.
const MAX_TOP: usize = 1_000;

/// Whether a request matched one of our endpoints.
pub(crate) fn is_own(request: &HttpRequest) -> bool {
    request.match_name().is_some_and(|name| name.starts_with(OWN_RESOURCE))
}

/// What an endpoint is asked for.
#[derive(Debug, Clone)]
enum Call {
    Summary(Window),
    Routes(Window),
    History { window: Window, step: Option<String>, of: Of },
    Alerts,
    Errors,
    Exporters,
    Business(Window),
    Resources(Window),
    Consumers { top: usize },
    Reset,
}

/// What a history is of.
#[derive(Debug, Clone)]
enum Of {
    All,
    Endpoint(EndpointName),
    /// One of the application's own.
    Metric(String),
}

/// What the queries of all calls can hold.
#[derive(Debug, Default, Deserialize)]
struct Query {
    window: Option<String>,
    step: Option<String>,
    method: Option<String>,
    route: Option<String>,
    metric: Option<String>,
    top: Option<String>,
}

impl Call {
    /// Reads the figures and writes the answer, or else says what is wrong with the query.
    fn answer(
        self,
        Shared { registry, history, resources, alerting, exporting, .. }: &Shared,
    ) -> Result<Vec<u8>, String> {
        Ok(match self {
            Self::Summary(window) => answer::success(SummaryBody::from(&history.summary(window))),
            Self::Routes(window) => answer::success(RoutesBody::from(&history.endpoints(window))),
            Self::History { window, step, of: Of::Metric(name) } => {
                let trend = history.metric_trend(window, step.as_deref(), &name);
                let trend = trend.map_err(|error| error.to_string())?;
                let trend = trend.ok_or("there is no such metric; allowed: those that GET business lists")?;
                answer::success(MetricHistoryBody::new(&trend, &history.resets()))
            }
            Self::History { window, step, of } => {
                let endpoint = if let Of::Endpoint(name) = &of { Some(name) } else { None };
                let trend = history.trend(window, step.as_deref(), endpoint);
                let trend = trend.map_err(|error| error.to_string())?;
                answer::success(HistoryBody::new(&trend, &history.resets()))
            }
            Self::Alerts => alerting.answer(),
            Self::Errors => answer::success(ErrorsBody::new(&registry.recent_errors(), &registry.health())),
            Self::Business(window) => answer::success(BusinessBody::from(&history.business(window))),
            Self::Exporters => exporters::answer(exporting),
            Self::Resources(window) => {
                let span = window.length().unwrap_or(Duration::MAX);
                answer::success(ResourcesBody::new(resources.points(span)))
            }
            Self::Consumers { top } => answer::success(ConsumersBody::new(&registry.window(), top)),
            Self::Reset => answer::success(SummaryBody::from(&registry.reset())),
        })
    }

    /// The call with what the request's query says of it, or else what is wrong with the query.
    fn with_query(self, request: &HttpRequest) -> Result<Self, String> {
        let query = web::Query::<Query>::from_query(request.query_string());
        let Query { window, step, method, route, metric, top } =
            query.map_err(|error| format!("{error}; allowed: each parameter once"))?.into_inner();
        let window_or = |default: Window| match &window {
            Some(window) => window.parse().map_err(|error: ParseWindowError| error.to_string()),
            None => Ok(default),
        };
        Ok(match self {
            Self::Summary(default) => Self::Summary(window_or(default)?),
            Self::Routes(default) => Self::Routes(window_or(default)?),
            Self::Business(default) => Self::Business(window_or(default)?),
            Self::Resources(default) => Self::Resources(window_or(default)?),
            Self::History { window, .. } => Self::History {
                window: window_or(window)?,
                step,
                of: match (method, route, metric) {
                    (Some(method), Some(route), None) => {
                        Of::Endpoint(EndpointName { method: method.into(), route: route.into() })
                    }
                    (None, None, Some(metric)) => Of::Metric(metric),
                    (None, None, None) => Of::All,
                    (_, _, Some(_)) => {
                        return Err(
                            "metric stands by itself; allowed: metric, or method and route".to_owned()
                        );
                    }
                    _ => return Err("method and route belong together; allowed: both or none".to_owned()),
                },
            },
            Self::Consumers { top: default } => {
                Self::Consumers { top: top.map_or(Ok(default), |top| parse_top(&top))? }
            }
            Self::Alerts | Self::Errors | Self::Exporters | Self::Reset => self,
        })
    }
}

/// How many consumers are asked for.
pub(crate) fn parse_top(text: &str) -> Result<usize, String> {
    let top = text.parse().ok().filter(|top| (1..=MAX_TOP).contains(top));
    top.ok_or_else(|| format!("top is out of range; allowed: 1 to {MAX_TOP}"))
}

/// All endpoints under `prefix`.
pub(crate) fn configure(shared: Arc<Shared>, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let path = prefix.trim_matches('/');
    let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
    move |config| {
        let history = Call::History { window: Window::OneHour, step: None, of: Of::All };
        let mut reads = vec![
            ("summary", Call::Summary(Window::SinceReset)),
            ("routes", Call::Routes(Window::SinceReset)),
            ("history", history),
            ("alerts", Call::Alerts),
            ("errors", Call::Errors),
            ("exporters", Call::Exporters),
            ("business", Call::Business(Window::SinceReset)),
            ("resources", Call::Resources(Window::FiveMinutes)),
        ];
        if shared.consumers.is_some() {
            reads.push(("consumers", Call::Consumers { top: DEFAULT_TOP }));
        }
        #[cfg_attr(not(feature = "redis"), expect(unused_mut, reason = "a fleet adds its own"))]
        let mut names: Vec<_> = reads.iter().map(|(name, _)| *name).collect();
        #[cfg(feature = "redis")]
        names.extend(shared.fleet.is_some().then_some("fleet/summary"));
        dashboard::configure(config, &shared, &prefix, names);
        for (name, call) in reads {
            let routes = [web::get(), web::head()].map(|route| answering(route, &shared, call.clone()));
            config.service(resource(&prefix, name, "GET, HEAD", routes, &shared.read_tokens));
        }
        config.service(prometheus(&shared, &prefix, "prometheus"));
        #[cfg(feature = "redis")]
        crate::fleet::configure(config, &shared, &prefix);
        let tokens = match &shared.reset {
            Reset::Absent => return,
            // It shows figures, too.
            Reset::Open => &shared.read_tokens,
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
pub(crate) fn resource<const N: usize>(
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
        let (shared, call) = (Arc::clone(&shared), call.clone());
        async move {
            let bad = |why: &str| answer::failure(StatusCode::BAD_REQUEST, "bad_request", why);
            let call = match call.with_query(&request) {
                Ok(call) => call,
                Err(why) => return bad(&why),
            };
            let unavailable =
                |why: &str| answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why);
            let running = match shared.background.begin() {
                Ok(running) => running,
                Err(Refused::Busy) => return unavailable("too many are asking; try again"),
                Err(Refused::Closed) => return unavailable("the server is shutting down"),
            };
            let answered = web::block(move || {
                let json = call.answer(&shared);
                drop(running);
                json
            });
            match answered.await {
                Ok(Ok(json)) => answer::respond(StatusCode::OK, json),
                Ok(Err(why)) => bad(&why),
                Err(_) => unavailable("the server is shutting down"),
            }
        }
    })
}
