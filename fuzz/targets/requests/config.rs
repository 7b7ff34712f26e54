//! The configurations: few enough to keep the services of all of them, since each has a thread that wakes up once a
//! second.

use metrics_actix::{Hooks, Identity, Metrics, Until};
use metrics_core::{Granularity, Registry};

use crate::input::MAX_STEPS;

pub const READ_TOKEN: &str = "read-0123456789abcdef";
pub const RESET_TOKEN: &str = "reset-0123456789abcdef";
pub const HASH_KEY: &[u8] = b"a key for hashes";

/// The header of guards and, where the application names routes, of the name.
pub const GUARD: &str = "x-guard";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markers {
    None,
    Resources,
    Scope,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    None,
    Header,
    /// Only some routes vouch for keys.
    SomeRoutes,
    Hook,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusions {
    None,
    Routes,
    Statuses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing is set, and there is no reset.
    Default,
    Tokens,
    /// A token for resets alone.
    ResetToken,
    OpenReset,
    OpenToEverybody,
}

/// Where the endpoints are: the path of the mount, as the app is told and as a client calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mount {
    Plain,
    /// Below a parameter.
    Parameter,
    InScope,
    Root,
}

impl Mount {
    pub fn called(self) -> &'static str {
        match self {
            Self::Plain => "/api-metrics",
            Self::Parameter => "/acme/metrics",
            Self::InScope => "/ops/m",
            Self::Root => "",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub until: Until,
    pub granularity: Granularity,
    pub max_series: usize,
    pub max_consumers: usize,
    pub markers: Markers,
    pub callers: Callers,
    pub exclusions: Exclusions,
    pub access: Access,
    pub allows_host: bool,
    pub trusts_forwarded: bool,
    pub mount: Mount,
    pub names_routes: bool,
}

pub const CONFIGS: usize = 20;

/// The host that some configurations allow.
pub const ALLOWED_HOST: &str = "orders.example.com";

impl Config {
    /// The configuration with this number. The settings have different periods, so that nearly all pairs occur.
    pub fn new(number: usize) -> Self {
        fn pick<T: Copy>(options: &[T], number: usize) -> T {
            options[number % options.len()]
        }
        let is_small = number % 4 == 1;
        let callers = [Callers::None, Callers::Header, Callers::SomeRoutes, Callers::Hook];
        Self {
            until: pick(&[Until::Head, Until::BodyEnd], number / 2),
            granularity: pick(&[Granularity::Class, Granularity::Exact, Granularity::Outcome], number),
            max_series: if is_small { 6 } else { 1_024 },
            max_consumers: if number % 3 == 0 { 3 } else { 100 },
            markers: pick(&[Markers::None, Markers::Resources, Markers::Scope], number / 3),
            callers: if is_small { Callers::Header } else { pick(&callers, number / 5) },
            exclusions: pick(
                &[Exclusions::None, Exclusions::Routes, Exclusions::Statuses, Exclusions::None],
                number / 3,
            ),
            access: pick(
                &[
                    Access::Default,
                    Access::Tokens,
                    Access::ResetToken,
                    Access::OpenReset,
                    Access::OpenToEverybody,
                ],
                number,
            ),
            allows_host: number % 7 < 3,
            trusts_forwarded: number % 2 == 0,
            mount: pick(&[Mount::Plain, Mount::Parameter, Mount::InScope, Mount::Root], number + number / 4),
            names_routes: number % 11 == 0,
        }
    }

    pub fn build(&self) -> Metrics {
        let registry = Registry::builder()
            .max_series(self.max_series)
            .max_consumers(self.max_consumers)
            .error_log_capacity(2 * MAX_STEPS)
            // Histograms are not what is checked here, and take most of the time of a reading.
            .significant_digits(1)
            .granularity(self.granularity);
        let mut hooks = Hooks::new();
        if self.callers == Callers::Hook {
            hooks = hooks.consumer(|request| {
                let key = request.headers().get("x-api-key")?;
                let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
                if key == "boom" {
                    std::panic::resume_unwind(Box::new("in a hook"));
                }
                Some(if key.starts_with("name-") { Identity::Name(key) } else { Identity::Secret(key) })
            });
            hooks = hooks.error_message(|error| format!("hooked: {error}"));
        }
        if self.names_routes {
            hooks = hooks.route_with(|request| request.headers().get(GUARD).map(|_| "/named"));
        }
        let mut builder = Metrics::builder("fuzz")
            .hooks(hooks)
            .with_registry(registry.build().expect("all numbers are in range"))
            .measure(self.until)
            .trust_forwarded(self.trusts_forwarded);
        if self.callers != Callers::None {
            builder = builder.api_key_header("X-Api-Key").consumer_hash_key(HASH_KEY).consumer_alias(alias);
        }
        if self.callers == Callers::SomeRoutes {
            builder = builder.consumers_from(["/items/{id}", "/api/"]);
        }
        builder = match self.exclusions {
            Exclusions::None => builder,
            Exclusions::Routes => builder
                .exclude("/static")
                .exclude("_unmatched")
                .exclude_prefix("/tail")
                .exclude_regex("^/api/v"),
            Exclusions::Statuses => builder.exclude_status(404).exclude_status(500),
        };
        if self.allows_host {
            builder = builder.allowed_hosts([ALLOWED_HOST]);
        }
        builder = match self.access {
            Access::Default => builder,
            Access::Tokens => builder.read_token(READ_TOKEN).reset_token(RESET_TOKEN),
            Access::ResetToken => builder.reset_token(RESET_TOKEN),
            Access::OpenReset => builder.reset_without_token(),
            Access::OpenToEverybody => builder.open_to_everybody().reset_without_token(),
        };
        builder.build().expect("all settings are valid")
    }

    /// Whether requests of a route are not counted.
    pub fn excludes(&self, route: &str) -> bool {
        self.exclusions == Exclusions::Routes
            && (["/static", "_unmatched"].contains(&route)
                || route.starts_with("/tail")
                || route.starts_with("/api/v"))
    }

    pub fn excludes_status(&self, status: u16) -> bool {
        self.exclusions == Exclusions::Statuses && [404, 500].contains(&status)
    }

    pub fn has_reset(&self) -> bool {
        self.access != Access::Default
    }
}

/// Two keys share a name.
pub fn alias(key: &str) -> Option<String> {
    ["ann-1", "ann-2"].contains(&key).then(|| "Ann".to_owned())
}
