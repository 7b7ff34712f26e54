//! The monitor of one service, for actix-web.

use std::ops::Deref;
use std::sync::Arc;

use actix_web::web::ServiceConfig;
use metrics_monitor::Monitor;

use crate::middleware::marker::RouteMarker;
use crate::middleware::service::Middleware;
use crate::mount;
use crate::shared::Shared;

/// The monitor of one service. Cheap to clone; clones are the same monitor.
///
/// Make it once, outside the closure that makes the apps, so that all workers share it. It is a [`Monitor`] with what
/// actix-web needs: its figures are [`registry`](Monitor::registry) and [`history`](Monitor::history), and
/// [`shutdown`](Monitor::shutdown) ends it.
#[derive(Debug, Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

impl Deref for Metrics {
    type Target = Monitor;

    fn deref(&self) -> &Monitor {
        &self.shared.monitor
    }
}

impl Metrics {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Returns the middleware that records every request.
    ///
    /// Wrap it last, so that it is the outermost: it then sees the final answers and their whole time. Wrap it once,
    /// around the app: if a request passes it twice, the outer one counts it, and a warning says so. That is also the
    /// case for a request that a handler makes of its own and hands to an app of the same monitor, on its own thread. A
    /// middleware outside of it that replaces a response's body drops the
    /// measured one, which then counts as broken off. So does a test that drops a response unread.
    ///
    /// An error that an inner middleware returns is passed on, with one more
    /// [response mapper](actix_web::Error::add_response_mapper), which sees the response that is made of it. The
    /// request is in flight until then, and counts with that response's status and bytes; if none is made, with the
    /// error's `status_code()`. The payload of a request with a body is a stream that counts what is read of it.
    pub fn middleware(&self) -> Middleware {
        Middleware::new(Arc::clone(&self.shared))
    }

    /// Returns a marker for a resource, inside the middleware: requests are counted there while they are under way.
    ///
    /// Without it, a route's `in_flight` is 0 and requests without a response are `_unmatched`; with it, they are
    /// counted under their route.
    ///
    /// Around a resource, the route is known. Around a scope it is guessed from the path: guards may decide otherwise,
    /// and a path of no resource is `_unmatched`. That is the way to count errors of the scope's own middlewares under
    /// their routes: wrap the marker after them, so that it is the outermost one. Do not wrap both, since `in_flight`
    /// by route would count a request twice.
    ///
    /// ```
    /// # use actix_web::{App, web};
    /// # async fn slow() -> &'static str { "" }
    /// # let metrics = metrics_actix::Metrics::builder("orders").build().unwrap();
    /// App::new()
    ///     .service(web::resource("/slow").wrap(metrics.route_marker()).to(slow))
    ///     .wrap(metrics.middleware());
    /// ```
    pub fn route_marker(&self) -> RouteMarker {
        RouteMarker::new(Arc::clone(&self.shared))
    }

    /// The endpoints, for [`App::configure`](actix_web::App::configure), under a path such as `/api/metrics`.
    ///
    /// - `GET /`: the dashboard, a page for people; open to all, asks for the token that the figures need
    /// - `GET summary?window=5m`: the figures of all requests in a window: `1m`, `5m`, `1h`, `24h`, or `reset`, since
    ///   the last reset, which is the default
    /// - `GET routes?window=5m`: the figures of each endpoint in a window, those with the most calls first
    /// - `GET history?window=1h&step=10s`: the figures step by step; of one endpoint, with
    ///   `&method=GET&route=/orders/{id}`; of one of the application's own metrics, with `&metric=cache`
    /// - `GET alerts`: the alert rules and their states, firing ones first
    /// - `GET errors`: the last errors, newest first
    /// - `GET exporters`: what each exporter sent and dropped
    /// - `GET resources?window=5m`: what the process uses, second by second, or in steps of up to ten seconds while it
    ///   is idle: processor, memory, files, threads, network, and how late and how busy the workers' event loops are;
    ///   for up to an hour, in at most 400 points
    /// - `GET business?window=5m`: the application's own metrics in a window, such as those of
    ///   [`Registry::counter`](metrics_core::Registry::counter)
    /// - `GET consumers?top=20`: the consumers with the most calls since the last reset; only if the builder names a
    ///   source of them
    /// - `GET prometheus`: all figures since the start, for Prometheus: as [`Metrics::prometheus_at`]
    /// - `GET events?window=5m`: the figures of a window once a second, as server-sent events; at most 16 connections.
    ///   With `&page=true`, as the dashboard asks, also tables and lists every three seconds, and trends once a
    ///   connection
    /// - `POST reset`: begins a new window, and returns the summary of the one just closed; only if the builder enables
    ///   it
    /// - `GET fleet/summary`, `fleet/routes`, `fleet/consumers`, `fleet/instances`, `fleet/versions`, `fleet/all`, and
    ///   `POST fleet/reset`: the same for all instances of a fleet; only if the builder joins one
    ///
    /// Calls of these endpoints are not in the figures, nor are those that a middleware of the app refuses with an
    /// error; under a prefix that is empty or ends with a parameter, the latter are `_unmatched`. Configure them before
    /// a scope that would take their path, such as `web::scope("/api")`.
    ///
    /// In a scope with a guard, the application may have resources of the same paths for what the guard refuses. Their
    /// requests are counted, if they are answered, panic, or have a [marker](Metrics::route_marker). What else nobody
    /// answers there, or a default service, is in no figure until such a resource has answered once.
    ///
    /// They are open to every client that can reach
    /// them, unless [`Builder::read_token`] is set; without it, `errors` and `consumers` are [for this machine], and
    /// the host must be [known]. They can also be mounted in an app of their own, on a private listener.
    ///
    /// Each one also answers with a slash at the end of its path. Redirects are relative. Together they are one entry
    /// in the app's router, except under an empty prefix.
    ///
    /// Answers are computed on the monitor's own threads. Where too many requests wait for them, further ones get 503
    /// with `Retry-After`.
    ///
    /// [`Builder::read_token`]: metrics_monitor::Builder::read_token
    /// [for this machine]: metrics_monitor::Builder::open_to_everybody
    /// [known]: metrics_monitor::Builder::allowed_hosts
    /// [`Builder::open_to_everybody`]: metrics_monitor::Builder::open_to_everybody
    /// [`Builder::allowed_hosts`]: metrics_monitor::Builder::allowed_hosts
    pub fn routes(&self, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
        mount::routes(Arc::clone(&self.shared), prefix)
    }

    /// The endpoint for Prometheus by itself, at a path such as `/metrics`, for
    /// [`App::configure`](actix_web::App::configure).
    ///
    /// `GET` returns what [`Builder::prometheus`] says, cumulative since the start, in the format that `Accept` asks
    /// for (text 0.0.4, OpenMetrics 1.0, or protobuf with native histograms). It is compressed if `Accept-Encoding`
    /// names gzip and the feature `gzip` is on, as it is by default. At most two scrapes are rendered at one time;
    /// those that wait for the same format share one. It needs a [token](metrics_monitor::Builder::read_token) as the
    /// other endpoints do.
    ///
    /// It may share its path with the page or with another of the [endpoints](Metrics::routes), in any order: whoever
    /// accepts a format of Prometheus, and no HTML, gets the figures. Besides the page, so does everybody who is no
    /// browser.
    ///
    /// ```
    /// # use actix_web::App;
    /// # let metrics = metrics_actix::Metrics::builder("orders").build().unwrap();
    /// App::new().configure(metrics.prometheus_at("/metrics")).wrap(metrics.middleware());
    /// ```
    ///
    /// [`Builder::prometheus`]: metrics_monitor::Builder::prometheus
    pub fn prometheus_at(&self, path: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
        mount::prometheus_at(Arc::clone(&self.shared), path)
    }
}
