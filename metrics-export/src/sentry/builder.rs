//! What an exporter to Sentry can be told.

use std::hash::RandomState;
use std::time::Duration;

use sentry_types::Dsn;

use super::environment;
use super::exporter::{Attempt, Sentry};
use super::limiter::Limiter;
use super::origin::{AGENT, Origin};
use super::rate_limits::RateLimits;
use crate::push::{Connection, Secret, Settings, UrlError};

/// Errors that wait at most for being sent, and as many sampled requests. 4xx are among the errors, which are then left out.
const MAX_ERRORS: usize = 1_000;

/// What a share of all requests may be.
pub(super) const SHARE: &str = "0 to 1";

/// Windows that wait at most, each for itself: five minutes. What is more is merged into the last one.
const MAX_WINDOWS: usize = 30;

/// The longest release and the longest environment that Sentry takes, in characters.
const MAX_RELEASE: usize = 200;
const MAX_ENV: usize = 64;

/// Makes a [`Sentry`]. What is set here wins over the environment.
#[derive(Debug, Clone)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    pub(super) dsn: Option<Secret>,
    pub(super) origin: Origin,
    max_events: usize,
    events_per_minute: u32,
    client_errors: bool,
    sessions: bool,
    pub(super) traces_sample_rate: Option<f64>,
    max_transactions: usize,
    interval: Duration,
    timeout: Duration,
    connection: Connection,
    with_environment: bool,
}

/// A setting that is out of its range. Secrets are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no DSN, or it is none. It is not repeated, since there is a key in it.
    #[error("the dsn is refused: {reason}; allowed: https://KEY@HOST/PROJECT, as Sentry shows it")]
    Dsn {
        /// Why.
        reason: String,
    },
    /// Nothing can be sent to where the DSN leads.
    #[error("dsn: {0}")]
    Url(#[from] UrlError),
    /// A setting cannot be taken.
    #[error("{name} is {value:?}; allowed: {allowed}")]
    Setting {
        /// What it is called.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            dsn: None,
            origin: Origin::default(),
            max_events: 100,
            events_per_minute: 10,
            client_errors: false,
            sessions: true,
            traces_sample_rate: None,
            max_transactions: 100,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            // A window is several envelopes.
            connection: Connection { kept: 1, ..Connection::default() },
            with_environment: false,
        }
    }
}

impl Builder {
    /// Takes what is not set here from Sentry's variables; default: they are not looked at.
    ///
    /// `SENTRY_DSN`, `SENTRY_RELEASE`, `SENTRY_ENVIRONMENT` and `SENTRY_TRACES_SAMPLE_RATE`; and the server's name from
    /// `HOSTNAME`.
    pub fn environment(mut self) -> Self {
        self.with_environment = true;
        self
    }

    /// Which project of which Sentry is sent to, with which key: `https://KEY@HOST/PROJECT`. There is no default.
    pub fn dsn(mut self, dsn: impl Into<Secret>) -> Self {
        self.dsn = Some(dsn.into());
        self
    }

    /// The version of the service, such as `orders@1.2.3`; default: none, and then there are no sessions either.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.origin.release = Some(release.into());
        self
    }

    /// Where the service runs, such as `staging`, which Sentry calls the environment; default: none, which Sentry takes for
    /// `production`.
    pub fn env(mut self, env: impl Into<String>) -> Self {
        self.origin.env = Some(env.into());
        self
    }

    /// What the machine or the instance is called; default: none.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.origin.server_name = Some(name.into());
        self
    }

    /// Sends at most so many events of a window; default: 100. The others are counted as rejected.
    ///
    /// With 0 no events are sent at all, as where the application reports its errors to Sentry by itself.
    pub fn max_events(mut self, count: usize) -> Self {
        self.max_events = count;
        self
    }

    /// Sends at most so many events a minute with the same route, status and message template; default: 10. The next one says
    /// how many others there were, which are counted as rejected, too.
    pub fn events_per_minute(mut self, count: u32) -> Self {
        self.events_per_minute = count;
        self
    }

    /// Whether a 4xx is an event, too; default: it is not. Without its message, which can quote what the client sent.
    pub fn client_errors(mut self, sent: bool) -> Self {
        self.client_errors = sent;
        self
    }

    /// Whether requests are sent as sessions, for the health of releases; default: they are, if there is a release.
    pub fn sessions(mut self, sent: bool) -> Self {
        self.sessions = sent;
        self
    }

    /// Sends a share of all requests as transactions, drawn by lot, from 0 to 1; default: 0. Whether the caller's trace is
    /// sampled does not matter.
    pub fn traces_sample_rate(mut self, share: f64) -> Self {
        self.traces_sample_rate = Some(share);
        self
    }

    /// Sends at most so many transactions of a window, each by a request of its own; default: 100. The others are counted as
    /// rejected.
    pub fn max_transactions(mut self, count: usize) -> Self {
        self.max_transactions = count;
        self
    }

    /// From one window to the next; default 10 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long an attempt may take, with all envelopes of a window; default 10 s. The next one goes on where it ended.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A proxy, such as `http://user:password@proxy:3128`; default: what `HTTPS_PROXY` or `HTTP_PROXY`, as the URL is, `ALL_PROXY` and
    /// `NO_PROXY` say.
    pub fn proxy(mut self, url: impl Into<Secret>) -> Self {
        self.connection.proxy = Some(url.into());
        self
    }

    /// The certificates to trust, in PEM; default: those of the web.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.connection.roots = Some(pem.into());
        self
    }

    /// Makes the exporter.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range; the error says what is allowed.
    pub fn build(self) -> Result<Sentry, BuildError> {
        self.build_with(crate::environment::variable)
    }

    fn build_with(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Sentry, BuildError> {
        if self.with_environment {
            environment::apply(&mut self, variable)?;
        }
        self.check()?;
        let refused = |reason: &str| BuildError::Dsn { reason: reason.to_owned() };
        let dsn = self.dsn.as_ref().ok_or_else(|| refused("there is none"))?;
        let dsn: Dsn = dsn.expose().trim().parse().map_err(|error| refused(&format!("{error}")))?;
        let client = self.connection.client(dsn.envelope_api_url().as_str())?;
        // Without the time, which would be that of now for ever; envelopes have one.
        let auth = format!("Sentry sentry_version=7, sentry_client={AGENT}, sentry_key={}", dsn.public_key());
        let client = client.header("x-sentry-auth", &auth);
        let settings = Settings {
            interval: self.interval,
            timeout: self.timeout,
            max_windows: MAX_WINDOWS,
            max_errors: if self.max_events == 0 { 0 } else { MAX_ERRORS },
            sample_rate: self.traces_sample_rate.unwrap_or(0.0),
            max_requests: if self.max_transactions == 0 { 0 } else { MAX_ERRORS },
            ..Settings::default()
        };
        Ok(Sentry {
            client: client.ok_or_else(|| refused("its key cannot be sent in a header"))?,
            key: Secret::new(dsn.public_key()),
            origin: self.origin,
            settings,
            max_events: self.max_events,
            client_errors: self.client_errors,
            sessions: self.sessions,
            max_transactions: self.max_transactions,
            limiter: Limiter::new(self.events_per_minute),
            hasher: RandomState::new(),
            rate_limits: RateLimits::default(),
            attempt: Attempt::default(),
        })
    }

    fn check(&self) -> Result<(), BuildError> {
        let refused = |name, value: &dyn ToString, allowed| {
            Err(BuildError::Setting { name, value: value.to_string(), allowed })
        };
        if self.max_events > MAX_ERRORS {
            return refused("max_events", &self.max_events, "0 to 1000");
        }
        if self.max_transactions > MAX_ERRORS {
            return refused("max_transactions", &self.max_transactions, "0 to 1000");
        }
        let share = self.traces_sample_rate.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&share) {
            return refused("traces_sample_rate", &share, SHARE);
        }
        if !(1..=1_000).contains(&self.events_per_minute) {
            return refused("events_per_minute", &self.events_per_minute, "1 to 1000");
        }
        let (release, env) = (&self.origin.release, &self.origin.env);
        if let Some(release) = release.as_ref().filter(|name| !is_name(name, MAX_RELEASE, "latest")) {
            let allowed = "1 to 200 characters without / \\ and control characters, but not . .. latest";
            return refused("release", release, allowed);
        }
        if let Some(env) = env.as_ref().filter(|name| !is_name(name, MAX_ENV, "none")) {
            let allowed = "1 to 64 characters without / \\ and control characters, but not . .. none";
            return refused("env", env, allowed);
        }
        Ok(())
    }
}

/// Whether Sentry takes a text of at most so many characters for the name of a release or an environment; one word it keeps for
/// itself.
fn is_name(text: &str, longest: usize, reserved: &str) -> bool {
    let is_reserved = [".", "..", reserved].iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_allowed = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
    !is_reserved && (1..=longest).contains(&text.chars().count()) && text.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DSN: &str = "http://hunter2@127.0.0.1:9/42";

    fn builder() -> Builder {
        Sentry::builder().dsn(DSN)
    }

    #[test]
    fn the_environment_says_what_the_builder_does_not() {
        let variables = [
            ("SENTRY_DSN", "http://key@host/1"),
            ("SENTRY_RELEASE", "orders@1.2.3"),
            ("SENTRY_ENVIRONMENT", " "),
            ("HOSTNAME", "node-1"),
            ("SENTRY_TRACES_SAMPLE_RATE", "0.25"),
        ];
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let built = Sentry::builder().environment().build_with(get).unwrap();
        assert_eq!(built.settings.sample_rate, 0.25);
        let origin = built.origin;
        assert_eq!(
            (origin.release.as_deref(), origin.env, origin.server_name.as_deref()),
            (Some("orders@1.2.3"), None, Some("node-1"))
        );
        let set = builder().release("a").env("b").server_name("c").environment().build_with(get);
        let origin = set.unwrap().origin;
        let set = [origin.release, origin.env, origin.server_name].map(Option::unwrap);
        assert_eq!(set, ["a", "b", "c"]);
        for wrong in ["half", "2"] {
            let get = |name: &str| (name == "SENTRY_TRACES_SAMPLE_RATE").then(|| wrong.to_owned());
            let error = builder().environment().build_with(get).unwrap_err().to_string();
            assert!(error.to_lowercase().contains("traces_sample_rate is"), "{error}");
            assert!(error.ends_with("; allowed: 0 to 1"), "{error}");
        }
        // Not looked at unless asked for.
        let error = Sentry::builder().build_with(get).unwrap_err().to_string();
        assert!(
            error.starts_with("the dsn is refused: there is none; allowed: https://KEY@HOST/PROJECT"),
            "{error}"
        );
    }

    #[test]
    fn a_dsn_that_is_none_is_refused_and_its_key_is_not_repeated() {
        for dsn in [
            "",
            "hunter2",
            "ftp://hunter2@host/1",
            "http://hunter2@host",
            "http://hunter2@host/",
            "http://@host/hunter2",
            "http://host/1?hunter2",
            "http://hunter2@:80/1",
        ] {
            let error = Sentry::builder().dsn(dsn).build().unwrap_err();
            let error = format!("{error} {error:?}");
            assert!(error.contains("allowed: https://KEY@HOST/PROJECT"), "{dsn}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        if cfg!(not(feature = "tls")) {
            let error = Sentry::builder().dsn("https://hunter2@host/1").build().unwrap_err().to_string();
            assert!(error.contains("without the feature `tls`") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let builder = builder().proxy("http://a:hunter2@b:1");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_sentry_would_not_take_is_refused_with_what_is_allowed() {
        for (builder, said) in [
            (builder().max_events(1_001), "max_events is \"1001\"; allowed: 0 to 1000"),
            (builder().max_transactions(1_001), "max_transactions is \"1001\"; allowed: 0 to 1000"),
            (builder().traces_sample_rate(f64::NAN), "traces_sample_rate is \"NaN\"; allowed: 0 to 1"),
            (builder().traces_sample_rate(1.1), "traces_sample_rate is \"1.1\"; allowed: 0 to 1"),
            (builder().events_per_minute(0), "events_per_minute is \"0\"; allowed: 1 to 1000"),
            (builder().release("a/b"), "release is \"a/b\"; allowed: 1 to 200 characters"),
            (builder().release(""), "release is \"\"; allowed"),
            (builder().release("Latest"), "release is \"Latest\"; allowed"),
            (builder().release("x".repeat(201)), "allowed: 1 to 200"),
            (builder().env("x".repeat(65)), "allowed: 1 to 64 characters"),
            (builder().env("None"), "env is \"None\"; allowed"),
            (builder().env("a\n"), "env is \"a\\n\"; allowed"),
        ] {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(builder().release("주문 서비스@1.2.3+build").env("staging 2").build().is_ok());
    }

    #[test]
    fn without_events_no_errors_are_kept_and_without_transactions_no_requests() {
        let settings = |count| builder().max_events(count).build().unwrap().settings;
        assert_eq!((settings(0).max_errors, settings(5).max_errors), (0, MAX_ERRORS));
        let wants = |share, count| {
            builder()
                .traces_sample_rate(share)
                .max_transactions(count)
                .build()
                .unwrap()
                .settings
                .want_requests()
        };
        assert_eq!([wants(0.1, 1), wants(0.0, 1), wants(0.1, 0)], [true, false, false]);
        // What was tried is sent again as it was.
        assert!(settings(5).max_windows > 1);
    }
}
