//! The figures of this instance as JSON: one function an endpoint. Each checks the query now, and reads the figures on a
//! lane. What clients sent is left out for those who may not see it.

use std::time::Duration;

use metrics_core::{EndpointName, Outcome, Period, Selection, StepError, Window};
use metrics_export::json::{
    AlertsBody, BusinessBody, ConsumersBody, ExportersBody, HistoryBody, MetricHistoryBody, MistakeBody,
    ObjectivesBody, ResourcesBody, RoutesBody, SlowBody, SummaryBody,
};

use super::answer::Answer;
use super::query::Of;
use super::work::{Asked, Task};
use crate::policy::consumers::Consumers;
use crate::state::State;

/// `GET summary`: the figures of all requests in a window.
pub(crate) fn summary(Asked { query, shows_private }: Asked) -> Result<Task, String> {
    let window = query.window_or(Window::SinceReset)?;
    Ok(Task::shared((window, shows_private), move |state| {
        Answer::success(visible(SummaryBody::from(&state.history.summary(window)), shows_private))
    }))
}

/// `GET routes`: the figures of each endpoint in a window.
pub(crate) fn routes(Asked { query, .. }: Asked) -> Result<Task, String> {
    let window = query.window_or(Window::SinceReset)?;
    Ok(Task::shared(window, move |state| Answer::success(RoutesBody::from(&state.history.endpoints(window)))))
}

/// `GET history`: the figures step by step.
pub(crate) fn history(Asked { mut query, shows_private }: Asked) -> Result<Task, String> {
    let period = query.period(Window::OneHour)?;
    let of = query.of()?;
    let step = query.step;
    Ok(Task::shared((period, step.clone(), of.clone(), shows_private), move |state| {
        history_of(state, period, step.as_deref(), &of, shows_private)
    }))
}

fn history_of(
    State { history, .. }: &State,
    period: Period,
    step: Option<&str>,
    of: &Of,
    shows_private: bool,
) -> Answer {
    let (resets, gaps) = (history.resets(), history.gaps());
    let refused = |error: StepError| Answer::bad_request(&error.to_string());
    match (of, period) {
        (Of::Requests(endpoint, statuses), _) => {
            let included = |outcome| statuses.is_none_or(|statuses| statuses.include(outcome));
            let outcomes = statuses.is_some().then_some(&included as &dyn Fn(Outcome) -> bool);
            let is_known = endpoint.as_ref().is_none_or(|name| history.knows(name));
            match history.trend_of(period, step, Selection { endpoint: endpoint.as_ref(), outcomes }) {
                Ok(_) if !is_known => {
                    Answer::bad_request("no such route; allowed: those that GET routes?window=24h lists")
                }
                Ok(trend) => Answer::success(HistoryBody::new(&trend, &resets, &gaps)),
                Err(error) => refused(error),
            }
        }
        // As in `GET errors` and `GET consumers`: clients chose what these are of.
        (Of::Group(_) | Of::Consumer(_), _) if !shows_private => Answer::failure(
            403,
            "only_local",
            "group and consumer show what clients sent, so without a token only requests from this machine may read \
             them; set read_token, or open_to_everybody if everybody may read it",
        ),
        (Of::Group(id), _) => match history.group_trend(period, *id) {
            Some(trend) if step.is_none_or(|step| step == trend.step) => {
                Answer::success(HistoryBody::of_counts(&trend, &resets, &gaps))
            }
            Some(trend) => {
                Answer::bad_request(&format!("step does not fit this period; allowed: {}", trend.step))
            }
            None => Answer::bad_request("no such group; allowed: those that GET errors/groups lists"),
        },
        (Of::Consumer(name), _) => history
            .consumer_trend(period, step, name)
            .map_or_else(refused, |trend| Answer::success(HistoryBody::of_counts(&trend, &resets, &gaps))),
        (Of::Metric(name), Period::Window(window)) => match history.metric_trend(window, step, name) {
            Ok(Some(trend)) => Answer::success(MetricHistoryBody::new(&trend, &resets, &gaps)),
            Ok(None) => Answer::bad_request("no such metric; allowed: those that GET business lists"),
            Err(error) => refused(error),
        },
        (Of::Metric(_), Period::Between { .. }) => {
            Answer::bad_request("a metric has no such period; allowed: window")
        }
    }
}

/// `GET alerts`: the rules and their states.
pub(crate) fn alerts(Asked { shows_private, .. }: Asked) -> Result<Task, String> {
    Ok(Task::shared(shows_private, move |state| Answer::success(alerts_of(state, shows_private))))
}

/// `GET objectives`: the objectives, their budgets and burn rates.
pub(crate) fn objectives(_: Asked) -> Result<Task, String> {
    Ok(Task::shared((), |state| Answer::success(objectives_of(state))))
}

/// The objectives, their budgets and burn rates.
pub(super) fn objectives_of(State { objectives, registry, .. }: &State) -> ObjectivesBody {
    // What is shown after a start is at most ten seconds old, too.
    objectives.tick(registry);
    ObjectivesBody::new(&objectives.states(), objectives.apdex().as_ref())
}

/// The rules and their states, and why a destination failed for those who may see it.
pub(super) fn alerts_of(state: &State, shows_private: bool) -> AlertsBody {
    let mistakes = state.policy.mistakes.all();
    let mistakes =
        mistakes.iter().map(|mistake| MistakeBody::new(mistake.code(), mistake.subject(), mistake.message()));
    let body = state.alerting.body(|reason| cause(reason, shows_private)).mistakes(mistakes);
    #[cfg(feature = "redis")]
    let body = match &state.fleet_alerts {
        Some(alerts) => body.fleet(alerts.body(|reason| cause(reason, shows_private))),
        None => body,
    };
    if shows_private { body } else { body.without_traces() }
}

/// `GET slow`: the slowest requests of a window, of all endpoints or of one.
pub(crate) fn slow(Asked { mut query, .. }: Asked) -> Result<Task, String> {
    let window = query.window_or(Window::FiveMinutes)?;
    let endpoint = query.endpoint()?;
    Ok(Task::shared((window, endpoint.clone()), move |state| {
        Answer::success(slow_of(state, window, endpoint.as_ref()))
    }))
}

/// The slowest requests of a window.
pub(super) fn slow_of(state: &State, window: Window, endpoint: Option<&EndpointName>) -> SlowBody {
    SlowBody::from(&state.history.slow_requests(window, endpoint))
}

/// `GET exporters`: what was sent where.
pub(crate) fn exporters(Asked { shows_private, .. }: Asked) -> Result<Task, String> {
    Ok(Task::shared(shows_private, move |state| Answer::success(exporters_of(state, shows_private))))
}

/// What was sent where and, for those who may see it, why it failed or is off.
pub(super) fn exporters_of(state: &State, shows_private: bool) -> ExportersBody {
    let mut counts = state.exporting.counts();
    for counts in &mut counts {
        for reason in [&mut counts.last_error, &mut counts.off].into_iter().flatten() {
            *reason = cause(std::mem::take(reason), shows_private);
        }
    }
    ExportersBody::new(counts)
}

/// `GET business`: the application's own metrics in a window.
pub(crate) fn business(Asked { query, .. }: Asked) -> Result<Task, String> {
    let window = query.window_or(Window::SinceReset)?;
    Ok(Task::shared(window, move |state| {
        Answer::success(BusinessBody::from(&state.history.business(window)))
    }))
}

/// The longest span of `GET resources`. Idle times have long samples, so more may be kept.
const MAX_RESOURCES: Duration = Duration::from_secs(3_600);

/// `GET resources`: what the process uses.
pub(crate) fn resources(Asked { query, .. }: Asked) -> Result<Task, String> {
    let window = query.window_or(Window::FiveMinutes)?;
    Ok(Task::shared(window, move |state| Answer::success(resources_of(state, window))))
}

/// What the process used in a window.
pub(crate) fn resources_of(state: &State, window: Window) -> ResourcesBody {
    state.sampler.refresh();
    ResourcesBody::new(state.resources.points(window.length().unwrap_or(MAX_RESOURCES).min(MAX_RESOURCES)))
}

/// `GET consumers`: the consumers with the most calls since the last reset.
pub(crate) fn consumers(Asked { query, .. }: Asked) -> Result<Task, String> {
    let top = query.top()?;
    Ok(Task::shared(top, move |state| Answer::success(consumers_of(state, top))))
}

/// The consumers with the most calls, and those of the others that are busy.
pub(super) fn consumers_of(state: &State, top: usize) -> ConsumersBody {
    let others = state.policy.consumers.as_ref().map(Consumers::busiest_others).unwrap_or_default();
    let others = others.into_iter().take(top).map(|(name, calls)| (name, calls.at_least, calls.at_most));
    ConsumersBody::new(&state.registry.window(), top).others(others)
}

/// `POST reset`: begins a new window, and returns the one just closed.
pub(crate) fn reset(Asked { shows_private, .. }: Asked) -> Result<Task, String> {
    Ok(Task::single(move |state| {
        Answer::success(visible(SummaryBody::from(&state.registry.reset()), shows_private))
    }))
}

/// Why something failed at a destination, for a client that may or may not see names of hosts and files.
fn cause(reason: String, shows_private: bool) -> String {
    if shows_private { reason } else { "shown to requests from the service's own machine only".to_owned() }
}

/// The summary, for a client that may or may not see messages of errors. They are left empty then, since existing clients
/// expect the field.
pub(crate) fn visible(summary: SummaryBody, shows_private: bool) -> SummaryBody {
    if shows_private { summary } else { summary.without_messages() }
}
