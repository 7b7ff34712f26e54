//! The monitor of one service, and what it can be told when it is made.

use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderName;
use actix_web::web::ServiceConfig;
use actix_web::{Error, HttpRequest};
use metrics_core::alert::Alert;
use metrics_core::{Granularity, History, InvalidSetting, Registry};
use metrics_export::prometheus::{Exposition, Names};
use metrics_export::push::Engine;
use metrics_export::{Service, StartError};
use regex_lite::Regex;

use crate::access::Tokens;
use crate::alerts::{self, Alerting};
use crate::background::{self, Background};
use crate::consumer::{Alias, Consumers, Identity, Source, random_key};
use crate::cost::Cost;
use crate::endpoints;
use crate::exclude::Exclusions;
use crate::exporters;
use crate::live::Live;
use crate::marker::RouteMarker;
use crate::message;
use crate::middleware::Middleware;
use crate::notable::Notable;
use crate::resources::{Resources, Sampler};
use crate::scrape::Scrapes;
use crate::ticker::Ticker;

/// The shortest token and the shortest hash key, in bytes: what a machine makes, not what a person remembers.
const MIN_SECRET_BYTES: usize = 16;

/// Tokens for one purpose that are valid at once: the old one and the new one.
const MAX_TOKENS: usize = 2;

/// The monitor of one service. Cheap to clone; clones are the same monitor.
///
/// Make it once, outside the closure that makes the apps, so that all workers share it.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) shared: Arc<Shared>,
}

/// Until when a request is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Until {
    /// Until the head of the response is handed to the server.
    #[default]
    Head,
    /// Until the last byte of the response's body is handed to the server, or the body breaks off.
    ///
    /// The request counts as in flight for as long (at a [marked](Metrics::route_marker) route, until its head). Responses
    /// without a body end with their head, and so do those that
    /// stay open at will, which would spoil the percentiles: 101, and streams of `text/event-stream`.
    BodyEnd,
}

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) service: Service,
    pub(crate) registry: Registry,
    pub(crate) history: Arc<History>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) cost: Arc<Cost>,
    pub(crate) alerting: Arc<Alerting>,
    pub(crate) exporting: Engine,
    #[cfg(feature = "redis")]
    pub(crate) fleet: Option<metrics_export::fleet::redis::Member>,
    ticker: Ticker,
    pub(crate) measure: Until,
    /// [`Notable::nanos`].
    pub(crate) notable_nanos: u64,
    pub(crate) notable: Notable,
    pub(crate) exclusions: Exclusions,
    pub(crate) consumers: Option<Consumers>,
    pub(crate) read_tokens: Tokens,
    pub(crate) reset: Reset,
    pub(crate) background: Arc<Background>,
    pub(crate) exposition: Exposition,
    pub(crate) scrapes: Arc<Scrapes>,
    pub(crate) live: Live,
    error_message: Option<Arc<ErrorMessage>>,
}

type ErrorMessage = dyn Fn(&Error) -> String + Send + Sync;

/// Who may reset.
#[derive(Debug, Clone)]
pub(crate) enum Reset {
    /// Nobody: there is no such endpoint.
    Absent,
    /// Everybody who can reach the endpoint.
    Open,
    /// Who has a token.
    WithToken(Tokens),
}

impl Shared {
    /// What is kept of an error's text.
    pub(crate) fn error_message(&self, error: &Error) -> String {
        match &self.error_message {
            Some(hook) => message::line(&hook(error)),
            None => message::line(error),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("service", &self.service.name).finish_non_exhaustive()
    }
}

impl Metrics {
    /// Begins the monitor of a service. The name says which service the figures are of, wherever they are sent.
    pub fn builder(service: impl Into<String>) -> Builder {
        Builder::new(Service::new(service))
    }

    /// The middleware that records every request. Wrap it last, so that it is the outermost: it sees what the others answer,
    /// and the time they take. A middleware outside of it that puts another body into a response drops the one that was
    /// measured, which then counts as broken off; so does a test that drops a response unread. Wrap it once, around the app: twice counts twice.
    pub fn middleware(&self) -> Middleware {
        Middleware::new(Arc::clone(&self.shared))
    }

    /// A marker for a resource, inside the middleware: requests are counted there while they are under way.
    ///
    /// Without it a route's `in_flight` is 0, and requests that get no response are `_unmatched`. With it they are counted
    /// where they were. Wrap resources, not scopes: around a scope the route is not known yet, and what the path looks like
    /// is taken for it.
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
    /// | call | gives |
    /// |---|---|
    /// | `GET /` | the dashboard, a page for people; it is open to everybody, and asks for the token that the figures need |
    /// | `GET summary?window=5m` | the figures of all requests in a window: `1m`, `5m`, `1h`, `24h`, or `reset`, since the last reset, which is the default |
    /// | `GET routes?window=5m` | the figures of each endpoint in a window, those with the most calls first |
    /// | `GET history?window=1h&step=10s` | the figures step by step; of one endpoint, with `&method=GET&route=/orders/{id}`; of one of the application's own metrics, with `&metric=cache` |
    /// | `GET alerts` | the rules of alerts and their states, those that fire first |
    /// | `GET errors` | the last errors, newest first |
    /// | `GET exporters` | what became of what was to be sent to other places |
    /// | `GET resources?window=5m` | what the process uses, second by second: processor, memory, files, threads, network, and how late and how busy the workers' event loops are; for up to an hour, in 400 points at most |
    /// | `GET business?window=5m` | the application's own metrics in a window, such as [`Registry::counter`] makes |
    /// | `GET consumers?top=20` | the consumers with the most calls since the last reset; only where the builder names a source of them |
    /// | `GET prometheus` | all figures since the start, for Prometheus: as [`Metrics::prometheus_at`] |
    /// | `GET events?window=5m` | the figures of a window once a second, as server-sent events; 16 connections at most |
    /// | `POST reset` | begins a new window, and gives the summary of the one just closed; only where the builder enables it |
    ///
    /// Calls of these endpoints are not in the figures. Configure them before a scope that would take their path, such as
    /// `web::scope("/api")`. They are open to everybody who can reach them, unless
    /// [`Builder::read_token`] says otherwise; they can also be mounted in an app of their own, on a private listener.
    pub fn routes(&self, prefix: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
        endpoints::configure(Arc::clone(&self.shared), prefix)
    }

    /// The endpoint for Prometheus by itself, at a path such as `/metrics`, for [`App::configure`](actix_web::App::configure).
    ///
    /// `GET` gives what [`Builder::prometheus`] says, cumulative since the start, in the format that `Accept` asks for
    /// (text 0.0.4, OpenMetrics 1.0, or protobuf with native histograms), compressed if `Accept-Encoding` has gzip and the
    /// feature `gzip` is on, as it is by default. It is rendered off the worker, and at most two are at one time: others get 503 with
    /// `Retry-After`. A [token](Builder::read_token) is asked for as by the other endpoints that read.
    ///
    /// ```
    /// # use actix_web::App;
    /// # let metrics = metrics_actix::Metrics::builder("orders").build().unwrap();
    /// App::new().configure(metrics.prometheus_at("/metrics")).wrap(metrics.middleware());
    /// ```
    pub fn prometheus_at(&self, path: &str) -> impl FnOnce(&mut ServiceConfig) + use<> {
        endpoints::configure_prometheus(Arc::clone(&self.shared), path)
    }

    /// Ends the monitor's background work: none begins any more (the endpoints answer 503), and what is under way is
    /// waited for, but never longer than `timeout`. Whether all of it ended in time.
    ///
    /// What waits to be sent to [other places](Builder::exporter) is sent, and what is left when the time is over is dropped
    /// and counted. Server-sent events end within a second. Without this they end after ten seconds at most, for which a server that
    /// stops in order waits.
    ///
    /// Requests are measured as before, and the registry can be read.
    pub async fn shutdown(&self, timeout: Duration) -> bool {
        let begun = Instant::now();
        self.shared.ticker.stop();
        self.shared.alerting.stop();
        self.shared.exporting.stop(timeout);
        // Who waits for a fleet's answer would hold up what comes next.
        #[cfg(feature = "redis")]
        self.shared.fleet.iter().for_each(|fleet| fleet.stop_answering());
        let has_ended = self.shared.background.shutdown(timeout).await;
        let left = || timeout.saturating_sub(begun.elapsed());
        #[cfg(feature = "redis")]
        let has_left = self.leave_fleet(left).await;
        #[cfg(not(feature = "redis"))]
        let has_left = true;
        let is_finished = || self.shared.alerting.is_finished() && self.shared.exporting.has_ended();
        let has_finished = background::wait(is_finished, left()).await;
        self.shared.exporting.give_up(Instant::now()) && has_left && has_finished && has_ended
    }

    /// Has the last report written; whether it was, in time.
    #[cfg(feature = "redis")]
    async fn leave_fleet(&self, left: impl Fn() -> Duration) -> bool {
        let Some(fleet) = &self.shared.fleet else { return true };
        // What is under way is to be in the last write.
        background::wait(|| self.shared.registry.in_flight() == 0, left() / 2).await;
        fleet.stop();
        background::wait(|| fleet.is_finished(), left()).await && fleet.status().failing.is_none()
    }

    /// The figures.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// What the figures were over the last 24 hours. A thread of the monitor keeps it going until the
    /// [shutdown](Metrics::shutdown), or until the monitor's last clone is dropped.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// The states of the alerts, those that fire first; a rule without an alert is there once, inactive.
    pub fn alerts(&self) -> Vec<Alert> {
        self.shared.alerting.alerts()
    }

    /// The name of the service.
    pub fn service(&self) -> &str {
        &self.shared.service.name
    }
}

/// Makes [`Metrics`].
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    service: Service,
    registry: Option<Registry>,
    measure: Until,
    slow: Option<Duration>,
    exclusions: Exclusions,
    patterns: Vec<String>,
    source: Option<Result<Source, String>>,
    alias: Option<Box<Alias>>,
    hash_key: Option<Vec<u8>>,
    error_message: Option<Arc<ErrorMessage>>,
    exposition: Exposition,
    read_tokens: Vec<String>,
    reset_tokens: Vec<String>,
    reset_without_token: bool,
    pub(crate) alerts: alerts::Settings,
    pub(crate) exporters: exporters::Settings,
    #[cfg(feature = "redis")]
    pub(crate) fleet: Option<crate::fleet::Settings>,
}

impl fmt::Debug for Builder {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("service", &self.service.name).finish_non_exhaustive()
    }
}

impl Builder {
    fn new(service: Service) -> Self {
        Self {
            service,
            registry: None,
            measure: Until::default(),
            slow: Some(Duration::from_secs(1)),
            exclusions: Exclusions::default(),
            patterns: Vec::new(),
            source: None,
            alias: None,
            hash_key: None,
            error_message: None,
            exposition: Exposition::default(),
            read_tokens: Vec::new(),
            reset_tokens: Vec::new(),
            reset_without_token: false,
            alerts: alerts::Settings::default(),
            exporters: exporters::Settings::default(),
            #[cfg(feature = "redis")]
            fleet: None,
        }
    }

    /// The version of the service, such as `1.2.3`, for exporters and the fleet; default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.service.version = Some(version.into());
        self
    }

    /// Where the service runs, such as `prod`, for exporters; default: none.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.service.environment = Some(environment.into());
        self
    }

    /// Which instance of the service this is, such as `host-1`, for exporters and the fleet; default: each destination's own.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.service.instance = Some(instance.into());
        self
    }

    /// Where the figures are kept; default: a [`Registry`] of its own with the default settings, but by exact status where
    /// [`Builder::prometheus`] has OpenTelemetry's names, or an [exporter](Builder::exporter) tells single statuses apart.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Until when a request is timed; default: [`Until::Head`].
    pub fn measure(mut self, until: Until) -> Self {
        self.measure = until;
        self
    }

    /// From when on a request counts as slow, for exemplars; `None` for no exemplars at all; default: 1 s.
    ///
    /// Of each endpoint, the latest request that was slow or failed and had a valid `traceparent` header (W3C's Trace Context)
    /// is shown to Prometheus with its trace, in the formats that have exemplars. Where an
    /// [exporter](Builder::exporter) wants errors or single requests, Datadog's `x-datadog-trace-id` and its like stand in for it, or
    /// Sentry's `sentry-trace`.
    /// Such headers are looked at for such requests, and those that an exporter asks for, and of those only where there was a
    /// response: not in a panic, not when the client went away, and not when an inner middleware gave an error instead.
    pub fn exemplars(mut self, slow: impl Into<Option<Duration>>) -> Self {
        self.slow = slow.into();
        self
    }

    /// Leaves out a route, given as its template, such as `/health`; `_unmatched` is what matched no route. Default: all
    /// are counted, but the monitor's own endpoints.
    ///
    /// A request that got no response has no route, unless a [marker](Metrics::route_marker) says so. It is counted as
    /// `_unmatched` even where that is excluded: it may have matched, and panics are not to be hidden.
    pub fn exclude(mut self, route: impl Into<String>) -> Self {
        self.exclusions.routes.push(route.into());
        self
    }

    /// Leaves out the routes whose template begins like this, such as `/static/`.
    pub fn exclude_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.exclusions.prefixes.push(prefix.into());
        self
    }

    /// Leaves out the routes in whose template this regular expression matches, such as `^/v[0-9]+/ping$`.
    pub fn exclude_regex(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Leaves out the responses with this status.
    pub fn exclude_status(mut self, status: u16) -> Self {
        self.exclusions.statuses.push(status);
        self
    }

    /// Counts calls by the API key in this header, such as `x-api-key`; default: no consumers are counted.
    ///
    /// A key is neither kept nor shown. It is called by its [alias](Builder::consumer_alias), or else by 64 bits of its
    /// HMAC-SHA256 under the [hash key](Builder::consumer_hash_key). Requests that the service refuses (401, 403) count
    /// under `_rejected`, those without a key under `_anonymous`, and those that a middleware ends with an error, or that got
    /// no response, under `_unanswered`. A key is taken in with its first success (2xx, 3xx), for nobody but the service
    /// knows whether it is genuine; until then it counts under `_other`, as do those past the registry's `max_consumers`.
    pub fn api_key_header(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.source = Some(HeaderName::try_from(name.as_str()).map(Source::Header).map_err(|_| name));
        self
    }

    /// Counts calls by what this says of a request, as [`Builder::api_key_header`] does by a header; `None` is
    /// `_anonymous`.
    ///
    /// Called on the worker, after the response is made: what inner middlewares left in the request's extensions is there.
    pub fn consumer(
        mut self,
        identify: impl Fn(&HttpRequest) -> Option<Identity> + Send + Sync + 'static,
    ) -> Self {
        self.source = Some(Ok(Source::Hook(Box::new(identify))));
        self
    }

    /// What a key is shown as; `None`, or no alias: a keyed hash. Keys with one alias are counted together.
    ///
    /// Called with the key itself, unless the worker remembers the key's consumer: an alias is not asked for again then.
    pub fn consumer_alias(mut self, alias: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.alias = Some(Box::new(alias));
        self
    }

    /// What keys are hashed with, at least 16 bytes; default: random, so that hashes change with each start. All instances
    /// of a fleet need the same.
    pub fn consumer_hash_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.hash_key = Some(key.into());
        self
    }

    /// What is shown of an error among the recent errors; default: its `Display`.
    ///
    /// Either is made one line, control characters escaped, and cut to 256 bytes. It is shown to whoever may read the
    /// endpoints: leave out what they must not see. (actix-web's own errors of queries and of JSON bodies can quote a value
    /// that the client sent.)
    pub fn error_message(mut self, message: impl Fn(&Error) -> String + Send + Sync + 'static) -> Self {
        self.error_message = Some(Arc::new(message));
        self
    }

    /// What Prometheus gets to see: names, bounds, constant labels, consumers; default: [`Exposition::new`].
    ///
    /// ```
    /// use metrics_actix::prometheus::Exposition;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let exposition = Exposition::builder().constant_label("env", "prod").top_consumers(20).build()?;
    /// let metrics = metrics_actix::Metrics::builder("orders").prometheus(exposition).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prometheus(mut self, exposition: Exposition) -> Self {
        self.exposition = exposition;
        self
    }

    /// Asks for this token (`Authorization: Bearer <token>`) at all endpoints that read; default: they are open.
    ///
    /// 16 or more letters, digits and `-._~+/=`. Twice for two tokens that are valid at once, while one takes the place of the
    /// other.
    pub fn read_token(mut self, token: impl Into<String>) -> Self {
        self.read_tokens.push(token.into());
        self
    }

    /// Enables `POST reset` for those who have this token; default: there is none. As [`Builder::read_token`] otherwise.
    ///
    /// For development. What is exported as cumulative is not affected by a reset.
    pub fn reset_token(mut self, token: impl Into<String>) -> Self {
        self.reset_tokens.push(token.into());
        self
    }

    /// Enables `POST reset` for everybody who can read, which is everybody who can reach the endpoint unless there is a
    /// [`read_token`](Builder::read_token); default: there is none.
    ///
    /// For development. What is exported as cumulative is not affected by a reset.
    pub fn reset_without_token(mut self) -> Self {
        self.reset_without_token = true;
        self
    }

    /// Makes the monitor. The first one in a process calibrates the clock, which takes up to 200 ms.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range; the error says what is allowed.
    pub fn build(self) -> Result<Metrics, BuildError> {
        self.service.check()?;
        let mut exclusions = self.exclusions;
        for pattern in self.patterns {
            let compiled = Regex::new(&pattern);
            let reason =
                |error: regex_lite::Error| BuildError::Pattern { pattern, reason: error.to_string() };
            exclusions.patterns.push(compiled.map_err(reason)?);
        }
        if let Some(&status) = exclusions.statuses.iter().find(|status| !(100..=599).contains(*status)) {
            return Err(BuildError::Status { status });
        }
        if self.hash_key.as_ref().is_some_and(|key| key.len() < MIN_SECRET_BYTES) {
            return Err(BuildError::HashKey);
        }
        let source = self.source.transpose().map_err(|name| BuildError::Header { name })?;
        if source.is_none() && (self.alias.is_some() || self.hash_key.is_some()) {
            return Err(BuildError::NoConsumers);
        }
        let consumers = source.map(|source| Consumers {
            source,
            alias: self.alias,
            hash_key: self.hash_key.unwrap_or_else(random_key),
            fingerprints: [RandomState::new(), RandomState::new()],
        });
        check_tokens("read_token", &self.read_tokens)?;
        check_tokens("reset_token", &self.reset_tokens)?;
        let reset = match (self.reset_without_token, self.reset_tokens.as_slice()) {
            (true, []) => Reset::Open,
            (true, _) => return Err(BuildError::ResetTwice),
            (false, []) => Reset::Absent,
            (false, tokens) => Reset::WithToken(Tokens::new(tokens)),
        };
        let registry = self
            .registry
            .unwrap_or_else(|| default_registry(&self.exposition, self.exporters.want_exact_statuses()));
        let history = Arc::new(History::new(registry.clone()));
        let resources = Arc::<Resources>::default();
        let alerting = Arc::new(self.alerts.build(&self.service)?);
        let cost = Arc::<Cost>::default();
        let notable = self.exporters.notable(self.slow);
        let exporting = self.exporters.start(&self.service, &registry, &resources)?;
        let ticker = {
            let (history, resources, alerting, cost) =
                (Arc::clone(&history), Arc::clone(&resources), Arc::clone(&alerting), Arc::clone(&cost));
            let mut sampler = Sampler::new(&resources);
            Ticker::start(move || {
                cost.measure();
                let begun = Instant::now();
                history.tick();
                alerting.evaluate(&history);
                sampler.sample(&resources);
                resources.count_tick(begun.elapsed());
            })
        };
        let ticker = ticker.map_err(|error| BuildError::Thread { reason: error.to_string() })?;
        #[cfg(feature = "redis")]
        let fleet = crate::fleet::start(self.fleet, &self.service, &registry)?;
        let shared = Arc::new(Shared {
            service: self.service,
            registry,
            history,
            resources,
            cost,
            alerting,
            exporting,
            #[cfg(feature = "redis")]
            fleet,
            ticker,
            measure: self.measure,
            notable_nanos: notable.nanos(),
            notable,
            exclusions,
            consumers,
            read_tokens: Tokens::new(&self.read_tokens),
            reset,
            background: Arc::default(),
            exposition: self.exposition,
            scrapes: Arc::default(),
            live: Live::default(),
            error_message: self.error_message,
        });
        Ok(Metrics { shared })
    }
}

/// A registry that has a histogram wherever the exposition's names, or a destination, have a series.
fn default_registry(exposition: &Exposition, exact_statuses: bool) -> Registry {
    let granularity = match exposition.names() {
        Names::OpenTelemetry => Granularity::Exact,
        _ if exact_statuses => Granularity::Exact,
        _ => Granularity::default(),
    };
    let registry = Registry::builder().granularity(granularity).build();
    registry.expect("the default settings are in range")
}

fn check_tokens(field: &'static str, tokens: &[String]) -> Result<(), BuildError> {
    if tokens.len() > MAX_TOKENS {
        return Err(BuildError::TooManyTokens { field, tokens: tokens.len() });
    }
    let valid = |token: &String| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        token.len() >= MIN_SECRET_BYTES && token.chars().all(allowed)
    };
    if tokens.iter().all(valid) { Ok(()) } else { Err(BuildError::Token { field }) }
}

impl From<StartError> for BuildError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Setting(setting) => Self::Setting(setting),
            other => Self::Thread { reason: other.to_string() },
        }
    }
}

/// A setting that is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(#[from] InvalidSetting),
    /// A regular expression cannot be compiled.
    #[error("exclude_regex is {pattern:?}, which is no regular expression: {reason}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No response has this status.
    #[error("exclude_status is {status}; allowed: 100 to 599")]
    Status {
        /// The status.
        status: u16,
    },
    /// No header has this name.
    #[error("api_key_header is {name:?}; allowed: the name of a header, such as \"x-api-key\"")]
    Header {
        /// The name.
        name: String,
    },
    /// There is an alias or a hash key, but nothing that consumers come from.
    #[error("consumer_alias or consumer_hash_key is set, but neither api_key_header nor consumer")]
    NoConsumers,
    /// The hash key is too short. It is not repeated here.
    #[error("consumer_hash_key is too short; allowed: at least {MIN_SECRET_BYTES} bytes")]
    HashKey,
    /// A token is too short, or cannot be sent in a header. It is not repeated here.
    #[error("{field} is refused; allowed: at least {MIN_SECRET_BYTES} letters, digits and -._~+/=")]
    Token {
        /// The setter that was given the token.
        field: &'static str,
    },
    /// There are more tokens than a rotation needs.
    #[error("{field} is set {tokens} times; allowed: at most {MAX_TOKENS}")]
    TooManyTokens {
        /// The setter that was given the tokens.
        field: &'static str,
        /// How many there are.
        tokens: usize,
    },
    /// The reset is both open to everybody and closed by a token.
    #[error("reset_token and reset_without_token are both set; allowed: one of them")]
    ResetTwice,
    /// Rules of alerts cannot be read.
    #[error("alerts_toml: {reason}")]
    AlertsToml {
        /// The line, what is wrong with it, and what is allowed.
        reason: String,
    },
    /// The instance cannot be one of a fleet.
    #[error("fleet: {reason}")]
    Fleet {
        /// The setting, and what is allowed.
        reason: String,
    },
    /// The system gave no thread for the history, for notices of alerts or for exporters.
    #[error("no thread for the history, for alerts or for exporters: {reason}")]
    Thread {
        /// What the system said.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn refused(builder: impl FnOnce(Builder) -> Builder) -> String {
        builder(Metrics::builder("test")).build().unwrap_err().to_string()
    }

    #[test]
    fn a_service_name_that_is_no_label_is_refused_with_what_is_allowed() {
        for name in ["", "a\nb", &"x".repeat(129)] {
            let error = Metrics::builder(name).build().unwrap_err().to_string();
            assert!(error.ends_with("allowed: 1 to 128 bytes without control characters"), "{error}");
        }
        assert_eq!(Metrics::builder("주문").build().unwrap().service(), "주문");
    }

    #[test]
    fn every_other_setting_out_of_range_is_refused_with_what_is_allowed() {
        assert!(refused(|b| b.exclude_regex("(")).starts_with("exclude_regex is \"(\", which is no regular"));
        assert_eq!(refused(|b| b.exclude_status(99)), "exclude_status is 99; allowed: 100 to 599");
        assert!(refused(|b| b.api_key_header("x api key")).ends_with("such as \"x-api-key\""));
        assert!(refused(|b| b.consumer_alias(|_| None)).ends_with("neither api_key_header nor consumer"));
        assert!(refused(|b| b.api_key_header("k").consumer_hash_key("short")).ends_with("at least 16 bytes"));
        assert!(refused(|b| b.reset_token(TOKEN).reset_without_token()).ends_with("allowed: one of them"));
    }

    #[test]
    fn a_token_that_is_refused_is_not_repeated() {
        for token in ["hunter2", "0123456789abcde", "0123456789 abcdef", "0123456789abcdé"] {
            let error = refused(|b| b.read_token(token));
            assert!(error.starts_with("read_token is refused; allowed: at least 16"), "{error}");
        }
        let three = refused(|b| b.reset_token(TOKEN).reset_token(TOKEN).reset_token(TOKEN));
        assert_eq!(three, "reset_token is set 3 times; allowed: at most 2");
    }

    #[test]
    fn no_secret_shows_up_in_debug_output() {
        let builder = Metrics::builder("test").read_token(TOKEN).reset_token(TOKEN);
        let builder = builder.api_key_header("x-api-key").consumer_hash_key(TOKEN);
        assert!(!format!("{builder:?}").contains(TOKEN));
        assert!(!format!("{:?}", builder.build().unwrap()).contains(TOKEN));
    }
}
