//! Filters, windows, sorting, searching and pausing.

use std::time::Duration;

use metrics_actix::Metrics;
use serde_json::json;
use tests::{Browser, Look, Server};

use super::support::{Traffic, page, pictures, shop, tile, wait_until_live};

/// WebDriver's code points of keys.
const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_click_on_an_endpoint_or_a_window_changes_the_page() {
    let metrics = Metrics::builder("shop").build().unwrap();
    let server = Server::start(2, &metrics, shop);
    let _traffic = Traffic::start(server.client());
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    let row = |name: &str| format!("#routes tr[data-key='{name}'] button");
    browser.click(&row("GET /missing"));
    // Only the calls of that endpoint, which all fail.
    browser.wait("document.querySelector('[data-tile=error_rate]').dataset.value == 100");
    assert_eq!(browser.text("#filtered"), "GET /missing");
    assert!(browser.get("location.hash").as_str().unwrap().contains("route=%2Fmissing"));
    // The trend of one endpoint has a point after ten seconds.
    browser.wait("document.querySelector('#error-rate').dataset.points > 0");
    browser.wait("document.querySelector('#error-rate canvas').ariaLabel.includes('4xx 100%')");
    browser.screenshot(&pictures().join("one-endpoint.png"));
    browser.click("#unfilter");
    browser.wait("document.querySelector('[data-tile=error_rate]').dataset.value < 100");

    for window in ["1m", "1h", "24h", "reset", "5m"] {
        browser.click(&format!("#windows label[data-window='{window}']"));
        browser.wait(&format!("location.hash.includes('window={window}')"));
        wait_until_live(&browser);
        browser.wait("document.querySelector('#throughput').dataset.points > 0");
    }

    // The headers sort the table and the search field filters it, with the keyboard alone.
    let order =
        || browser.get("[...document.querySelectorAll('#routes tbody tr')].map(row => row.dataset.key)");
    assert_eq!(order(), json!(["GET /items/{id}", "GET /missing"]));
    browser.get("document.querySelector('th[data-column=errors] button').focus()");
    browser.press(ENTER);
    assert_eq!(order(), json!(["GET /missing", "GET /items/{id}"]));
    assert_eq!(browser.get("document.querySelector('th[data-column=errors]').ariaSort"), "descending");
    browser.press(TAB);
    assert_eq!(browser.get("document.activeElement.textContent"), "GET /missing");
    browser.type_into("#search", "ITEMS");
    assert_eq!(order(), json!(["GET /items/{id}"]));

    // A duplicate row of an endpoint is removed.
    let body = "document.querySelector('#routes tbody')";
    browser.get(&format!("{body}.append({body}.querySelector('tr').cloneNode(true))"));
    browser.wait("document.querySelectorAll('#routes tbody tr').length == 1");

    // Nothing moves during a pause.
    browser.click("#pause");
    browser.wait("document.querySelector('#state').dataset.state === 'paused'");
    let calls = tile(&browser, "total_calls");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(tile(&browser, "total_calls"), calls);
    browser.click("#pause");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value > {calls}"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
