//! The demo's incident, from the first look to its cause, and what the page can be narrowed to on the way.

use serde_json::Value;
use tests::{Browser, Example, Look};

use super::support::{pictures, tile, wait_until_live};

/// WebDriver's code points of keys.
const ENTER: char = '\u{e007}';
const LEFT: char = '\u{e012}';

/// The group of errors of the incident.
const GROUP: &str = "#groups li:first-child > button[data-group]";

fn is_hit(browser: &Browser) -> bool {
    let text = browser.get(&format!("document.querySelector('{GROUP}')?.parentElement.textContent"));
    text.as_str().is_some_and(|text| text.contains("/api/v1/orders/{order_id}"))
}

/// Waits until the incident shows.
fn wait_for_the_incident(browser: &Browser) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !is_hit(browser) {
        assert!(std::time::Instant::now() < deadline, "{}", browser.text("#groups"));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn hash(browser: &Browser) -> String {
    browser.get("location.hash").as_str().unwrap().to_owned()
}

fn texts(browser: &Browser, selector: &str) -> Vec<String> {
    let all = browser.get(&format!("[...document.querySelectorAll('{selector}')].map((e) => e.textContent)"));
    all.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_demos_incident_is_three_clicks_from_its_trace_on_a_desktop_and_a_phone() {
    let demo = Example::start(&["--workers", "2", "--incident"]);
    let page = format!("http://{}/api/metrics/", demo.addr());
    for phone in [false, true] {
        let browser = Browser::start(Look { phone, ..Look::default() });
        browser.open(&page);
        wait_until_live(&browser);
        wait_for_the_incident(&browser);
        // The first look: scanners' requests are the most, but the service's own error is above them.
        let first = browser.text("#groups li:first-child");
        for part in ["500", "/api/v1/orders/{order_id}", "has no shard for order <num>", "Ann"] {
            assert!(first.contains(part), "{part} is not in {first}");
        }

        // The first click: only errors of the service itself.
        browser.click("#statuses [data-status='5xx']");
        browser.wait("!document.querySelector('#groups ol').textContent.includes('wp-admin')");
        browser.wait(
            "[...document.querySelectorAll('#recent-errors .status')].every((s) => s.textContent >= '500')",
        );
        assert!(hash(&browser).contains("status=5xx"));

        // The second click: the group, with its examples; errors and requests of others are gone.
        browser.click(GROUP);
        browser.wait("document.querySelector('#groups ul li a') !== null");
        let example = browser.text("#groups ul li");
        for part in ["Ann", "the stock database has no shard for order ", "/api/v1/orders/"] {
            assert!(example.contains(part), "{part} is not in {example}");
        }
        let routes = texts(&browser, "#slow li .where, #recent-errors li .where");
        assert!(routes.iter().all(|route| route == "GET /api/v1/orders/{order_id}"), "{routes:?}");
        browser.wait("document.querySelectorAll('#consumers tbody tr').length === 1");
        assert_eq!(texts(&browser, "#consumers tbody button"), ["Ann"]);
        browser.screenshot(&pictures().join(if phone { "incident-phone.png" } else { "incident.png" }));

        // The third click would open the trace.
        let link = browser.get("document.querySelector('#groups ul li a').href");
        let id = link.as_str().unwrap().strip_prefix("http://127.0.0.1:16686/trace/").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");

        // Back takes one choice after the other back.
        browser.run("history.back()");
        browser.wait("document.querySelector('#groups ul li a') === null");
        assert!(hash(&browser).contains("status=5xx") && !hash(&browser).contains("group="));
        browser.run("history.back()");
        browser.wait("document.querySelector('#statuses [data-status=\"5xx\"]').ariaPressed === 'false'");
        assert_eq!(browser.complaints(), [""; 0]);
    }
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_dragged_span_a_consumer_and_a_hidden_series_narrow_the_page_and_the_address_holds_it() {
    let demo = Example::start(&["--workers", "2", "--incident"]);
    let page = format!("http://{}/api/metrics/", demo.addr());
    let browser = Browser::start(Look::default());
    browser.open(&page);
    wait_until_live(&browser);
    wait_for_the_incident(&browser);
    // Before the incident, all was well.
    let all = tile(&browser, "total_calls");
    browser.drag("#latency canvas", 0.13, 0.22);
    browser.wait("location.hash.includes('from=')");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value < {all}"));
    assert!(tile(&browser, "total_calls") > 0.0);
    assert_eq!(
        texts(&browser, "#groups button[data-group]").iter().filter(|text| text.contains("shard")).count(),
        0
    );
    browser.screenshot(&pictures().join("span.png"));
    // A copy of the address shows the same.
    let (address, calls) = (browser.get("location.href"), tile(&browser, "total_calls"));
    let other = Browser::start(Look::default());
    other.open(address.as_str().unwrap());
    other.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));
    drop(other);
    browser.run("history.back()");
    browser.wait("!location.hash.includes('from=')");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value >= {all}"));

    // The same by keyboard alone.
    browser.get("document.querySelector('#throughput canvas').focus()");
    (0..5).for_each(|_| browser.press_with_shift(LEFT));
    browser.press(ENTER);
    browser.wait("location.hash.includes('from=')");
    browser.click("#unfilter");
    browser.wait("!location.hash.includes('from=')");

    browser.click("#consumers [data-consumer='Ann']");
    browser.wait("location.hash.includes('consumer=Ann')");
    browser.wait("document.querySelectorAll('#consumers tbody tr').length === 1");
    let notes = texts(&browser, "#groups li > p");
    assert!(!notes.is_empty() && notes.iter().all(|note| note.contains("Ann")), "{notes:?}");
    browser.click("#unfilter");

    let values = || browser.get("document.querySelector('#latency').dataset.values.split(' ').length");
    browser.wait("document.querySelector('#latency').dataset.values.split(' ').length === 4");
    browser.click("#latency .legend li:last-child button");
    browser.wait("document.querySelector('#latency').dataset.values.split(' ').length === 3");
    assert_eq!(
        browser.get("document.querySelector('#latency .legend li:last-child button').ariaPressed"),
        "false"
    );
    assert_eq!(values(), 3);

    // What a panel shows can be saved.
    browser.run(
        "window.saved = []; const make = URL.createObjectURL; \
         URL.createObjectURL = (blob) => (window.saved.push(blob), make.call(URL, blob));",
    );
    let saved = |selector: &str| {
        browser.click(selector);
        browser.run("return window.saved.pop().text()").as_str().unwrap().to_owned()
    };
    let latency = saved("section:has(#latency) [data-save=csv]");
    let mut lines = latency.lines();
    assert_eq!(lines.next(), Some("time,seconds,p99,p95,p50"));
    assert!(lines.count() > 10, "{latency}");
    let groups: Value = serde_json::from_str(&saved("#groups [data-save=json]")).unwrap();
    assert!(groups[0]["count"].as_u64() > Some(0), "{groups}");
    let routes = saved("#endpoints [data-save=csv]");
    assert!(routes.starts_with("method,route,") && routes.contains("/api/v1/orders/{order_id}"), "{routes}");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn changes_of_alerts_are_listed_and_marked_and_a_reset_asks_first() {
    let demo = Example::start(&["--workers", "2", "--incident"]);
    let browser = Browser::start(Look::default());
    browser.open(&format!("http://{}/api/metrics/", demo.addr()));
    wait_until_live(&browser);
    wait_for_the_incident(&browser);
    // Ten server errors are an alert.
    browser.wait("document.querySelectorAll('#changes li').length > 0");
    browser.wait("document.querySelector('#latency').dataset.alerts > 0");
    browser.click("#changes summary");
    browser.wait("document.querySelector('#changes li').getBoundingClientRect().height > 0");
    browser.screenshot(&pictures().join("changes.png"));

    browser.click("#reset");
    browser.wait("document.querySelector('#reset-dialog').open");
    browser.click("#reset-cancel");
    browser.wait("!document.querySelector('#reset-dialog').open");
    let before = browser.get("document.querySelector('#latency').dataset.resets");
    assert_eq!(before, "0");
    browser.click("#reset");
    browser.click("#reset-dialog [type=submit]");
    browser.wait("!document.querySelector('#reset-dialog').open");
    browser.wait("document.querySelector('#latency').dataset.resets === '1'");
    assert_eq!(browser.complaints(), [""; 0]);
}
