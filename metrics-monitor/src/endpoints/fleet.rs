//! The instances of a service as one: what a builder is told of it, and the endpoints.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Route};
use metrics_core::{ParseWindowError, Registry, Window};
use metrics_export::Service;
pub use metrics_export::fleet::redis::FleetSettings;
use metrics_export::fleet::redis::{Member, Question, Stale};
use metrics_export::json::{ConsumersBody, FleetBody, FleetState, InstancesBody, RoutesBody, SummaryBody};
use serde::Deserialize;

use crate::answer;
use crate::background::Refused;
use crate::builder::{BuildError, Builder, Reset, Shared};
use crate::endpoints::{DEFAULT_TOP, parse_top, resource};

impl Builder {
    /// Makes this instance one of a fleet: it writes its figures to a Redis, and `GET fleet/summary`, `fleet/routes` and
    /// `fleet/instances` show those of all instances of the service; default: it is alone. A registry is one instance, once in a process.
    ///
    /// ```
    /// use metrics_actix::fleet::FleetSettings;
    /// let settings = FleetSettings::new("redis://127.0.0.1:6379/0")?;
    /// let metrics = metrics_actix::Metrics::builder("orders").instance("orders-7").fleet(settings).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fleet(mut self, settings: FleetSettings) -> Self {
        self.fleet = Some(settings);
        self
    }
}

/// Starts the member, if there are settings for one.
pub(crate) fn start(
    settings: Option<FleetSettings>,
    service: &Service,
    registry: &Registry,
) -> Result<Option<Member>, BuildError> {
    let start = |settings| Member::start(registry.clone(), service, settings);
    settings.map(start).transpose().map_err(|error| BuildError::Fleet { reason: error.to_string() })
}

/// What is asked of the fleet.
#[derive(Debug, Clone, Copy)]
enum Call {
    Summary,
    Routes,
    Consumers,
    Instances,
    Reset,
}

impl Call {
    fn answer(self, shared: &Shared, member: &Member, asked: &Asked) -> Result<Vec<u8>, Failed> {
        let &Asked { window, top } = asked;
        // Totals of a minute are without consumers.
        let routes = matches!(self, Self::Routes | Self::Consumers);
        let question = match (self, window) {
            (Self::Reset, _) => Question::Reset,
            (Self::Instances, _) | (_, Window::SinceReset) => Question::SinceReset,
            (_, Window::OneMinute) => Question::Minutes { minutes: 1, routes },
            (_, Window::FiveMinutes) => Question::Minutes { minutes: 5, routes },
            (_, Window::OneHour) => Question::Minutes { minutes: 60, routes },
            (_, Window::OneDay) => {
                return Err(Failed::Query("window is \"24h\"; allowed: 1m, 5m, 1h, reset".to_owned()));
            }
        };
        let status = member.status();
        let reply = member.ask(question).map_err(|busy| Failed::Unavailable(busy.to_string()))?;
        let asked = reply.wait().and_then(|found| match found.summary {
            // As after Redis lost its data.
            None if !matches!(self, Self::Reset) => {
                Err(Stale { since: found.read, reason: "no instance has written yet".to_owned() })
            }
            _ => Ok(found),
        });
        let state = match &asked {
            Ok(found) => FleetState::found(found),
            Err(stale) if matches!(self, Self::Reset) => {
                return Err(Failed::Unavailable(stale.to_string()));
            }
            Err(stale) => FleetState::stale(stale, &status),
        };
        let summary = asked.as_ref().ok().and_then(|found| found.summary.as_ref());
        Ok(match self {
            Self::Instances => {
                let body = InstancesBody::new(asked.as_deref().ok(), &status);
                answer::success(FleetBody::new(body, state))
            }
            Self::Routes => {
                let own = || RoutesBody::from(&shared.history.endpoints(window));
                answer::success(FleetBody::new(summary.map_or_else(own, RoutesBody::from), state))
            }
            Self::Consumers => {
                let own = || ConsumersBody::new(&shared.registry.window(), top);
                let found = asked.as_ref().ok().and_then(|found| ConsumersBody::of_fleet(found, top));
                answer::success(FleetBody::new(found.unwrap_or_else(own), state))
            }
            Self::Reset => {
                // Without reports nothing was counted.
                let nothing = || SummaryBody::from(&Registry::new().summary());
                answer::success(FleetBody::new(summary.map_or_else(nothing, SummaryBody::from), state))
            }
            Self::Summary => {
                let own = || SummaryBody::from(&shared.history.summary(window));
                answer::success(FleetBody::new(summary.map_or_else(own, SummaryBody::from), state))
            }
        })
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failed {
    /// The request's query is wrong.
    Query(String),
    /// It may work later.
    Unavailable(String),
}

impl Failed {
    fn respond(&self) -> HttpResponse {
        match self {
            Self::Query(why) => answer::failure(StatusCode::BAD_REQUEST, "bad_request", why),
            Self::Unavailable(why) => answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why),
        }
    }
}

/// What the queries of all calls can hold.
#[derive(Debug, Default, Deserialize)]
struct Query {
    window: Option<String>,
    top: Option<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// By default since the last reset.
    window: Window,
    /// How many consumers.
    top: usize,
}

fn asked(request: &HttpRequest) -> Result<Asked, Failed> {
    let query = web::Query::<Query>::from_query(request.query_string());
    let query = query.map_err(|error| Failed::Query(format!("{error}; allowed: each parameter once")))?;
    let window = query.window.as_deref().map_or(Ok(Window::SinceReset), str::parse);
    let window = window.map_err(|error: ParseWindowError| Failed::Query(error.to_string()))?;
    let top = query.top.as_deref().map_or(Ok(DEFAULT_TOP), parse_top).map_err(Failed::Query)?;
    Ok(Asked { window, top })
}

/// Mounts the endpoints under `prefix`, if there is a fleet.
pub(crate) fn configure(config: &mut ServiceConfig, shared: &Arc<Shared>, prefix: &str) {
    if shared.fleet.is_none() {
        return;
    }
    for (name, call) in [
        ("fleet/summary", Call::Summary),
        ("fleet/routes", Call::Routes),
        ("fleet/consumers", Call::Consumers),
        ("fleet/instances", Call::Instances),
    ] {
        let routes = [web::get(), web::head()].map(|route| answering(route, shared, call));
        config.service(resource(prefix, name, "GET, HEAD", routes, &shared.read_tokens));
    }
    let tokens = match &shared.reset {
        Reset::Absent => return,
        // It shows figures, too.
        Reset::Open => &shared.read_tokens,
        Reset::WithToken(tokens) => tokens,
    };
    let post = answering(web::post(), shared, Call::Reset);
    config.service(resource(prefix, "fleet/reset", "POST", [post], tokens));
}

/// A route that answers a call on a thread of the blocking pool, which waits for Redis no longer than a few seconds.
fn answering(route: Route, shared: &Arc<Shared>, call: Call) -> Route {
    let shared = Arc::clone(shared);
    route.to(move |request: HttpRequest| {
        let shared = Arc::clone(&shared);
        async move {
            let unavailable = |why: &str| Failed::Unavailable(why.to_owned()).respond();
            let asked = match asked(&request) {
                Ok(asked) => asked,
                Err(failed) => return failed.respond(),
            };
            let running = match shared.background.begin() {
                Ok(running) => running,
                Err(Refused::Busy) => return unavailable("too many are asking; try again"),
                Err(Refused::Closed) => return unavailable("the server is shutting down"),
            };
            let answered = web::block(move || {
                let answer = shared.fleet.as_ref().map(|member| call.answer(&shared, member, &asked));
                drop(running);
                answer
            });
            match answered.await {
                Ok(Some(Ok(json))) => answer::respond(StatusCode::OK, json),
                Ok(Some(Err(failed))) => failed.respond(),
                _ => unavailable("the server is shutting down"),
            }
        }
    })
}
