//! Who sends: what Datadog calls unified service tagging, and more tags.

/// What all that is sent has in common.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) name: String,
    /// Empty for that of the Agent.
    pub(super) env: String,
    /// Empty for none.
    pub(super) version: String,
    /// Of spans.
    pub(super) tags: Vec<(String, String)>,
    /// What is done for a request, such as `http.server.request`.
    pub(super) operation: String,
    /// Another one each time the process starts.
    pub(super) runtime_id: String,
}

/// The language that the Agent is told.
pub(super) const LANGUAGE: &str = "rust";

/// The version of what sends.
pub(super) const TRACER_VERSION: &str = env!("CARGO_PKG_VERSION");
