//! The dashboard of a fleet, in a real browser.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_core::Registry;
use metrics_export::fleet::{Fingerprints, Instance, Report};
use serde_json::{Value, json};
use tests::{Browser, Example, Look, Redis};

use crate::fixture::{instance, settled, under_load, until};

/// WebDriver's code points of keys.
const RIGHT: char = '\u{e014}';

const HOSTILE: &str = "<img src=x onerror=window.pwned=1>";

/// The folder of the screenshots.
fn pictures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/screenshots"))
}

fn page(instance: &Example, hash: &str) -> String {
    format!("http://{}/api/metrics/#{hash}", instance.addr())
}

fn tile(browser: &Browser, name: &str) -> f64 {
    let value = browser.get(&format!("Number(document.querySelector('[data-tile={name}]').dataset.value)"));
    value.as_f64().unwrap_or_else(|| panic!("{name} shows {value}"))
}

/// The texts of all elements that match.
fn texts(browser: &Browser, selector: &str) -> Vec<String> {
    let found =
        format!("[...document.querySelectorAll({})].map(found => found.textContent)", json!(selector));
    serde_json::from_value(browser.get(&found)).unwrap()
}

/// Adds an instance whose name and version hold HTML.
fn add_hostile(redis: &Redis) {
    let written = SystemTime::now();
    let nanos = written.duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let instance = Instance {
        service: "shop".to_owned(),
        name: HOSTILE.to_owned(),
        version: "<script>window.pwned=1</script>".to_owned(),
        started: written,
        written,
        interval: Duration::from_secs(600),
        epoch: 0,
        stopped: false,
        fingerprints: Fingerprints::default(),
    };
    let report = Report { instance, snapshot: Registry::new().snapshot(), errors: Vec::new() };
    let id = format!("{HOSTILE}-{nanos}");
    redis.set(&format!("metrics:shop:0:{id}"), &report.encode());
    redis.cli(&["zadd", "metrics:shop:instances", &(nanos / 1_000_000).to_string(), &id]);
}

#[test]
#[ignore = "needs redis-server, chromium and chromedriver"]
fn an_open_page_of_a_fleet_sends_at_most_twenty_requests_a_minute() {
    let redis = Redis::start();
    let instance = instance(&redis.url(), "a");
    until(&instance, "fleet/summary?window=5m", |body| body["total_calls"].is_number());
    let browser = Browser::start(Look::default());
    browser.open(&page(&instance, "window=5m&scope=fleet"));
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait("document.querySelector('#fleet-note').textContent.includes('read at')");
    let requests = |about: &str| {
        let entries = "performance.getEntriesByType('resource')";
        browser
            .get(&format!("{entries}.filter(entry => entry.name.includes('{about}')).length"))
            .as_u64()
            .unwrap()
    };
    let (before, of_fleet) = (requests(""), requests("/fleet/"));
    sleep(Duration::from_secs(60));
    let (sent, of_fleet) = (requests("") - before, requests("/fleet/") - of_fleet);
    assert!((8..=20).contains(&sent), "{sent}");
    assert!((5..=12).contains(&of_fleet), "{of_fleet}");
    assert_eq!(browser.get("document.querySelector('#state').dataset.state"), "live");
}

#[test]
#[ignore = "needs redis-server, chromium and chromedriver"]
fn the_page_switches_to_the_fleet_and_shows_what_its_endpoints_return() {
    let mut redis = Redis::start();
    let instances = ["a", "b"].map(|name| instance(&redis.url(), name));
    let (calls, ()) = under_load(&instances, || sleep(Duration::from_secs(2)));
    let keys = ["demo-key-of-ann", "demo-key-of-bob", "demo-key-of-ann"];
    for (instance, key) in instances.iter().cycle().zip(keys) {
        instance.client().send_with("GET", "/api/v1/orders/7", &[("x-api-key", key)]);
    }
    let calls = calls + keys.len() as u64;
    settled(&instances[0], calls);
    let client = instances[0].client();
    until(&instances[0], "fleet/summary?window=5m", |body| body["total_calls"] == calls);
    let browser = Browser::start(Look::default());
    browser.open(&page(&instances[0], "window=24h"));
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value > 0");
    assert!(tile(&browser, "total_calls") < calls as f64);
    assert_eq!(browser.get("document.querySelector('#fleet').hidden"), true);

    // By keyboard alone. The fleet has no window of a day.
    browser.get("document.querySelector('#scopes input').focus()");
    browser.press(RIGHT);
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));
    assert_eq!(browser.get("location.hash"), "#window=1h&scope=fleet");
    assert_eq!(browser.get("document.querySelector('#windows label[data-window=\"24h\"]').hidden"), true);
    browser.click("#windows label[data-window='5m']");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));
    let summary = client.metrics("GET", "fleet/summary?window=5m");
    for (name, field) in
        [("p50", "p50_response_time"), ("p99", "p99_response_time"), ("error_rate", "error_rate")]
    {
        assert_eq!(tile(&browser, name), summary[field].as_f64().unwrap(), "{name}");
    }
    let routes = client.metrics("GET", "fleet/routes?window=5m");
    for route in routes["routes"].as_array().unwrap() {
        let name = format!("{} {}", route["method"].as_str().unwrap(), route["route"].as_str().unwrap());
        let shown = texts(&browser, &format!("#routes tr[data-key='{name}'] td"));
        assert_eq!(shown[1].replace(',', ""), route["total_calls"].to_string(), "{shown:?}");
    }
    let of_fleet = client.metrics("GET", "fleet/instances");
    assert_eq!(texts(&browser, "#instances tbody tr").len(), 2);
    for found in of_fleet["instances"].as_array().unwrap() {
        let row = format!(
            "#instances tr[data-key='{} {}']",
            found["name"].as_str().unwrap(),
            found["started"].as_str().unwrap()
        );
        let shown = texts(&browser, &format!("{row} th, {row} td"));
        assert_eq!((shown[0].as_str(), shown[1].as_str()), (found["name"].as_str().unwrap(), "up"));
        assert_eq!(shown[4].replace(',', ""), found["total_calls"].to_string(), "{shown:?}");
    }
    assert!(
        browser.text("#fleet-note").starts_with("2 of 2 up · read at"),
        "{}",
        browser.text("#fleet-note")
    );
    let errors = client.metrics("GET", "fleet/summary")["recent_errors"].as_array().unwrap().len();
    assert_eq!(texts(&browser, "#recent-errors li").len(), errors.min(50));
    let consumers = client.metrics("GET", "fleet/consumers?top=10");
    let shown = texts(&browser, "#consumers tbody th");
    let expected: Vec<_> =
        consumers["consumers"].as_array().unwrap().iter().map(|each| &each["consumer"]).collect();
    assert_eq!(serde_json::to_value(&shown).unwrap(), serde_json::to_value(&expected).unwrap());
    assert!(shown.contains(&"Ann".to_owned()) && shown.contains(&"Bob".to_owned()), "{shown:?}");
    // Panels of a single instance are hidden.
    for selector in ["#resources", ".spark", "#alerts"] {
        let height =
            browser.get(&format!("document.querySelector('{selector}').getBoundingClientRect().height"));
        assert_eq!(height, 0, "{selector}");
    }
    // The charts are the fleet's, minute by minute.
    let history = || client.metrics("GET", "fleet/history?window=5m");
    assert_eq!(history()["total"]["total_calls"], calls);
    assert_eq!(history()["step"], "1m");
    for chart in ["#latency", "#heat", "#throughput", "#error-rate"] {
        browser.wait(&format!("document.querySelector('{chart}').dataset.points > 0"));
        browser.wait(&format!("document.querySelector('{chart} .empty').hidden"));
    }
    // Versions side by side.
    let versions = client.metrics("GET", "fleet/versions?window=5m");
    let shown = texts(&browser, "#versions tbody tr :is(th, td)");
    let version = &versions["versions"][0];
    let expected = [version["version"].as_str().unwrap().to_owned(), "2 of 2 up".to_owned()];
    assert_eq!(shown[..2], expected);
    assert_eq!(shown[2].replace(',', ""), version["total_calls"].to_string(), "{shown:?}");
    browser.screenshot(&pictures().join("fleet.png"));

    // An instance's row opens its share.
    let of_a = client.metrics("GET", "fleet/history?window=5m&instance=a")["total"].clone();
    let of_b = client.metrics("GET", "fleet/history?window=5m&instance=b")["total"].clone();
    let sum = [&of_a, &of_b].map(|total| total["total_calls"].as_u64().unwrap());
    assert_eq!(sum.iter().sum::<u64>(), calls);
    browser.click("#instances tr[data-key^='a '] button");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {}", sum[0]));
    assert!(browser.get("location.hash").as_str().unwrap().contains("instance=a"));
    assert_eq!(tile(&browser, "p99"), of_a["p99_response_time"].as_f64().unwrap());
    let share = browser.text("[data-tile=total_calls] p");
    assert!(share.ends_with("% of the fleet"), "{share}");
    browser.wait("document.querySelector('#throughput').dataset.points > 0");
    browser.screenshot(&pictures().join("fleet-instance.png"));
    browser.run("history.back()");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));

    // One endpoint of the fleet, and back.
    browser.click("#routes tr[data-key='GET /items/{id}'] button");
    browser.wait("document.querySelector('[data-tile=error_rate]').dataset.value == 100");
    browser.click("#unfilter");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));

    add_hostile(&redis);
    browser.wait("document.querySelectorAll('#instances tbody tr').length == 3");
    assert!(texts(&browser, "#instances th .where").contains(&HOSTILE.to_owned()));
    assert_eq!(browser.get("document.querySelectorAll('main img, main script').length"), 0);
    assert_eq!(browser.get("window.pwned === undefined"), true);

    for (name, look) in [
        ("fleet-phone", Look { phone: true, ..Look::default() }),
        ("fleet-phone-dark-korean", Look { phone: true, dark: true, language: Some("ko-KR") }),
    ] {
        let phone = Browser::start(look);
        // The address sets the scope.
        phone.open(&page(&instances[1], "window=5m&scope=fleet"));
        phone.wait("document.querySelectorAll('#instances tbody tr').length == 3");
        phone.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));
        let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(phone.get(fits), true, "{name}");
        phone.screenshot(&pictures().join(format!("{name}.png")));
        assert_eq!(phone.complaints(), Vec::<String>::new());
    }

    redis.kill();
    browser.wait("document.querySelector('#fleet').dataset.stale === 'true'");
    // Stale figures are not live.
    browser.wait("document.querySelector('#state').dataset.state === 'stale'");
    assert_eq!(browser.text("#state"), "Fleet figures are stale");
    let note = browser.text("#fleet-note");
    assert!(note.starts_with("Stale since ") && note.ends_with("; showing this instance only"), "{note}");
    // The instances known before are still listed; the figures are this instance's own.
    assert_eq!(texts(&browser, "#instances tbody tr").len(), 3);
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value < {calls}"));
    browser.screenshot(&pictures().join("fleet-stale.png"));
    redis.restart();
    browser.wait("document.querySelector('#fleet').dataset.stale === 'false'");
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    // Redis had nothing on disk: closed minutes are lost, but counts since the start are not.
    browser.click("#windows label[data-window=reset]");
    browser.wait(&format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}"));
    browser.click("#scopes label[data-scope=instance]");
    browser.wait("document.querySelector('#latency').getBoundingClientRect().height > 0");
    browser.wait("document.querySelector('#throughput').dataset.points > 0");
    assert_eq!(browser.get("location.hash"), "#window=reset");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs redis-server, chromium and chromedriver"]
fn a_service_without_a_fleet_offers_none() {
    let alone = Example::full(&["--workers", "1"]);
    let browser = Browser::start(Look::default());
    browser.open(&page(&alone, "window=5m&scope=fleet"));
    browser.wait("document.querySelector('#state').dataset.state === 'live'");
    browser.wait("location.hash === '#window=5m'");
    assert_eq!(browser.get("document.querySelector('#scopes').hidden"), Value::Bool(true));
    assert_eq!(browser.get("document.querySelector('#fleet').hidden"), Value::Bool(true));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
