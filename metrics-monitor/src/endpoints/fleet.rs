//! The figures of all instances as JSON: one function an endpoint. Each waits for the fleet's figures without a thread,
//! and then has them written on the fleet's lane.

use std::sync::Arc;
use std::time::SystemTime;

use metrics_core::{EndpointName, Period, Registry, Selection, Window};
use metrics_export::fleet::redis::{Answer as Found, InstanceId, Member, Question, RouteId, Stale};
use metrics_export::json::{
    ConsumersBody, FleetBody, FleetState, HistoryBody, InstancesBody, RoutesBody, SummaryBody, VersionsBody,
};

use super::answer::{Answer, Body};
use super::figures::{alerts_of, visible};
use super::query::Query;
use super::request::Request;
use super::work::{Answering, Task, panicked, refusal};
use crate::background::lanes::{Refused, Scratch};
use crate::state::State;

/// `GET fleet/summary`: the figures of all requests to all instances.
pub(crate) fn summary(state: &Arc<State>, request: &Request<'_>) -> Answering {
    answer(state, request, Call::Summary)
}

/// `GET fleet/routes`: the figures of each endpoint over all instances.
pub(crate) fn routes(state: &Arc<State>, request: &Request<'_>) -> Answering {
    answer(state, request, Call::Routes)
}

/// `GET fleet/consumers`: the consumers with the most calls of all instances.
pub(crate) fn consumers(state: &Arc<State>, request: &Request<'_>) -> Answering {
    answer(state, request, Call::Consumers)
}

/// `GET fleet/instances`: the instances, and when each reported.
pub(crate) fn instances(state: &Arc<State>, request: &Request<'_>) -> Answering {
    answer(state, request, Call::Instances)
}

/// `GET fleet/versions`: the figures of each version of the service.
pub(crate) fn versions(state: &Arc<State>, request: &Request<'_>) -> Answering {
    answer(state, request, Call::Versions)
}

/// `GET fleet/history`: the figures of each minute, of all instances or of one, of all endpoints or of one.
pub(crate) fn history(state: &Arc<State>, request: &Request<'_>) -> Answering {
    answer(state, request, Call::History)
}

/// `GET fleet/all`: the answers that an open page shows, in one: each under its name, as its endpoint has it. Those
/// that the client may not see are `null`.
pub(crate) fn all(state: &Arc<State>, request: &Request<'_>) -> Answering {
    // Only reports since the reset have errors and consumers; the instances come from these reports, too.
    let reset = Request { query: "window=reset&top=10", ..*request };
    let consumers = || answer(state, &reset, Call::Consumers);
    let parts = [
        ("summary", Some(answer(state, request, Call::Summary))),
        ("routes", Some(answer(state, request, Call::Routes))),
        ("instances", Some(answer(state, &reset, Call::Instances))),
        ("since_reset", Some(answer(state, &reset, Call::Summary))),
        ("consumers", state.access.shows_private(request).then(consumers)),
        ("versions", Some(answer(state, request, Call::Versions))),
        ("alerts", state.fleet_alerts.is_some().then(|| alerts(state, request))),
    ];
    Answering::waiting(async move {
        let mut body = b"{\"success\":true,\"data\":{".to_vec();
        for (i, (name, part)) in parts.into_iter().enumerate() {
            body.extend_from_slice(if i == 0 { b"\"" } else { b",\"" });
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(b"\":");
            let Some(part) = part else {
                body.extend_from_slice(b"null");
                continue;
            };
            match part.await {
                Answer { status: 200, body: Body::Bytes(bytes), .. } => body.extend_from_slice(&bytes),
                failed => return failed,
            }
        }
        body.extend_from_slice(b"}}");
        Answer::written(body)
    })
}

/// The alerts of this instance, with those of the fleet.
fn alerts(state: &Arc<State>, request: &Request<'_>) -> Answering {
    let shows_private = state.access.shows_private(request);
    Answering::in_lane(
        state,
        |lanes| &lanes.reads,
        "too many requests are waiting; try again in 1 s",
        "/alerts",
        state.access.source(request),
        // The same question as that of `GET alerts`.
        Task::shared(shows_private, move |state| Answer::success(alerts_of(state, shows_private))),
    )
}

/// `POST fleet/reset`: begins a new window for all instances.
pub(crate) fn reset(state: &Arc<State>, request: &Request<'_>) -> Answering {
    answer(state, request, Call::Reset)
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Summary,
    Routes,
    Consumers,
    Instances,
    Versions,
    History,
    Reset,
}

/// What the query says.
#[derive(Debug, Clone)]
struct Asked {
    window: Window,
    /// What a history covers: the window, or what is between two moments.
    period: Period,
    /// The instance that a history is of; `None` for all.
    instance: Option<String>,
    /// The endpoint that a history is of; `None` for all.
    endpoint: Option<EndpointName>,
    /// How many consumers.
    top: usize,
    /// Whether the client may see messages of errors.
    shows_private: bool,
}

impl Asked {
    fn parse(query: &str, shows_private: bool) -> Result<Self, String> {
        let mut query = Query::parse(query)?;
        let (window, top) = (query.window_or(Window::SinceReset)?, query.top()?);
        let period = query.period(Window::OneHour)?;
        let endpoint = query.endpoint()?;
        Ok(Self { window, period, instance: query.instance(), endpoint, top, shows_private })
    }
}

/// The minutes that Redis has.
const KEPT_MINUTES: u64 = 120;

/// The minutes that are at least half in a period, as how many minutes ago the last one was, and how many are before
/// it.
fn minutes_between(from: SystemTime, until: SystemTime, now: SystemTime) -> (u8, u8) {
    let seconds =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let this = seconds(now) / 60;
    let first = ((seconds(from) + 30) / 60).clamp(this.saturating_sub(KEPT_MINUTES), this);
    let last = ((seconds(until) + 30) / 60).saturating_sub(1).clamp(first, this);
    // Both are below `KEPT_MINUTES`, by the bounds above.
    ((this - last) as u8, (last - first) as u8)
}

fn answer(state: &Arc<State>, request: &Request<'_>, call: Call) -> Answering {
    let question = |asked: Asked| call.question(&asked).map(|question| (asked, question));
    let shows_private = state.access.shows_private(request);
    let (asked, question) = match Asked::parse(request.query, shows_private).and_then(question) {
        Ok(asked) => asked,
        Err(message) => return Answering::ready(Answer::bad_request(&message)),
    };
    let Some(member) = &state.fleet else { return Answering::ready(in_no_fleet()) };
    let refused = |refused| refusal(refused, "too many requests are waiting for the fleet; try again in 1 s");
    // Before the question: the answer to a reset that was done must not be refused, nor at the shutdown any answer.
    let reservation = match state.lanes.fleet.reserve(state.access.source(request)) {
        Ok(reservation) => reservation,
        Err(error) => return Answering::ready(refused(error)),
    };
    let Ok(reply) = member.ask(question) else { return Answering::ready(refused(Refused::Busy)) };
    let state = Arc::clone(state);
    Answering::waiting(async move {
        let found = reply.await;
        let work = move |_: &mut Scratch| match &state.fleet {
            Some(member) => call.body(&state, member, asked, found),
            None => in_no_fleet(),
        };
        match reservation.run(call.subject(), work) {
            Ok(ticket) => ticket.await.unwrap_or_else(panicked),
            Err(error) => refused(error),
        }
    })
}

fn in_no_fleet() -> Answer {
    Answer::unavailable("this instance is not part of a fleet")
}

impl Call {
    /// Among which its lane takes turns.
    fn subject(self) -> &'static str {
        match self {
            Self::Summary => "fleet/summary",
            Self::Routes => "fleet/routes",
            Self::Consumers => "fleet/consumers",
            Self::Instances => "fleet/instances",
            Self::Versions => "fleet/versions",
            Self::History => "fleet/history",
            Self::Reset => "fleet/reset",
        }
    }

    fn question(self, asked: &Asked) -> Result<Question, String> {
        let window = asked.window;
        // The totals of a minute are without consumers.
        let routes = matches!(self, Self::Routes | Self::Consumers);
        let minutes = match window {
            Window::SinceReset => None,
            Window::OneMinute => Some(1),
            Window::FiveMinutes => Some(5),
            Window::OneHour => Some(60),
            Window::OneDay => return Err("window is \"24h\"; allowed: 1m, 5m, 1h, reset".to_owned()),
        };
        Ok(match (self, minutes) {
            (Self::Reset, _) => Question::Reset,
            (Self::History, minutes) => {
                let (ago, minutes) = match asked.period {
                    Period::Window(_) => (0, minutes.unwrap_or(60)),
                    Period::Between { from, until } => minutes_between(from, until, SystemTime::now()),
                };
                let instance = asked.instance.as_deref().map(InstanceId::of);
                let route = asked.endpoint.as_ref().map(RouteId::of);
                Question::Trend { ago, minutes, instance, route }
            }
            (Self::Versions, minutes) => Question::Versions { minutes },
            (Self::Instances, _) | (_, None) => Question::SinceReset,
            (_, Some(minutes)) => Question::Minutes { minutes, routes },
        })
    }

    /// The fleet's figures as JSON, or this instance's own where the fleet's are missing.
    fn body(
        self,
        state: &State,
        member: &Member,
        Asked { window, period, instance, endpoint, top, shows_private }: Asked,
        found: Result<Arc<Found>, Stale>,
    ) -> Answer {
        let status = member.status();
        let found = found.and_then(|found| {
            // As after Redis lost its data.
            if found.fleet.instances().is_empty() && !matches!(self, Self::Reset) {
                return Err(Stale { since: found.read, reason: "no instance has written yet".to_owned() });
            }
            Ok(found)
        });
        let freshness = match &found {
            Ok(found) => FleetState::found(found),
            Err(stale) if matches!(self, Self::Reset) => return Answer::unavailable(&stale.to_string()),
            Err(stale) => FleetState::stale(stale, &status),
        };
        let summary = found.as_ref().ok().and_then(|found| found.summary.as_ref());
        match self {
            Self::Instances => {
                let body = InstancesBody::new(found.as_deref().ok(), &status);
                Answer::success(FleetBody::new(body, freshness))
            }
            Self::Versions => {
                let own = || {
                    let version = state.service.version.as_deref().unwrap_or_default();
                    VersionsBody::own(version, &state.history.summary(window))
                };
                let found = found.as_ref().ok().map(|found| VersionsBody::new(&found.fleet.versions()));
                Answer::success(FleetBody::new(found.unwrap_or_else(own), freshness))
            }
            Self::History => {
                let window = match period {
                    Period::Window(window) => Some(window),
                    Period::Between { .. } => None,
                };
                let selection = Selection { endpoint: endpoint.as_ref(), outcomes: None };
                // This instance's own figures are of no other one.
                let is_own = instance.is_none_or(|name| state.service.instance.as_deref() == Some(&*name));
                let body = match &found {
                    Ok(found) => HistoryBody::of_fleet(found, window),
                    Err(_) if is_own => match state.history.trend_of(period, None, selection) {
                        Ok(trend) => HistoryBody::new(&trend, &[], &[]),
                        Err(error) => return Answer::bad_request(&error.to_string()),
                    },
                    Err(_) => HistoryBody::empty(window),
                };
                Answer::success(FleetBody::new(body, freshness))
            }
            Self::Routes => {
                let own = || RoutesBody::from(&state.history.endpoints(window));
                Answer::success(FleetBody::new(summary.map_or_else(own, RoutesBody::from), freshness))
            }
            Self::Consumers => {
                let own = || ConsumersBody::new(&state.registry.window(), top);
                let body = found.as_ref().ok().and_then(|found| ConsumersBody::of_fleet(found, top));
                Answer::success(FleetBody::new(body.unwrap_or_else(own), freshness))
            }
            Self::Reset => {
                // Without reports nothing was counted.
                let nothing = || SummaryBody::from(&Registry::new().summary());
                let body = visible(summary.map_or_else(nothing, SummaryBody::from), shows_private);
                Answer::success(FleetBody::new(body, freshness))
            }
            Self::Summary => {
                let own = || SummaryBody::from(&state.history.summary(window));
                let body = visible(summary.map_or_else(own, SummaryBody::from), shows_private);
                Answer::success(FleetBody::new(body, freshness))
            }
        }
    }
}
