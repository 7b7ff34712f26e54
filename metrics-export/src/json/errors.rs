//! The body of `GET errors`.

use metrics_core::{ErrorGroup, ErrorsMissing, RecentError};
use serde::{Serialize, Serializer};

use super::details::DetailsBody;
use super::time::Time;

/// The body of `GET errors`: the latest errors, newest first, and how many are missing from the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorsBody {
    recent_errors: Vec<ListedError>,
    /// Errors since the start that newer ones evicted.
    evicted: u64,
    /// Errors since the start that came too fast to be listed. They are counted, but were never in the list.
    thinned: u64,
    /// Both by priority, the most important first.
    missing: Vec<MissingBody>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct MissingBody {
    priority: &'static str,
    evicted: u64,
    thinned: u64,
}

impl ErrorsBody {
    /// Creates the body from the errors of a registry, newest first, and the counts of missing ones.
    pub fn new(recent_errors: &[RecentError], missing: &[ErrorsMissing]) -> Self {
        Self {
            recent_errors: recent_errors.iter().map(ListedError::from).collect(),
            evicted: missing.iter().map(|missing| missing.evicted).sum(),
            thinned: missing.iter().map(|missing| missing.thinned).sum(),
            missing: missing.iter().map(MissingBody::from).collect(),
        }
    }
}

impl From<&ErrorsMissing> for MissingBody {
    fn from(missing: &ErrorsMissing) -> Self {
        let ErrorsMissing { priority, evicted, thinned } = *missing;
        Self { priority: priority.as_str(), evicted, thinned }
    }
}

/// An error with what tells it apart from others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ListedError {
    #[serde(flatten)]
    error: ErrorBody,
    /// The id of its group, in hexadecimal digits.
    group: GroupId,
    #[serde(flatten)]
    details: DetailsBody,
}

impl From<&RecentError> for ListedError {
    fn from(error: &RecentError) -> Self {
        Self {
            error: ErrorBody::from(error),
            group: GroupId(ErrorGroup::id_of(error)),
            details: DetailsBody::new(error.trace, &error.details),
        }
    }
}

/// A group's id as 16 hexadecimal digits, since a JSON number of JavaScript has 53 bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct GroupId(pub(super) u64);

impl Serialize for GroupId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ErrorBody {
    time: Time,
    method: String,
    route: String,
    /// `null` if the request panicked and got no response.
    status: Option<u16>,
    response_time: f64,
    message: String,
}

impl ErrorBody {
    pub(super) fn clear_message(&mut self) {
        self.message.clear();
    }
}

impl From<&RecentError> for ErrorBody {
    fn from(error: &RecentError) -> Self {
        Self {
            time: Time(error.time),
            method: error.endpoint.method.to_string(),
            route: error.endpoint.route.to_string(),
            status: error.outcome.status(),
            response_time: error.response_time.as_secs_f64(),
            message: error.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_core::ErrorPriority;

    use super::super::fixture::summary;
    use super::*;

    #[test]
    fn recent_errors_have_the_endpoint_the_status_and_the_message() {
        let summary = summary();
        let missing = [(ErrorPriority::ServerError, 0, 2), (ErrorPriority::Unmatched, 5, 70)]
            .map(|(priority, evicted, thinned)| ErrorsMissing { priority, evicted, thinned });
        let body = serde_json::to_value(ErrorsBody::new(&summary.recent_errors, &missing)).unwrap();
        let newest = &body["recent_errors"][0];
        assert_eq!(newest["status"], serde_json::Value::Null);
        let failed = &body["recent_errors"][1];
        assert_eq!(
            *failed,
            serde_json::json!({
                "time": "2026-01-28T09:30:00.123Z", "method": "GET", "route": "/items/{id}", "status": 500,
                "response_time": 0.012, "message": "no \"disk\"\\n", "group": failed["group"],
                "trace_id": null, "consumer": null, "request_id": null, "path": null, "worker": 0,
            })
        );
        assert_eq!([&body["evicted"], &body["thinned"]], [5, 72]);
        assert_eq!(
            body["missing"],
            serde_json::json!([
                {"priority": "server_error", "evicted": 0, "thinned": 2},
                {"priority": "unmatched", "evicted": 5, "thinned": 70},
            ])
        );
    }
}
