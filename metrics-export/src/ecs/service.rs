//! The service that documents are about, by the schema's field names.

use serde::Serialize;

use crate::service::Service;

/// The fields below `service`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ServiceFields {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
}

#[derive(Debug, Clone, Serialize)]
struct Node {
    name: String,
}

impl From<&Service> for ServiceFields {
    fn from(service: &Service) -> Self {
        let Service { name, instance, version, environment, .. } = service.clone();
        Self { name, version, environment, node: instance.map(|name| Node { name }) }
    }
}
