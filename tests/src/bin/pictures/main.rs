//! Takes the README's pictures of the demo's dashboard: `cargo run --release -p tests --bin pictures`. Needs chromium and
//! chromedriver, and takes two minutes.

#![forbid(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tests::{Browser, Example, Look};

/// How long the demo serves its traffic before the pictures.
const TRAFFIC: Duration = Duration::from_secs(100);

/// The most that both pictures may take, in bytes.
const MAX_BYTES: usize = 200 << 10;

fn main() {
    let demo = Example::start(&["--workers", "2", "--demo-traffic"]);
    std::thread::sleep(TRAFFIC);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    let mut bytes = 0;
    for (name, dark) in [("dashboard-light.webp", false), ("dashboard-dark.webp", true)] {
        let browser = Browser::start(Look { dark, ..Look::default() });
        browser.open(&format!("http://{}/api/metrics/", demo.addr()));
        browser.wait("document.querySelectorAll('#endpoints tbody tr').length > 3");
        std::thread::sleep(Duration::from_secs(5));
        let png = STANDARD.encode(browser.picture_to(".panel:has(#latency)"));
        // The browser writes the smaller format: WebP has no encoder in pure Rust for pictures such as these.
        browser.open("about:blank");
        let webp = browser.run(&format!(
            "const picture = new Image(); picture.src = 'data:image/png;base64,' + {};\
             return picture.decode().then(() => {{ const canvas = document.createElement('canvas');\
             canvas.width = picture.width; canvas.height = picture.height;\
             canvas.getContext('2d').drawImage(picture, 0, 0);\
             return canvas.toDataURL('image/webp', 0.82).split(',')[1]; }});",
            json!(png)
        ));
        let webp = STANDARD.decode(webp.as_str().expect("a picture")).expect("it is base64");
        bytes += webp.len();
        std::fs::write(folder.join(name), webp).expect("the picture can be written");
        println!("wrote docs/pictures/{name}");
    }
    assert!(bytes <= MAX_BYTES, "the pictures take {bytes} bytes together; allowed: {MAX_BYTES}");
}
