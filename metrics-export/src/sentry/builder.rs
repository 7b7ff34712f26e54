//! The settings of an exporter to Sentry.

use std::hash::RandomState;

use metrics_core::InvalidSetting;
use sentry_types::Dsn;
use ureq::http::HeaderValue;

use super::environment;
use super::exporter::{Attempt, Project, Sentry};
use super::limiter::Limiter;
use super::origin::AGENT;
use super::rate_limits::RateLimits;
use super::selection::Selection;
use crate::environment::Variables;
use crate::http::{self, HttpOptions};
use crate::push::PushSettings;
use crate::secret::Secret;

/// The most errors that wait to be sent, and the most sampled requests. The errors include 4xx, which are left out by
/// default.
const MAX_ERRORS: usize = 1_000;

/// The most windows that wait separately: five minutes. Later ones are merged into the last.
const MAX_WINDOWS: usize = 30;

/// Builds a [`Sentry`]. What is set here wins over variables.
///
/// ```
/// use metrics_export::sentry::Sentry;
/// let sentry = Sentry::builder()
///     .dsn("http://key@127.0.0.1:9000/1")
///     .release("orders@1.2.3") // sessions need one
///     .traces_sample_rate(0.01)
///     .build()?;
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
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
    /// Creates a builder for an exporter.
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
    /// Reads whatever is not set here from Sentry's variables; default: they are ignored.
    ///
    /// `SENTRY_DSN`, without which the exporter is [off](crate::push::Exporter::off), as Sentry's own clients are, and
    /// `SENTRY_TRACES_SAMPLE_RATE`. `SENTRY_RELEASE` and `SENTRY_ENVIRONMENT` win over the service
    /// that the monitor was built for. `HOSTNAME` is the server's name if the service has no instance.
    #[expect(
        clippy::wrong_self_convention,
        reason = "a setter, named as in other builders that read variables"
    )]
    pub fn from_env(mut self) -> Self {
        self.from_env = true;
        self
    }

    /// Sets the DSN, which names Sentry's host, the project and the key: `https://KEY@HOST/PROJECT`. There is no
    /// default: without one, `build` returns an error or, with `from_env`, an exporter that is off.
    pub fn dsn(mut self, dsn: impl Into<Secret>) -> Self {
        self.dsn = Some(dsn.into());
        self
    }

    /// Sets the release; default: name and version of the monitor's service, such as `orders@1.2.3`. Without a version
    /// there is no release, and without a release there are no sessions.
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the maximum number of events per window; default: 100. Further ones count as rejected.
    ///
    /// 0 turns events off, for applications that report their errors to Sentry themselves.
    pub fn max_events(mut self, count: usize) -> Self {
        self.max_events = count;
        self
    }

    /// Sets the maximum number of events per minute with the same route, status and message template; default: 10. The
    /// next event says how many were left out; they also count as rejected.
    pub fn events_per_minute(mut self, count: u32) -> Self {
        self.events_per_minute = count;
        self
    }

    /// Sets whether 4xx are events, too; default: no. They are sent without their message, which may quote the client.
    pub fn client_errors(mut self, sent: bool) -> Self {
        self.client_errors = sent;
        self
    }

    /// Sets whether requests are sent as sessions, for release health; default: yes, if there is a release.
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

    /// Sets the maximum number of transactions per window, each sent as a separate request; default: 100. Further ones
    /// count as rejected.
    pub fn max_transactions(mut self, count: usize) -> Self {
        self.max_transactions = count;
        self
    }

    /// Sets interval, timeout, compression, proxy and the like; defaults: see [`HttpOptions`]. The timeout is for all
    /// envelopes of a window together; the next attempt continues where the last one ended. Envelopes below 1 KiB are
    /// not compressed.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Builds the exporter.
    ///
    /// Variables never cause an error: one that cannot be used is ignored with a warning in the log or, if it decides
    /// who gets the data, turns the exporter [off](crate::push::Exporter::off).
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid; the error says what is allowed.
    pub fn build(self) -> Result<Sentry, InvalidSetting> {
        let has_own = self.from_env;
        self.build_with(Variables::new(&crate::environment::variable, has_own))
    }

    fn build_with(mut self, variables: Variables<'_>) -> Result<Sentry, InvalidSetting> {
        let dsn = self.parsed_dsn(&variables)?;
        if self.traces_sample_rate.is_none() {
            self.traces_sample_rate = environment::traces_sample_rate(&variables);
        }
        let mut origin = environment::origin(&variables);
        origin.release = self.release.take().or(origin.release);
        origin.check()?;
        self.check()?;
        let project = self.project(dsn.as_ref(), &variables)?;
        let settings = PushSettings {
            max_windows: MAX_WINDOWS,
            max_errors: if self.max_events == 0 { 0 } else { MAX_ERRORS },
            sample_rate: self.traces_sample_rate.unwrap_or(0.0),
            max_requests: if self.max_transactions == 0 { 0 } else { MAX_ERRORS },
            ..PushSettings::default()
        };
        Ok(Sentry {
            project: variables.finish("sentry").map_or(Ok(project), Err),
            gzip: self.http.gzip.unwrap_or(true),
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

    /// The DSN; `None` if the exporter is off for lack of one.
    fn parsed_dsn(&self, variables: &Variables<'_>) -> Result<Option<Dsn>, InvalidSetting> {
        if let Some(dsn) = &self.dsn {
            return parsed("dsn", dsn).map(Some);
        }
        let missing = "no Sentry DSN: set `SENTRY_DSN` or call `.dsn()`";
        if !variables.has_own() {
            return Err(InvalidSetting::sentence("dsn", missing));
        }
        let dsn = environment::dsn(variables).map(|dsn| parsed("SENTRY_DSN", &dsn));
        match dsn {
            Some(Ok(dsn)) => return Ok(Some(dsn)),
            Some(Err(problem)) => variables.refuse(problem),
            // After what is not UTF-8, this is the second reason, which does not count.
            None => variables.turn_off(missing),
        }
        Ok(None)
    }

    /// The project of a DSN. Without one, checks only what the builder was told.
    fn project(&self, dsn: Option<&Dsn>, variables: &Variables<'_>) -> Result<Project, InvalidSetting> {
        let url = dsn.map_or_else(|| "http://localhost".to_owned(), |dsn| dsn.envelope_api_url().to_string());
        let key = dsn.map(Dsn::public_key).unwrap_or_default();
        // A window is several envelopes, which share a connection.
        let client = self.http.client("dsn", &url, 1, variables)?;
        // Without a time, which would be that of the start forever; envelopes have one.
        let auth = format!("Sentry sentry_version=7, sentry_client={AGENT}, sentry_key={key}");
        let client = client.header("x-sentry-auth", &auth);
        let client = client.expect("the key was checked");
        Ok(Project { client, key: Secret::new(key) })
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

/// Parses the DSN that `field` was set to, and checks that envelopes can be posted there.
fn parsed(field: &'static str, dsn: &Secret) -> Result<Dsn, InvalidSetting> {
    let dsn = dsn.expose().trim().parse::<Dsn>();
    let dsn = dsn.map_err(|error| invalid_dsn(field, &error.to_string()))?;
    http::check(field, dsn.envelope_api_url().as_str())?;
    if HeaderValue::try_from(dsn.public_key()).is_err() {
        return Err(invalid_dsn(field, "its key cannot be sent in a header"));
    }
    Ok(dsn)
}

/// Rejects a DSN without repeating it, since it holds a key.
fn invalid_dsn(field: &'static str, problem: &str) -> InvalidSetting {
    let allowed = "https://KEY@HOST/PROJECT, as Sentry shows it";
    InvalidSetting::sentence(field, format!("{field} is not a Sentry DSN: {problem}; allowed: {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::super::origin::Origin;
    use super::*;
    use crate::environment::tests::fixed;
    #[cfg(unix)]
    use crate::environment::tests::not_utf8;
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
        let service = Service::new("shop").version("7").environment("test").instance("host-1");
        let origin = |builder: SentryBuilder, service: &Service| {
            let mut sentry = builder.build_with(Variables::new(&fixed(&variables), true)).unwrap();
            sentry.start(service).unwrap();
            assert_eq!(sentry.settings.sample_rate, 0.25);
            let Origin { release, environment, server_name, .. } = sentry.selection.origin;
            [release, environment, server_name].map(Option::unwrap_or_default)
        };
        // An empty variable is none.
        assert_eq!(origin(Sentry::builder(), &Service::new("shop")), ["orders@1.2.3", "", "node-1"]);
        assert_eq!(origin(Sentry::builder(), &service), ["orders@1.2.3", "test", "host-1"]);
        assert_eq!(origin(Sentry::builder().release("a"), &service), ["a", "test", "host-1"]);
        // Ignored without `from_env`.
        let ignored = fixed(&variables);
        let error = Sentry::builder().build_with(Variables::new(&ignored, false)).unwrap_err().to_string();
        assert_eq!(error, "no Sentry DSN: set `SENTRY_DSN` or call `.dsn()`");
    }

    #[test]
    fn without_a_usable_dsn_in_the_environment_the_exporter_is_off() {
        let missing = "no Sentry DSN: set `SENTRY_DSN` or call `.dsn()`";
        for (dsn, off) in [
            ("", missing),
            (" \n", missing),
            ("\"\"", missing),
            ("hunter2", "SENTRY_DSN is not a Sentry DSN: "),
            ("ftp://hunter2@host/1", "SENTRY_DSN is not a Sentry DSN: "),
            ("http://hunter2@host", "; allowed: https://KEY@HOST/PROJECT, as Sentry shows it"),
            #[cfg(not(feature = "tls-no-provider"))]
            ("https://hunter2@host/1", "SENTRY_DSN: `https` needs the cargo feature `tls`"),
        ] {
            let variables = [("SENTRY_DSN", dsn)];
            let built = |builder: SentryBuilder| builder.build_with(Variables::new(&fixed(&variables), true));
            let sentry = built(Sentry::builder()).unwrap();
            let said = sentry.off().unwrap();
            assert!(said.contains(off) && !said.contains("hunter2"), "{dsn:?}: {said}");
            // What the builder is told is checked all the same, and wins.
            assert!(built(Sentry::builder().max_events(1_001)).is_err());
            assert!(built(Sentry::builder().http(HttpOptions::new().header("a b", "c"))).is_err());
            assert_eq!(built(builder()).unwrap().off(), None);
        }
        for (name, value) in [("SENTRY_DSN", "\"http://key@host/1\""), ("SENTRY_DSN", "http://key@host/1\n")]
        {
            let variables = [(name, value)];
            let built = Sentry::builder().build_with(Variables::new(&fixed(&variables), true)).unwrap();
            assert_eq!(built.off(), None, "{value:?}");
        }
        let proxy = [("SENTRY_DSN", "http://key@host/1"), ("HTTP_PROXY", "socks5://a:hunter2@b:1")];
        let built = Sentry::builder().build_with(Variables::new(&fixed(&proxy), true)).unwrap();
        assert!(built.off().is_some_and(|off| off.contains("proxy") && !off.contains("hunter2")));
    }

    #[cfg(unix)]
    #[test]
    fn a_dsn_that_is_not_utf8_keeps_the_exporter_off() {
        let read = not_utf8("SENTRY_DSN");
        let sentry = Sentry::builder().build_with(Variables::new(&read, true)).unwrap();
        assert_eq!(sentry.off(), Some("SENTRY_DSN is invalid; allowed: text in UTF-8"));
    }

    #[test]
    fn a_variable_that_sentry_would_not_accept_is_left_out() {
        let (long_release, long_environment) = ("x".repeat(201), "x".repeat(65));
        for (name, value) in [
            ("SENTRY_RELEASE", "a/b@1"),
            ("SENTRY_RELEASE", "Latest"),
            ("SENTRY_RELEASE", "a\nb"),
            ("SENTRY_RELEASE", &long_release),
            ("SENTRY_ENVIRONMENT", "None"),
            ("SENTRY_ENVIRONMENT", "a\\b"),
            ("SENTRY_ENVIRONMENT", &long_environment),
            ("SENTRY_TRACES_SAMPLE_RATE", "half"),
            ("SENTRY_TRACES_SAMPLE_RATE", "2"),
            ("SENTRY_TRACES_SAMPLE_RATE", "-1"),
            ("SENTRY_TRACES_SAMPLE_RATE", "true"),
        ] {
            let variables = [(name, value)];
            let mut sentry = builder().build_with(Variables::new(&fixed(&variables), true)).unwrap();
            sentry.start(&Service::new("shop").version("7").environment("test")).unwrap();
            let Origin { release, environment, .. } = &sentry.selection.origin;
            let named = (release.as_deref(), environment.as_deref());
            assert_eq!(named, (Some("shop@7"), Some("test")), "{name}={value:?}");
            assert_eq!((sentry.settings.sample_rate, sentry.off()), (0.0, None), "{name}={value:?}");
        }
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
        if cfg!(not(feature = "tls-no-provider")) {
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
