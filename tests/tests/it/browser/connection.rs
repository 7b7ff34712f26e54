//! Servers that are killed, and silent connections.

use std::time::{Duration, Instant};

use tests::{Browser, Example, Look};

use super::support::{tile, wait_until_live};

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_page_recovers_after_the_server_is_killed_and_restarted() {
    let demo = Example::start(&["--workers", "1", "--demo-traffic"]);
    let addr = demo.addr().to_string();
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{addr}/api/metrics/"));
    wait_until_live(&browser);
    drop(demo);
    browser.wait("document.querySelector('#state').dataset.state === 'stale'");
    assert!(browser.text("#state").starts_with("Stale for"), "{}", browser.text("#state"));
    // The last known figures are still shown.
    assert!(tile(&browser, "total_calls") > 0.0);
    let demo = Example::start(&["--addr", &addr, "--workers", "1", "--demo-traffic"]);
    wait_until_live(&browser);
    let client = demo.client();
    let deadline = Instant::now() + Duration::from_secs(20);
    while tile(&browser, "total_calls")
        > client.metrics("GET", "summary?window=5m")["total_calls"].as_f64().unwrap()
    {
        assert!(Instant::now() < deadline, "the page still shows the figures of the first server");
        std::thread::sleep(Duration::from_millis(100));
    }
    // The console only has failed connections.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("net::ERR_")), "{complaints:?}");
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_silent_connection_is_given_up_and_reopened() {
    let demo = Example::start(&["--workers", "1", "--demo-traffic"]);
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{}/api/metrics/", demo.addr()));
    wait_until_live(&browser);
    // As after a sleep: the connection is open and silent.
    demo.signal("STOP");
    browser.wait("document.querySelector('#state').dataset.state === 'stale'");
    std::thread::sleep(Duration::from_secs(8));
    let calls = tile(&browser, "total_calls");
    demo.signal("CONT");
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value > {calls}"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_silent_connection_is_noticed_even_if_the_clock_is_set_back() {
    let demo = Example::start(&["--workers", "1", "--demo-traffic"]);
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{}/api/metrics/", demo.addr()));
    wait_until_live(&browser);
    demo.signal("STOP");
    // Only the page's clock, by an hour.
    browser.get("(() => { const now = Date.now; Date.now = () => now() - 3_600_000; return true; })()");
    browser.wait("document.querySelector('#state').dataset.state === 'stale'");
    demo.signal("CONT");
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
