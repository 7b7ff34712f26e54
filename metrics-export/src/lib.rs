//! What `metrics-core` measured, in the formats that others read: one module and one feature each.
//!
//! Nothing here touches a writer: a format is a function of a [`Snapshot`](metrics_core::Snapshot) or a
//! [`Summary`](metrics_core::Summary).
//!
//! | feature | module | what it gives |
//! |---|---|---|
//! | | [`alert`] | notices of alerts, delivered; each destination has a feature of its own |
//! | `fleet` | [`fleet`] | what the instances of a service tell each other, in bytes, and how it is added up |
//! | `redis` | [`fleet`] | the same by way of a Redis |
//! | `json` (default) | [`json`] | the bodies of the HTTP endpoints, as serialisable types |
//! | `prometheus` | [`prometheus`] | what Prometheus scrapes: text 0.0.4, OpenMetrics 1.0, and protobuf with native histograms |

#![forbid(unsafe_code)]

pub mod alert;
#[cfg(feature = "fleet")]
pub mod fleet;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "prometheus")]
pub mod prometheus;
