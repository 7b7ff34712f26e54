//! OTLP over gRPC: one call per window, over a connection of its own.
//!
//! Each call also has its own runtime, on the calling thread. It ends with the call, so nothing runs or stays connected
//! between windows, and a slow look-up of a name delays nothing.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use metrics_core::InvalidSetting;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use ureq::http::uri::PathAndQuery;

use super::endpoint::call_path;
use crate::environment::Variables;
use crate::http::{self, HttpOptions, Peer, Through};
use crate::push::Failed;
use crate::secret::Secret;

/// The procedure that takes metrics.
const PROCEDURE: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Where and how to call.
pub(super) struct GrpcClient {
    endpoint: Endpoint,
    path: PathAndQuery,
    /// Through a proxy, if there is one.
    tunnel: Option<Tunnel<HttpConnector>>,
    metadata: MetadataMap,
    pub(super) gzip: bool,
    peer: Peer,
    /// What an answer may repeat and nobody may see.
    secrets: Vec<String>,
}

impl GrpcClient {
    /// A client for the URL that `field` was set to, through the proxy that is set or named by a variable.
    pub(super) fn new(
        field: &'static str,
        url: &str,
        options: &HttpOptions,
        gzip: bool,
        variables: &Variables<'_>,
    ) -> Result<Self, InvalidSetting> {
        http::check(field, url)?;
        let mut secrets = http::secret_parts(url);
        let (url, login) = http::without_login(field, url)?;
        let mut endpoint = endpoint(field, url.clone(), options)?;
        let name = http::host_and_port(endpoint.uri());
        let mut peer = Peer::new(&name);
        let mut tunnel = None;
        let proxy = proxy(options, &url, variables)?;
        if let Some(proxy) = &proxy {
            peer = peer.through(format!("{}:{}", proxy.host(), proxy.port()));
            tunnel = Some(through(proxy)?);
            // Without a port, the tunnel would lead to port 443.
            let scheme = endpoint.uri().scheme_str().unwrap_or("http").to_owned();
            let path = endpoint.uri().path_and_query().map_or("", PathAndQuery::as_str).to_owned();
            endpoint = self::endpoint(field, format!("{scheme}://{name}{path}"), options)?;
        }
        let proxy_login = proxy.as_ref().and_then(http::login);
        for login in [&login, &proxy_login].into_iter().flatten() {
            secrets.extend(login.to_str().into_iter().flat_map(http::secret_words));
        }
        let mut metadata = MetadataMap::new();
        if let Some(login) = login.and_then(|login| AsciiMetadataValue::try_from(login.as_bytes()).ok()) {
            metadata.insert("authorization", sensitive(login));
        }
        for (name, value) in &options.headers {
            secrets.extend(http::secret_words(value.expose()));
            let (key, value) = pair(name, value).ok_or_else(|| http::invalid_header(name))?;
            metadata.insert(key, value);
        }
        let path = endpoint.uri().path_and_query().map_or("", PathAndQuery::as_str);
        let path = PathAndQuery::try_from(call_path(path, PROCEDURE));
        let path = path.map_err(|_| http::invalid(field, "cannot be parsed"))?;
        Ok(Self { endpoint, path, tunnel, metadata, gzip, peer, secrets })
    }

    /// Calls until the deadline.
    pub(super) fn export(
        &self,
        request: ExportMetricsServiceRequest,
        deadline: Instant,
    ) -> Result<ExportMetricsServiceResponse, Failed> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failed::temporary("no time was left to send"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::temporary(error.kind().to_string()))?;
        let late = || Failed::temporary(self.peer.silent(left));
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
        let left = deadline.saturating_duration_since(Instant::now());
        // Shorter than the call, so that an error tells a connection that was not made from an answer that did not
        // come.
        let connected = tokio::time::timeout(left.mul_f64(0.9), self.connect()).await;
        let connected = connected.map_err(|_| Failed::temporary(self.peer.no_connection(left)))?;
        let channel = connected.map_err(|error| self.broken(&error))?;
        let mut client = tonic::client::Grpc::new(channel).accept_compressed(CompressionEncoding::Gzip);
        if self.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client.ready().await.map_err(|error| self.broken(&error))?;
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let answer = client.unary(request, self.path.clone(), ProstCodec::default()).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.failed(&status))
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        match &self.tunnel {
            Some(tunnel) => self.endpoint.connect_with_connector(tunnel.clone()).await,
            None => self.endpoint.connect().await,
        }
    }

    fn broken(&self, error: &(dyn Error + 'static)) -> Failed {
        Failed::temporary(reason(&self.peer, error))
    }

    /// Maps a status other than success to a failure, as the specification of OTLP says under "OTLP/gRPC Response",
    /// "Failures".
    fn failed(&self, status: &Status) -> Failed {
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
        if let Some(error) = status.source() {
            return Failed { reason: reason(&self.peer, error), retry_after, permanent: !is_temporary };
        }
        let next = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => "; check the login, key or header",
            Code::Unimplemented => "; check the port: it accepts no metrics over gRPC there",
            Code::ResourceExhausted if !is_temporary => "; it only accepts smaller messages",
            _ => "",
        };
        let said = http::said(Some(status.message()), &self.secrets);
        let reason = format!("{} answered {:?}{said}{next}", self.peer, status.code());
        Failed { reason, retry_after, permanent: !is_temporary }
    }
}

impl fmt::Debug for GrpcClient {
    /// Without URL and metadata, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcClient").finish_non_exhaustive()
    }
}

/// The proxy for a URL. It cannot forward HTTP/2, so all calls go through tunnels.
fn proxy(
    options: &HttpOptions,
    url: &str,
    variables: &Variables<'_>,
) -> Result<Option<ureq::Proxy>, InvalidSetting> {
    let proxy = options.proxy_for(url, Through::Tunnel, variables)?;
    if proxy.as_ref().is_none_or(|proxy| proxy.protocol() == ureq::ProxyProtocol::Http) {
        return Ok(proxy);
    }
    let problem = "proxy: gRPC needs one whose URL begins with http://, or `Protocol::HttpBinary`";
    let problem = InvalidSetting::sentence("proxy", problem.to_owned());
    if options.proxy.is_some() {
        return Err(problem);
    }
    variables.refuse(problem);
    Ok(None)
}

/// Connects through a proxy.
fn through(proxy: &ureq::Proxy) -> Result<Tunnel<HttpConnector>, InvalidSetting> {
    let url = format!("http://{}:{}", proxy.host(), proxy.port());
    let url = url.parse().map_err(|_| http::invalid("proxy", "cannot be parsed"))?;
    let tunnel = Tunnel::new(url, HttpConnector::new());
    Ok(match http::login(proxy) {
        Some(login) => tunnel.with_auth(login),
        None => tunnel,
    })
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

/// Why a connection failed.
fn reason(peer: &Peer, error: &(dyn Error + 'static)) -> String {
    let chain = || std::iter::successors(Some(error), |&error| error.source());
    if let Some(io) = chain().filter_map(|error| error.downcast_ref::<io::Error>()).last() {
        return peer.io(io, Duration::ZERO);
    }
    let said = chain().last().map_or_else(String::new, ToString::to_string);
    if said.starts_with("tunnel error") {
        return peer.no_tunnel(&said);
    }
    format!("{peer} does not speak gRPC on this port ({said}); OTLP over HTTP has another one")
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
