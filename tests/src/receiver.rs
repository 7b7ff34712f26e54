//! A server that receives POST requests and answers them with a test's statuses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Receives, Sender, channel};
use std::time::Duration;

use serde_json::Value;

/// A running receiver. It listens until the test's process ends.
#[derive(Debug)]
pub struct Receiver {
    addr: SocketAddr,
    posts: Receives<(String, Value)>,
}

impl Receiver {
    /// Answers the first posts with these statuses, and all later ones with 200.
    pub fn start(statuses: Vec<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let mut statuses = statuses.into_iter();
        let (post, posts) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let status = statuses.next().unwrap_or(200);
                if answer(stream, status, &post).is_none() {
                    return;
                }
            }
        });
        Self { addr, posts }
    }

    /// A URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Waits for the next post and returns its path and its body.
    ///
    /// # Panics
    ///
    /// When there is none within 90 seconds.
    pub fn next(&self) -> (String, Value) {
        self.posts.recv_timeout(Duration::from_secs(90)).expect("something is posted")
    }
}

/// Reads one post and answers it. `None` once the receiver is dropped.
fn answer(stream: TcpStream, status: u16, posts: &Sender<(String, Value)>) -> Option<()> {
    let mut reader = BufReader::new(&stream);
    let head: Vec<_> =
        reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok();
    let _ = write!(&stream, "HTTP/1.1 {status} \r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    posts.send((path, serde_json::from_slice(&body).unwrap_or_default())).ok()
}
