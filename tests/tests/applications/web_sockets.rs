//! Web sockets, without actors and with them.

use actix::{Actor, ActorContext, StreamHandler};
use actix_web::{App, Error, HttpRequest, HttpResponse, web};
use actix_web_actors::ws as actors;
use actix_ws::Message;
use futures_util::StreamExt;

use crate::harness::{Answer, Client, Inner, exchange_until, same};

async fn echo(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            match message {
                Message::Text(text) => drop(session.text(format!("echo: {text}")).await),
                Message::Close(reason) => return drop(session.close(reason).await),
                _ => {}
            }
        }
    });
    Ok(response)
}

struct Echo;

impl Actor for Echo {
    type Context = actors::WebsocketContext<Self>;
}

impl StreamHandler<Result<actors::Message, actors::ProtocolError>> for Echo {
    fn handle(
        &mut self,
        message: Result<actors::Message, actors::ProtocolError>,
        context: &mut Self::Context,
    ) {
        match message {
            Ok(actors::Message::Text(text)) => context.text(format!("echo: {text}")),
            Ok(actors::Message::Close(reason)) => {
                context.close(reason);
                context.stop();
            }
            _ => {}
        }
    }
}

async fn actor(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    actors::start(Echo, &request, body)
}

fn app() -> App<impl Inner> {
    App::new().route("/echo", web::get().to(echo)).route("/actor", web::get().to(actor))
}

/// A frame of a client: with a mask, which is 0.
fn frame(opcode: u8, data: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | data.len() as u8, 0, 0, 0, 0], data].concat()
}

#[test]
fn web_sockets_are_the_same_with_and_without_the_monitor() {
    let talk = |client: &mut Client<'_>| {
        for path in ["/echo", "/actor"] {
            let request = format!("GET {path}");
            let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
            let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            let head = format!("{request} HTTP/1.1\r\nhost: test\r\n{upgrade}{key}\r\n").into_bytes();
            // Normal closure.
            let sent =
                [head, frame(1, b"one"), frame(1, b"two"), frame(8, &1_000_u16.to_be_bytes())].concat();
            let closed = |answer: &Answer| answer.body.ends_with(b"\x88\x02\x03\xe8");
            let answer = exchange_until(client.connect(), &sent, closed);
            assert_eq!(answer.head[0], "HTTP/1.1 101 Switching Protocols");
            assert!(answer.body.starts_with(b"\x81\x09echo: one\x81\x09echo: two\x88"), "{answer:?}");
            client.add(&request, &answer);
            // No upgrade.
            client.send(&request, &[], b"");
        }
    };
    let counted = [
        ("GET", "/echo", 101, 1),
        ("GET", "/echo", 400, 1),
        ("GET", "/actor", 101, 1),
        ("GET", "/actor", 400, 1),
    ];
    same(app, talk, &counted);
}
