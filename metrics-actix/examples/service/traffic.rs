//! Real HTTP requests to the demo itself, so that figures show at once.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::shop::API_KEY;

/// Clients that send at the same time, each on a connection of its own.
const CLIENTS: usize = 4;

/// The pause of a client between two requests.
const PAUSE: Duration = Duration::from_millis(40);

/// The API keys, sent in turn.
const KEYS: [Option<&str>; 5] =
    [Some("demo-key-of-ann"), Some("demo-key-of-ann"), Some("demo-key-of-bob"), Some("another"), None];

/// The clients, until they are stopped.
#[derive(Debug)]
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            // A client that panicked has printed why.
            let _ = client.join();
        }
    }
}

/// Starts clients that call the service on `addr`.
pub(crate) fn start(addr: SocketAddr, is_incident: bool) -> Traffic {
    let stop = Arc::new(AtomicBool::new(false));
    let clients = (0..CLIENTS)
        .map(|client| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let agent: ureq::Agent = ureq::Agent::config_builder()
                    .http_status_as_error(false)
                    .timeout_global(Some(Duration::from_secs(5)))
                    .build()
                    .into();
                for turn in (client..).step_by(CLIENTS) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // The service may be shutting down. Errors show in its figures.
                    let _ = send(&agent, &format!("http://{addr}"), turn, is_incident);
                    thread::sleep(PAUSE);
                }
            })
        })
        .collect();
    println!("Sending about {} requests a second.", CLIENTS as u128 * 1_000 / PAUSE.as_millis());
    Traffic { stop, clients }
}

/// One request of a mix: mostly reads, some writes, some mistakes.
fn send(agent: &ureq::Agent, base: &str, turn: usize, is_incident: bool) -> Result<(), ureq::Error> {
    let (method, path) = match turn % 20 {
        // More orders, and more scanners.
        0 | 1 if is_incident => ("GET", format!("/api/v1/orders/{turn}")),
        2..=6 if is_incident => ("GET", format!("/wp-admin/{}.php", turn % 50)),
        0..=6 => ("GET", format!("/items/{}", turn % 1_000 + 1)),
        7 => ("GET", "/items/4711".to_owned()),
        8..=10 => ("GET", "/search?q=chair".to_owned()),
        11 | 12 => ("GET", "/flaky".to_owned()),
        13 => ("GET", "/report".to_owned()),
        14 => ("GET", "/export".to_owned()),
        15 => ("POST", "/api/v1/orders".to_owned()),
        16 => ("GET", format!("/api/v1/orders/{turn}")),
        17 => ("GET", format!("/api/v1/orders/{turn}/lines/3")),
        18 => ("DELETE", format!("/api/v1/orders/{turn}")),
        _ => ("GET", format!("/wp-admin/{turn}")),
    };
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{base}{path}"));
    // Another key every 20 requests, so that each key goes through the whole mix.
    if let Some(key) = KEYS[turn / 20 % KEYS.len()] {
        request = request.header(API_KEY, key);
    }
    if is_incident {
        request = request.header("traceparent", trace());
    }
    let body = if method == "POST" { "2 chairs" } else { "" };
    let mut response = agent.run(request.body(body)?)?;
    response.body_mut().read_to_string().map(drop)
}

/// The trace of a request, as its caller sends it.
fn trace() -> String {
    let random = || RandomState::new().hash_one(0);
    format!("00-{:016x}{:016x}-{:016x}-01", random(), random(), random() | 1)
}
