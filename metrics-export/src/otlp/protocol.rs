//! The protocol of OTLP.

#[cfg(feature = "otlp-grpc")]
use tonic::metadata::AsciiMetadataKey;
use ureq::http::HeaderName;

use super::endpoint::metrics_url;

/// The protocol by which metrics are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// `http/protobuf`: protobuf over HTTP/1.1. The default.
    #[default]
    HttpBinary,
    /// `grpc`: gRPC over HTTP/2, with prior knowledge if there is no TLS.
    #[cfg(feature = "otlp-grpc")]
    Grpc,
}

impl Protocol {
    /// The values that `OTEL_EXPORTER_OTLP_PROTOCOL` may have.
    #[cfg(feature = "otlp-grpc")]
    pub(super) const ALLOWED: &str = "http/protobuf, grpc";
    /// The values that `OTEL_EXPORTER_OTLP_PROTOCOL` may have.
    #[cfg(not(feature = "otlp-grpc"))]
    pub(super) const ALLOWED: &str = "http/protobuf; grpc with the feature `otlp-grpc`";

    /// The protocol with this name in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "http/protobuf" => Some(Self::HttpBinary),
            #[cfg(feature = "otlp-grpc")]
            "grpc" => Some(Self::Grpc),
            _ => None,
        }
    }

    /// Whether a header, or metadata over gRPC, can have this name.
    pub(super) fn allows_header(self, name: &str) -> bool {
        match self {
            Self::HttpBinary => HeaderName::try_from(name).is_ok(),
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc => AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes()).is_ok(),
        }
    }

    /// Where a collector on the same machine receives metrics.
    pub(super) fn default_endpoint(self) -> String {
        metrics_url(self.default_collector())
    }

    fn default_collector(self) -> &'static str {
        match self {
            Self::HttpBinary => "http://localhost:4318",
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc => "http://localhost:4317",
        }
    }
}
