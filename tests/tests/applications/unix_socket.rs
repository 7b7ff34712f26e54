//! A Unix socket instead of a port.

use std::os::unix::net::UnixStream;
use std::path::Path;

use actix_web::{App, HttpRequest, web};

use crate::harness::{Inner, Listen, Running, Transcript, exchange, same_over};

async fn who(request: HttpRequest) -> String {
    format!("{:?}", request.peer_addr())
}

fn app() -> App<impl Inner> {
    App::new().route("/who", web::get().to(who)).route("/echo", web::post().to(|body: String| async { body }))
}

#[test]
fn a_unix_socket_is_the_same_with_and_without_the_monitor() {
    // The path of a socket has at most 108 bytes.
    let path = std::env::temp_dir().join(format!("metrics-{}.socket", std::process::id()));
    let listen = {
        let path = path.clone();
        move || Listen::Unix(path.clone())
    };
    let talk = |_: &Running, transcript: &mut Transcript| ask(&path, transcript);
    same_over(app, listen, talk, &[("GET", "/who", 200, 1), ("POST", "/echo", 200, 1)]);
    std::fs::remove_file(&path).unwrap();
}

fn ask(path: &Path, transcript: &mut Transcript) {
    for (request, rest) in [("GET /who", "\r\n"), ("POST /echo", "content-length: 7\r\n\r\na chair")] {
        let sent = format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{rest}");
        let answer = exchange(UnixStream::connect(path).unwrap(), sent.as_bytes());
        transcript.add(request, &answer);
    }
}
