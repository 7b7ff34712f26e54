//! ECS documents straight to Elasticsearch or OpenSearch, with `_bulk`.
//!
//! See [`crate::ecs`] for the documents. Each has an id and is created, never updated: a document that arrived although
//! its answer was lost is already there when it is sent again, so nothing is stored twice.

mod answer;
mod builder;
mod exporter;

pub use self::builder::ElasticsearchBuilder;
pub use self::exporter::Elasticsearch;
