//! HTTP for everything that is posted: exports and notices of alerts.

mod client;
mod error;
mod options;
mod proxy;
mod response;
mod url;

pub(crate) use self::client::Client;
pub use self::options::HttpOptions;
#[cfg(all(feature = "otlp", feature = "tls-no-provider"))]
pub(crate) use self::options::has_certificates;
#[cfg(all(feature = "otlp-grpc", feature = "tls-no-provider"))]
pub(crate) use self::options::invalid_certificates;
#[cfg(any(feature = "otlp-grpc", all(feature = "datadog", unix)))]
pub(crate) use self::options::invalid_header;
#[cfg(feature = "_push-http")]
pub(crate) use self::response::HttpResponse;
#[cfg(all(feature = "datadog", unix))]
pub(crate) use self::response::retry_after_of;
#[cfg(any(feature = "otlp-grpc", feature = "sentry"))]
pub(crate) use self::url::check;
#[cfg(feature = "otlp")]
pub(crate) use self::url::percent_decoded;
#[cfg(any(feature = "datadog", feature = "otlp"))]
pub(crate) use self::url::usable;
#[cfg(feature = "otlp-grpc")]
pub(crate) use self::url::{invalid, without_login};
