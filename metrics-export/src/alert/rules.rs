//! Rules and objectives from TOML.

use std::collections::HashSet;
use std::time::Duration;

use metrics_core::alert::{Comparison, Metric, Rule, Scope, Severity};
use metrics_core::objective::{Apdex, Objective};
use metrics_core::{InvalidSetting, Window};
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

/// Rules, objectives and Apdex as read from TOML.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TomlAlerts {
    /// The rules, in their order.
    pub rules: Vec<Rule>,
    /// The objectives, in their order.
    pub objectives: Vec<Objective>,
    /// The rules about all instances of a fleet, in their order.
    pub fleet_rules: Vec<Rule>,
    /// The objectives of a fleet, in their order.
    pub fleet_objectives: Vec<Objective>,
    /// The target of Apdex.
    pub apdex: Option<Apdex>,
}

/// Rules or objectives that cannot be parsed, or are invalid.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RulesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

metrics_core::debug_as_display!(RulesError);

/// Parses rules, objectives and the target of Apdex from a text such as this:
///
/// ```
/// let alerts = metrics_export::alert::alerts_from_toml(r#"
///     [[rule]]
///     name = "slow_orders"
///     metric = "p99"              # see `Metric`
///     comparison = ">"            # >, >=, <, <=
///     threshold = 0.5             # seconds, per cent or calls
///     ## The rest is optional.
///     clear = 0.4                 # default: the threshold
///     window = "1m"               # 1m, 5m (the default), 1h, 24h
///     for = "30s"                 # default: 0s
///     min_calls = 20              # default: 0
///     severity = "critical"       # info, warning (the default), critical
///     route = "/orders/{id}"      # or one of the lines below; default: the whole service
///     ## matched = true            # without 4xx of paths that have no route, which mostly come from scanners
///     ## each_route = true         # an alert for each route
///     ## own_metric = "orders"     # one of the application's own metrics, with metric = "value"
///     remind_every = "15m"        # default: 1h; 0s: never
///
///     [[rule]]
///     name = "canary"
///     metric = "p99"
///     comparison = ">"
///     threshold = 1.5             # times that of the rest
///     fleet = true                # about all instances; default: about each one
///     newest_version = true       # the newest version of the service against the rest; only of a fleet
///     min_calls = 500             # of both
///
///     [[objective]]
///     target = 99.0               # per cent of requests
///     ## The rest is optional.
///     within = "300ms"            # of latency; default: of availability
///     name = "orders_in_time"     # default: latency or availability
///     routes = ["/orders", "/orders/{id}"]    # default: all
///     min_calls = 20              # of its alerts
///     ## fleet = true              # of all instances, over an hour
///
///     [apdex]
///     target = "300ms"
/// "#)?;
/// assert_eq!((alerts.rules.len(), alerts.fleet_rules.len()), (1, 1));
/// assert_eq!((alerts.rules[0].threshold, alerts.objectives[0].target), (0.5, 99.0));
/// # Ok::<(), metrics_export::alert::RulesError>(())
/// ```
///
/// # Errors
///
/// Returns an error if the text is not TOML, a field or a word is unknown, or a rule or an objective is invalid; the
/// error has the line and what is allowed.
pub fn alerts_from_toml(text: &str) -> Result<TomlAlerts, RulesError> {
    let line = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let file: File = toml::from_str(text).map_err(|error| RulesError {
        line: line(error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    })?;
    let mut alerts = TomlAlerts::default();
    let mut names = HashSet::new();
    for table in file.rule {
        let line = line(table.span().start);
        let refused = |reason| RulesError { line, reason };
        let table = table.into_inner();
        let is_of_fleet = table.fleet;
        let rule = table.rule().map_err(refused)?;
        let check = if is_of_fleet { rule.check_of_fleet() } else { rule.check() };
        check.map_err(|error| refused(error.to_string()))?;
        if !names.insert((is_of_fleet, rule.name.clone())) {
            return Err(refused(rule.defined_twice().to_string()));
        }
        let rules = if is_of_fleet { &mut alerts.fleet_rules } else { &mut alerts.rules };
        rules.push(rule);
    }
    let refused = |line| move |error: InvalidSetting| RulesError { line, reason: error.to_string() };
    for table in file.objective {
        let line = line(table.span().start);
        let table = table.into_inner();
        let is_of_fleet = table.fleet;
        let objective = table.objective();
        objective.check().map_err(refused(line))?;
        let objectives = if is_of_fleet { &mut alerts.fleet_objectives } else { &mut alerts.objectives };
        objectives.push(objective);
    }
    if let Some(table) = file.apdex {
        let apdex = Apdex::new(table.get_ref().target).map_err(refused(line(table.span().start)))?;
        alerts.apdex = Some(apdex);
    }
    Ok(alerts)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<Table>>,
    #[serde(default)]
    objective: Vec<Spanned<ObjectiveTable>>,
    apdex: Option<Spanned<ApdexTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectiveTable {
    target: f64,
    #[serde(default, deserialize_with = "some_duration")]
    within: Option<Duration>,
    name: Option<String>,
    #[serde(default)]
    routes: Vec<String>,
    min_calls: Option<u64>,
    #[serde(default)]
    fleet: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApdexTable {
    #[serde(deserialize_with = "duration")]
    target: Duration,
}

impl ObjectiveTable {
    fn objective(self) -> Objective {
        let objective = match self.within {
            Some(within) => Objective::latency(self.target, within),
            None => Objective::availability(self.target),
        };
        let mut objective = objective.routes(self.routes);
        objective.name = self.name.unwrap_or(objective.name);
        objective.min_calls = self.min_calls.unwrap_or(objective.min_calls);
        objective
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    #[serde(deserialize_with = "word")]
    metric: Metric,
    #[serde(deserialize_with = "word")]
    comparison: Comparison,
    threshold: f64,
    clear: Option<f64>,
    #[serde(default, deserialize_with = "some_window")]
    window: Option<Window>,
    #[serde(default, rename = "for", deserialize_with = "some_duration")]
    for_duration: Option<Duration>,
    min_calls: Option<u64>,
    #[serde(default, deserialize_with = "some_word")]
    severity: Option<Severity>,
    #[serde(default)]
    matched: bool,
    #[serde(default)]
    each_route: bool,
    route: Option<String>,
    own_metric: Option<String>,
    #[serde(default)]
    newest_version: bool,
    #[serde(default)]
    fleet: bool,
    #[serde(default, deserialize_with = "some_duration")]
    remind_every: Option<Duration>,
}

impl Table {
    fn rule(self) -> Result<Rule, String> {
        let mut rule = Rule::new(self.name, self.metric, self.comparison, self.threshold);
        rule.clear = self.clear.unwrap_or(rule.clear);
        rule.window = self.window.unwrap_or(rule.window);
        rule.for_duration = self.for_duration.unwrap_or(rule.for_duration);
        rule.min_calls = self.min_calls.unwrap_or(rule.min_calls);
        rule.severity = self.severity.unwrap_or(rule.severity);
        rule.remind_every = self.remind_every.unwrap_or(rule.remind_every);
        let scopes = [
            ("matched", self.matched.then_some(Scope::Matched)),
            ("each_route", self.each_route.then_some(Scope::EachRoute)),
            ("route", self.route.map(Scope::Route)),
            ("own_metric", self.own_metric.map(Scope::OwnMetric)),
            ("newest_version", self.newest_version.then_some(Scope::NewestVersion)),
        ];
        let mut set = scopes.into_iter().filter_map(|(name, scope)| Some((name, scope?)));
        if let Some((first, scope)) = set.next() {
            if let Some((second, _)) = set.next() {
                return Err(format!("{first} and {second} are both set; allowed: only one of them"));
            }
            rule.scope = scope;
        }
        Ok(rule)
    }
}

fn word<'de, D: Deserializer<'de>, T: std::str::FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

fn some_word<'de, D: Deserializer<'de>, T: std::str::FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    word(deserializer).map(Some)
}

/// A window that rules may have.
fn some_window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Window>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse() {
        Ok(Window::SinceReset) | Err(_) => {
            let text: String = text.chars().take(32).collect();
            Err(de::Error::custom(format!("window is {text:?}; allowed: 1m, 5m, 1h, 24h")))
        }
        Ok(window) => Ok(Some(window)),
    }
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

/// A whole number and a unit: `300ms`, `30s`, `5m`, `1h`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refused = || {
        let text: String = text.chars().take(32).collect();
        de::Error::custom(format!(
            "{text:?} is not a duration; allowed: a whole number and ms, s, m or h, such as \"30s\""
        ))
    };
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let parts = units.iter().find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, *millis)));
    let (number, millis) = parts.ok_or_else(refused)?;
    // Rejects a sign, which `parse` would accept.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number).ok_or_else(refused)?;
    let number: u32 = digits.parse().map_err(|_| refused())?;
    Ok(Duration::from_millis(u64::from(number) * millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "\n[[rule]]\nname = \"slow\"\nmetric = \"p95\"\ncomparison = \">\"\nthreshold = 2\n";

    fn refused(more: &str) -> String {
        rules_from_toml(&format!("{RULE}{more}")).unwrap_err().to_string()
    }

    fn rules_from_toml(text: &str) -> Result<Vec<Rule>, RulesError> {
        alerts_from_toml(text).map(|alerts| alerts.rules)
    }

    #[test]
    fn objectives_and_apdex_are_read_and_have_defaults() {
        let text = "[[objective]]\ntarget = 99.9\n[[objective]]\ntarget = 95\nwithin = \"300ms\"\n\
                    name = \"orders\"\nroutes = [\"/orders\"]\nmin_calls = 3\n[apdex]\ntarget = \"1s\"\n";
        let alerts = alerts_from_toml(text).unwrap();
        let orders = Objective::latency(95.0, Duration::from_millis(300)).name("orders");
        let expected = [Objective::availability(99.9), orders.routes(["/orders"]).min_calls(3)];
        assert_eq!(alerts.objectives, expected);
        assert_eq!(alerts.apdex, Apdex::new(Duration::from_secs(1)).ok());
        for (text, said) in [
            ("\n[[objective]]\ntarget = 100", "line 2: objective \"availability\": target is 100; allowed"),
            (
                "[[objective]]\ntarget = 9\nwithin = \"0s\"",
                "line 1: objective \"latency\": time is 0ns; allowed",
            ),
            ("[[objective]]\ntarget = 9\nroute = \"/\"", "line 3: unknown field `route`, expected one of"),
            ("[apdex]\ntarget = \"16s\"", "line 1: apdex is 16s; allowed: 1 ns to 15 s"),
            ("[apdex]\n", "line 1: missing field `target`"),
        ] {
            let error = alerts_from_toml(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn rules_and_objectives_of_a_fleet_are_apart_and_may_have_the_same_names() {
        let canary = RULE.replace("p95", "p99").replace("= 2", "= 1.5");
        let text = format!("{RULE}{canary}fleet = true\nnewest_version = true\nmin_calls = 500\n");
        let text = format!("{text}[[objective]]\ntarget = 99\nfleet = true\n");
        let alerts = alerts_from_toml(&text).unwrap();
        let expected = Rule::new("slow", Metric::P99, Comparison::Above, 1.5);
        assert_eq!(alerts.fleet_rules, [expected.scope(Scope::NewestVersion).min_calls(500)]);
        assert_eq!((alerts.rules.len(), alerts.objectives.len()), (1, 0));
        assert_eq!(alerts.fleet_objectives, [Objective::availability(99.0)]);
        let error = refused("newest_version = true");
        assert!(
            error.starts_with("line 2: rule \"slow\": scope is newest_version; allowed: only in"),
            "{error}"
        );
        let error = refused("fleet = true\nwindow = \"24h\"");
        assert!(error.starts_with("line 2: rule \"slow\": window is 24h; allowed: 1m, 5m, 1h"), "{error}");
    }

    #[test]
    fn missing_fields_have_the_defaults_of_a_new_rule() {
        let expected = Rule::new("slow", Metric::P95, Comparison::Above, 2.0);
        assert_eq!(rules_from_toml(RULE).unwrap(), [expected]);
        assert_eq!(rules_from_toml(""), Ok(Vec::new()));
    }

    #[test]
    fn the_example_of_the_docs_is_valid() {
        let page = include_str!("../../../docs/alerts.md");
        let example = page.split("```toml\n").find(|part| part.starts_with("[[rule]]")).unwrap();
        let alerts = alerts_from_toml(example.split("```").next().unwrap()).unwrap();
        assert_eq!((alerts.rules.len(), alerts.rules[0].metric), (1, Metric::ServerErrorRate));
        assert_eq!((alerts.fleet_rules.len(), &alerts.fleet_rules[0].scope), (1, &Scope::NewestVersion));
    }

    #[test]
    fn every_field_is_read() {
        let more = "clear = 1.5\nwindow = \"1h\"\nfor = \"2m\"\nmin_calls = 7\nseverity = \"info\"\n\
                    each_route = true\nremind_every = \"0s\"\n";
        let other = RULE.replace("slow", "other");
        let rules = rules_from_toml(&format!("{RULE}{more}{other}route = \"/a\"")).unwrap();
        let slow = Rule::new("slow", Metric::P95, Comparison::Above, 2.0);
        let first = slow.clear(1.5).window(Window::OneHour).for_at_least(Duration::from_secs(120));
        let first = first.min_calls(7).severity(Severity::Info).scope(Scope::EachRoute);
        let second =
            Rule::new("other", Metric::P95, Comparison::Above, 2.0).scope(Scope::Route("/a".to_owned()));
        assert_eq!(rules, [first.remind_every(Duration::ZERO), second]);
    }

    #[test]
    fn every_scope_has_a_word() {
        let scope =
            |more: &str| rules_from_toml(&format!("{RULE}{more}")).map(|mut rules| rules.remove(0).scope);
        assert_eq!(scope(""), Ok(Scope::Service));
        assert_eq!(scope("matched = true"), Ok(Scope::Matched));
        assert_eq!(scope("matched = false"), Ok(Scope::Service));
        assert_eq!(scope("each_route = true"), Ok(Scope::EachRoute));
        assert_eq!(scope("route = \"/a\""), Ok(Scope::Route("/a".to_owned())));
        assert_eq!(scope("own_metric = \"checkout\""), Ok(Scope::OwnMetric("checkout".to_owned())));
    }

    #[test]
    fn invalid_rules_are_rejected_with_their_line_and_what_is_allowed() {
        for (more, line, allowed) in [
            ("treshold = 3", "line 7: ", "unknown field `treshold`, expected one of `name`, `metric`,"),
            ("\nwindow = \"2m\"", "line 8: ", "window is \"2m\"; allowed: 1m, 5m, 1h, 24h\n"),
            ("window = \"reset\"", "line 7: ", "window is \"reset\"; allowed: 1m, 5m, 1h, 24h\n"),
            (RULE, "line 8: ", "rule \"slow\" is defined twice; allowed: one rule per name\n"),
            ("severity = \"bad\"", "line 7: ", "severity is \"bad\"; allowed: info, warning, critical"),
            ("for = \"-1s\"", "line 7: ", "allowed: a whole number and ms, s, m or h"),
            ("for = \"s\"", "line 7: ", "allowed: a whole number and ms, s, m or h"),
            ("for = 30", "line 7: ", "expected a string"),
            ("min_calls = -1", "line 7: ", "u64"),
            ("clear = 3", "line 2: ", "rule \"slow\": clear is 3; allowed: at most the threshold, 2"),
            (
                "each_route = true\nroute = \"/\"",
                "line 2: ",
                "each_route and route are both set; allowed: only one of them",
            ),
            ("matched = true\nown_metric = \"a\"", "line 2: ", "matched and own_metric are both set"),
            ("window = \"48h\"", "line 7: ", "window is \"48h\"; allowed: 1m, 5m, 1h, 24h\n"),
            ("[[rules]]", "line 7: ", "unknown field `rules`, expected one of `rule`, `objective`, `apdex`"),
            ("=", "line 7: ", ""),
        ] {
            let error = refused(more) + "\n";
            assert!(error.starts_with(line) && error.contains(allowed), "{more:?}: {error}");
        }
        let error = rules_from_toml(&RULE.replace("p95", "p96")).unwrap_err().to_string();
        assert!(error.starts_with("line 4: metric is \"p96\"; allowed: error_rate, "), "{error}");
        let error = rules_from_toml("[[rule]]\nname = \"slow\"\n").unwrap_err().to_string();
        assert_eq!(error, "line 1: missing field `metric`");
    }
}
