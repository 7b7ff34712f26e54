//! HTTP/2 over TLS: several requests over one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::harness::{Answer, Inner, Listen, Running, Transcript, same_over};

fn app() -> App<impl Inner> {
    App::new()
        .route("/items/{id}", web::get().to(|id: web::Path<u32>| async move { format!("item {id}") }))
        .route("/big", web::get().to(|| async { HttpResponse::Ok().body("a chair ".repeat(50_000)) }))
        .route("/echo", web::post().to(|body: String| async { body }))
}

/// A certificate for `localhost`, and the settings of a server that has it.
fn certificate() -> (CertificateDer<'static>, rustls::ServerConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    (certificate, config)
}

/// Sends requests over one connection. Returns each answer.
async fn ask(
    addr: SocketAddr,
    trusted: CertificateDer<'static>,
    requests: &[(&str, &str, &str)],
) -> Vec<Answer> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connection = actix_web::rt::net::TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = TlsConnector::from(Arc::new(config)).connect(name, connection).await.unwrap();
    let (mut client, connection) = h2::client::handshake(connection).await.unwrap();
    let connection = actix_web::rt::spawn(connection);
    let mut answers = Vec::new();
    for (method, path, body) in requests {
        client = client.ready().await.unwrap();
        let uri = format!("https://localhost{path}");
        let request = ureq::http::Request::builder().method(*method).uri(uri).body(()).unwrap();
        let (answer, mut stream) = client.send_request(request, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
        let (parts, mut stream) = answer.await.unwrap().into_parts();
        let mut head = format!("HTTP/2 {}\r\n", parts.status.as_u16());
        for (name, value) in &parts.headers {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        let mut sent = (head + "\r\n").into_bytes();
        while let Some(data) = stream.data().await {
            let data = data.unwrap();
            stream.flow_control().release_capacity(data.len()).unwrap();
            sent.extend_from_slice(&data);
        }
        answers.push(Answer::parse(&sent));
    }
    drop(client);
    connection.await.unwrap().unwrap();
    answers
}

#[test]
fn http_2_over_tls_is_the_same_with_and_without_the_monitor() {
    let (trusted, config) = certificate();
    let talk = |running: &Running, transcript: &mut Transcript| {
        let requests = [
            ("GET", "/items/1", ""),
            ("POST", "/echo", "a chair"),
            ("GET", "/big", ""),
            ("GET", "/nowhere", ""),
        ];
        let asking = ask(running.addr.unwrap(), trusted.clone(), &requests);
        let answers = actix_web::rt::System::new().block_on(asking);
        for ((method, path, _), answer) in requests.iter().zip(&answers) {
            transcript.add(&format!("{method} {path}"), answer);
        }
        assert_eq!(answers[2].body.len(), 400_000);
    };
    let counted = [
        ("GET", "/items/{id}", 200, 1),
        ("POST", "/echo", 200, 1),
        ("GET", "/big", 200, 1),
        ("GET", "_unmatched", 404, 1),
    ];
    same_over(app, || Listen::Tls(Box::new(config.clone())), talk, &counted);
}
