//! From a red number to its cause: groups of errors, their examples, the slowest requests and objectives.

use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, error, rt};
use metrics_actix::Metrics;
use metrics_core::objective::Objective;
use serde_json::json;
use tests::{Browser, Client, Look, Server, settled};

use super::support::{page, pictures};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

fn shop(config: &mut ServiceConfig) {
    let pay = |request: HttpRequest| async move {
        rt::time::sleep(Duration::from_millis(20)).await;
        match request.headers().get("x-api-key").map(|key| key.as_bytes()) {
            Some(b"a key of Ann") => {
                let id = request.match_info().query("id").to_owned();
                Err(error::ErrorInternalServerError(format!("card {id} has no <b>limit</b>")))
            }
            _ => Ok("paid"),
        }
    };
    config.route("/pay/{id}", web::get().to(pay)).route("/items/{id}", web::get().to(|| async { "a chair" }));
}

/// A route that turns slow and fails for one consumer with one message, amid requests of scanners.
fn incident(client: &Client) -> u64 {
    let ann = [("x-api-key", "a key of Ann"), TRACEPARENT, ("x-request-id", "req-7")];
    for i in 0..40 {
        client.send("GET", &format!("/items/{i}"));
        client.send("GET", &format!("/wp-admin-{i}.php"));
        client.send_with("GET", &format!("/pay/{i}"), if i % 2 == 0 { &ann } else { &[] });
    }
    120
}

fn start() -> (Metrics, Server) {
    let metrics = Metrics::builder("shop")
        .api_key_header("x-api-key")
        .consumer_alias(|key| (key == "a key of Ann").then(|| "Ann".to_owned()))
        .keep_paths(true)
        .trace_url("https://jaeger.example/trace/{trace_id}")
        .objective(Objective::availability(99.0))
        .objective(Objective::latency(50.0, Duration::from_secs(60)).name("paid").routes(["/pay/{id}"]))
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    (metrics, server)
}

const GROUP: &str = "[...document.querySelectorAll('#groups button[data-group]')].find((button) => \
                     button.textContent.includes('/pay/{id}'))";

/// From the open page to route, consumer, message and trace. Returns the clicks that it took.
fn find_the_cause(browser: &Browser) -> usize {
    browser.wait(&format!("{GROUP} !== undefined"));
    let row = browser.get(&format!("{GROUP}.parentElement.textContent"));
    let row = row.as_str().unwrap();
    // At first sight: route, message and whose.
    for part in ["500", "/pay/{id}", "card <num> has no <b>limit</b>", "Ann (20)"] {
        assert!(row.contains(part), "{part} is not in {row}");
    }
    browser.get(&format!("{GROUP}.click()"));
    browser.wait("document.querySelector('#groups ul li a') !== null");
    let example = browser.get("document.querySelector('#groups ul li').textContent");
    let example = example.as_str().unwrap();
    for part in ["card ", " has no <b>limit</b>", "Ann", "/pay/", "req-7", TRACE] {
        assert!(example.contains(part), "{part} is not in {example}");
    }
    let link = browser.get("document.querySelector('#groups ul li a').href");
    assert_eq!(link, format!("https://jaeger.example/trace/{TRACE}"));
    1
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_incident_leads_to_its_route_consumer_message_and_trace_in_at_most_three_clicks() {
    let (metrics, server) = start();
    let calls = incident(&server.client());
    settled(&metrics, calls);
    std::fs::create_dir_all(pictures()).unwrap();
    for (phone, picture) in [(false, "causes-desktop.png"), (true, "causes-phone.png")] {
        let browser = Browser::start(Look { phone, ..Look::default() });
        browser.open(&page(&server));
        let clicks = find_the_cause(&browser);
        assert!(clicks <= 3);
        browser.get("document.querySelector('#groups').scrollIntoView()");
        browser.screenshot(&pictures().join(picture));
        // The choice is in the address, so a copy of it opens the same group.
        let address = browser.get("location.href");
        let address = address.as_str().unwrap();
        assert!(address.contains("group="), "{address}");
        // The slowest requests are those of the route that turned slow.
        let slowest = browser.get("document.querySelector('#slow ol > li').textContent");
        assert!(slowest.as_str().unwrap().contains("/pay/{id}"), "{slowest}");
        // An objective says which routes it is of.
        assert!(browser.text("[data-objective=paid]").contains("/pay/{id}"));
        let left = "Number(document.querySelector('[data-objective=availability] li').dataset.left)";
        let begun = Instant::now();
        while browser.get(left).as_f64().is_none_or(|left| left >= 0.0) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no budget is spent");
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(browser.get("window.pwned"), json!(null));
        assert_eq!(browser.complaints(), [""; 0]);
    }
}
