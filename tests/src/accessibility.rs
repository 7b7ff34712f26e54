//! What axe-core finds on a page: contrast, names, roles.

use std::fs;
use std::path::PathBuf;

use crate::browser::{Browser, Look};

/// Every screen, in both colours and both languages.
pub const LOOKS: [Look; 8] = [
    look(false, false, None),
    look(true, false, None),
    look(false, false, Some("ko-KR")),
    look(true, false, Some("ko-KR")),
    look(false, true, None),
    look(true, true, None),
    look(false, true, Some("ko-KR")),
    look(true, true, Some("ko-KR")),
];

const fn look(phone: bool, dark: bool, language: Option<&'static str>) -> Look {
    Look { phone, dark, language }
}

/// What axe-core, found in `METRICS_TEST_NODE_MODULES`, calls serious or critical on the open page, a line for each
/// rule.
///
/// # Panics
///
/// If the variable is not set, or axe-core is not there.
pub fn serious_violations(browser: &Browser) -> Vec<String> {
    let modules = std::env::var_os("METRICS_TEST_NODE_MODULES").expect("METRICS_TEST_NODE_MODULES is set");
    let axe = fs::read_to_string(PathBuf::from(modules).join("axe-core/axe.min.js"));
    browser.run(&axe.expect("axe-core is installed"));
    let rules = "axe.run({ resultTypes: ['violations'] })";
    let serious = "['serious', 'critical'].includes(impact)";
    let text = "`${id} (${impact}): ${nodes.length}, such as ${nodes.slice(0, 3).map(({ html, any }) => \
                html.slice(0, 120) + ' ' + (any[0]?.message ?? '')).join('; ')}`";
    let violations = browser.run(&format!(
        "return {rules}.then(({{ violations }}) => violations.filter(({{ impact }}) => {serious})\
         .map(({{ id, impact, nodes }}) => {text}));"
    ));
    violations.as_array().expect("axe answers").iter().map(ToString::to_string).collect()
}
