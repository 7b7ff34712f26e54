//! The body of `GET errors/groups`.

use metrics_core::{ErrorGroup, ErrorGroups};
use serde::Serialize;

use super::errors::GroupId;
use super::time::Time;

/// The body of `GET errors/groups`: errors by endpoint, status and message template, those with the most first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorGroupsBody {
    groups: Vec<GroupBody>,
    /// Groups with errors in the window that are not listed.
    more: usize,
    since: Time,
    window_seconds: f64,
    /// The length of a step of the trends.
    step_seconds: f64,
    /// Errors since the start that are in no group.
    ungrouped: u64,
    /// The number of groups since the start that were evicted by newer ones.
    evicted_groups: u64,
    /// The most frequent paths of requests that matched no route.
    unmatched_paths: Vec<PathBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct GroupBody {
    id: GroupId,
    method: String,
    route: String,
    /// `null` if the requests panicked and got no response.
    status: Option<u16>,
    /// The messages' template.
    message: String,
    count: u64,
    first_seen: Time,
    last_seen: Time,
    /// Errors in each step, the oldest first.
    trend: Vec<u32>,
    consumers: Vec<ConsumerBody>,
    /// The minimum number of them that `GET errors?group=` lists.
    examples: usize,
}

/// A consumer, and at least how many of the errors are its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ConsumerBody {
    consumer: String,
    errors: u64,
}

/// A path, and the least and the most errors that it can have.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct PathBody {
    path: String,
    at_least: u64,
    at_most: u64,
}

impl ErrorGroupsBody {
    /// Creates the body for these groups, of which the first `top` are listed.
    pub fn new(groups: &ErrorGroups, top: usize) -> Self {
        let paths = groups.unmatched_paths.iter();
        Self {
            groups: groups.groups.iter().take(top).map(GroupBody::from).collect(),
            more: groups.groups.len().saturating_sub(top),
            since: Time(groups.since),
            window_seconds: groups.window.as_secs_f64(),
            step_seconds: groups.step.as_secs_f64(),
            ungrouped: groups.ungrouped.iter().sum(),
            evicted_groups: groups.evicted,
            unmatched_paths: paths
                .map(|&(ref path, at_least, at_most)| PathBody { path: path.to_string(), at_least, at_most })
                .collect(),
        }
    }
}

impl From<&ErrorGroup> for GroupBody {
    fn from(group: &ErrorGroup) -> Self {
        let consumers = group.consumers.iter();
        Self {
            id: GroupId(group.id),
            method: group.endpoint.method.to_string(),
            route: group.endpoint.route.to_string(),
            status: group.outcome.status(),
            message: group.template.to_string(),
            count: group.count,
            first_seen: Time(group.first_seen),
            last_seen: Time(group.last_seen),
            trend: group.trend.clone(),
            consumers: consumers
                .map(|(name, errors)| ConsumerBody { consumer: name.to_string(), errors: *errors })
                .collect(),
            examples: group.examples.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::{History, Outcome, Registry, RequestContext, Window};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_group_has_its_template_its_count_and_whose_errors_they_were() {
        let registry = Registry::new();
        let (item, recorder) = (registry.endpoint("GET", "/items/{id}"), registry.recorder());
        let ann = registry.vouched_consumer("Ann");
        for id in [17, 18] {
            let context = RequestContext { consumer: Some(ann), ..RequestContext::default() };
            let message = format!("no item {id}");
            recorder.log_error(item, Outcome::Status(500), Duration::from_millis(2), &message, context);
        }
        recorder.log_error(item, Outcome::Panicked, Duration::ZERO, "", None);
        let history = History::new(registry);
        let body = ErrorGroupsBody::new(&history.error_groups(Window::FiveMinutes), 1);
        let body = serde_json::to_value(body).unwrap();
        assert_eq!([&body["more"], &body["step_seconds"]], [&json!(1), &json!(10.0)]);
        let group = &body["groups"][0];
        assert_eq!(group["trend"].as_array().unwrap().last(), Some(&json!(2)));
        assert_eq!(group["id"].as_str().map(str::len), Some(16));
        let shown = ["method", "route", "status", "message", "count", "consumers", "examples"];
        let expected = [
            json!("GET"),
            json!("/items/{id}"),
            json!(500),
            json!("no item <num>"),
            json!(2),
            json!([{"consumer": "Ann", "errors": 2}]),
            json!(2),
        ];
        assert_eq!(shown.map(|name| group[name].clone()), expected);
    }
}
