//! What `metrics-core` measured, in the formats that others read: one module and one feature each.
//!
//! Nothing here touches a writer, but for [`facade`], which is one: a format is a function of a [`Snapshot`](metrics_core::Snapshot) or a
//! [`Summary`](metrics_core::Summary).
//!
//! | feature | module | what it gives |
//! |---|---|---|
//! | | [`alert`] | notices of alerts, delivered; each destination has a feature of its own |
//! | `facade` | [`facade`] | the `metrics` crate's recorder: what other crates emit through it, in our registry |
//! | `json` (default) | [`json`] | the bodies of the HTTP endpoints, as serialisable types |
//! | `prometheus` | [`prometheus`] | what Prometheus scrapes: text 0.0.4, OpenMetrics 1.0, and protobuf with native histograms |

#![forbid(unsafe_code)]

pub mod alert;
#[cfg(feature = "facade")]
pub mod facade;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "prometheus")]
pub mod prometheus;
