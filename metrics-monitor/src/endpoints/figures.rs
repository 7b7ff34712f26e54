//! The figures of this instance as JSON: one function an endpoint. Each reads the query now, and the figures on a lane.

use std::time::Duration;

use metrics_core::Window;
use metrics_export::json::{
    BusinessBody, ConsumersBody, ErrorsBody, ExportersBody, HistoryBody, MetricHistoryBody, ResourcesBody,
    RoutesBody, SummaryBody,
};

use super::answer::Answer;
use super::query::{Of, Query};
use super::request::Request;
use super::work::{Job, job};
use crate::state::State;

/// `GET summary`: the figures of all requests in a window.
pub(crate) fn summary(request: &Request<'_>) -> Result<Job, String> {
    let window = Query::parse(request.query)?.window_or(Window::SinceReset)?;
    Ok(job(move |state| Answer::success(SummaryBody::from(&state.history.summary(window)))))
}

/// `GET routes`: the figures of each endpoint in a window.
pub(crate) fn routes(request: &Request<'_>) -> Result<Job, String> {
    let window = Query::parse(request.query)?.window_or(Window::SinceReset)?;
    Ok(job(move |state| Answer::success(RoutesBody::from(&state.history.endpoints(window)))))
}

/// `GET history`: the figures step by step.
pub(crate) fn history(request: &Request<'_>) -> Result<Job, String> {
    let mut query = Query::parse(request.query)?;
    let window = query.window_or(Window::OneHour)?;
    let of = query.of()?;
    let step = query.step;
    Ok(job(move |state| {
        let (history, step) = (&state.history, step.as_deref());
        let endpoint = match &of {
            Of::All => None,
            Of::Endpoint(name) => Some(name),
            Of::Metric(name) => {
                return match history.metric_trend(window, step, name) {
                    Ok(Some(trend)) => Answer::success(MetricHistoryBody::new(&trend, &history.resets())),
                    Ok(None) => Answer::bad_request("no such metric; allowed: those that GET business lists"),
                    Err(error) => Answer::bad_request(&error.to_string()),
                };
            }
        };
        match history.trend(window, step, endpoint) {
            Ok(trend) => Answer::success(HistoryBody::new(&trend, &history.resets())),
            Err(error) => Answer::bad_request(&error.to_string()),
        }
    }))
}

/// `GET alerts`: the rules and their states.
pub(crate) fn alerts(request: &Request<'_>) -> Result<Job, String> {
    Query::parse(request.query)?;
    Ok(job(|state| Answer::success(state.alerting.body())))
}

/// `GET errors`: the last errors.
pub(crate) fn errors(request: &Request<'_>) -> Result<Job, String> {
    Query::parse(request.query)?;
    Ok(job(|State { registry, .. }| {
        Answer::success(ErrorsBody::new(&registry.recent_errors(), &registry.errors_missing()))
    }))
}

/// `GET exporters`: what was sent where.
pub(crate) fn exporters(request: &Request<'_>) -> Result<Job, String> {
    Query::parse(request.query)?;
    Ok(job(|state| Answer::success(ExportersBody::new(state.exporting.counts()))))
}

/// `GET business`: the application's own metrics in a window.
pub(crate) fn business(request: &Request<'_>) -> Result<Job, String> {
    let window = Query::parse(request.query)?.window_or(Window::SinceReset)?;
    Ok(job(move |state| Answer::success(BusinessBody::from(&state.history.business(window)))))
}

/// `GET resources`: what the process uses.
pub(crate) fn resources(request: &Request<'_>) -> Result<Job, String> {
    let window = Query::parse(request.query)?.window_or(Window::FiveMinutes)?;
    let span = window.length().unwrap_or(Duration::MAX);
    Ok(job(move |state| Answer::success(ResourcesBody::new(state.resources.points(span)))))
}

/// `GET consumers`: the consumers with the most calls since the last reset.
pub(crate) fn consumers(request: &Request<'_>) -> Result<Job, String> {
    let top = Query::parse(request.query)?.top()?;
    Ok(job(move |state| Answer::success(ConsumersBody::new(&state.registry.window(), top))))
}

/// `POST reset`: begins a new window, and returns the one just closed.
pub(crate) fn reset(request: &Request<'_>) -> Result<Job, String> {
    Query::parse(request.query)?;
    Ok(job(|state| Answer::success(SummaryBody::from(&state.registry.reset()))))
}
