//! The page, as axe-core judges it: contrast, names, roles, in both colours and languages, on both screens.

use tests::{Browser, Example, LOOKS, serious_violations};

use super::support::wait_until_live;

#[test]
#[ignore = "needs chromium, chromedriver and axe-core"]
fn axe_finds_nothing_serious_in_any_colours_language_or_screen() {
    let demo = Example::start(&["--workers", "2", "--demo-traffic"]);
    let page = format!("http://{}/api/metrics/", demo.addr());
    let mut found = Vec::new();
    for look in LOOKS {
        let browser = Browser::start(look);
        browser.open(&page);
        wait_until_live(&browser);
        browser.wait("document.querySelectorAll('#endpoints tbody tr').length > 3");
        found.extend(serious_violations(&browser).iter().map(|found| format!("{look:?}: {found}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
