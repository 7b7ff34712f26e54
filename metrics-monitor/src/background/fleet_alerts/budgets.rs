//! The budgets of a fleet's objectives, as the holder counted them and as the others show them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::objective::{Budget, Objective, ObjectiveCounts, ObjectiveState};
use serde::{Deserialize, Serialize};

use super::times::millis;

/// The windows of a fleet's objectives, the longest last: those of the alert that a fleet has.
pub(super) const WINDOWS: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(3_600)];

/// The most objectives that are shown.
const MAX_SHOWN: usize = 32;

/// After this time counts are not passed on: nothing of their longest window is left.
const FORGOTTEN: Duration = WINDOWS[1];

/// The longest name that is taken up from what others wrote: no objective may have a longer one.
const MAX_NAME_BYTES: usize = 48;

/// The requests of one objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    objective: String,
    /// When they were counted, in milliseconds since 1970.
    #[serde(default)]
    at: u64,
    /// For latency, up to which duration a request is in time, in nanoseconds.
    counted_to: Option<u64>,
    /// Of each of [`WINDOWS`].
    windows: Vec<CountedWindow>,
}

/// The requests of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct CountedWindow {
    seconds: u64,
    /// How long the counts are of, in milliseconds.
    covered: u64,
    valid: u64,
    good: u64,
}

impl Counted {
    pub(super) fn new(
        objective: &Objective,
        counted_to: Option<Duration>,
        windows: impl IntoIterator<Item = (Duration, Duration, ObjectiveCounts)>,
    ) -> Self {
        let window = |(window, covered, counts): (Duration, Duration, ObjectiveCounts)| CountedWindow {
            seconds: window.as_secs(),
            covered: covered.as_millis() as u64,
            valid: counts.valid,
            good: counts.good,
        };
        Self {
            objective: objective.name.clone(),
            at: 0,
            counted_to: counted_to.map(|time| time.as_nanos() as u64),
            windows: windows.into_iter().map(window).collect(),
        }
    }
}

impl Counted {
    /// Counts that another clock calls later are new.
    fn age(&self, now: SystemTime) -> Duration {
        Duration::from_millis(millis(now).saturating_sub(self.at))
    }
}

/// The newest counts of each objective.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Budgets(Vec<Counted>);

impl Budgets {
    /// Takes up what a holder wrote.
    pub(super) fn read(counted: Vec<Counted>) -> Self {
        let is_of_fleet = |counted: &Counted| {
            counted.windows.len() == WINDOWS.len() && counted.objective.len() <= MAX_NAME_BYTES
        };
        Self(counted.into_iter().filter(is_of_fleet).take(MAX_SHOWN).collect())
    }

    /// What a holder writes.
    pub(super) fn written(&self) -> &[Counted] {
        &self.0
    }

    /// Takes newer counts, of this time.
    pub(super) fn update(&mut self, newer: Vec<Counted>, now: SystemTime) {
        self.0.retain(|counted| newer.iter().all(|new| new.objective != counted.objective));
        self.0.retain(|counted| counted.age(now) < FORGOTTEN);
        // Those of other versions last: they give way.
        self.0.splice(0..0, newer.into_iter().map(|counted| Counted { at: millis(now), ..counted }));
        self.0.truncate(MAX_SHOWN);
    }

    /// The states of these objectives, as far as they were counted in the last `within`.
    pub(super) fn states(
        &self,
        objectives: &[Objective],
        now: SystemTime,
        within: Duration,
    ) -> Vec<ObjectiveState> {
        let state = |objective: &Objective| {
            let counted = self.0.iter().find(|counted| counted.objective == objective.name)?;
            let Counted { counted_to, windows, .. } = (counted.age(now) <= within).then_some(counted)?;
            let budget = |window: &CountedWindow| {
                let counts = ObjectiveCounts { valid: window.valid, good: window.good.min(window.valid) };
                let (length, covered) =
                    (Duration::from_secs(window.seconds), Duration::from_millis(window.covered));
                Budget::new(objective, length, covered, counts)
            };
            let budgets: Vec<_> = windows.iter().map(budget).collect();
            let hour = budgets.last()?;
            Some(ObjectiveState {
                objective: Arc::new(objective.clone()),
                within: counted_to.map(Duration::from_nanos),
                valid: hour.valid,
                good: hour.good,
                exhausted_in: None,
                budgets,
            })
        };
        objectives.iter().filter_map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn counted(objective: &Objective, bad: u64) -> Counted {
        let counts = |valid| ObjectiveCounts { valid, good: valid - bad };
        Counted::new(objective, None, WINDOWS.map(|window| (window, window / 2, counts(window.as_secs()))))
    }

    #[test]
    fn what_the_holder_counted_is_shown_by_the_objectives_of_the_one_that_shows_it() {
        let (known, other) = (Objective::availability(99.0), Objective::availability(99.0).name("other"));
        let mut budgets = Budgets::default();
        budgets.update(vec![counted(&known, 30), counted(&other, 0)], at(1));
        budgets.update(vec![counted(&known, 36)], at(2));
        let text = serde_json::to_string(budgets.written()).unwrap();
        let read = Budgets::read(serde_json::from_str(&text).unwrap());
        assert_eq!(read, budgets);
        let states = |now| read.states(&[known.clone(), known.clone().name("new")], now, SHOWN);
        // Old counts are not shown.
        assert!(states(at(2) + SHOWN + Duration::from_millis(1)).is_empty());
        let states = states(at(2) + SHOWN);
        let [state] = &states[..] else { panic!("{states:?}") };
        assert_eq!((state.valid, state.good), (3_600, 3_564));
        let rates: Vec<_> = state.budgets.iter().map(|budget| budget.burn_rate.round() as u64).collect();
        assert_eq!(rates, [12, 1]);
        assert_eq!(state.budgets[1].covered, Duration::from_secs(1_800));
    }

    #[test]
    fn objectives_of_other_versions_give_way_to_those_of_the_holder() {
        let named = |prefix: &str| {
            let objective = |i| Objective::availability(99.0).name(format!("{prefix}_{i}"));
            Vec::from_iter((0..20).map(objective))
        };
        let (before, now) = (named("before"), named("now"));
        let mut budgets = Budgets::default();
        let counts = |objectives: &[Objective]| objectives.iter().map(|one| counted(one, 1)).collect();
        budgets.update(counts(&before), at(1));
        budgets.update(counts(&now), at(2));
        assert_eq!(budgets.states(&now, at(2), SHOWN).len(), 20);
        assert_eq!(budgets.states(&before, at(2), SHOWN).len(), MAX_SHOWN - 20);
        // For an hour.
        budgets.update(counts(&now), at(3_601));
        assert_eq!(budgets.written().len(), 20);
    }

    #[test]
    fn what_somebody_else_wrote_is_bounded() {
        let mut many = vec![counted(&Objective::availability(99.0), 1); 100];
        many[0].windows.clear();
        many[1].windows[0] = CountedWindow { seconds: u64::MAX, covered: u64::MAX, valid: 0, good: u64::MAX };
        many[2].objective = "x".repeat(MAX_NAME_BYTES + 1);
        let budgets = Budgets::read(many);
        assert_eq!(budgets.written().len(), MAX_SHOWN);
        assert!(budgets.written().iter().all(|counted| counted.objective.len() <= MAX_NAME_BYTES));
        assert_eq!(budgets.states(&[Objective::availability(99.0)], at(0), SHOWN).len(), 1);
    }
}
