//! HTTP for everything that is posted: exports and alert notices.

mod client;
mod exchange;
mod forward;
mod no_proxy;
mod options;
mod peer;
mod proxy;
mod response;
mod secrets;
mod text;
mod url;

pub(crate) use self::client::Client;
#[cfg(all(feature = "datadog", unix))]
pub(crate) use self::exchange::{exchange, left};
pub use self::options::HttpOptions;
#[cfg(all(feature = "otlp", feature = "tls-no-provider"))]
pub(crate) use self::options::has_certificates;
#[cfg(all(feature = "otlp-grpc", feature = "tls-no-provider"))]
pub(crate) use self::options::invalid_certificates;
#[cfg(any(feature = "otlp-grpc", all(feature = "datadog", unix)))]
pub(crate) use self::options::invalid_header;
#[cfg(any(feature = "otlp-grpc", all(feature = "datadog", unix)))]
pub(crate) use self::peer::Peer;
#[cfg(feature = "otlp-grpc")]
pub(crate) use self::proxy::{Through, login};
#[cfg(feature = "_push-http")]
pub(crate) use self::response::HttpResponse;
#[cfg(feature = "otlp-grpc")]
pub(crate) use self::secrets::secret_parts;
#[cfg(any(feature = "otlp-grpc", all(feature = "datadog", unix)))]
pub(crate) use self::secrets::secret_words;
#[cfg(feature = "otlp-grpc")]
pub(crate) use self::text::said;
#[cfg(any(feature = "otlp", feature = "elasticsearch"))]
pub(crate) use self::text::short_line;
#[cfg(any(feature = "otlp-grpc", feature = "sentry"))]
pub(crate) use self::url::check;
#[cfg(feature = "otlp")]
pub(crate) use self::url::percent_decoded;
#[cfg(any(feature = "datadog", feature = "otlp"))]
pub(crate) use self::url::usable;
#[cfg(feature = "otlp-grpc")]
pub(crate) use self::url::{host_and_port, invalid, without_login};
