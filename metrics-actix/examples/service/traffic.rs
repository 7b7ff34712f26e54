//! Real HTTP requests to ourselves, so that a newcomer sees figures at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Clients that send at the same time, each on a connection of its own.
const CLIENTS: usize = 4;

/// A client's pause between two requests.
const PAUSE: Duration = Duration::from_millis(40);

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
pub(crate) fn start(addr: SocketAddr) -> Traffic {
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
                    // The service may be shutting down; what it answers is for its figures to show.
                    let _ = send(&agent, &format!("http://{addr}"), turn);
                    thread::sleep(PAUSE);
                }
            })
        })
        .collect();
    println!("Sending about {} requests a second.", CLIENTS as u128 * 1_000 / PAUSE.as_millis());
    Traffic { stop, clients }
}

/// One request of a mix: mostly reads, some writes, some mistakes.
fn send(agent: &ureq::Agent, base: &str, turn: usize) -> Result<(), ureq::Error> {
    let url = |path: &str| format!("{base}{path}");
    let mut response = match turn % 20 {
        0..=6 => agent.get(url(&format!("/items/{}", turn % 1_000 + 1))).call(),
        7 => agent.get(url("/items/4711")).call(),
        8..=10 => agent.get(url("/search?q=chair")).call(),
        11 | 12 => agent.get(url("/flaky")).call(),
        13 => agent.get(url("/report")).call(),
        14 => agent.get(url("/export")).call(),
        15 => agent.post(url("/api/v1/orders")).send("2 chairs"),
        16 => agent.get(url(&format!("/api/v1/orders/{turn}"))).call(),
        17 => agent.get(url(&format!("/api/v1/orders/{turn}/lines/3"))).call(),
        18 => agent.delete(url(&format!("/api/v1/orders/{turn}"))).call(),
        _ => agent.get(url(&format!("/wp-admin/{turn}"))).call(),
    }?;
    response.body_mut().read_to_string().map(drop)
}
