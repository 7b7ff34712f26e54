//! Alerts for Prometheus' Alertmanager, which groups, silences and routes them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use metrics_core::InvalidSetting;
use metrics_core::alert::{Notice, State};
use serde::Serialize;

use super::destination::{Destination, SendError};
use super::http::Target;
use crate::http::HttpOptions;
use crate::json::time::Time;
use crate::service::Service;

/// How often a firing alert is posted again; as in Prometheus.
const REPEAT_EVERY: Duration = Duration::from_secs(60);

/// How long an alert keeps firing in the Alertmanager without being posted again; four times the interval, as in
/// Prometheus.
const ENDS_AFTER: Duration = Duration::from_secs(240);

/// Posts alerts to an Alertmanager, with its API v2.
///
/// Labels: `alertname` (the rule), `service`, `instance` (for a fleet `scope="fleet"` instead) and `severity`;
/// `environment` if one is set; `method` and `route` for an alert about an endpoint; `metric` for one about the
/// application's own metric. Annotations: `summary`, `value`, and `version` if one is set (not a label, since a new
/// version would then be another alert); `trace_id` if a trace is known, `event_id` for a notice of a fleet, and
/// `trace_url` if there is a [URL of traces](Service::trace_url). The [public URL](Service::public_url) is the
/// `generatorURL`. A firing alert is posted every minute; if the service ends, the Alertmanager resolves it after four
/// minutes. `Retry-After` is honoured.
///
/// Set an [instance](Service::instance) that stays the same across restarts. Without one, the label names the process,
/// and an alert that fires before and after a restart counts as two.
#[derive(Debug)]
pub struct Alertmanager {
    target: Target,
    service: Service,
    instance: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    labels: BTreeMap<&'static str, &'a str>,
    annotations: BTreeMap<&'static str, String>,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'a str>,
    starts_at: Option<Time>,
    ends_at: Option<Time>,
}

impl Alertmanager {
    /// Creates a destination for the Alertmanager at this URL, such as `http://127.0.0.1:9093`.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not an `http` URL, or an `https` URL with the feature `tls`.
    pub fn new(url: impl AsRef<str>) -> Result<Self, InvalidSetting> {
        Self::with_http(url, &HttpOptions::new())
    }

    /// Creates a destination for the Alertmanager at this URL with these options: timeout, headers, proxy, root
    /// certificates.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is invalid, see [`Alertmanager::new`], or if an option is invalid or does not apply
    /// to alerts.
    pub fn with_http(url: impl AsRef<str>, options: &HttpOptions) -> Result<Self, InvalidSetting> {
        let url = format!("{}/api/v2/alerts", url.as_ref().trim_end_matches('/'));
        let target = Target::new("alertmanager", &url, options)?;
        Ok(Self { target, service: Service::new(""), instance: String::new() })
    }
}

impl Destination for Alertmanager {
    fn name(&self) -> &'static str {
        "alertmanager"
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.service.clone_from(service);
        self.instance = service.instance_name();
        Ok(())
    }

    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError> {
        let now = SystemTime::now();
        let body = |notice| Body::new(&self.service, &self.instance, notice, now);
        let bodies: Vec<_> = notices.iter().map(body).collect();
        self.target.post(&bodies)
    }

    fn repeat_every(&self) -> Option<Duration> {
        Some(REPEAT_EVERY)
    }
}

impl<'a> Body<'a> {
    fn new(
        service: &'a Service,
        instance: &'a str,
        Notice { alert, event_id, .. }: &'a Notice,
        now: SystemTime,
    ) -> Self {
        let name = alert.endpoint.as_deref();
        let labels = [
            ("alertname", Some(&*alert.rule.name)),
            ("service", Some(&*service.name)),
            // Another instance may go on with an alert of a fleet, which stays the same.
            ("instance", (!alert.of_fleet).then_some(instance)),
            ("scope", alert.of_fleet.then_some("fleet")),
            ("severity", Some(alert.rule.severity.name())),
            ("environment", service.environment.as_deref()),
            ("method", name.map(|name| &*name.method)),
            ("route", name.map(|name| &*name.route).or(alert.rule.scope.route())),
            ("metric", alert.rule.scope.own_metric()),
        ];
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let mut annotations = BTreeMap::from([("summary", alert.to_string())]);
        annotations.extend(alert.value.map(|value| ("value", value.to_string())));
        annotations.extend(alert.trace.map(|trace| ("trace_id", trace.to_string())));
        annotations.extend(alert.trace.and_then(|trace| Some(("trace_url", service.trace_link(trace)?))));
        annotations.extend(event_id.map(|id| ("event_id", id.to_string())));
        // Of a fleet, it may be any version that sends.
        let version = if alert.of_fleet { alert.version.as_deref() } else { service.version.as_deref() };
        annotations.extend(version.map(|version| ("version", version.to_owned())));
        let ends_at = match alert.state {
            State::Firing => Some(now + ENDS_AFTER),
            // An end before the start, after a clock was set back, would be refused.
            _ => alert.since.max(alert.started),
        };
        Self {
            labels,
            annotations,
            generator_url: service.public_url.as_deref(),
            starts_at: alert.started.map(Time),
            ends_at: ends_at.map(Time),
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_core::alert::{Alerts, Comparison, Metric, Moment, Rule, Scope};
    use metrics_core::{History, Registry};

    use super::*;

    #[test]
    fn an_alert_ends_when_it_is_resolved_or_four_minutes_after_its_last_post() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        let endpoint = registry.endpoint("GET", "/items/{id}");
        (0..10).for_each(|_| registry.record_nanos(endpoint, 500, 1));
        history.tick();
        let rule = Rule::new("errors", Metric::Errors, Comparison::AtLeast, 10.0).scope(Scope::EachRoute);
        let mut alerts = Alerts::new([rule]).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_592_600);
        let mut notice = alerts.evaluate(Moment { wall: at, ..Moment::now() }, &history).pop().unwrap();
        let service = Service::new("shop").version("1.2.3").public_url("https://ops.example.com/");
        let body = |notice: &Notice| {
            serde_json::to_value(Body::new(&service, "host-1", notice, at + Duration::from_secs(60))).unwrap()
        };
        assert_eq!(
            body(&notice),
            serde_json::json!({
                "labels": {
                    "alertname": "errors", "service": "shop", "instance": "host-1", "severity": "warning",
                    "method": "GET", "route": "/items/{id}"
                },
                "annotations": {
                    "summary": "GET /items/{id}: 10 errors in 5 min (limit 10)", "value": "10",
                    "version": "1.2.3"
                },
                "generatorURL": "https://ops.example.com/",
                "startsAt": "2026-01-28T09:30:00.000Z",
                "endsAt": "2026-01-28T09:35:00.000Z"
            })
        );
        // Another instance that goes on with it has to have the same labels.
        let of_fleet = Notice {
            alert: metrics_core::alert::Alert { of_fleet: true, ..notice.alert.clone() },
            event_id: Some(metrics_core::alert::EventId::new(7)),
            ..notice.clone()
        };
        let of_fleet = body(&of_fleet);
        assert_eq!(
            of_fleet["labels"],
            serde_json::json!({
                "alertname": "errors", "service": "shop", "scope": "fleet", "severity": "warning",
                "method": "GET", "route": "/items/{id}"
            })
        );
        assert_eq!(of_fleet["annotations"]["event_id"], format!("{:032x}", 7));
        assert!(of_fleet["annotations"]["version"].is_null());
        notice.alert.trace = metrics_core::TraceId::new(7);
        let traced = service.clone().trace_url("https://jaeger.example/{trace_id}");
        let annotations =
            serde_json::to_value(Body::new(&traced, "host-1", &notice, at)).unwrap()["annotations"].take();
        let id = format!("{:032x}", 7);
        assert_eq!(annotations["trace_url"], format!("https://jaeger.example/{id}"));
        assert_eq!(body(&notice)["annotations"]["trace_id"], id);
        assert!(body(&notice)["annotations"]["trace_url"].is_null());
        notice.alert.state = State::Resolved;
        notice.alert.since = Some(at + Duration::from_secs(30));
        let resolved = body(&notice);
        assert_eq!(resolved["startsAt"], "2026-01-28T09:30:00.000Z");
        assert_eq!(resolved["endsAt"], "2026-01-28T09:30:30.000Z");
        notice.alert.since = Some(at - Duration::from_secs(30));
        assert_eq!(body(&notice)["endsAt"], "2026-01-28T09:30:00.000Z");
    }
}
