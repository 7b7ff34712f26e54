//! The settings of an exporter to Sentry.

use std::hash::RandomState;

use metrics_core::InvalidSetting;
use sentry_types::Dsn;

use super::environment;
use super::exporter::{Attempt, Sentry};
use super::limiter::Limiter;
use super::origin::AGENT;
use super::rate_limits::RateLimits;
use super::selection::Selection;
use crate::environment::Variables;
use crate::http::HttpOptions;
use crate::push::PushSettings;
use crate::secret::Secret;

/// The most errors that wait to be sent, and the most sampled requests. The errors include 4xx, which are left out by
/// default.
const MAX_ERRORS: usize = 1_000;

/// The most windows that wait separately: five minutes. Later ones are merged into the last.
const MAX_WINDOWS: usize = 30;

/// Builds a [`Sentry`]. What is set here wins over variables.
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `build`"]
pub struct SentryBuilder {
    dsn: Option<Secret>,
    release: Option<String>,
    max_events: usize,
    events_per_minute: u32,
    client_errors: bool,
    sessions: bool,
    traces_sample_rate: Option<f64>,
    max_transactions: usize,
    http: HttpOptions,
    from_env: bool,
}

impl Sentry {
    /// Builds an exporter.
    pub fn builder() -> SentryBuilder {
        SentryBuilder {
            dsn: None,
            release: None,
            max_events: 100,
            events_per_minute: 10,
            client_errors: false,
            sessions: true,
            traces_sample_rate: None,
            max_transactions: 100,
            http: HttpOptions::default(),
            from_env: false,
        }
    }
}

impl SentryBuilder {
    /// Reads what is not set here from Sentry's variables; default: they are ignored.
    ///
    /// `SENTRY_DSN` and `SENTRY_TRACES_SAMPLE_RATE`. `SENTRY_RELEASE` and `SENTRY_ENVIRONMENT` win over the service
    /// that the monitor was built for. `HOSTNAME` is the server's name if the service has no instance.
    #[expect(
        clippy::wrong_self_convention,
        reason = "a setter, named as in other builders that read variables"
    )]
    pub fn from_env(mut self) -> Self {
        self.from_env = true;
        self
    }

    /// The DSN, which names Sentry's host, the project and the key: `https://KEY@HOST/PROJECT`. There is no default.
    pub fn dsn(mut self, dsn: impl Into<Secret>) -> Self {
        self.dsn = Some(dsn.into());
        self
    }

    /// The release; default: name and version of the service that the monitor was built for, as in `orders@1.2.3`.
    /// Without a version there is no release, and without a release there are no sessions.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// The most events per window; default: 100. The others count as rejected.
    ///
    /// 0 turns events off, for applications that report their errors to Sentry themselves.
    pub fn max_events(mut self, count: usize) -> Self {
        self.max_events = count;
        self
    }

    /// The most events per minute with the same route, status and message template; default: 10. The next event says
    /// how many were left out; they also count as rejected.
    pub fn events_per_minute(mut self, count: u32) -> Self {
        self.events_per_minute = count;
        self
    }

    /// Whether 4xx are events, too; default: no. They are sent without their message, which may quote the client.
    pub fn client_errors(mut self, sent: bool) -> Self {
        self.client_errors = sent;
        self
    }

    /// Whether requests are sent as sessions, for the health of releases; default: yes, if there is a release.
    pub fn sessions(mut self, sent: bool) -> Self {
        self.sessions = sent;
        self
    }

    /// Sends a random sample of all requests as transactions, from 0 to 1; default: 0. Independent of whether the
    /// caller's trace is sampled.
    pub fn traces_sample_rate(mut self, share: f64) -> Self {
        self.traces_sample_rate = Some(share);
        self
    }

    /// The most transactions per window, each sent by a request of its own; default: 100. The others count as rejected.
    pub fn max_transactions(mut self, count: usize) -> Self {
        self.max_transactions = count;
        self
    }

    /// Interval, timeout, compression, proxy and the like; defaults: see [`HttpOptions`]. The timeout is for all
    /// envelopes of a window together; the next attempt continues where the last one ended. Envelopes below 1 KiB are
    /// not compressed.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Builds the exporter.
    ///
    /// # Errors
    ///
    /// When a setting is invalid; the error says what is allowed.
    pub fn build(self) -> Result<Sentry, InvalidSetting> {
        self.build_with(&crate::environment::variable)
    }

    fn build_with(mut self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Sentry, InvalidSetting> {
        let variables = Variables(if self.from_env { variable } else { &|_| None });
        if self.dsn.is_none() {
            self.dsn = environment::dsn(&variables);
        }
        if self.traces_sample_rate.is_none() {
            self.traces_sample_rate = environment::traces_sample_rate(&variables)?;
        }
        let mut origin = environment::origin(&variables);
        origin.release = self.release.take().or(origin.release);
        origin.check()?;
        self.check()?;
        let dsn = self.parsed_dsn()?;
        // A window is several envelopes, which share a connection.
        let client = self.http.client("dsn", dsn.envelope_api_url().as_str(), 1)?;
        // Without a time, which would be that of the start forever; envelopes have one.
        let auth = format!("Sentry sentry_version=7, sentry_client={AGENT}, sentry_key={}", dsn.public_key());
        let client = client.header("x-sentry-auth", &auth);
        let settings = PushSettings {
            max_windows: MAX_WINDOWS,
            max_errors: if self.max_events == 0 { 0 } else { MAX_ERRORS },
            sample_rate: self.traces_sample_rate.unwrap_or(0.0),
            max_requests: if self.max_transactions == 0 { 0 } else { MAX_ERRORS },
            ..PushSettings::default()
        };
        Ok(Sentry {
            client: client.ok_or_else(|| invalid_dsn("its key cannot be sent in a header"))?,
            gzip: self.http.gzip.unwrap_or(true),
            key: Secret::new(dsn.public_key()),
            settings: settings.with_http(&self.http),
            selection: Selection {
                origin,
                max_events: self.max_events,
                client_errors: self.client_errors,
                sessions: self.sessions,
                max_transactions: self.max_transactions,
                limiter: Limiter::new(self.events_per_minute),
                hasher: RandomState::new(),
            },
            rate_limits: RateLimits::default(),
            attempt: Attempt::default(),
        })
    }

    fn parsed_dsn(&self) -> Result<Dsn, InvalidSetting> {
        let missing = || InvalidSetting::sentence("dsn", "no Sentry DSN: set `SENTRY_DSN` or call `.dsn()`");
        let dsn = self.dsn.as_ref().ok_or_else(missing)?;
        dsn.expose().trim().parse().map_err(|error| invalid_dsn(&format!("{error}")))
    }

    fn check(&self) -> Result<(), InvalidSetting> {
        if self.max_events > MAX_ERRORS {
            return Err(InvalidSetting::new("max_events", self.max_events, "0 to 1000"));
        }
        if self.max_transactions > MAX_ERRORS {
            return Err(InvalidSetting::new("max_transactions", self.max_transactions, "0 to 1000"));
        }
        let share = self.traces_sample_rate.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidSetting::new("traces_sample_rate", share, "0 to 1"));
        }
        if !(1..=1_000).contains(&self.events_per_minute) {
            return Err(InvalidSetting::new("events_per_minute", self.events_per_minute, "1 to 1000"));
        }
        Ok(())
    }
}

/// Rejects a DSN without repeating it, since it holds a key.
fn invalid_dsn(problem: &str) -> InvalidSetting {
    let allowed = "https://KEY@HOST/PROJECT, as Sentry shows it";
    InvalidSetting::sentence("dsn", format!("invalid Sentry DSN: {problem}; allowed: {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::super::origin::Origin;
    use super::*;
    use crate::push::Exporter;
    use crate::service::Service;

    const DSN: &str = "http://hunter2@127.0.0.1:9/42";

    fn builder() -> SentryBuilder {
        Sentry::builder().dsn(DSN)
    }

    #[test]
    fn variables_win_over_the_service_and_the_builder_over_variables() {
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
        let service = Service::new("shop").version("7").environment("test").instance("host-1");
        let origin = |builder: SentryBuilder, service: &Service| {
            let mut sentry = builder.from_env().build_with(&get).unwrap();
            sentry.start(service).unwrap();
            assert_eq!(sentry.settings.sample_rate, 0.25);
            let Origin { release, environment, server_name } = sentry.selection.origin;
            [release, environment, server_name].map(Option::unwrap_or_default)
        };
        // An empty variable is none.
        assert_eq!(origin(Sentry::builder(), &Service::new("shop")), ["orders@1.2.3", "", "node-1"]);
        assert_eq!(origin(Sentry::builder(), &service), ["orders@1.2.3", "test", "host-1"]);
        assert_eq!(origin(Sentry::builder().release("a"), &service), ["a", "test", "host-1"]);
        for wrong in ["half", "2"] {
            let get = |name: &str| (name == "SENTRY_TRACES_SAMPLE_RATE").then(|| wrong.to_owned());
            let error = builder().from_env().build_with(&get).unwrap_err().to_string();
            assert!(error.to_lowercase().contains("traces_sample_rate is"), "{error}");
            assert!(error.ends_with("; allowed: 0 to 1"), "{error}");
        }
        // Ignored without `from_env`.
        let error = Sentry::builder().build_with(&get).unwrap_err().to_string();
        assert_eq!(error, "no Sentry DSN: set `SENTRY_DSN` or call `.dsn()`");
    }

    #[test]
    fn an_invalid_dsn_is_rejected_and_its_key_is_not_repeated() {
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
            assert_eq!(error, "dsn: `https` needs the cargo feature `tls`, or an `http` proxy");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let builder = builder().http(HttpOptions::new().proxy("http://a:hunter2@b:1"));
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_invalid_setting_is_rejected_with_what_is_allowed() {
        for (builder, said) in [
            (builder().max_events(1_001), "max_events is 1001; allowed: 0 to 1000"),
            (builder().max_transactions(1_001), "max_transactions is 1001; allowed: 0 to 1000"),
            (builder().traces_sample_rate(f64::NAN), "traces_sample_rate is NaN; allowed: 0 to 1"),
            (builder().traces_sample_rate(1.1), "traces_sample_rate is 1.1; allowed: 0 to 1"),
            (builder().events_per_minute(0), "events_per_minute is 0; allowed: 1 to 1000"),
            (builder().release("a/b"), "release is \"a/b\"; allowed: 1 to 200 characters"),
            (builder().release(""), "release is \"\"; allowed"),
            (builder().release("Latest"), "release is \"Latest\"; allowed"),
            (builder().release("x".repeat(201)), "allowed: 1 to 200"),
        ] {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(builder().release("주문 서비스@1.2.3+build").build().is_ok());
    }

    #[test]
    fn a_service_that_sentry_would_not_accept_is_rejected_at_the_start() {
        let start =
            |service: Service| builder().build().unwrap().start(&service).map_err(|error| error.to_string());
        for (environment, value) in
            [("x".repeat(65), ""), ("None".to_owned(), "\"None\""), ("a\n".to_owned(), "\"a\\n\"")]
        {
            let error = start(Service::new("shop").environment(environment)).unwrap_err();
            assert!(error.starts_with("environment is ") && error.contains(value), "{error}");
            assert!(error.contains("allowed: 1 to 64 characters"), "{error}");
        }
        let error = start(Service::new("a/b").version("1")).unwrap_err();
        assert!(error.starts_with("release is \"a/b@1\"; allowed: 1 to 200 characters"), "{error}");
        assert_eq!(start(Service::new("shop").version("1").environment("staging 2")), Ok(()));
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
        // A failed window is sent again unchanged.
        assert!(settings(5).max_windows > 1);
    }
}
