//! The figures of the fleet that rules need, read before they are evaluated.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics_core::alert::{Burn, BurnRate, FigureSource, NewestVersion, Rule, Scope};
use metrics_core::objective::{Objective, ObjectiveCounts};
use metrics_core::{Business, Registry, Summary, Window};
use metrics_export::fleet::redis::{Answer, Member, Question};
use metrics_export::fleet::{InstanceFigures, Presence};

use super::budgets::{Counted, WINDOWS};

/// Answers of the fleet to all questions of the rules that are due.
pub(super) struct FleetFigures<'a> {
    answers: HashMap<Question, Arc<Answer>>,
    objectives: &'a [Objective],
}

impl<'a> FleetFigures<'a> {
    /// Asks for everything that these rules need, and calls `between` before each further question. Blocks for up to
    /// three seconds a question.
    ///
    /// # Errors
    ///
    /// Returns an error if one question has no answer: half of the figures would end alerts. Also if `between` fails
    /// before one of these.
    pub(super) fn read<'r>(
        member: &Member,
        rules: impl Iterator<Item = &'r Arc<Rule>>,
        objectives: &'a [Objective],
        mut between: impl FnMut() -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut figures = Self { answers: HashMap::new(), objectives };
        let mut lacks_name = false;
        for rule in rules {
            for question in questions(rule) {
                figures.ask(member, question, &mut between)?;
            }
            lacks_name |= figures.lacks_name(rule);
        }
        if lacks_name {
            // It only tells whether a name is wrong: without it, the rules are evaluated all the same. A lease that
            // ended meanwhile is noticed where they are.
            let _ = figures.ask(member, Question::SinceReset, &mut between);
        }
        Ok(figures)
    }

    fn ask(
        &mut self,
        member: &Member,
        question: Question,
        between: &mut impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        if self.answers.contains_key(&question) {
            return Ok(());
        }
        if !self.answers.is_empty() {
            between()?;
        }
        let reply = member.ask(question).map_err(|busy| busy.to_string())?;
        let answer = reply.wait().map_err(|stale| stale.reason)?;
        if answer.fleet.instances().is_empty() {
            return Err("no instance has written yet".to_owned());
        }
        self.answers.insert(question, answer);
        Ok(())
    }

    /// Whether a rule names a route or a metric that is not in its own window, so that others have to be searched.
    fn lacks_name(&self, rule: &Rule) -> bool {
        match &rule.scope {
            Scope::Route(route) => {
                let summary = self.endpoints(rule.window);
                !summary.endpoints.iter().any(|endpoint| *endpoint.name.route == **route)
            }
            Scope::OwnMetric(name) => self.own_metrics(rule.window).get(name).is_none(),
            _ => false,
        }
    }

    /// Whether an instance is late to write, and not yet gone.
    pub(super) fn has_late_instances(&self) -> bool {
        let reports = self.answers.values().flat_map(|answer| answer.fleet.instances());
        let mut newest = HashMap::new();
        for InstanceFigures { instance, presence, .. } in reports {
            let of =
                newest.entry((&instance.name, instance.started)).or_insert((instance.written, *presence));
            if instance.written >= of.0 {
                *of = (instance.written, *presence);
            }
        }
        newest.into_values().any(|(_, presence)| presence == Presence::Stale)
    }

    fn answer(&self, window: Window, routes: bool) -> Option<&Answer> {
        let question = match window {
            Window::SinceReset => Question::SinceReset,
            _ => of_minutes(minutes(window), routes),
        };
        self.answers.get(&question).map(|answer| &**answer)
    }

    /// Nothing, over no time, unless it was asked for.
    fn summary_of(&self, window: Window, routes: bool) -> Summary {
        let summary = self.answer(window, routes).and_then(|answer| answer.summary.clone());
        summary.unwrap_or_else(|| Registry::new().summary())
    }

    fn counts(&self, objective: &Objective, window: Duration) -> Option<ObjectiveCounts> {
        let answer = self.answers.get(&of_minutes(whole_minutes(window), true))?;
        Some(objective.count(&answer.fleet.snapshot()?)).filter(|counts| counts.valid > 0)
    }

    /// The requests of all objectives whose windows were read.
    pub(super) fn counted(&self) -> Vec<Counted> {
        let answers = WINDOWS.map(|window| self.answers.get(&of_minutes(whole_minutes(window), true)));
        let read = answers.map(|answer| {
            let answer = answer?;
            let covered = answer.summary.as_ref().map_or(Duration::ZERO, |summary| summary.window);
            Some((covered, answer.fleet.snapshot()?))
        });
        let [Some(_), Some((_, hour))] = &read else { return Vec::new() };
        let counted = |objective: &Objective| {
            let windows = WINDOWS.into_iter().zip(read.iter().flatten());
            let counts =
                windows.map(|(window, (covered, snapshot))| (window, *covered, objective.count(snapshot)));
            Counted::new(objective, objective.counted_to(hour), counts)
        };
        self.objectives.iter().map(counted).collect()
    }
}

/// What a rule needs to know.
fn questions(rule: &Rule) -> Vec<Question> {
    let minutes = minutes(rule.window);
    match &rule.scope {
        Scope::Service => vec![of_minutes(minutes, false)],
        Scope::NewestVersion => vec![Question::Versions { minutes: Some(minutes) }],
        Scope::Burn(burn) => [burn.long, burn.short].map(|of| of_minutes(whole_minutes(of), true)).to_vec(),
        // The totals of a minute tell no routes apart and have no own metrics.
        _ => vec![of_minutes(minutes, true)],
    }
}

fn of_minutes(minutes: u8, routes: bool) -> Question {
    Question::Minutes { minutes, routes }
}

/// Rules of a fleet have windows of up to an hour.
fn minutes(window: Window) -> u8 {
    window.length().map_or(60, whole_minutes)
}

fn whole_minutes(window: Duration) -> u8 {
    u8::try_from(window.as_secs() / 60).unwrap_or(60).min(60)
}

impl FigureSource for FleetFigures<'_> {
    fn summary(&self, window: Window) -> Summary {
        self.summary_of(window, false)
    }

    fn endpoints(&self, window: Window) -> Summary {
        self.summary_of(window, true)
    }

    fn matched(&self, window: Window) -> Summary {
        let all = self.summary_of(window, true);
        let matched = self.answer(window, true).and_then(|answer| answer.fleet.snapshot());
        // The length of a window takes all instances into account.
        let matched = matched.map(|snapshot| Summary { window: all.window, ..snapshot.summary_of_matched() });
        matched.unwrap_or(all)
    }

    fn matched_endpoints(&self, window: Window) -> Summary {
        self.matched(window)
    }

    fn consecutive_errors(&self, _: Window, _: Duration) -> u64 {
        // No rule of a fleet asks for them.
        0
    }

    fn own_metrics(&self, window: Window) -> Business {
        let snapshot = self.answer(window, true).and_then(|answer| answer.fleet.snapshot());
        let totals = snapshot.map(|snapshot| snapshot.metric_totals()).unwrap_or_default();
        let Summary { business, since, window, .. } = self.summary_of(window, true);
        Business { metrics: business, totals, since, window }
    }

    fn burn_rate(&self, Burn { objective, long, short }: &Burn) -> Option<BurnRate> {
        let objective = self.objectives.iter().find(|known| known.name == *objective)?;
        let (long, short) = (self.counts(objective, *long)?, self.counts(objective, *short)?);
        let rate = |counts: ObjectiveCounts| {
            (counts.valid - counts.good) as f64 / counts.valid as f64 / objective.budget_share()
        };
        Some(BurnRate { rate: rate(long).min(rate(short)), calls: long.valid })
    }

    /// Minutes of an hour would be sixty times as much to read. It was asked for where it is needed.
    fn window_of_names(&self) -> Window {
        Window::SinceReset
    }

    fn newest_version(&self, window: Window) -> Option<NewestVersion> {
        let answer = self.answers.get(&Question::Versions { minutes: Some(minutes(window)) })?;
        answer.fleet.newest_version()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use metrics_core::alert::{Alerts, Change, Comparison, Metric, Moment};
    use metrics_export::fleet::{Fingerprints, Fleet, Instance, Report};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The answer of a fleet of these registries, which wrote so long ago.
    fn answer(registries: &[&Registry], ago: Duration) -> Arc<Answer> {
        let now = SystemTime::now();
        let mut fleet = Fleet::new(now);
        for (number, registry) in registries.iter().enumerate() {
            let instance = Instance {
                service: "orders".to_owned(),
                name: format!("orders-{number}"),
                version: String::new(),
                started: now - 600 * SECOND,
                written: now - ago,
                interval: 10 * SECOND,
                epoch: 0,
                stopped: false,
                fingerprints: Fingerprints::default(),
            };
            let report = Report { instance, snapshot: registry.snapshot(), errors: Vec::new() };
            fleet.add_bytes("a test", &report.encode());
        }
        let summary = fleet.summary();
        let (trend, took) = (Vec::new(), Duration::ZERO);
        Arc::new(Answer { fleet, summary, trend, epoch: 0, read: now, bytes: 0, took })
    }

    fn figures(question: Question, answer: Arc<Answer>) -> FleetFigures<'static> {
        FleetFigures { answers: HashMap::from([(question, answer)]), objectives: &[] }
    }

    #[test]
    fn rules_of_each_scope_see_all_instances() {
        let registries = [Registry::new(), Registry::new()];
        for registry in &registries {
            let (known, unknown) = (registry.endpoint("GET", "/a"), registry.endpoint("GET", "_unmatched"));
            (0..5).for_each(|_| registry.record_nanos(known, 500, 1));
            (0..50).for_each(|_| registry.record_nanos(unknown, 404, 1));
            registry.counter("orders").unwrap().add(4);
        }
        let rule = |name: &str, metric, scope| Rule::new(name, metric, Comparison::AtLeast, 8.0).scope(scope);
        let rules = [
            rule("all", Metric::Errors, Scope::Matched),
            rule("each", Metric::Errors, Scope::EachRoute),
            rule("one", Metric::Errors, Scope::Route("/a".to_owned())),
            rule("own", Metric::Value, Scope::OwnMetric("orders".to_owned())),
        ];
        let mut alerts = Alerts::of_fleet(rules, 10 * SECOND).unwrap();
        let question = of_minutes(5, true);
        let due: Vec<_> = alerts.due(Moment::now()).flat_map(|rule| questions(rule)).collect();
        assert_eq!(due, [question; 4]);
        let answer = answer(&registries.each_ref(), SECOND);
        let notices = alerts.evaluate(Moment::now(), &figures(question, answer));
        let told: Vec<_> = notices.iter().map(|n| (&*n.alert.rule.name, n.change, n.alert.value)).collect();
        let firing = |name, value| (name, Change::Firing, Some(value));
        // 4xx of paths without a route count in none.
        assert_eq!(
            told,
            [firing("all", 10.0), firing("each", 10.0), firing("one", 10.0), firing("own", 8.0)]
        );
        assert_eq!(notices[1].alert.endpoint.as_deref().map(|name| &*name.route), Some("/a"));
    }

    #[test]
    fn each_rule_asks_for_no_more_than_it_needs() {
        let rule = |scope| Rule::new("rule", Metric::P99, Comparison::Above, 1.0).scope(scope);
        let minute = Window::OneMinute;
        assert_eq!(questions(&rule(Scope::Service).window(minute)), [of_minutes(1, false)]);
        assert_eq!(questions(&rule(Scope::NewestVersion)), [Question::Versions { minutes: Some(5) }]);
        let burn = Objective::availability(99.9).burn_rules().remove(0);
        assert_eq!(questions(&burn), [of_minutes(60, true), of_minutes(5, true)]);
    }

    #[test]
    fn a_name_that_no_instance_has_is_not_seen_once_the_reset_was_an_hour_ago() {
        let registry = Registry::new();
        registry.record_nanos(registry.endpoint("GET", "/a"), 200, 1);
        registry.counter("orders").unwrap().add(4);
        let rule = |name: &str, metric, scope| Rule::new(name, metric, Comparison::AtLeast, 8.0).scope(scope);
        let route = |route: &str| Scope::Route(route.to_owned());
        let rules = [
            rule("route", Metric::Errors, route("/a")),
            rule("wrong_route", Metric::Errors, route("/A")),
            rule("own", Metric::Value, Scope::OwnMetric("orders".to_owned())),
            rule("wrong_own", Metric::Value, Scope::OwnMetric("ordres".to_owned())),
        ];
        let not_seen = |reset: Duration| {
            let mut recent = figures(of_minutes(5, true), answer(&[&registry], SECOND));
            let lacks: Vec<_> = rules.iter().map(|rule| recent.lacks_name(rule)).collect();
            assert_eq!(lacks, [false, true, false, true]);
            let mut all = answer(&[&registry], SECOND);
            let summary = &mut Arc::get_mut(&mut all).unwrap().summary;
            *summary = summary.take().map(|summary| Summary { window: reset, ..summary });
            recent.answers.insert(Question::SinceReset, all);
            let mut alerts = Alerts::of_fleet(rules.clone(), 10 * SECOND).unwrap();
            alerts.evaluate(Moment::now(), &recent);
            let alerts = alerts.alerts().into_iter().filter(|alert| alert.not_seen);
            alerts.map(|alert| alert.rule.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(not_seen(1_000 * SECOND), Vec::<String>::new());
        assert_eq!(not_seen(4_000 * SECOND), ["wrong_route", "wrong_own"]);
    }

    #[test]
    fn an_instance_is_late_until_it_is_gone() {
        let registry = Registry::new();
        let late = |seconds: u32| {
            figures(of_minutes(1, false), answer(&[&registry], seconds * SECOND)).has_late_instances()
        };
        assert_eq!([1, 60, 500].map(late), [false, true, false]);
    }
}
