//! The panel of exporters.

use std::time::{Duration, Instant};

use metrics_actix::Metrics;
use metrics_actix::push::{Accepted, Exporter, Failed, PushSettings, Window};
use tests::{Browser, Look, Server};

use super::support::{HOSTILE, page, pictures, shop, wait_until_live};

/// Accepts everything, fails always, or is off.
struct Destination {
    name: &'static str,
    fails: Option<&'static str>,
    off: Option<&'static str>,
}

impl Exporter for Destination {
    fn name(&self) -> &str {
        self.name
    }

    fn settings(&self) -> PushSettings {
        let mut settings = PushSettings::default();
        settings.interval = Duration::from_millis(50);
        (settings.first_pause, settings.max_pause) = (Duration::from_millis(1), Duration::from_millis(10));
        settings.max_age = Duration::from_millis(200);
        settings
    }

    fn off(&self) -> Option<&str> {
        self.off
    }

    fn export(&mut self, _: &Window, _: Instant) -> Result<Accepted, Failed> {
        match self.fails {
            Some(why) => Err(Failed::temporary(why)),
            None => Ok(Accepted::default()),
        }
    }
}

#[test]
#[ignore = "needs chromium and chromedriver"]
fn the_panel_shows_sent_and_dropped_windows() {
    let metrics = Metrics::builder("shop")
        .exporter(Destination { name: "works", fails: None, off: None })
        .exporter(Destination { name: HOSTILE[1], fails: Some(HOSTILE[0]), off: None })
        .exporter(Destination { name: "idle", fails: None, off: Some(HOSTILE[0]) })
        .build()
        .unwrap();
    let server = Server::start(1, &metrics, shop);
    let client = server.client();
    client.send("GET", "/items/1");
    let browser = Browser::start(Look::default());
    browser.open(&page(&server));
    wait_until_live(&browser);
    let cell = |row: usize, at: usize| {
        format!("document.querySelectorAll('#exporters tbody tr')[{row}].cells[{at}]")
    };
    let number = |row: usize, at: usize| format!("Number({}.textContent.replace(/\\D/g, ''))", cell(row, at));
    browser.wait("document.querySelectorAll('#exporters tbody tr').length == 3");
    assert_eq!(browser.get("document.querySelector('#exporters').hidden"), false);
    assert_eq!(browser.text("#exporters h2"), "Exporters");

    // Figures only rise, so the page shows at least what the endpoint answered before.
    let before = client.metrics("GET", "exporters");
    let [works, fails] = [0, 1].map(|row| &before["exporters"][row]);
    assert_eq!(
        (browser.get(&format!("{}.textContent", cell(0, 0))), &fails["exporter"]),
        ("works".into(), &HOSTILE[1].into())
    );
    assert_eq!(browser.get(&format!("{}.textContent", cell(1, 0))), HOSTILE[1]);
    browser.wait(&format!("{} >= {}", number(0, 3), works["windows"]["sent"]));
    browser.wait(&format!("{}.textContent === 'OK'", cell(0, 1)));
    browser.wait(&format!("{} > 0 && {} >= {}", number(1, 5), number(1, 5), fails["windows"]["dropped"]));
    let said = browser.get(&format!("{}.textContent", cell(1, 1)));
    let (attempts, why) = said.as_str().unwrap().split_once(" attempts failed in a row: ").expect("it fails");
    assert!(why == HOSTILE[0] && attempts.replace(',', "").parse::<u64>().unwrap() > 0, "{said}");
    for (row, at, over) in [(0, 1, "false"), (0, 5, "false"), (1, 1, "true"), (1, 5, "true"), (2, 1, "true")]
    {
        assert_eq!(browser.get(&format!("{}.dataset.over", cell(row, at))), over, "{row} {at}");
    }
    assert_eq!(browser.get(&format!("{}.textContent", cell(1, 2))), "–");
    assert_eq!(browser.get(&format!("{}.textContent", cell(2, 1))), format!("off: {}", HOSTILE[0]));
    browser.screenshot(&pictures().join("exporters.png"));
    browser.get(
        "[document.querySelector('#language')].map(\
            of => (of.value = 'ko', of.dispatchEvent(new Event('change'))))",
    );
    browser.wait("document.querySelector('#exporters h2').textContent === '외부 전송'");
    browser.wait(&format!("{}.textContent === '정상'", cell(0, 1)));
    assert_eq!(browser.get("window.pwned"), serde_json::Value::Null);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
