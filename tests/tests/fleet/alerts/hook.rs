//! The destination of notices: notes what arrives, and ambushes the instance that sent it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

/// A notice that arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) rule: String,
    /// Of a fleet only.
    pub(super) id: Option<String>,
    pub(super) version: Option<String>,
    pub(super) change: String,
    pub(super) summary: String,
    pub(super) by: String,
    pub(super) at: Instant,
}

/// What happens to an instance whose notice arrived, before it hears what became of it.
#[derive(Debug)]
pub(super) struct Ambush {
    pub(super) signal: &'static str,
    pub(super) pids: HashMap<String, u32>,
    /// Whether the notice counts as told.
    pub(super) accepts: bool,
}

/// Takes notices, each on a thread of its own: the sender may be stopped at any time.
pub(super) struct Hook {
    pub(super) url: String,
    pub(super) arrived: Arc<Mutex<Vec<Arrived>>>,
    pub(super) ambush: Arc<Mutex<Option<Ambush>>>,
    /// The instance that was ambushed last.
    pub(super) ambushed: Arc<Mutex<Option<String>>>,
    /// Whether it takes nothing for now.
    pub(super) refuses: Arc<AtomicBool>,
    /// All posts, those that it refused included.
    pub(super) posts: Arc<AtomicUsize>,
}

impl Hook {
    /// Listens at a free port.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let hook = Self {
            url,
            arrived: Arc::default(),
            ambush: Arc::default(),
            ambushed: Arc::default(),
            refuses: Arc::default(),
            posts: Arc::default(),
        };
        let (arrived, ambush) = (Arc::clone(&hook.arrived), Arc::clone(&hook.ambush));
        let ambushed = Arc::clone(&hook.ambushed);
        let (refuses, posts) = (Arc::clone(&hook.refuses), Arc::clone(&hook.posts));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (arrived, ambush, ambushed) =
                    (Arc::clone(&arrived), Arc::clone(&ambush), Arc::clone(&ambushed));
                let (refuses, posts) = (Arc::clone(&refuses), Arc::clone(&posts));
                std::thread::spawn(move || {
                    let Some(body) = body(&stream) else { return };
                    let by = body["instance"].as_str().unwrap().to_owned();
                    let attack = ambush.lock().unwrap().take();
                    let is_accepted = attack.as_ref().is_none_or(|ambush| ambush.accepts)
                        && !refuses.load(Ordering::Relaxed);
                    posts.fetch_add(1, Ordering::Relaxed);
                    for notice in body["notices"].as_array().unwrap().iter().filter(|_| is_accepted) {
                        let text = |name: &str| notice[name].as_str().map(str::to_owned);
                        let id = text("event_id");
                        assert_eq!(notice["fleet"], id.is_some());
                        arrived.lock().unwrap().push(Arrived {
                            rule: text("rule").unwrap(),
                            id,
                            version: text("version"),
                            change: text("change").unwrap(),
                            summary: text("summary").unwrap(),
                            by: by.clone(),
                            at: Instant::now(),
                        });
                    }
                    if let Some(Ambush { signal, pids, .. }) = attack {
                        let pid = pids[&by].to_string();
                        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
                        assert!(sent.unwrap().success());
                        *ambushed.lock().unwrap() = Some(by);
                    }
                    let status = if is_accepted { 200 } else { 503 };
                    let head =
                        format!("HTTP/1.1 {status} \r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    let _ = (&stream).write_all(head.as_bytes());
                });
            }
        });
        hook
    }

    /// What has arrived until now.
    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }
}

/// The body of a post, once all of it is there.
fn body(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
