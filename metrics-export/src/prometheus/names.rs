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
            (StatusGroup::Success, _) => Class::Named("success"),
            (StatusGroup::Error, _) => Class::Named("error"),
            (StatusGroup::Status(status), Self::OpenTelemetry) => Class::Status(status),
            (StatusGroup::Status(status), Self::Prometheus) => Class::Named(first_digit(status / 100)),
            (StatusGroup::Class(digit), _) => Class::Named(first_digit(digit.into())),
            (StatusGroup::Other, _) => Class::Named("other"),
            (StatusGroup::Aborted, _) => Class::NoResponse("aborted"),
            (StatusGroup::Panicked, _) => Class::NoResponse("panicked"),
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
    Named(&'static str),
    Status(u16),
    NoResponse(&'static str),
}

impl Class {
    /// Returns the label. `digits` is the buffer for a number.
    pub(crate) fn label<'a>(self, names: Names, digits: &'a mut itoa::Buffer) -> Label<'a> {
        match (self, names) {
            (Self::Status(status), _) => (names.status(), digits.format(status)),
            (Self::NoResponse(how), Names::OpenTelemetry) => ("error_type", how),
            (Self::Named(class) | Self::NoResponse(class), _) => ("status_class", class),
        }
    }
}

fn first_digit(digit: u16) -> &'static str {
    match digit {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
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
