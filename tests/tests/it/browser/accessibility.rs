//! The page, as axe-core judges it: contrast, names, roles, in both colours and languages, on both screens.

use std::fs;
use std::path::PathBuf;

use tests::{Browser, Example, Look};

use super::support::wait_until_live;

/// The text of axe-core.
fn axe() -> String {
    let modules = std::env::var_os("METRICS_TEST_NODE_MODULES").expect("METRICS_TEST_NODE_MODULES is set");
    fs::read_to_string(PathBuf::from(modules).join("axe-core/axe.min.js")).expect("axe-core is installed")
}

#[test]
#[ignore = "needs chromium, chromedriver and axe-core"]
fn axe_finds_nothing_serious_in_any_colours_language_or_screen() {
    let axe = axe();
    let demo = Example::start(&["--workers", "2", "--demo-traffic"]);
    let page = format!("http://{}/api/metrics/", demo.addr());
    let mut found = Vec::new();
    for dark in [false, true] {
        for language in [None, Some("ko-KR")] {
            for phone in [false, true] {
                let look = Look { phone, dark, language };
                let browser = Browser::start(look);
                browser.open(&page);
                wait_until_live(&browser);
                browser.wait("document.querySelectorAll('#endpoints tbody tr').length > 3");
                browser.run(&axe);
                let rules = "axe.run({ resultTypes: ['violations'] })";
                let serious = "['serious', 'critical'].includes(impact)";
                let text = "`${id} (${impact}): ${nodes.length}, such as ${nodes.slice(0, 3).map(({ html, any }) => \
                            html.slice(0, 120) + ' ' + (any[0]?.message ?? '')).join('; ')}`";
                let violations = browser.run(&format!(
                    "return {rules}.then(({{ violations }}) => violations.filter(({{ impact }}) => {serious})\
                     .map(({{ id, impact, nodes }}) => {text}));"
                ));
                let violations = violations.as_array().expect("axe answers").iter();
                found.extend(violations.map(|violation| format!("{look:?}: {violation}")));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
