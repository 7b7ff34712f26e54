//! Who sends: Datadog's unified service tagging, and further tags.

use crate::service::Service;

/// What all stats and traces have in common.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The service's name. Before the start, empty unless a variable sets it.
    pub(super) service: String,
    /// Empty: the Agent's own.
    pub(super) env: String,
    /// Empty: none.
    pub(super) version: String,
    /// The tags of spans.
    pub(super) tags: Vec<(String, String)>,
    /// The name of a request's span, such as `http.server.request`.
    pub(super) operation: String,
    /// A new UUID for each start of the process.
    pub(super) runtime_id: String,
}

impl Origin {
    /// Fills what Datadog's variables did not set.
    pub(super) fn fill(&mut self, service: &Service) {
        let set = |value: &Option<String>| value.clone().unwrap_or_default();
        for (known, value) in [
            (&mut self.service, service.name.clone()),
            (&mut self.env, set(&service.environment)),
            (&mut self.version, set(&service.version)),
        ] {
            if known.is_empty() {
                *known = value;
            }
        }
    }
}

/// The headers that identify the sender.
pub(super) const HEADERS: [(&str, &str); 4] = [
    ("Datadog-Meta-Lang", LANGUAGE),
    ("Datadog-Meta-Tracer-Version", TRACER_VERSION),
    // So that the Agent computes no stats from the traces, and does not decide which spans are a service's entry.
    ("Datadog-Client-Computed-Stats", "yes"),
    ("Datadog-Client-Computed-Top-Level", "yes"),
];

/// The type of each body.
pub(super) const MSGPACK: &str = "application/msgpack";

/// The language of the service.
pub(super) const LANGUAGE: &str = "rust";

/// The version of the sender.
pub(super) const TRACER_VERSION: &str = env!("CARGO_PKG_VERSION");
