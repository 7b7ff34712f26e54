//! ECS documents straight to Elasticsearch or OpenSearch, with `_bulk`.
//!
//! See [`crate::ecs`] for the documents. Each has an id and is created, never updated. If a document arrived but the
//! answer was lost, it is already there when it is sent again, so nothing is stored twice.

mod answer;
mod builder;
mod exporter;

pub use self::builder::ElasticsearchBuilder;
pub use self::exporter::Elasticsearch;
