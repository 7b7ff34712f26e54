//! Who writes the documents.

use serde::Serialize;

/// The service that documents are of, as ECS knows services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Node {
    name: String,
}

impl Service {
    /// A service of this name, `service.name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), version: None, environment: None, node: None }
    }

    /// Its `service.version`; default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Its `service.environment`, such as `production`; default: none.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Which of its instances it is, `service.node.name`; default: none.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(Node { name: name.into() });
        self
    }
}
