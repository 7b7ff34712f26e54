//! The protocol of OTLP.

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
        match name {
            "http/protobuf" => Some(Self::HttpBinary),
            #[cfg(feature = "otlp-grpc")]
            "grpc" => Some(Self::Grpc),
            _ => None,
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

/// Returns where a collector receives metrics, given its URL.
pub(super) fn metrics_url(collector: &str) -> String {
    format!("{}/v1/metrics", collector.trim_end_matches('/'))
}
