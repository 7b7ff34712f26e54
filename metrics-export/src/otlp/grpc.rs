//! OTLP over gRPC: one call per window, over a connection of its own.
//!
//! Each call also has its own runtime, on the calling thread. It ends with the call, so nothing runs or stays connected
//! between windows, and a slow look-up of a name delays nothing.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use metrics_core::InvalidSetting;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use ureq::http::uri::PathAndQuery;

use super::endpoint::call_path;
use crate::http::{self, HttpOptions};
use crate::push::Failed;
use crate::secret::Secret;

/// The procedure that takes metrics.
const PROCEDURE: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Where and how to call.
pub(super) struct GrpcClient {
    endpoint: Endpoint,
    path: PathAndQuery,
    metadata: MetadataMap,
    pub(super) gzip: bool,
}

impl GrpcClient {
    /// A client for the URL that `field` was set to.
    pub(super) fn new(
        field: &'static str,
        url: &str,
        options: &HttpOptions,
        gzip: bool,
    ) -> Result<Self, InvalidSetting> {
        if options.proxy.is_some() {
            return Err(InvalidSetting::new("proxy", "set", "none for gRPC, or `Protocol::HttpBinary`"));
        }
        http::check(field, url)?;
        let (url, login) = http::without_login(field, url)?;
        let mut metadata = MetadataMap::new();
        if let Some(login) = login.and_then(|login| AsciiMetadataValue::try_from(login.as_bytes()).ok()) {
            metadata.insert("authorization", sensitive(login));
        }
        for (name, value) in &options.headers {
            let (key, value) = pair(name, value).ok_or_else(|| http::invalid_header(name))?;
            metadata.insert(key, value);
        }
        let endpoint = endpoint(field, url, options)?;
        let path = endpoint.uri().path_and_query().map_or("", PathAndQuery::as_str);
        let path = PathAndQuery::try_from(call_path(path, PROCEDURE));
        let path = path.map_err(|_| http::invalid(field, "cannot be parsed"))?;
        Ok(Self { endpoint, path, metadata, gzip })
    }

    /// Calls until the deadline.
    pub(super) fn export(
        &self,
        request: ExportMetricsServiceRequest,
        deadline: Instant,
    ) -> Result<ExportMetricsServiceResponse, Failed> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failed::temporary("no time was left"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::temporary(error.kind().to_string()))?;
        let late = || Failed::temporary(format!("it did not answer within {} s", left.as_secs_f32()));
        let call = async {
            let answer = tokio::time::timeout(left, self.call(request, deadline)).await;
            // The client has the same deadline, but its error reads differently.
            answer
                .unwrap_or_else(|_| Err(late()))
                .map_err(|failed| if Instant::now() < deadline || failed.permanent { failed } else { late() })
        };
        let answer = runtime.block_on(call);
        // Does not wait for a thread that is looking up a name.
        runtime.shutdown_background();
        answer
    }

    async fn call(
        &self,
        message: ExportMetricsServiceRequest,
        deadline: Instant,
    ) -> Result<ExportMetricsServiceResponse, Failed> {
        let channel = self.endpoint.connect().await.map_err(|error| Failed::temporary(reason(&error)))?;
        let mut client = tonic::client::Grpc::new(channel).accept_compressed(CompressionEncoding::Gzip);
        if self.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client.ready().await.map_err(|error| Failed::temporary(reason(&error)))?;
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let answer = client.unary(request, self.path.clone(), ProstCodec::default()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| failed(&status))
    }
}

impl fmt::Debug for GrpcClient {
    /// Without URL and metadata, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcClient").finish_non_exhaustive()
    }
}

/// Where to connect to. The URL was checked before.
fn endpoint(field: &'static str, url: String, options: &HttpOptions) -> Result<Endpoint, InvalidSetting> {
    let unreadable = |_| http::invalid(field, "cannot be parsed");
    let endpoint = Endpoint::from_shared(url).map_err(unreadable)?;
    let endpoint =
        endpoint.user_agent(concat!("metrics-export/", env!("CARGO_PKG_VERSION"))).map_err(unreadable)?;
    #[cfg(feature = "tls-no-provider")]
    if endpoint.uri().scheme_str() == Some("https") {
        use tonic::transport::{Certificate, ClientTlsConfig};
        let tls = match &options.root_certificates {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_webpki_roots(),
        };
        return endpoint.tls_config(tls).map_err(|_| http::invalid_certificates());
    }
    #[cfg(not(feature = "tls-no-provider"))]
    let _ = options;
    Ok(endpoint)
}

/// Metadata with a secret value; `None` if name or value are not allowed.
fn pair(name: &str, value: &Secret) -> Option<(AsciiMetadataKey, AsciiMetadataValue)> {
    let value = AsciiMetadataValue::try_from(value.expose()).ok()?;
    Some((AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes()).ok()?, sensitive(value)))
}

fn sensitive(mut value: AsciiMetadataValue) -> AsciiMetadataValue {
    value.set_sensitive(true);
    value
}

/// Maps a status other than success to a failure, as the specification of OTLP says under "OTLP/gRPC Response",
/// "Failures".
fn failed(status: &Status) -> Failed {
    let retry_after = retry_after(status.details());
    let is_temporary = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        // Without `RetryInfo` the request itself is too large.
        Code::ResourceExhausted => retry_after.is_some(),
        // Not the collector's status, but a broken connection.
        _ => status.source().is_some(),
    };
    let reason = status.source().map_or_else(|| format!("it answered {:?}", status.code()), reason);
    Failed { reason, retry_after, permanent: !is_temporary }
}

/// Why a connection failed, without the URL.
fn reason(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let io = chain.filter_map(|error| error.downcast_ref::<io::Error>()).last();
    match io.map(io::Error::kind) {
        // rustls's error for a certificate.
        Some(io::ErrorKind::InvalidData) => "its TLS certificate is not trusted".to_owned(),
        Some(kind) => kind.to_string(),
        None => "the connection failed".to_owned(),
    }
}

/// The pause in the `RetryInfo` among a status's details.
fn retry_after(details: &[u8]) -> Option<Duration> {
    let details = RpcStatus::decode(details).ok()?.details;
    let info = details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay.unwrap_or_default();
    Some(
        Duration::new(u64::try_from(delay.seconds).unwrap_or(0), 0)
            + Duration::from_nanos(u64::try_from(delay.nanos).unwrap_or(0)),
    )
}

/// `google.rpc.Status`, without the fields that are not read.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests;
