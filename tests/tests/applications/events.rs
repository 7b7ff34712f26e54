//! Server-sent events.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use actix_web::rt::time::sleep;
use actix_web::{App, HttpResponse, web};
use futures_util::StreamExt;
use futures_util::stream;

use crate::harness::{Client, Inner, same};

async fn ticks() -> HttpResponse {
    let ticks = stream::iter(1..=3).then(|tick| async move {
        // The third one comes after a while that a client with a buffer would wait for.
        sleep(Duration::from_millis(if tick == 3 { 300 } else { 10 })).await;
        Ok::<_, actix_web::Error>(web::Bytes::from(format!("data: {tick}\n\n")))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(ticks)
}

fn app() -> App<impl Inner> {
    App::new().route("/ticks", web::get().to(ticks))
}

#[test]
fn events_are_the_same_with_and_without_the_monitor_and_come_one_by_one() {
    let talk = |client: &mut Client<'_>| {
        let answer = client.send("GET /ticks", &[], b"");
        assert!(answer.body.windows(9).any(|event| event == b"data: 3\n\n"));

        let mut connection = client.connect();
        connection.write_all(b"GET /ticks HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        // The second event arrives by itself, before the third one is made.
        let lines = BufReader::new(connection).lines().map_while(Result::ok);
        let data: Vec<_> = lines.filter(|line| line.starts_with("data: ")).collect();
        assert_eq!(data, ["data: 1", "data: 2", "data: 3"]);
    };
    same(app, talk, &[("GET", "/ticks", 200, 2)]);
}
