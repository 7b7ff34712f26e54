//! What an open page requests.

use std::time::Duration;

use metrics_actix::Metrics;
use tests::{Browser, Look, Server};

use super::support::{Traffic, page, shop, wait_until_live};

/// The requests of the page since it was opened, and of its files.
const REQUESTS: &str = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))\
                        .map(entry => entry.name)";

#[test]
#[ignore = "needs chromium and chromedriver"]
fn an_open_page_sends_at_most_twenty_requests_in_its_first_minute_and_stays_live() {
    let metrics = Metrics::builder("shop").api_key_header("x-api-key").build().unwrap();
    for i in 0..30 {
        metrics.registry().counter(&format!("counter_{i}")).unwrap().increment();
    }
    let server = Server::start(2, &metrics, shop);
    let _traffic = Traffic::start(server.client());
    // More endpoints than fit on a screen.
    (0..60).for_each(|i| drop(server.client().send("GET", &format!("/hostile/{i}"))));
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    let rows = "document.querySelectorAll('#routes tbody tr td:nth-child(3)')";
    let calls =
        format!("[...{rows}].reduce((sum, cell) => sum + Number(cell.textContent.replace(/\\D/g, '')), 0)");
    let mut last = 0;
    for _ in 0..6 {
        // The table moves, too, at least as often as every ten seconds.
        browser.wait(&format!("{calls} > {last}"));
        last = browser.get(&calls).as_u64().unwrap();
        std::thread::sleep(Duration::from_secs(10));
        assert_eq!(browser.get("document.querySelector('#state').dataset.state"), "live");
    }
    let requests = browser.get(REQUESTS);
    assert!((8..=20).contains(&requests.as_array().unwrap().len()), "{requests:#}");
    // As many trends as there are charts came by themselves.
    let charts =
        "[...document.querySelectorAll('#business .chart')].filter(chart => chart.querySelector('canvas'))";
    browser.wait(&format!("{charts}.length == 24 && {charts}.every(chart => chart.dataset.points > 0)"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
