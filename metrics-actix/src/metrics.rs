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
/// Build it once, outside the closure that creates the apps, so that all workers share it. It is a [`Monitor`] with
/// what actix-web needs: its figures are in [`registry`](Monitor::registry) and [`history`](Monitor::history), and
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
    /// Wrap it last, so that it is the outermost: it then sees the final responses and their full time. Wrap it once,
    /// around the app: if a request passes through it twice, the outer one counts it, and a warning says so. This also
    /// applies to a request that a handler makes itself and passes to an app of the same monitor on its own thread.
    ///
    /// If an outer middleware replaces a response's body, it drops the measured one, which then counts as broken off.
    /// The same happens in a test that drops a response unread.
    ///
    /// An error that an inner middleware returns is passed on with an additional [response
    /// mapper](actix_web::Error::add_response_mapper), which sees the response made from it. The request is in flight
    /// until then, and counts with the status and bytes of that response, or with the error's `status_code()` if there
    /// is none. The payload of a request with a body becomes a stream that counts what is read.
    pub fn middleware(&self) -> Middleware {
        Middleware::new(Arc::clone(&self.shared))
    }

    /// Returns a marker for a resource, inside the middleware: requests are counted under its route while they are in
    /// progress.
    ///
    /// Without it, a route's `in_flight` is 0, and requests without a response are `_unmatched`; with it, both are
    /// counted under their route.
    ///
    /// Around a resource, the route is known. Around a scope, it is derived from the path: guards may decide otherwise,
    /// and a path without a resource is `_unmatched`. Use it around a scope to count errors of the scope's own
    /// middleware under their routes: wrap the marker last, so that it is the outermost. Do not wrap both, or
    /// `in_flight` by route counts a request twice.
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

    /// Returns the endpoints, for [`App::configure`](actix_web::App::configure), under a path such as `/api/metrics`.
    ///
    /// - `GET /`: the dashboard; open to everybody, but it asks for the token that the figures need
    /// - `GET summary?window=5m`: the figures of all requests in a window: `1m`, `5m`, `1h`, `24h`, or `reset`, the
    ///   default, since the last reset
    /// - `GET routes?window=5m`: the figures of each endpoint in a window, busiest first
    /// - `GET history?window=1h&step=10s`: the figures per step; add `&method=GET&route=/orders/{id}` for one endpoint,
    ///   or `&metric=cache` for one of the application's own metrics
    /// - `GET alerts`: the alert rules and their states, firing ones first
    /// - `GET errors?route=/orders/{id}&status=5xx`: the last errors, newest first
    /// - `GET errors/groups?window=5m`: errors grouped by route, status and message, most frequent first
    /// - `GET slow?window=5m`: the slowest requests
    /// - `GET objectives`: the budgets and burn rates of [`Builder::objective`](metrics_monitor::Builder::objective);
    ///   only if there is one
    /// - `GET exporters`: what each exporter sent and dropped
    /// - `GET resources?window=5m`: what the process uses: processor, memory, files, threads, network, and how late and
    ///   how busy the workers' event loops are; per second, or in steps of up to ten seconds while idle, for up to an
    ///   hour, in at most 400 points
    /// - `GET business?window=5m`: the application's own metrics in a window, such as those of
    ///   [`Registry::counter`](metrics_core::Registry::counter)
    /// - `GET consumers?top=20`: the consumers with the most calls since the last reset; only if the builder names a
    ///   source
    /// - `GET prometheus`: all figures since the start, for Prometheus, like [`Metrics::prometheus_at`]
    /// - `GET events?window=5m`: the figures of a window every second, as server-sent events; at most 16 connections.
    ///   With `&page=true`, as the dashboard uses it, also tables and lists every three seconds, and trends once per
    ///   connection
    /// - `POST reset`: starts a new window and returns the summary of the closed one; only if the builder enables it
    /// - `GET fleet/summary`, `fleet/routes`, `fleet/consumers`, `fleet/instances`, `fleet/versions`, `fleet/history`,
    ///   `fleet/all`, and `POST fleet/reset`: the same for all instances of a fleet; only if the builder joins one
    ///
    /// Calls to these endpoints are not counted, even if a middleware of the app refuses them with an error; under a
    /// prefix that is empty or ends with a parameter, the refused ones are `_unmatched`. Configure the endpoints before
    /// any scope that covers their path, such as `web::scope("/api")`.
    ///
    /// In a scope with a guard, the application may have resources with the same paths for requests that the guard
    /// refuses. Requests to them are counted if they are answered, panic, or have a [marker](Metrics::route_marker).
    /// Other requests to these paths, which nobody or a default service answers, are not counted until such a resource
    /// has answered once.
    ///
    /// The endpoints are open to every client that can reach them, unless [`Builder::read_token`] is set. Without it,
    /// `errors`, `errors/groups`, `slow` and `consumers` only answer [requests from this machine], and the host must be
    /// [known]. You can also mount the endpoints in a separate app, on a private listener.
    ///
    /// Each endpoint also answers with a trailing slash. Redirects are relative. Together the endpoints are one entry
    /// in the app's router, except under an empty prefix.
    ///
    /// Answers are computed on the monitor's own threads. If too many requests are waiting, further ones get 503 with
    /// `Retry-After`.
    ///
    /// [`Builder::read_token`]: metrics_monitor::Builder::read_token
    /// [requests from this machine]: metrics_monitor::Builder::open_to_everybody
    /// [known]: metrics_monitor::Builder::allowed_hosts
    pub fn routes(&self, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
        mount::routes(Arc::clone(&self.shared), prefix)
    }

    /// Returns the endpoint for Prometheus by itself, at a path such as `/metrics`, for
    /// [`App::configure`](actix_web::App::configure).
    ///
    /// `GET` returns what [`Builder::prometheus`] configures, cumulative since the start, in the format that `Accept`
    /// asks for (text 0.0.4, OpenMetrics 1.0, or protobuf with native histograms). It is compressed if
    /// `Accept-Encoding` names gzip and the feature `gzip` is on, as it is by default. At most two scrapes are rendered
    /// at a time; waiting ones for the same format share one. It needs a [token](metrics_monitor::Builder::read_token)
    /// like the other endpoints.
    ///
    /// It may share its path with the dashboard or another of the [endpoints](Metrics::routes), in any order: clients
    /// that accept a format of Prometheus, and no HTML, get the figures. If it shares the dashboard's path, so do all
    /// other clients that are not browsers.
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
