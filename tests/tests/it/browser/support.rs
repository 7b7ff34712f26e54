//! A small shop, its traffic, and functions to read its page.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, error};
use serde_json::json;
use tests::{Browser, Client, Server};

/// Text that a stranger may send to run code in a page or to break it.
pub(super) const HOSTILE: [&str; 8] = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned = 1\">",
    "\"><svg onload=window.pwned=1>",
    "</td></table><iframe src=\"javascript:parent.pwned=1\"></iframe>",
    "javascript:window.pwned=1//';window.pwned=1;{{7*7}}${7*7}",
    "__proto__",
    "田中さん 😀 \u{202e}esrever\u{202c} Ṱ̺̺o͞ ﷽",
    "&lt;b&gt; &amp; %00 %n '; DROP TABLE users; --",
];

pub(super) fn shop(config: &mut ServiceConfig) {
    let hostile = |request: HttpRequest| async move {
        let turn: usize = request.match_info().query("turn").parse().unwrap_or(0);
        Err::<&str, _>(error::ErrorInternalServerError(HOSTILE[turn % HOSTILE.len()]))
    };
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/missing", web::get().to(|| async { HttpResponse::NotFound().finish() }))
        .route("/<img src=x onerror=window.pwned=1>/{turn}", web::get().to(hostile))
        .route("/hostile/{turn}", web::get().to(hostile));
}

/// A thread that calls the service all the time.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    pub(super) fn start(client: Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for turn in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                client.send("GET", &format!("/items/{turn}"));
                if turn % 4 == 0 {
                    client.send("GET", "/missing");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(joined.is_none_or(|joined| joined.is_ok()) || std::thread::panicking());
    }
}

pub(super) fn page(server: &Server) -> String {
    format!("http://{}/api/metrics/", server.addr())
}

/// Waits until the page shows live figures.
pub(super) fn wait_until_live(browser: &Browser) {
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value > 0");
    browser.wait("document.querySelectorAll('#routes tbody tr').length > 0");
}

/// The raw value of a tile.
pub(super) fn tile(browser: &Browser, name: &str) -> f64 {
    let value = browser.get(&format!("Number(document.querySelector('[data-tile={name}]').dataset.value)"));
    value.as_f64().unwrap_or_else(|| panic!("{name} shows {value}"))
}

/// The raw values of a chart's newest point.
pub(super) fn values(browser: &Browser, chart: &str) -> Vec<f64> {
    let values = browser.get(&format!("document.querySelector({}).dataset.values", json!(chart)));
    let values = values.as_str().unwrap_or_default().split_whitespace();
    values.map(|value| value.parse().unwrap_or_else(|_| panic!("{chart} shows {value}"))).collect()
}

/// Waits until `shown` equals `wanted`, both of which may change, and is not empty.
pub(super) fn agree(what: &str, shown: impl Fn() -> Vec<f64>, wanted: impl Fn() -> Vec<f64>) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let (shown, wanted) = (shown(), wanted());
        // JSON numbers are read to within one bit.
        let same = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * b.abs();
        if !shown.is_empty() && shown.len() == wanted.len() && shown.iter().zip(&wanted).all(same) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: the page shows {shown:?}, the endpoint {wanted:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The directory of the screenshots.
pub(super) fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots")
}
