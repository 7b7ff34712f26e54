//! The builder of a monitor: everything that a user can configure.
//!
//! [`Builder`] and its settings for measuring, consumers and access are here. Settings for alerts, exporters and the
//! fleet have files of their own, and `build` puts everything together.

mod alerts;
mod build;
mod capture;
mod exporters;
#[cfg(feature = "redis")]
mod fleet;
mod history;
mod missing_features;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use metrics_core::Registry;
use metrics_core::alert::Rule;
use metrics_core::objective::{Apdex, Objective};
use metrics_export::Service;
use metrics_export::alert::Destination;
use metrics_export::prometheus::Exposition;
use metrics_export::push::Exporter;

use crate::build_error::BuildError;
use crate::framework::{Framework, NameRoutes, NoHooks};
use crate::monitor::Monitor;
use crate::policy::Until;
use crate::policy::capture::CapturePolicy;
use crate::policy::consumers::Alias;

/// Builds a [`Monitor`](crate::Monitor), or the type of a framework's integration around it.
#[must_use = "nothing is made before `build`"]
pub struct Builder<H = NoHooks> {
    hooks: H,
    settings: Settings,
}

/// What a builder was told, hooks apart.
struct Settings {
    service: Service,
    registry: Option<Registry>,
    measure: Until,
    slow: Option<Duration>,
    unsampled_exemplars: bool,
    request_id_headers: Vec<String>,
    keep_paths: bool,
    excluded_routes: Vec<String>,
    excluded_prefixes: Vec<String>,
    excluded_patterns: Vec<String>,
    excluded_statuses: Vec<u16>,
    api_key_header: Option<String>,
    alias: Option<Box<Alias>>,
    consumer_routes: Option<Vec<String>>,
    hash_key: Option<Vec<u8>>,
    exposition: Exposition,
    read_tokens: Vec<String>,
    reset_tokens: Vec<String>,
    reset_without_token: bool,
    open_to_everybody: bool,
    allowed_hosts: Vec<String>,
    trust_forwarded: bool,
    alert_rules: Vec<Rule>,
    /// Of a fleet, from TOML also without the feature `redis`: then they are refused.
    fleet_rules: Vec<Rule>,
    fleet_objectives: Vec<Objective>,
    objectives: Vec<Objective>,
    apdex: Option<Apdex>,
    without_default_alerts: bool,
    alert_destinations: Vec<Box<dyn Destination>>,
    exporters: Vec<Box<dyn Exporter>>,
    history_file: Option<PathBuf>,
    history_interval: Option<Duration>,
    #[cfg(feature = "redis")]
    history_key: Option<String>,
    #[cfg(feature = "redis")]
    fleet: Option<metrics_export::fleet::redis::FleetSettings>,
    /// The first error of a setter, for `build`.
    error: Option<BuildError>,
}

impl<H> fmt::Debug for Builder<H> {
    /// Without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("service", &self.settings.service.name).finish_non_exhaustive()
    }
}

/// # Starting and building
///
/// Everything between is optional.
impl<H: Framework> Builder<H> {
    /// Builds the monitor and starts its threads. The first monitor in a process calibrates the clock, which takes up
    /// to 200 ms.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid, which says what is allowed, or if the system cannot start a thread.
    pub fn build(self) -> Result<H::Metrics, BuildError> {
        let Self { hooks, settings } = self;
        let state = settings.build(hooks.identifies_consumers(), hooks.event_loops())?;
        Ok(hooks.finish(Monitor::new(state)))
    }
}

impl Builder {
    /// Creates a builder for the monitor of a service. The name is sent to all destinations.
    pub fn new(service: impl Into<String>) -> Self {
        let settings = Settings {
            service: Service::new(service),
            registry: None,
            measure: Until::default(),
            slow: Some(Duration::from_secs(1)),
            unsampled_exemplars: false,
            request_id_headers: CapturePolicy::REQUEST_ID_HEADERS.map(str::to_owned).to_vec(),
            keep_paths: false,
            excluded_routes: Vec::new(),
            excluded_prefixes: Vec::new(),
            excluded_patterns: Vec::new(),
            excluded_statuses: Vec::new(),
            api_key_header: None,
            alias: None,
            consumer_routes: None,
            hash_key: None,
            exposition: Exposition::default(),
            read_tokens: Vec::new(),
            reset_tokens: Vec::new(),
            reset_without_token: false,
            open_to_everybody: false,
            allowed_hosts: Vec::new(),
            trust_forwarded: false,
            alert_rules: Vec::new(),
            fleet_rules: Vec::new(),
            fleet_objectives: Vec::new(),
            objectives: Vec::new(),
            apdex: None,
            without_default_alerts: false,
            alert_destinations: Vec::new(),
            exporters: Vec::new(),
            history_file: None,
            history_interval: None,
            #[cfg(feature = "redis")]
            history_key: None,
            #[cfg(feature = "redis")]
            fleet: None,
            error: None,
        };
        Self { hooks: NoHooks, settings }
    }
}

/// # The service
impl<H> Builder<H> {
    /// Sets the hooks of a framework: settings that name the framework's own types, such as `metrics_actix::Hooks`.
    pub fn hooks<F>(self, hooks: F) -> Builder<F> {
        Builder { hooks, settings: self.settings }
    }

    /// Sets the version of the service, such as `1.2.3`, for exporters and the fleet; default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.settings.service.version = Some(version.into());
        self
    }

    /// Sets the environment, such as `prod`, for exporters; default: none.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.settings.service.environment = Some(environment.into());
        self
    }

    /// Sets the name of this instance of the service, such as `host-1`, for exporters, the fleet and alert notices;
    /// default: each destination has its own.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.settings.service.instance = Some(instance.into());
        self
    }

    /// Sets the URL of the dashboard, such as `https://ops.example.com/orders/metrics/`, for links in alert notices;
    /// default: no links.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.settings.service.public_url = Some(url.into());
        self
    }

    /// Sets the registry for the figures; default: a new [`Registry`] with the default settings, which counts by exact
    /// status if [`Builder::prometheus`] uses OpenTelemetry's names, or if an [exporter](Builder::exporter)
    /// distinguishes statuses.
    pub fn with_registry(mut self, registry: Registry) -> Self {
        self.settings.registry = Some(registry);
        self
    }
}

/// # What is measured
impl<H> Builder<H> {
    /// Sets when the timing of a request stops; default: [`Until::Head`].
    pub fn measure(mut self, until: Until) -> Self {
        self.settings.measure = until;
        self
    }

    /// Excludes a route by its template, such as `/health`, or `_unmatched` for requests that matched no route.
    /// Default: every route is counted, except the monitor's own endpoints.
    ///
    /// A request without a response has no route, unless a route marker noted it. It is counted as `_unmatched` even if
    /// that is excluded: it may have matched a route, and panics must stay visible.
    pub fn exclude(mut self, route: impl Into<String>) -> Self {
        self.settings.excluded_routes.push(route.into());
        self
    }

    /// Excludes all routes whose template starts with this, such as `/static/`.
    pub fn exclude_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.excluded_prefixes.push(prefix.into());
        self
    }

    /// Excludes all routes whose template matches this regular expression, such as `^/v[0-9]+/ping$`.
    pub fn exclude_regex(mut self, pattern: impl Into<String>) -> Self {
        self.settings.excluded_patterns.push(pattern.into());
        self
    }

    /// Excludes responses with this status.
    pub fn exclude_status(mut self, status: u16) -> Self {
        self.settings.excluded_statuses.push(status);
        self
    }
}

/// # Consumers
impl<H> Builder<H> {
    /// Counts calls by the API key in this header, such as `x-api-key`; default: consumers are not counted. A hook of
    /// the framework that identifies consumers takes precedence.
    ///
    /// A key is neither kept nor shown. The consumer is named by the key's [alias](Builder::consumer_alias), or by 64
    /// bits of its HMAC-SHA256 under the [hash key](Builder::consumer_hash_key).
    ///
    /// A key is registered after its first successful response (2xx, 304, 101), because only the service knows whether
    /// it is genuine. Responses to `OPTIONS` register none, because CORS middleware answers those before keys are
    /// checked. Until then, a key counts as `_other`, as do keys beyond the registry's `max_consumers`. Rows are never
    /// reused, since counts must not fall. **So on a public route, which accepts any key, anybody can use up all rows
    /// with made-up keys**: name the routes that check keys with [`Builder::consumers_from`]. Keys with an
    /// [alias](Builder::consumer_alias) always have their own rows. `GET consumers` lists the busiest of the others.
    ///
    /// Requests that the service refuses (401, 403) count as `_rejected`, those without a key as `_anonymous`, and
    /// those without a response, or that a middleware ends with another error, as `_unanswered`.
    pub fn api_key_header(mut self, name: impl Into<String>) -> Self {
        self.settings.api_key_header = Some(name.into());
        self
    }

    /// Sets the routes that check keys, or whatever else names a consumer; default: all routes. Only their successful
    /// responses register a new consumer. Pass a template such as `/orders/{id}`, or a prefix that ends with `/`, such
    /// as `/api/`, for all routes that start with it.
    ///
    /// Names that [`Builder::route_with`] returns count like templates. So **a hook that repeats text from clients lets
    /// them claim a route that checks keys, and register keys of their own**, even with names that exist, such as the
    /// operation of a GraphQL request. List such names only if an answer under them means that the key was checked.
    ///
    /// Requests to other routes still count for registered consumers.
    pub fn consumers_from<R: Into<String>>(mut self, routes: impl IntoIterator<Item = R>) -> Self {
        self.settings.consumer_routes.get_or_insert_default().extend(routes.into_iter().map(Into::into));
        self
    }

    /// Sets the function that returns the name shown for a key; default, and if it returns `None`: a keyed hash. Keys
    /// with the same alias are counted together.
    ///
    /// An alias means that the application knows the key. So the key has a row from its first request on, whatever the
    /// answer, and up to 10,000 aliases have rows that no other key can take.
    ///
    /// Called with the key itself, unless the worker remembers the key's consumer. So a changed alias may go unnoticed.
    pub fn consumer_alias(mut self, alias: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.settings.alias = Some(Box::new(alias));
        self
    }

    /// Sets the key for hashing, at least 16 bytes; default: random, so that hashes change with each start. All
    /// instances of a fleet need the same one.
    pub fn consumer_hash_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.settings.hash_key = Some(key.into());
        self
    }
}

/// # Prometheus
impl<H> Builder<H> {
    /// Sets what Prometheus sees: names, bounds, constant labels, consumers; default: [`Exposition::new`].
    ///
    /// ```
    /// use metrics_monitor::prometheus::Exposition;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let exposition = Exposition::builder().constant_label("env", "prod").top_consumers(20).build()?;
    /// let monitor = metrics_monitor::Builder::new("orders").prometheus(exposition).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prometheus(mut self, exposition: Exposition) -> Self {
        self.settings.exposition = exposition;
        self
    }
}

/// # Who may read and reset
impl<H> Builder<H> {
    /// Requires this token (`Authorization: Bearer <token>`) for all endpoints that read; default: they are open,
    /// within the limits of [`Builder::open_to_everybody`] and [`Builder::allowed_hosts`].
    ///
    /// At least 16 letters, digits and `-._~+/=`. Call it twice during a rotation: two tokens may be active at once.
    pub fn read_token(mut self, token: impl Into<String>) -> Self {
        self.settings.read_tokens.push(token.into());
        self
    }

    /// Enables `POST reset` for clients with this token; default: the endpoint does not exist. Tokens as for
    /// [`Builder::read_token`].
    ///
    /// A reset does not affect what is exported as cumulative.
    pub fn reset_token(mut self, token: impl Into<String>) -> Self {
        self.settings.reset_tokens.push(token.into());
        self
    }

    /// Lets everybody see what clients sent: error messages and consumers. Only without a
    /// [`read_token`](Builder::read_token). Default: without a token, `GET errors`, `consumers` and `fleet/consumers`
    /// only answer requests from this machine, and messages are empty in the other answers.
    ///
    /// A request is from this machine if it comes from a loopback address or a Unix socket, unless a proxy header
    /// (`Forwarded`, `X-Forwarded-For`, `Via` and the like), HTTP/1.0 or an [allowed host](Builder::allowed_hosts)
    /// shows that it was forwarded. So a proxy on this machine must add such a header.
    pub fn open_to_everybody(mut self) -> Self {
        self.settings.open_to_everybody = true;
        self
    }

    /// Adds host names under which the endpoints answer without a token, such as `orders.example.com`, or
    /// `*.example.com` for all names below it; default: none.
    ///
    /// Without a token, the endpoints only answer under host names that a hostile page cannot have: `localhost`, IP
    /// addresses, names without a dot, and names in `.localhost`, `.local`, `.internal` and `.svc`. Others get 421,
    /// because a hostile page can make its own name resolve to this service (DNS rebinding). The dashboard page, which
    /// contains no figures, and the endpoint for Prometheus answer under every name. With a token, none of this is
    /// needed.
    pub fn allowed_hosts(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.allowed_hosts.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Sets whether `X-Forwarded-Proto` and `X-Forwarded-Host` come from your own proxy, which sets both or removes
    /// those of clients; default: `false`.
    ///
    /// They are then taken as the address under which a page was requested, which is compared with the `Origin` of a
    /// reset if the browser sent no `Sec-Fetch-Site` (all browsers send it over `https` and to `localhost`). The host
    /// in them must be allowed, too.
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        self.settings.trust_forwarded = trust;
        self
    }

    /// Enables `POST reset` for every client that may read: everybody who can reach the endpoint, unless there is a
    /// [`read_token`](Builder::read_token). Default: the endpoint does not exist.
    ///
    /// For development. A reset does not affect what is exported as cumulative.
    pub fn reset_without_token(mut self) -> Self {
        self.settings.reset_without_token = true;
        self
    }
}

/// # Routes that the application names
impl<H: NameRoutes> Builder<H> {
    /// Sets the function that names the route of a request, for applications that do their own routing: a proxy, a
    /// single-page application, one path for GraphQL or JSON-RPC. Default, and if it returns `None` or an empty name:
    /// the template that matched.
    ///
    /// Called on the worker, once the response exists, so it can read what a handler left in the request's extensions,
    /// such as the name of an operation in the body. Not called for requests without a response, for those to the
    /// monitor itself, and for [excluded](Builder::exclude) routes. If the name itself is excluded, the request is not
    /// counted.
    ///
    /// **Only return names from a known set**, never the path itself or text that a client can choose: each name is a
    /// series. Above the registry's `max_series`, all further routes, templates included, are counted as `_other`.
    /// Names are cut to 256 bytes, as all labels are.
    ///
    /// Without it, a request costs nothing extra. With it, each request pays for the call and for looking up the name.
    ///
    /// One of the [hooks](Builder::hooks): setting other hooks later replaces it.
    pub fn route_with<N: Into<String>>(
        self,
        name: impl Fn(&H::Request) -> Option<N> + Send + Sync + 'static,
    ) -> Self {
        Self { hooks: self.hooks.route_with(name), settings: self.settings }
    }
}
