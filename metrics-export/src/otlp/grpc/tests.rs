//! Tests against a collector made of `h2`.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, metric::Data};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use ureq::http::{HeaderMap, Response};

use super::*;
use crate::otlp::{Otlp, Protocol};
use crate::push::{self, Engine};

/// A collector's answer to one call.
#[derive(Default)]
struct Answer {
    rejected: i64,
    /// The code of a failure, and the pause that it asks for, in seconds.
    failed: Option<(Code, Option<i64>)>,
}

/// A call that arrived.
struct Call {
    path: String,
    headers: HeaderMap,
    message: ExportMetricsServiceRequest,
}

/// Starts a collector that sends these answers. Returns its URL and the calls that arrive.
fn collector(answers: impl IntoIterator<Item = Answer>) -> (String, Receiver<Call>) {
    let (addr, calls) = listen(answers, |stream| async { Ok(stream) });
    (format!("http://{addr}"), calls)
}

/// Starts a collector that converts each connection first, and continues with the next if that fails. Returns its
/// address and the calls that arrive.
fn listen<S: AsyncRead + AsyncWrite + Unpin, F: Future<Output = io::Result<S>>>(
    answers: impl IntoIterator<Item = Answer>,
    begin: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, Receiver<Call>) {
    let mut answers: VecDeque<Answer> = answers.into_iter().collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (send, received) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            while !answers.is_empty() {
                let (stream, _) = listener.accept().unwrap();
                stream.set_nonblocking(true).unwrap();
                let Ok(stream) = begin(TcpStream::from_std(stream).unwrap()).await else { continue };
                let Some(answer) = answers.pop_front() else { return };
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let (request, mut respond) = connection.accept().await.unwrap().unwrap();
                let (head, body) = request.into_parts();
                // Keeps reading while the call is answered, and until the client is gone.
                let rest = async { while connection.accept().await.is_some() {} };
                let answered = async {
                    let message = read(body).await;
                    send.send(Call { path: head.uri.path().to_owned(), headers: head.headers, message })
                        .unwrap();
                    write(&mut respond, &answer);
                };
                tokio::join!(answered, rest);
            }
        });
    });
    (addr, received)
}

async fn read(mut body: h2::RecvStream) -> ExportMetricsServiceRequest {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap());
    assert_eq!(length as usize, bytes.len() - 5);
    let mut message = bytes.split_off(5);
    if bytes[0] == 1 {
        let compressed = std::mem::take(&mut message);
        GzDecoder::new(&*compressed).read_to_end(&mut message).unwrap();
    }
    ExportMetricsServiceRequest::decode(&*message).unwrap()
}

fn write(respond: &mut h2::server::SendResponse<bytes::Bytes>, answer: &Answer) {
    let response = Response::builder().header("content-type", "application/grpc");
    let Some((code, pause)) = answer.failed else {
        let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
        let partial = ExportMetricsPartialSuccess {
            rejected_data_points: answer.rejected,
            error_message: "too old".to_owned(),
        };
        let partial_success = (answer.rejected > 0).then_some(partial);
        let message = ExportMetricsServiceResponse { partial_success }.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        stream.send_data([&[0], &length[..], &message].concat().into(), false).unwrap();
        let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())];
        stream.send_trailers(trailers.into_iter().collect()).unwrap();
        return;
    };
    let response = response.header("grpc-message", "key%20hunter2%20is%0Abad");
    let mut response = response.header("grpc-status", code as i32);
    if let Some(pause) = pause {
        response = response.header("grpc-status-details-bin", BASE64_STANDARD_NO_PAD.encode(details(pause)));
    }
    respond.send_response(response.body(()).unwrap(), true).unwrap();
}

/// The details of a status that asks for a pause of this many seconds.
fn details(seconds: i64) -> Vec<u8> {
    let retry_delay = Some(Delay { seconds, nanos: 500_000_000 });
    let value = RetryInfo { retry_delay }.encode_to_vec();
    let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
    RpcStatus { details: vec![Any { type_url, value }] }.encode_to_vec()
}

fn client(url: &str) -> GrpcClient {
    GrpcClient::new(
        "endpoint",
        url,
        &HttpOptions::new().header("X-Api-Key", "hunter2"),
        true,
        &Variables::new(&|_| None, false),
    )
    .unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn request() -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics::default()] }
}

#[test]
fn what_arrives_is_what_was_recorded() {
    for gzip in [true, false] {
        let (url, calls) = collector([Answer::default()]);
        let options = HttpOptions::new().gzip(gzip).header("X-Api-Key", "hunter2");
        let otlp = Otlp::builder().protocol(Protocol::Grpc).endpoint(url).http(options);
        let registry = metrics_core::Registry::new();
        let engine =
            Engine::builder(registry.clone(), crate::Service::new("test")).exporter(otlp.build().unwrap());
        let engine = engine.start().unwrap();
        let root = registry.endpoint("GET", "/");
        (1..=100).for_each(|millis| registry.record(root, 200, Duration::from_millis(millis)));
        assert!(engine.shutdown(Duration::from_secs(30)));
        let counts = engine.counts().remove(0);
        assert_eq!((counts.windows_sent, counts.attempts_failed), (1, 0), "{counts:?}");

        let call = calls.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(
            (call.path.as_str(), &call.headers["x-api-key"]),
            (PROCEDURE, &"hunter2".parse().unwrap())
        );
        assert!(call.headers.contains_key("grpc-timeout"));
        assert_eq!(call.headers.get("grpc-encoding").is_some(), gzip);
        let metrics = &call.message.resource_metrics[0].scope_metrics[0].metrics;
        let durations = metrics.iter().find(|metric| metric.name == "http.server.request.duration").unwrap();
        let Some(Data::ExponentialHistogram(histogram)) = &durations.data else { panic!("{durations:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (100, Some(5.05)));
    }
}

#[test]
fn a_temporary_failure_is_sent_again_with_the_next_window() {
    let busy = Answer { failed: Some((Code::Unavailable, Some(0))), ..Answer::default() };
    let (url, calls) = collector([busy, Answer { rejected: 3, ..Answer::default() }]);
    let options = HttpOptions::new().interval(Duration::from_millis(50));
    let otlp = Otlp::builder().protocol(Protocol::Grpc).endpoint(url).http(options);
    let registry = metrics_core::Registry::new();
    let engine = Engine::builder(registry.clone(), crate::Service::new("test"))
        .exporter(otlp.build().unwrap())
        .start()
        .unwrap();
    for _ in 0..2 {
        calls.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    let counts = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(10));
        engine.counts().remove(0)
    });
    let counts: push::ExporterCounts = counts.take(1_000).find(|counts| counts.windows_sent > 0).unwrap();
    assert_eq!((counts.windows_dropped, counts.rejected), (0, 3));
    assert!(counts.attempts_failed > 0);
    engine.shutdown(Duration::ZERO);
}

#[test]
fn a_pause_that_the_collector_asks_for_is_kept_and_other_failures_are_final() {
    for (code, pause, permanent) in [
        (Code::Unavailable, None, false),
        (Code::Unavailable, Some(7), false),
        (Code::ResourceExhausted, Some(7), false),
        (Code::ResourceExhausted, None, true),
        (Code::Cancelled, None, false),
        (Code::DeadlineExceeded, None, false),
        (Code::Aborted, None, false),
        (Code::OutOfRange, None, false),
        (Code::DataLoss, None, false),
        (Code::InvalidArgument, None, true),
        (Code::Unauthenticated, Some(7), true),
        (Code::Unimplemented, None, true),
        (Code::Internal, None, true),
        (Code::Unknown, None, true),
    ] {
        let (url, _calls) = collector([Answer { failed: Some((code, pause)), ..Answer::default() }]);
        let retry_after = pause.map(|seconds| Duration::from_millis(seconds as u64 * 1_000 + 500));
        let failed = client(&url).export(request(), soon()).unwrap_err();
        let addr = url.strip_prefix("http://").unwrap();
        let said = format!("{addr} answered {code:?}: \"key *** is\\nbad\"");
        assert!(failed.reason.starts_with(&said), "{failed:?}");
        assert_eq!((failed.retry_after, failed.permanent), (retry_after, permanent), "{code:?}");
    }
}

#[test]
fn a_call_to_a_hanging_collector_ends_at_the_deadline() {
    // The kernel accepts the connection, and no answer comes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, ended) = channel();
    std::thread::spawn(move || {
        send.send(client(&url).export(request(), Instant::now() + Duration::from_millis(200)))
    });
    let failed = ended.recv_timeout(Duration::from_secs(15)).expect("it ends at its deadline").unwrap_err();
    assert!(failed.reason.contains(" did not answer within 0."), "{failed:?}");
    assert!(!failed.permanent);
}

#[cfg(feature = "tls-no-provider")]
#[test]
fn a_collector_over_tls_is_trusted_by_its_authority_and_by_no_other() {
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio_rustls::{TlsAcceptor, rustls};
    let authority = || {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        (pem, Issuer::new(parameters, key))
    };
    let (trusted, issuer) = authority();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = config.with_single_cert(vec![leaf.der().clone()], key.into()).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (addr, calls) = listen([Answer::default()], move |stream| acceptor.accept(stream));

    let client = |roots: Option<String>| {
        let root_certificates = roots.map(String::into_bytes);
        let options = HttpOptions { root_certificates, ..HttpOptions::default() };
        GrpcClient::new(
            "endpoint",
            &format!("https://{addr}"),
            &options,
            true,
            &Variables::new(&|_| None, false),
        )
        .unwrap()
    };
    // The web's roots, and an unrelated authority.
    for others in [None, Some(authority().0)] {
        let failed = client(others).export(request(), soon()).unwrap_err();
        assert!(
            failed.reason.contains(" is not trusted (unknown issuer); pass its authority's"),
            "{failed:?}"
        );
        assert!(!failed.permanent);
    }
    assert!(client(Some(trusted)).export(request(), soon()).is_ok());
    assert_eq!(calls.recv_timeout(Duration::from_secs(30)).unwrap().path, PROCEDURE);
}

#[test]
fn a_refused_or_broken_connection_is_a_temporary_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let broken = std::thread::spawn(move || drop(listener.accept().unwrap()));
    assert!(!client(&url).export(request(), soon()).unwrap_err().permanent);
    broken.join().unwrap();
    let failed = client(&url).export(request(), soon()).unwrap_err();
    let addr = url.strip_prefix("http://").unwrap();
    let refused = format!("{addr} refused the connection; check that it is running, and its port");
    assert_eq!(failed, Failed::temporary(refused));
}

#[test]
fn a_secret_is_not_shown() {
    let client = client("http://127.0.0.1:4317/hunter2");
    assert!(!format!("{client:?} {:?}", client.metadata).contains("hunter2"));
}

#[test]
fn unreadable_details_ask_for_no_pause() {
    assert_eq!(retry_after(&details(-1)), Some(Duration::from_millis(500)));
    assert_eq!([retry_after(b""), retry_after(b"hunter2")], [None; 2]);
}
