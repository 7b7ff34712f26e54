//! Fifth floor: the endpoints. [`ENDPOINTS`] is the table of all of them; to add one, write its function in a file
//! of this folder and add a row.

pub(crate) mod accept;
pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod errors;
pub(crate) mod events;
pub(crate) mod figures;
pub(crate) mod files;
#[cfg(feature = "redis")]
pub(crate) mod fleet;
pub(crate) mod prometheus;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod work;

use std::sync::Arc;

use access::Access;
use answer::Answer;
use metrics_core::METHODS;
use query::Query;
use request::Request;
use work::{Answering, Asked, Work};

use crate::policy::tokens::Reset;
use crate::state::State;

/// One endpoint.
pub struct Endpoint {
    path: &'static str,
    methods: Methods,
    access: Access,
    /// Whether a monitor has it.
    exists: fn(&State) -> bool,
    work: Work,
}

/// The methods of an endpoint.
#[derive(Debug, Clone, Copy)]
enum Methods {
    Get,
    /// A stream, which means nothing without its body.
    GetOnly,
    Post,
}

/// All endpoints, in the order in which the dashboard is told of them.
static ENDPOINTS: &[Endpoint] = &[
    Endpoint::open("", Work::Inline(files::redirect)),
    Endpoint::open("/", Work::Inline(files::page)),
    Endpoint::open("/dashboard/{file}", Work::Inline(files::file)),
    Endpoint { methods: Methods::GetOnly, ..Endpoint::read("/events", Work::Events(events::listen)) },
    Endpoint::read("/summary", Work::Read(figures::summary)),
    Endpoint::read("/routes", Work::Read(figures::routes)),
    Endpoint::read("/history", Work::Read(figures::history)),
    Endpoint::read("/alerts", Work::Read(figures::alerts)),
    Endpoint { exists: has_objectives, ..Endpoint::read("/objectives", Work::Read(figures::objectives)) },
    Endpoint::private("/errors", Work::Read(errors::errors)),
    Endpoint::private("/errors/groups", Work::Read(errors::groups)),
    Endpoint::private("/slow", Work::Read(figures::slow)),
    Endpoint::read("/exporters", Work::Read(figures::exporters)),
    Endpoint::read("/business", Work::Read(figures::business)),
    Endpoint::read("/resources", Work::Read(figures::resources)),
    Endpoint { exists: has_consumers, ..Endpoint::private("/consumers", Work::Read(figures::consumers)) },
    Endpoint { access: Access::Scrape, ..Endpoint::read(PROMETHEUS, Work::Scrape(prometheus::scrape)) },
    #[cfg(feature = "redis")]
    Endpoint { exists: has_fleet, ..Endpoint::read("/fleet/summary", Work::Fleet(fleet::summary)) },
    #[cfg(feature = "redis")]
    Endpoint { exists: has_fleet, ..Endpoint::read("/fleet/routes", Work::Fleet(fleet::routes)) },
    #[cfg(feature = "redis")]
    Endpoint { exists: has_fleet, ..Endpoint::private("/fleet/consumers", Work::Fleet(fleet::consumers)) },
    #[cfg(feature = "redis")]
    Endpoint { exists: has_fleet, ..Endpoint::read("/fleet/instances", Work::Fleet(fleet::instances)) },
    #[cfg(feature = "redis")]
    Endpoint { exists: has_fleet, ..Endpoint::read("/fleet/versions", Work::Fleet(fleet::versions)) },
    #[cfg(feature = "redis")]
    Endpoint { exists: has_fleet, ..Endpoint::read("/fleet/history", Work::Fleet(fleet::history)) },
    #[cfg(feature = "redis")]
    Endpoint { exists: has_fleet, ..Endpoint::read("/fleet/all", Work::Fleet(fleet::all)) },
    #[cfg(feature = "redis")]
    Endpoint {
        exists: |state| has_fleet(state) && has_reset(state),
        ..Endpoint::reset("/fleet/reset", Work::Fleet(fleet::reset))
    },
    Endpoint { exists: has_reset, ..Endpoint::reset("/reset", Work::Read(figures::reset)) },
];

/// Those of a fleet, in a build that cannot join one.
#[cfg(not(feature = "redis"))]
static FLEET: [Endpoint; 8] = [
    Endpoint::without_fleet("/fleet/summary"),
    Endpoint::without_fleet("/fleet/routes"),
    Endpoint::without_fleet("/fleet/consumers"),
    Endpoint::without_fleet("/fleet/instances"),
    Endpoint::without_fleet("/fleet/versions"),
    Endpoint::without_fleet("/fleet/history"),
    Endpoint::without_fleet("/fleet/all"),
    Endpoint::without_fleet("/fleet/reset"),
];
#[cfg(feature = "redis")]
static FLEET: [Endpoint; 0] = [];

/// The endpoint that can also be mounted by itself.
const PROMETHEUS: &str = "/prometheus";

fn has_consumers(state: &State) -> bool {
    state.policy.consumers.is_some()
}

fn has_objectives(state: &State) -> bool {
    !state.objectives.is_empty()
}

fn has_reset(state: &State) -> bool {
    !matches!(state.access.reset, Reset::Absent)
}

#[cfg(feature = "redis")]
fn has_fleet(state: &State) -> bool {
    state.fleet.is_some()
}

/// All endpoints. Those that a monitor does not have are mounted, too, and answer 404: their paths are none of the
/// application's, whose figures they would be in.
pub(crate) fn all() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().chain(&FLEET)
}

/// The endpoint for Prometheus.
pub(crate) fn scrapes() -> &'static Endpoint {
    ENDPOINTS.iter().find(|endpoint| endpoint.path == PROMETHEUS).expect("it is in the table")
}

/// The names of those that the dashboard asks whether they exist.
fn names(state: &State) -> Vec<&'static str> {
    let local = |endpoint: &Endpoint| matches!(endpoint.work, Work::Read(_)) && endpoint.path != "/reset";
    let existing = all().filter(|endpoint| (endpoint.exists)(state));
    let listed = existing.filter(|endpoint| local(endpoint) || endpoint.path == "/fleet/summary");
    listed.map(|endpoint| &endpoint.path[1..]).collect()
}

impl Endpoint {
    const fn open(path: &'static str, work: Work) -> Self {
        Self { path, methods: Methods::Get, access: Access::Open, exists: |_| true, work }
    }

    const fn read(path: &'static str, work: Work) -> Self {
        Self { access: Access::Read, ..Self::open(path, work) }
    }

    const fn private(path: &'static str, work: Work) -> Self {
        Self { access: Access::Private, ..Self::open(path, work) }
    }

    const fn reset(path: &'static str, work: Work) -> Self {
        Self { methods: Methods::Post, access: Access::Reset, ..Self::open(path, work) }
    }

    #[cfg(not(feature = "redis"))]
    const fn without_fleet(path: &'static str) -> Self {
        Self { exists: |_| false, ..Self::read(path, Work::Read(figures::summary)) }
    }

    /// Returns the path below the mount, such as `/summary`; in `/dashboard/{file}` the braces stand for one segment.
    ///
    /// The endpoint without a path redirects to the page, `/`. An adapter should also pass it requests whose path below
    /// the mount repeats the mount's last segment: the redirect leads there if a normaliser removes its slash.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Why a request is refused before its body is read; `None` if it may go on.
    pub(crate) fn refusal(&self, state: &State, request: &Request<'_>) -> Option<Answer> {
        let absent = || (!(self.exists)(state)).then(|| Answer::failure(404, "not_found", self.enabled_by()));
        // Clients without access do not learn which endpoints a service has.
        state.access.refusal(self.access, self.path, request).or_else(absent)
    }

    /// What an endpoint needs to exist.
    fn enabled_by(&self) -> &'static str {
        match self.path {
            "/consumers" => {
                "consumers are not counted; name a source, such as .api_key_header(\"x-api-key\")"
            }
            "/objectives" => {
                "there are no objectives; add one with .objective(Objective::availability(99.9))"
            }
            "/reset" => "resets are off; enable them with .reset_token(..) or .reset_without_token()",
            _ if cfg!(not(feature = "redis")) => {
                "this build cannot join a fleet; enable the cargo feature `redis` and call .fleet(..)"
            }
            "/fleet/reset" => {
                "there is no fleet, or resets are off; enable them with .fleet(..) and .reset_token(..)"
            }
            _ => "there is no fleet; join one with .fleet(..)",
        }
    }

    /// Answers a request that was not refused.
    pub(crate) fn answer(&self, state: &Arc<State>, request: &Request<'_>) -> Answering {
        state.policy.mistakes.asked(|| state.registry.health().endpoints > 0);
        if !self.methods.include(request.method) {
            return Answering::ready(self.methods.refuse(request.method));
        }
        let source = state.access.source(request);
        match self.work {
            Work::Inline(answer) => Answering::ready(answer(request)),
            Work::Scrape(task) => {
                let busy = "too many scrapes at once; try again in 1 s";
                Answering::in_lane(state, |lanes| &lanes.scrapes, busy, self.path, source, task(request))
            }
            Work::Read(task) => {
                let shows_private = state.access.shows_private(request);
                let asked = Query::parse(request.query).map(|query| Asked { query, shows_private });
                match asked.and_then(task) {
                    Ok(task) => {
                        let busy = "too many requests are waiting; try again in 1 s";
                        Answering::in_lane(state, |lanes| &lanes.reads, busy, self.path, source, task)
                    }
                    Err(message) => Answering::ready(Answer::bad_request(&message)),
                }
            }
            #[cfg(feature = "redis")]
            Work::Fleet(answer) => answer(state, request),
            Work::Events(answer) => Answering::ready(answer(state, request, &names(state))),
        }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, methods, access, .. } = self;
        let mut debug = f.debug_struct("Endpoint");
        debug.field("path", path).field("methods", methods).field("access", access).finish_non_exhaustive()
    }
}

impl Methods {
    fn include(self, method: &str) -> bool {
        match self {
            Self::Get => matches!(method, "GET" | "HEAD"),
            Self::GetOnly => method == "GET",
            Self::Post => method == "POST",
        }
    }

    /// 405, with the methods that are allowed.
    fn refuse(self, method: &str) -> Answer {
        let allow = match self {
            Self::Get => "GET, HEAD",
            Self::GetOnly => "GET",
            Self::Post => "POST",
        };
        // A client's own method is not sent back to it.
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("_OTHER");
        let message = format!("{method} is not supported here; allowed: {allow}");
        Answer::failure(405, "method_not_allowed", &message).header("allow", allow)
    }
}
