//! The two naming schemes of families and labels.

use metrics_core::{Outcome, StatusGroup};

use super::catalog::{DURATION, IN_FLIGHT, OTEL_ACTIVE, OTEL_DURATION};
use super::family::Family;
use super::labels::Label;

/// The naming scheme of families and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Names {
    /// `http_request_duration_seconds{method,route,status_class}`, `http_requests_in_flight`. The default.
    #[default]
    Prometheus,
    /// The names of OpenTelemetry's semantic conventions for HTTP, as Prometheus sees them:
    /// `http_server_request_duration_seconds{http_request_method,http_route,http_response_status_code}` and
    /// `http_server_active_requests`. Families that the conventions do not define keep their names, with these labels.
    ///
    /// The histogram is labelled by status only if the registry keeps
    /// [`Granularity::Exact`](metrics_core::Granularity::Exact); otherwise by `status_class`. Requests without a
    /// response have the label `error_type` instead: `aborted` or `panicked`.
    OpenTelemetry,
}

impl Names {
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Prometheus => "method",
            Self::OpenTelemetry => "http_request_method",
        }
    }

    pub(crate) fn route(self) -> &'static str {
        match self {
            Self::Prometheus => "route",
            Self::OpenTelemetry => "http_route",
        }
    }

    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Prometheus => "status",
            Self::OpenTelemetry => "http_response_status_code",
        }
    }

    /// The histogram series of a group of statuses. Several groups can share a series.
    pub(crate) fn class(self, group: StatusGroup) -> Class {
        match (group, self) {
            (StatusGroup::Success, _) => Class::Success,
            (StatusGroup::Error, _) => Class::Error,
            (StatusGroup::Status(status), Self::OpenTelemetry) => Class::Status(status),
            (StatusGroup::Status(status), Self::Prometheus) => Class::beginning_with(status / 100),
            (StatusGroup::Class(digit), _) => Class::beginning_with(digit.into()),
            (StatusGroup::Other, _) => Class::Other,
            (StatusGroup::Aborted, _) => Class::Aborted,
            (StatusGroup::Panicked, _) => Class::Panicked,
        }
    }

    pub(crate) fn duration(self) -> &'static Family<'static> {
        match self {
            Self::Prometheus => &DURATION,
            Self::OpenTelemetry => &OTEL_DURATION,
        }
    }

    pub(crate) fn in_flight(self) -> &'static Family<'static> {
        match self {
            Self::Prometheus => &IN_FLIGHT,
            Self::OpenTelemetry => &OTEL_ACTIVE,
        }
    }
}

/// What distinguishes the histogram series of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Success,
    Error,
    /// A status that begins with this digit, 1 to 5.
    Digit(u8),
    Other,
    Status(u16),
    Aborted,
    Panicked,
}

impl Class {
    fn beginning_with(digit: u16) -> Self {
        match digit {
            1..=5 => Self::Digit(digit as u8),
            _ => Self::Other,
        }
    }

    /// Returns the label. `digits` is the buffer for a number.
    pub(crate) fn label<'a>(self, names: Names, digits: &'a mut itoa::Buffer) -> Label<'a> {
        let value = match self {
            Self::Status(status) => return (names.status(), digits.format(status)),
            Self::Success => "success",
            Self::Error => "error",
            Self::Digit(digit) => ["1xx", "2xx", "3xx", "4xx", "5xx"][usize::from(digit) - 1],
            Self::Other => "other",
            Self::Aborted => "aborted",
            Self::Panicked => "panicked",
        };
        let has_no_response = matches!(self, Self::Aborted | Self::Panicked);
        let name =
            if has_no_response && names == Names::OpenTelemetry { "error_type" } else { "status_class" };
        (name, value)
    }
}

/// Returns the value of the status label, `None` without a response. `digits` is the buffer for a number.
pub(crate) fn status(outcome: Outcome, digits: &mut itoa::Buffer) -> Option<&str> {
    match outcome {
        Outcome::Status(status) => Some(digits.format(status)),
        Outcome::Other => Some("other"),
        Outcome::Aborted | Outcome::Panicked => None,
    }
}
