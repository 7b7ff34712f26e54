//! Which service figures, errors and alerts are about.

use metrics_core::InvalidSetting;

/// The longest name, instance, version and environment, in bytes.
const MAX_BYTES: usize = 128;

/// What an allowed text looks like.
const ALLOWED: &str = "1 to 128 bytes without control characters";

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
}

impl Service {
    /// A service with this name, and without instance, version and environment.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), instance: None, version: None, environment: None }
    }

    /// Which instance this is, such as `host-1`; default: each destination's own.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// The version, such as `1.2.3`; default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Where the service runs, such as `prod`; default: none.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Checks that all of it can be a label.
    ///
    /// # Errors
    ///
    /// When a text is empty, longer than 128 bytes, or has a control character.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let set = [
            ("service", Some(&self.name)),
            ("instance", self.instance.as_ref()),
            ("version", self.version.as_ref()),
            ("environment", self.environment.as_ref()),
        ];
        let is_label =
            |text: &str| (1..=MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        for (field, text) in set {
            if let Some(text) = text.filter(|text| !is_label(text)) {
                return Err(InvalidSetting::new(field, format!("{text:?}"), ALLOWED));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_label_is_rejected_by_its_field() {
        let long = "x".repeat(129);
        for text in ["", "a\nb", &long] {
            for (service, field) in [
                (Service::new(text), "service"),
                (Service::new("a").instance(text), "instance"),
                (Service::new("a").version(text), "version"),
                (Service::new("a").environment(text), "environment"),
            ] {
                let error = service.check().unwrap_err();
                assert_eq!((error.field(), error.value()), (field, Some(&*format!("{text:?}"))));
                assert!(error.to_string().ends_with("; allowed: 1 to 128 bytes without control characters"));
            }
        }
        assert_eq!(Service::new("주문").version("x".repeat(128)).check(), Ok(()));
    }
}
