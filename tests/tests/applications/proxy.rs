//! A reverse proxy: each request goes on to another server, and its answer comes back as a stream.

use std::net::SocketAddr;
use std::sync::OnceLock;

use actix_web::{App, Error, HttpRequest, HttpResponse, error, web};

use crate::harness::{Client, Inner, Listen, Running, same};

static UPSTREAM: OnceLock<SocketAddr> = OnceLock::new();

async fn forward(request: HttpRequest, body: web::Bytes) -> Result<HttpResponse, Error> {
    let url = format!("http://{}{}", UPSTREAM.get().unwrap(), request.uri());
    let sent = awc::Client::new().request(request.method().clone(), url).send_body(body).await;
    let answer = sent.map_err(error::ErrorBadGateway)?;
    let mut response = HttpResponse::build(answer.status());
    if let Some(kind) = answer.headers().get("content-type") {
        response.insert_header(("content-type", kind.clone()));
    }
    Ok(response.streaming(answer))
}

fn app() -> App<impl Inner> {
    App::new().service(web::resource("/{path}*").to(forward))
}

fn upstream() -> App<impl Inner> {
    App::new()
        .route("/items/{id}", web::get().to(|id: web::Path<u32>| async move { format!("item {id}") }))
        .route("/echo", web::post().to(|body: String| async { body }))
}

#[test]
fn a_proxy_is_the_same_with_and_without_the_monitor() {
    let running = Running::start(upstream, Listen::Tcp);
    UPSTREAM.set(running.addr.unwrap()).unwrap();
    let talk = |client: &mut Client<'_>| {
        let answer = client.send("GET /items/7?a=b", &[], b"");
        assert_eq!(answer.head[0], "HTTP/1.1 200 OK");
        client.send("POST /echo", &[], "a chair ".repeat(5_000).as_bytes());
        client.send("GET /nowhere", &[], b"");
    };
    same(
        app,
        talk,
        &[("GET", "/{path}*", 200, 1), ("POST", "/{path}*", 200, 1), ("GET", "/{path}*", 404, 1)],
    );
}
