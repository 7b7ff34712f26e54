//! The events that are recorded: the same for every arm and in every run.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use fastrand::Rng;

/// The templates of the routes, as [`route`](field@Event::route) numbers them.
pub type Routes = &'static [&'static str];

/// The method of every event.
pub(crate) const METHOD: &str = "GET";

/// The first routes; there are up to [`MAX_ROUTES`].
const SIX_ROUTES: [&str; 6] = ["/", "/items", "/items/{id}", "/items/{id}/reviews", "/users/{id}", "/search"];

/// The most routes of any service in these benches.
pub(crate) const MAX_ROUTES: usize = 1_000;

/// The first `count` routes.
///
/// # Panics
///
/// If `count` is above [`MAX_ROUTES`].
pub(crate) fn routes(count: usize) -> Routes {
    // Some peers need static labels.
    static ROUTES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let further = (SIX_ROUTES.len()..).map(|i| &*format!("/services/{i}/items/{{id}}").leak());
        SIX_ROUTES.into_iter().chain(further).take(MAX_ROUTES).collect()
    });
    &ROUTES[..count]
}

/// The statuses that occur, each with its label.
pub(crate) const STATUSES: [(u16, &str); 3] = [(200, "200"), (404, "404"), (500, "500")];

/// The routes of [`Workload::many_routes`].
const MANY: usize = 200;

/// 128 KiB of events: too many for a branch predictor to learn, few enough for the L2 cache.
const EVENTS: usize = 8_192;

/// The median latency in nanoseconds, and the standard deviation of the latencies' logarithm.
const MEDIAN_NANOS: f64 = 350_000.0;
const SIGMA: f64 = 0.8;

const SEED: u64 = 0x5eed;

/// One answered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The latency, in nanoseconds.
    pub nanos: u64,
    /// The status of the response: 200, 404 or 500.
    pub status: u16,
    /// The index of its route.
    pub route: u16,
}

impl Event {
    pub(crate) fn route(self) -> usize {
        usize::from(self.route)
    }

    pub(crate) fn seconds(self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// The status as an index into [`STATUSES`].
    #[inline(always)]
    pub(crate) fn status_index(self) -> usize {
        match self.status {
            200 => 0,
            404 => 1,
            _ => 2,
        }
    }

    /// The status as a label.
    #[inline(always)]
    pub(crate) fn status_text(self) -> &'static str {
        STATUSES[self.status_index()].1
    }
}

/// The 8,192 events of one pass: 99 % with status 200, 0.6 % with 404, 0.4 % with 500, with lognormal latencies around
/// 0.35 ms.
#[derive(Debug, Clone)]
pub struct Workload {
    routes: Routes,
    events: Vec<Event>,
}

impl Workload {
    /// Events spread evenly over six routes.
    pub fn six_routes() -> Self {
        Self::of(routes(SIX_ROUTES.len()))
    }

    /// Events spread evenly over 200 routes: too many for an arm's data to fit into the L1 cache.
    pub fn many_routes() -> Self {
        Self::of(routes(MANY))
    }

    /// The same events, all of one route.
    pub fn one_route() -> Self {
        let mut workload = Self::six_routes();
        workload.events.iter_mut().for_each(|event| event.route = 0);
        workload
    }

    /// Events spread evenly over six routes, all with status 500.
    pub fn failures() -> Self {
        let mut workload = Self::six_routes();
        workload.events.iter_mut().for_each(|event| event.status = 500);
        workload
    }

    fn of(routes: Routes) -> Self {
        let mut random = Rng::with_seed(SEED);
        Self { routes, events: (0..EVENTS).map(|_| event(&mut random, routes.len())).collect() }
    }

    /// Only the first `events`, for tests.
    #[cfg(test)]
    pub(crate) fn cut(mut self, events: usize) -> Self {
        self.events.truncate(events);
        self
    }

    /// The routes of the events.
    pub fn routes(&self) -> Routes {
        self.routes
    }

    /// The events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

fn event(random: &mut Rng, routes: usize) -> Event {
    let nanos = lognormal(random, MEDIAN_NANOS, SIGMA);
    let status = match random.u32(0..1_000) {
        0..4 => 500,
        4..10 => 404,
        _ => 200,
    };
    Event { nanos, status, route: random.u16(0..routes as u16) }
}

/// Draws a lognormal latency in nanoseconds; `sigma` is the standard deviation of its logarithm.
pub(crate) fn lognormal(random: &mut Rng, median: f64, sigma: f64) -> u64 {
    // Box-Muller; `1 - f64()` is never 0.
    let normal = (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos();
    (median * (sigma * normal).exp()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_the_same_events() {
        assert_eq!(Workload::six_routes().events, Workload::six_routes().events);
    }

    #[test]
    fn many_routes_have_different_names_and_all_occur() {
        let workload = Workload::many_routes();
        let mut names = workload.routes().to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MANY);
        let occurs = |route| workload.events().iter().any(|event| event.route() == route);
        assert!((0..MANY).all(occurs));
    }

    #[test]
    fn the_events_are_spread_as_the_docs_say() {
        let mut nanos = Vec::new();
        let (mut routes, mut statuses) = ([0; SIX_ROUTES.len()], [0; STATUSES.len()]);
        for event in Workload::six_routes().events() {
            nanos.push(event.nanos);
            routes[event.route()] += 1;
            statuses[event.status_index()] += 1;
        }
        nanos.sort_unstable();
        let median = nanos[nanos.len() / 2];
        assert!((330_000..370_000).contains(&median), "{median}");
        assert!(nanos[0] > 1_000 && nanos[nanos.len() - 1] < 50_000_000, "{:?}", (nanos[0], nanos.last()));
        assert!(routes.iter().all(|&count| (1_250..1_480).contains(&count)), "{routes:?}");
        assert!((0.988..0.992).contains(&(f64::from(statuses[0]) / EVENTS as f64)), "{statuses:?}");
        assert!(statuses[1] > 30 && statuses[2] > 15, "{statuses:?}");
    }
}
