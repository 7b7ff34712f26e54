//! ECS documents straight to Elasticsearch or OpenSearch, by `_bulk`.
//!
//! What they hold is told in [`crate::ecs`]. Each has an id of its own, and is only ever created: what arrived although
//! nobody heard of it is found to be there already when it is sent again, so nothing is stored twice.

mod answer;
mod builder;
mod exporter;

pub use self::builder::ElasticsearchBuilder;
pub use self::exporter::Elasticsearch;
