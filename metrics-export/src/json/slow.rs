//! The body of `GET slow`.

use metrics_core::{SlowRequest, SlowRequests};
use serde::Serialize;

use super::details::DetailsBody;
use super::time::Time;

/// The body of `GET slow`: the slowest requests of a window, the slowest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlowBody {
    requests: Vec<SlowRequestBody>,
    since: Time,
    window_seconds: f64,
    /// Requests since the start that were dropped to bound the memory.
    dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct SlowRequestBody {
    time: Time,
    method: String,
    route: String,
    /// `null` if the client got no response.
    status: Option<u16>,
    /// The status, or `aborted`, `panicked`, `other`.
    outcome: String,
    response_time: f64,
    #[serde(flatten)]
    details: DetailsBody,
}

impl From<&SlowRequests> for SlowBody {
    fn from(slow: &SlowRequests) -> Self {
        Self {
            requests: slow.requests.iter().map(SlowRequestBody::from).collect(),
            since: Time(slow.since),
            window_seconds: slow.window.as_secs_f64(),
            dropped: slow.dropped,
        }
    }
}

impl From<&SlowRequest> for SlowRequestBody {
    fn from(request: &SlowRequest) -> Self {
        Self {
            time: Time(request.time),
            method: request.endpoint.method.to_string(),
            route: request.endpoint.route.to_string(),
            status: request.outcome.status(),
            outcome: request.outcome.to_string(),
            response_time: request.response_time.as_secs_f64(),
            details: DetailsBody::new(request.trace, &request.details),
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_core::{History, Outcome, Registry, RequestContext, Window};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slow_request_has_its_outcome_and_whose_it_was() {
        let registry = Registry::new();
        let (item, recorder) = (registry.endpoint("GET", "/items/{id}"), registry.recorder());
        let context = RequestContext { path: Some("/items/7"), ..RequestContext::default() };
        recorder.list_slow(item, Outcome::Status(200), 1_500_000_000, &context);
        recorder.list_slow(item, Outcome::Aborted, 2_000_000_000, &RequestContext::default());
        let slow = History::new(registry).slow_requests(Window::FiveMinutes, None);
        let mut body = serde_json::to_value(SlowBody::from(&slow)).unwrap();
        assert_eq!(body["dropped"], 0);
        let requests = body["requests"].as_array_mut().unwrap();
        requests.iter_mut().for_each(|request| drop(request.as_object_mut().unwrap().remove("time")));
        let expected = json!([
            {"method": "GET", "route": "/items/{id}", "status": null, "outcome": "aborted", "response_time": 2.0,
             "trace_id": null, "consumer": null, "request_id": null, "path": null, "worker": 0},
            {"method": "GET", "route": "/items/{id}", "status": 200, "outcome": "200", "response_time": 1.5,
             "trace_id": null, "consumer": null, "request_id": null, "path": "/items/7", "worker": 0},
        ]);
        assert_eq!(body["requests"], expected);
    }
}
