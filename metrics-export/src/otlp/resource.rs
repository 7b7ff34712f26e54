//! The resource: the attributes that all metrics of a process share.

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::attributes::{int, text};
use crate::random;
use crate::service::Service;

/// Sent as a number, unless it is set.
const PID: &str = "process.pid";

/// The attributes that are known, each key once.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// Sets an attribute, in place of any other value.
    pub(super) fn set(&mut self, key: String, value: String) {
        self.0.retain(|(known, _)| *known != key);
        self.0.push((key, value));
    }

    /// Sets an attribute, unless it is set.
    pub(super) fn set_default(&mut self, key: &str, value: String) {
        if !self.0.iter().any(|(known, _)| known == key) {
            self.0.push((key.to_owned(), value));
        }
    }

    /// Returns the attributes of a service's process, including those that are not set.
    pub(super) fn of(&self, service: &Service) -> Vec<KeyValue> {
        let mut all = self.clone();
        all.set_default("service.name", service.name.clone());
        all.set_default("service.instance.id", service.instance.clone().unwrap_or_else(random::uuid));
        all.set_default("telemetry.sdk.name", env!("CARGO_PKG_NAME").to_owned());
        all.set_default("telemetry.sdk.language", "rust".to_owned());
        all.set_default("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned());
        for (key, value) in
            [("service.version", &service.version), ("deployment.environment.name", &service.environment)]
        {
            if let Some(value) = value {
                all.set_default(key, value.clone());
            }
        }
        let has_pid = all.0.iter().any(|(key, _)| key == PID);
        let pid = (!has_pid).then(|| int(PID, std::process::id().into()));
        all.0.iter().map(|(key, value)| text(key, value)).chain(pid).collect()
    }
}
