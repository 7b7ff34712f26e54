//! Alerts and objectives of a fleet on its page, in a real browser.

use std::path::PathBuf;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use metrics_actix::Metrics;
use metrics_actix::alert::{Comparison, Metric, Rule};
use metrics_actix::fleet::FleetSettings;
use metrics_core::Window;
use metrics_core::objective::Objective;
use tests::{Browser, LOOKS, Look, Redis, Server, serious_violations};

/// The folder of the screenshots.
fn pictures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/screenshots"))
}

/// An instance with a rule of its own, and a rule and an objective of the fleet. All of them are breached.
fn failing(redis: &Redis, name: &str) -> (Metrics, Server) {
    let settings = FleetSettings::new(&redis.url()).unwrap().interval(Duration::from_millis(300));
    let rule = |name| Rule::new(name, Metric::Errors, Comparison::Above, 0.0).window(Window::FiveMinutes);
    let metrics = Metrics::builder("shop")
        .instance(name)
        .version("1.0.0")
        .without_default_alerts()
        .alert(rule("of-the-instance"))
        .fleet(settings)
        .fleet_alert(rule("of-the-fleet"))
        .fleet_objective(Objective::availability(99.9).name("all-answered").min_calls(1))
        .build()
        .unwrap();
    let shop = |config: &mut ServiceConfig| {
        let broken = web::get().to(|| async { HttpResponse::InternalServerError().finish() });
        config.route("/broken", broken).route("/items/{id}", web::get().to(|| async { "a chair" }));
    };
    let server = Server::start(1, &metrics, shop);
    (0..5).for_each(|_| drop(server.client().send("GET", "/broken")));
    (0..15).for_each(|_| drop(server.client().send("GET", "/items/7")));
    (metrics, server)
}

fn page(server: &Server, hash: &str) -> String {
    format!("http://{}/api/metrics/#{hash}", server.addr())
}

const FIRES: &str = "document.querySelector('#objectives .card')?.dataset.state === 'firing'";

#[test]
#[ignore = "needs redis-server, chromium and chromedriver"]
fn alerts_and_objectives_of_the_fleet_are_on_its_page_and_not_those_of_the_instance() {
    let redis = Redis::start();
    let both = ["a", "b"].map(|name| failing(&redis, name));
    let server = &both[0].1;
    let browser = Browser::start(Look::default());
    browser.open(&page(server, ""));
    browser.wait("document.querySelector('#alerts ul').textContent.includes('of-the-instance')");
    assert_eq!(browser.get("document.querySelector('#objectives').hidden"), true);
    browser.click("#scopes label[data-scope=fleet]");
    browser.wait("document.querySelector('#alerts ul').textContent.includes('of-the-fleet')");
    browser.wait("document.querySelector('#alerts ul li').dataset.state === 'firing'");
    assert!(!browser.text("#alerts").contains("of-the-instance"));

    // Ten of 40 failed, where one of a thousand may.
    browser.wait(FIRES);
    browser.wait("document.querySelector('#objectives .card').textContent.includes('burn rate 250')");
    let card = browser.text("#objectives .card");
    for part in ["all-answered", "firing", "99.9", "1 h: 0", "burn rate 250"] {
        assert!(card.contains(part), "{part}: {card}");
    }
    // Each instance shows what the one that evaluates wrote, also about changes, which mark the charts.
    for (_, server) in &both {
        let fleet = || server.client().metrics("GET", "alerts")["fleet"].take();
        tests::until("both show the same", || {
            let fleet = fleet();
            let changes = fleet["changes"].as_array().unwrap();
            let of_hour = &fleet["objectives"][0]["budgets"][1];
            let counts = ["valid", "good"].map(|name| of_hour[name].as_u64());
            (changes.len() == 2 && counts == [Some(40), Some(30)]).then_some(())
        });
    }
    browser.wait("document.querySelectorAll('#changes li').length === 2");
    for chart in ["#throughput", "#error-rate"] {
        browser.wait(&format!("document.querySelector('{chart}').dataset.alerts === '2'"));
    }
    browser.screenshot(&pictures().join("fleet-alerts.png"));

    // One endpoint of the fleet, and its share of one instance.
    let calls =
        |calls: u64| format!("document.querySelector('[data-tile=total_calls]').dataset.value == {calls}");
    browser.click("#routes tr[data-key='GET /broken'] button");
    browser.wait(&calls(10));
    for chart in ["#latency", "#heat", "#throughput", "#error-rate"] {
        browser.wait(&format!("document.querySelector('{chart}').dataset.points > 0"));
        browser.wait(&format!("document.querySelector('{chart} .empty').hidden"));
    }
    let history = |of: &str| {
        server.client().metrics("GET", &format!("fleet/history?window=5m&method=GET&route=/broken{of}"))
    };
    let total = history("")["total"].take();
    assert_eq!((&total["total_calls"], &total["server_errors"]), (&10.into(), &10.into()));
    assert_eq!(history("&instance=b")["total"]["total_calls"], 5);
    let none = server.client().metrics("GET", "fleet/history?window=5m&method=GET&route=/none");
    assert_eq!(none["total"]["total_calls"], 0);
    browser.click("#instances tr[data-key^='b '] button");
    browser.wait(&calls(5));
    browser.screenshot(&pictures().join("fleet-endpoint.png"));
    browser.click("#unfilter");
    browser.wait(&calls(40));

    browser.click("#scopes label[data-scope=instance]");
    browser.wait("document.querySelector('#alerts ul').textContent.includes('of-the-instance')");
    browser.wait("document.querySelector('#objectives').hidden");
    assert!(!browser.text("#alerts").contains("of-the-fleet"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "needs redis-server, chromium, chromedriver and axe-core"]
fn axe_finds_nothing_serious_on_the_page_of_a_fleet() {
    let redis = Redis::start();
    let both = ["a", "b"].map(|name| failing(&redis, name));
    let mut found = Vec::new();
    for look in LOOKS {
        let browser = Browser::start(look);
        browser.open(&page(&both[0].1, "window=5m&scope=fleet"));
        browser.wait(FIRES);
        browser.wait("document.querySelectorAll('#instances tbody tr').length === 2");
        browser.wait("document.querySelectorAll('#versions tbody tr').length === 1");
        browser.wait("document.querySelectorAll('#alerts ul li').length === 2");
        browser.click("#changes summary");
        found.extend(serious_violations(&browser).iter().map(|found| format!("{look:?}: {found}")));
        if look.language.is_some() && look.phone {
            let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
            assert_eq!(browser.get(fits), true, "{look:?}");
            let name = if look.dark { "fleet-objectives-dark.png" } else { "fleet-objectives.png" };
            browser.screenshot(&pictures().join(name));
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
