//! Charts and tiles follow what the page is narrowed to, say what is not kept of it, and compare it with earlier times.

use std::time::{Duration, SystemTime};

use metrics_actix::Metrics;
use serde_json::Value;
use tests::{Browser, Client, Look, Server};

use super::support::{agree, page, pictures, shop, tile, wait_until_live};

/// WebDriver's code point of a key.
const DOWN: char = '\u{e015}';

const KEYS: [(&str, &str); 1] = [("x-api-key", "a-key-of-ann-with-enough-letters")];

fn server() -> Server {
    let ann = |key: &str| (key == KEYS[0].1).then(|| "Ann".to_owned());
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").consumer_alias(ann).build().unwrap();
    Server::start(2, &metrics, shop)
}

/// Answers of each class, some for a consumer.
fn call_all(client: &Client) {
    (0..6).for_each(|i| drop(client.send_with("GET", &format!("/items/{i}"), &KEYS)));
    (0..3).for_each(|_| drop(client.send("GET", "/missing")));
    (0..2).for_each(|_| drop(client.send("GET", "/hostile/0")));
}

fn shown(browser: &Browser, chart: &str) -> (u64, String, bool) {
    let of = |what: &str| browser.get(&format!("document.querySelector('{chart}'){what}"));
    let points = of(".dataset.points").as_str().unwrap().parse().unwrap();
    let note = of(".querySelector('.empty').textContent").as_str().unwrap().to_owned();
    (points, note, of(".querySelector('.empty').hidden") == Value::Bool(false))
}

/// Waits until a chart says that nothing of the choice is kept.
fn wait_until_unkept(browser: &Browser, charts: &[&str]) {
    for chart in charts {
        browser.wait(&format!(
            "document.querySelector('{chart} .empty').textContent.includes('does not keep') \
             && !document.querySelector('{chart} .empty').hidden"
        ));
    }
}

fn note(browser: &Browser, name: &str) -> String {
    browser.text(&format!("[data-tile={name}] p"))
}

fn is_unknown(browser: &Browser, name: &str) -> bool {
    browser.text(&format!("[data-tile={name}] b")) == "–" && note(browser, name) == "not kept for this choice"
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn charts_and_tiles_follow_a_class_a_cause_and_a_consumer_and_say_what_is_not_kept() {
    let server = server();
    let client = server.client();
    call_all(&client);
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value == 11");
    browser.wait("document.querySelectorAll('#groups button[data-group]').length === 2");
    let total = |query: &str| client.metrics("GET", &format!("history?window=5m&{query}"))["total"].clone();
    let figure = |query: &str, name: &str| total(query)[name].as_f64().into_iter().collect::<Vec<_>>();

    // A class: its own latencies, and its share of all requests.
    browser.click("#statuses [data-status='5xx']");
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value == 2");
    for (name, field) in [("p50", "p50_response_time"), ("p99", "p99_response_time")] {
        agree(name, || vec![tile(&browser, name)], || figure("status=5xx", field));
    }
    assert!((tile(&browser, "error_rate") - 200.0 / 11.0).abs() < 1e-9);
    let (points, _, is_empty) = shown(&browser, "#latency");
    assert!(points > 0 && !is_empty);
    browser.wait("document.querySelector('#error-rate').dataset.values.split(' ').length === 1");
    browser.screenshot(&pictures().join("follow-class.png"));

    // A cause: how often, and nothing else.
    browser.click("#groups button[data-group]");
    browser.wait("document.querySelector('[data-tile=p99] p').textContent === 'not kept for this choice'");
    assert_eq!(tile(&browser, "total_calls"), 2.0);
    assert!(["p50", "p95", "p99", "average", "error_rate"].iter().all(|name| is_unknown(&browser, name)));
    wait_until_unkept(&browser, &["#latency", "#heat", "#error-rate"]);
    let (points, _, is_empty) = shown(&browser, "#throughput");
    assert!(points > 0 && !is_empty);
    browser.screenshot(&pictures().join("follow-cause.png"));
    browser.click("#unfilter");
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value == 11");

    // A consumer: calls, errors and the average.
    browser.wait("document.querySelector('#consumers [data-consumer=Ann]') !== null");
    browser.click("#consumers [data-consumer='Ann']");
    let of_ann = total("consumer=Ann");
    browser.wait(&format!(
        "document.querySelector('[data-tile=total_calls]').dataset.value == {}",
        of_ann["total_calls"]
    ));
    assert_eq!(tile(&browser, "average"), of_ann["avg_response_time"].as_f64().unwrap());
    assert!(is_unknown(&browser, "p99"), "{}", note(&browser, "p99"));
    browser.wait("document.querySelector('#error-rate canvas').ariaLabel.includes('4xx, 5xx, panics 0%')");
    wait_until_unkept(&browser, &["#heat"]);
    browser.screenshot(&pictures().join("follow-consumer.png"));

    // Both: the history keeps no combination of them.
    browser.click("#statuses [data-status='4xx']");
    wait_until_unkept(&browser, &["#latency", "#heat", "#throughput", "#error-rate"]);
    assert!(
        ["total_calls", "p99", "average", "requests_per_second"]
            .iter()
            .all(|name| is_unknown(&browser, name))
    );
    // Back undoes it.
    browser.run("history.back()");
    browser.wait("document.querySelector('[data-tile=total_calls]').dataset.value > 0");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn millis(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn a_comparison_is_a_faint_line_in_each_chart_and_in_the_address_and_works_by_keyboard() {
    let server = server();
    let client = server.client();
    let begun = SystemTime::now();
    // Two spans of ten seconds, each with calls.
    while begun.elapsed().unwrap() < Duration::from_secs(21) {
        call_all(&client);
        std::thread::sleep(Duration::from_millis(200));
    }
    let (from, to) = (begun + Duration::from_secs(11), begun + Duration::from_secs(20));
    let browser = Browser::start(Look::default());
    browser.open(&format!("{}#window=5m&from={}&to={}", page(&server), millis(from), millis(to)));
    browser.wait("document.querySelector('#throughput').dataset.points > 3");
    let percentile = browser.get("Number(document.querySelector('[data-tile=p99]').dataset.value)");
    assert!(percentile.as_f64() > Some(0.0), "a span has its percentiles: {percentile}");
    assert_eq!(browser.get("document.querySelector('#throughput').dataset.compared"), "");

    browser.get("document.querySelector('#compare').focus()");
    browser.press(DOWN);
    browser.wait("location.hash.includes('compare=before')");
    for chart in ["#latency", "#throughput", "#error-rate"] {
        browser.wait(&format!("document.querySelector('{chart}').dataset.compared > 3"));
        browser.wait(&format!("document.querySelector('{chart} .faint').textContent === 'Window before'"));
    }
    browser.hover("#throughput canvas");
    browser.wait("document.querySelectorAll('#tip s').length > 0");
    browser.screenshot(&pictures().join("compare.png"));
    browser.press(DOWN);
    browser.wait("location.hash.includes('compare=day')");
    browser.wait("document.querySelector('#throughput .faint').textContent === 'no data for that time'");
    browser.run("history.back()");
    browser.wait("document.querySelector('#compare').value === 'before'");
    browser.wait("document.querySelector('#throughput').dataset.compared > 3");

    // The address holds it, in Korean, too, and on a phone.
    let address = browser.get("location.href");
    let phone = Browser::start(Look { phone: true, dark: true, language: Some("ko-KR") });
    phone.open(address.as_str().unwrap());
    phone.wait("document.querySelector('#throughput').dataset.compared > 3");
    assert_eq!(phone.text("#throughput .faint"), "이전 구간");
    let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(phone.get(fits), true);
    phone.screenshot(&pictures().join("compare-phone.png"));
    for browser in [&browser, &phone] {
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}
