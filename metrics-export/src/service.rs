//! The service that figures, errors and alerts are about.

#[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
use std::sync::OnceLock;

use metrics_core::{InvalidSetting, TraceId, is_hidden};

#[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
use crate::environment::Variables;

/// The longest name, instance, version and environment, in bytes.
const MAX_BYTES: usize = 128;

/// The longest public URL, in bytes.
const MAX_URL_BYTES: usize = 1_024;

/// The longest URL of traces, in bytes: those of Grafana hold a query.
const MAX_TRACE_URL_BYTES: usize = 2_048;

/// What an allowed public URL looks like.
const LINK: &str = "http://host[:port][/path] or https://host[:port][/path], without a password";

/// What stands for the id in the URL of a trace.
const TRACE_ID: &str = "{trace_id}";

/// What an allowed text looks like.
const ALLOWED: &str = "1 to 128 bytes without control or invisible characters";

/// The identity of a service. It is set once, where the monitor is built; exporters, alerts and the fleet get it from
/// there.
///
/// ```
/// use metrics_export::Service;
/// let service = Service::new("orders").version("1.2.3").environment("prod").instance("host-1");
/// assert_eq!(service.version.as_deref(), Some("1.2.3"));
/// assert!(service.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Service {
    /// The name, such as `orders`; the same for all instances.
    pub name: String,
    /// Which instance this is, such as `host-1`.
    pub instance: Option<String>,
    /// The version, such as `1.2.3`.
    pub version: Option<String>,
    /// Where it runs, such as `prod`.
    pub environment: Option<String>,
    /// Where people open its dashboard, such as `https://ops.example.com/orders/metrics/`.
    pub public_url: Option<String>,
    /// Where people look at a trace, such as `https://jaeger.example/trace/{trace_id}`.
    pub trace_url: Option<String>,
}

impl Service {
    /// Creates a service with this name, without instance, version and environment.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            instance: None,
            version: None,
            environment: None,
            public_url: None,
            trace_url: None,
        }
    }

    /// Sets the name of this instance, such as `host-1`; default: each destination has its own. Alert notices then name
    /// the host and the process number.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// Sets the version, such as `1.2.3`; default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the environment, such as `prod`; default: none.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Sets the URL of the service's dashboard, such as `https://ops.example.com/orders/metrics/`, for links in alert
    /// notices; default: no links.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Sets the URL of a trace, such as `https://jaeger.example/trace/{trace_id}`, for links in alert notices, in
    /// events and on the dashboard; default: no links. `{trace_id}` stands for the id, 32 hexadecimal digits.
    pub fn trace_url(mut self, url: impl Into<String>) -> Self {
        self.trace_url = Some(url.into());
        self
    }

    /// Returns the link to a trace, if there is a [URL](Service::trace_url) of traces.
    pub fn trace_link(&self, trace: TraceId) -> Option<String> {
        self.trace_url.as_ref().map(|url| trace_link(url, trace))
    }

    /// The name of this instance; if none is set, that of the host and the number of the process, so that replicas are
    /// told apart.
    #[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
    pub(crate) fn instance_name(&self) -> String {
        self.instance.clone().unwrap_or_else(|| format!("{}/{}", host_name(), std::process::id()))
    }

    /// Who it is, for people: `orders (host-1, 1.2.3)`.
    #[cfg(any(feature = "alert-log", feature = "alert-webhook"))]
    pub(crate) fn sentence(&self) -> String {
        let more = [Some(self.instance_name()), self.version.clone(), self.environment.clone()];
        format!("{} ({})", self.name, more.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    /// All of its instances, for people: `orders (fleet, prod)`.
    #[cfg(any(feature = "alert-log", feature = "alert-webhook"))]
    pub(crate) fn sentence_of_fleet(&self) -> String {
        let environment = self.environment.as_ref().map(|environment| format!(", {environment}"));
        format!("{} (fleet{})", self.name, environment.unwrap_or_default())
    }

    /// Checks that each text can be a label or a link.
    ///
    /// # Errors
    ///
    /// Returns an error if a text is empty, longer than 128 bytes, or has a [hidden](is_hidden) character; if the
    /// public URL or that of traces is not one of `http` or `https` of at most 1,024 bytes, 2,048 for traces, or has a
    /// password; if that of traces lacks `{trace_id}`.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let set = [
            ("service", Some(&self.name)),
            ("instance", self.instance.as_ref()),
            ("version", self.version.as_ref()),
            ("environment", self.environment.as_ref()),
        ];
        let is_label = |text: &str| (1..=MAX_BYTES).contains(&text.len()) && !text.chars().any(is_hidden);
        for (field, text) in set {
            if let Some(text) = text.filter(|text| !is_label(text)) {
                return Err(InvalidSetting::new(field, format!("{text:?}"), ALLOWED));
            }
        }
        match &self.public_url {
            Some(url) if !is_link(url, MAX_URL_BYTES) => {
                return Err(InvalidSetting::secret("public_url", LINK));
            }
            _ => {}
        }
        match &self.trace_url {
            Some(url) if !is_link(url, MAX_TRACE_URL_BYTES) || !url.contains(TRACE_ID) => {
                let allowed =
                    "a link such as \"https://jaeger.example/trace/{trace_id}\", without a password";
                Err(InvalidSetting::secret("trace_url", allowed))
            }
            _ => Ok(()),
        }
    }
}

/// The link to a trace.
pub(crate) fn trace_link(url: &str, trace: TraceId) -> String {
    url.replace(TRACE_ID, &trace.to_string())
}

/// Whether it is a URL that may be shown to everyone.
fn is_link(url: &str, max_bytes: usize) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    url.len() <= max_bytes
        && host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && !url.contains(|c: char| c.is_whitespace() || is_hidden(c) || "<>|\"".contains(c))
}

/// The name of this host: `HOSTNAME`, or what Linux calls it, or `unknown`.
#[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
fn host_name() -> &'static str {
    // Read once, since each notice has it, and a warning once is enough.
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(read_host_name)
}

#[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
fn read_host_name() -> String {
    let variables = Variables::new(&crate::environment::variable, true);
    let variable = variables.parsed(
        "HOSTNAME",
        "1 to 64 bytes without control or invisible characters",
        usable_host_name,
    );
    variables.finish("alerts");
    let kernel = || usable_host_name(&std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?);
    variable.or_else(kernel).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
fn usable_host_name(name: &str) -> Option<String> {
    let name = name.trim();
    ((1..=64).contains(&name.len()) && !name.contains(is_hidden)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_label_is_rejected_by_its_field() {
        let long = "x".repeat(129);
        for text in ["", "a\nb", "a\u{202e}b", &long] {
            for (service, field) in [
                (Service::new(text), "service"),
                (Service::new("a").instance(text), "instance"),
                (Service::new("a").version(text), "version"),
                (Service::new("a").environment(text), "environment"),
            ] {
                let error = service.check().unwrap_err();
                assert_eq!((error.field(), error.value()), (field, Some(&*format!("{text:?}"))));
                assert!(
                    error
                        .to_string()
                        .ends_with("; allowed: 1 to 128 bytes without control or invisible characters")
                );
            }
        }
        assert_eq!(Service::new("주문").version("x".repeat(128)).check(), Ok(()));
    }

    #[test]
    fn a_public_url_is_a_link_that_everyone_may_see() {
        let check = |url: &str| Service::new("a").public_url(url).check();
        let links = [
            "http://a",
            "https://ops.example.com:8443/orders/metrics/?window=5m#errors",
            "http://[::1]:8000/",
        ];
        for url in links {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        let long = format!("http://{}", "x".repeat(1_024));
        for url in [
            "",
            "ops.example.com",
            "ftp://a",
            "http://",
            "http:///x",
            "https://me:hunter2@a/",
            "http://a/ b",
            "http://a/\n",
            "http://a/\u{202e}moc",
            "http://a\u{2066}/",
            "http://a/\u{200b}",
            "http://a/<!channel>",
            &long,
        ] {
            let error = check(url).unwrap_err().to_string();
            assert!(error.starts_with("public_url is invalid; allowed: http://host"), "{url}: {error}");
        }
    }

    #[test]
    fn the_url_of_traces_has_a_place_for_the_id() {
        let service = |url: &str| Service::new("a").trace_url(url);
        let trace = TraceId::new(0xab).unwrap();
        let jaeger = service("https://jaeger.example/trace/{trace_id}?uiFind={trace_id}");
        assert_eq!(jaeger.check(), Ok(()));
        let id = format!("{:032x}", 0xab);
        let link = format!("https://jaeger.example/trace/{id}?uiFind={id}");
        assert_eq!(jaeger.trace_link(trace), Some(link));
        assert_eq!(Service::new("a").trace_link(trace), None);
        for url in
            ["", "https://jaeger.example/trace/", "javascript:{trace_id}", "https://a:hunter2@b/{trace_id}"]
        {
            let error = service(url).check().unwrap_err().to_string();
            assert!(error.starts_with("trace_url is invalid; allowed: a link such as"), "{url}: {error}");
        }
    }

    #[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
    #[test]
    fn the_name_of_a_host_has_no_hidden_character() {
        for (name, usable) in [
            ("orders-1\n", Some("orders-1")),
            ("", None),
            ("a\nb", None),
            ("a\u{202e}b", None),
            ("a\u{200b}", None),
            ("\u{2066}a", None),
            (&"x".repeat(65), None),
        ] {
            assert_eq!(usable_host_name(name).as_deref(), usable, "{name:?}");
        }
    }

    #[cfg(any(feature = "alert-log", feature = "alert-webhook", feature = "alertmanager"))]
    #[test]
    fn an_instance_without_a_name_is_called_like_its_host_and_its_process() {
        let service = Service::new("orders");
        let process = format!("/{}", std::process::id());
        assert!(service.instance_name().len() > process.len() && service.instance_name().ends_with(&process));
    }

    #[cfg(any(feature = "alert-log", feature = "alert-webhook"))]
    #[test]
    fn people_read_name_instance_version_and_environment() {
        let service = Service::new("orders").instance("host-1").version("1.2.3").environment("prod");
        assert_eq!(service.sentence(), "orders (host-1, 1.2.3, prod)");
        #[cfg(any(feature = "alert-log", feature = "alert-webhook"))]
        assert_eq!(service.sentence_of_fleet(), "orders (fleet, prod)");
    }
}
