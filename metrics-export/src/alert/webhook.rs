//! Notices as JSON by HTTP POST.

use metrics_core::InvalidSetting;
use metrics_core::alert::Notice;
use serde::Serialize;

use super::destination::{Destination, SendError};
use super::http::Target;
use crate::http::HttpOptions;
use crate::json::alerts::ChangeBody;
use crate::service::Service;

/// Posts notices to a URL as JSON.
///
/// ```json
/// {"text": "[firing, critical] orders (host-1, 1.2.3): error rate 7.5 % over 5 min (limit 5 %)\nhttps://ops...",
///  "service": "orders", "instance": "host-1", "version": "1.2.3", "environment": null,
///  "dashboard": "https://ops.example.com/orders/metrics/",
///  "notices": [{"change": "firing", "rule": "error_rate", "severity": "critical", "state": "firing",
///               "metric": "error_rate", "window": "5m", "method": null, "route": null, "own_metric": null, "value": 7.5, "threshold": 5.0,
///               "since": "2026-01-28T09:30:00.123Z", "trace_id": "0af7651916cd43dd8448eb211c80319c",
///               "not_seen": false, "summary": "...", "fleet": false, "version": null, "event_id": null,
///               "trace_url": "https://jaeger.example/trace/0af7651916cd43dd8448eb211c80319c"}]}
/// ```
///
/// A notice of a fleet has `fleet: true` and an `event_id`, which is the same if it is sent twice; `instance` is the
/// one that sent it.
///
/// Incoming webhooks of Slack, Mattermost and the like show the `text`, which has a line for each notice, and the
/// [public URL](Service::public_url) if one is set. A line ends with the link to a trace if there is a
/// [URL of traces](Service::trace_url). Each 2xx is a success. After a 3xx or a 4xx, except 408, 425 and
/// 429, a notice is given up. `Retry-After` is honoured.
#[derive(Debug)]
pub struct Webhook {
    target: Target,
    service: Service,
    instance: String,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    text: String,
    service: &'a str,
    instance: &'a str,
    version: Option<&'a str>,
    environment: Option<&'a str>,
    dashboard: Option<&'a str>,
    notices: Vec<NoticeBody>,
}

#[derive(Debug, Serialize)]
struct NoticeBody {
    #[serde(flatten)]
    notice: ChangeBody,
    /// Where people look at the trace.
    trace_url: Option<String>,
}

impl Webhook {
    /// Creates a destination that posts to this URL.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not an `http` URL, or an `https` URL with the feature `tls`.
    pub fn new(url: impl AsRef<str>) -> Result<Self, InvalidSetting> {
        Self::with_http(url, &HttpOptions::new())
    }

    /// Creates a destination that posts to this URL with these options: timeout, headers, proxy, root certificates.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is invalid, see [`Webhook::new`], or if an option is invalid or does not apply to
    /// alerts.
    pub fn with_http(url: impl AsRef<str>, options: &HttpOptions) -> Result<Self, InvalidSetting> {
        let target = Target::new("alert_webhook", url.as_ref(), options)?;
        Ok(Self { target, service: Service::new(""), instance: String::new() })
    }
}

impl Destination for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.service.clone_from(service);
        self.instance = service.instance_name();
        Ok(())
    }

    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError> {
        self.target.post(&Body::new(&self.service, &self.instance, notices))
    }
}

impl<'a> Body<'a> {
    fn new(service: &'a Service, instance: &'a str, notices: &[Notice]) -> Self {
        let (who, fleet) = (service.sentence(), service.sentence_of_fleet());
        let link = |notice: &Notice| service.trace_link(notice.alert.trace?);
        let line = |notice: &Notice| {
            let Notice { change, alert, .. } = notice;
            let who = if alert.of_fleet { &fleet } else { &who };
            let link = link(notice).map(|link| format!(" {link}")).unwrap_or_default();
            format!("[{change}, {}] {who}: {alert}{link}", alert.rule.severity)
        };
        let lines = notices.iter().map(line).chain(service.public_url.clone());
        let text = escaped(&lines.collect::<Vec<_>>().join("\n"));
        let body = |notice: &Notice| NoticeBody { notice: ChangeBody::from(notice), trace_url: link(notice) };
        Self {
            text,
            service: &service.name,
            instance,
            version: service.version.as_deref(),
            environment: service.environment.as_deref(),
            dashboard: service.public_url.as_deref(),
            notices: notices.iter().map(body).collect(),
        }
    }
}

/// Escapes Slack's markup, with which a route's name could mention everyone.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use metrics_core::alert::{Alerts, Comparison, Metric, Moment, Rule, Scope};
    use metrics_core::{History, Registry};

    use super::*;

    #[test]
    fn the_text_has_a_line_for_each_notice_with_escaped_markup() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        for route in ["/a", "/<!channel>"] {
            registry.record(registry.endpoint("GET", route), 200, Duration::from_secs(1));
        }
        let rule = Rule::new("slow", Metric::Average, Comparison::Above, 0.5).scope(Scope::EachRoute);
        history.tick();
        let notices = Alerts::new([rule]).unwrap().evaluate(Moment::now(), &history);
        let service = Service::new("shop").instance("host-1").version("1.2.3");
        let service = service.public_url("https://ops.example.com/?a=1&b=2");
        let body = serde_json::to_value(Body::new(&service, "host-1", &notices)).unwrap();
        let mut lines: Vec<_> = body["text"].as_str().unwrap().lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "[firing, warning] shop (host-1, 1.2.3): GET /&lt;!channel&gt;: average response time 1 s over 5 min \
                 (limit 500 ms)",
                "[firing, warning] shop (host-1, 1.2.3): GET /a: average response time 1 s over 5 min (limit 500 ms)",
                "https://ops.example.com/?a=1&amp;b=2"
            ]
        );
        assert_eq!((&body["service"], &body["notices"][0]["change"]), (&"shop".into(), &"firing".into()));
        assert_eq!(body["notices"][0]["state"], "firing");
        assert_eq!((&body["instance"], &body["version"]), (&"host-1".into(), &"1.2.3".into()));
        assert_eq!(body["dashboard"], "https://ops.example.com/?a=1&b=2");
        assert!(body["environment"].is_null());
        let mut notice = notices[0].clone();
        notice.alert.of_fleet = true;
        notice.event_id = Some(metrics_core::alert::EventId::new(7));
        let body = serde_json::to_value(Body::new(&service, "host-1", &[notice])).unwrap();
        assert!(
            body["text"].as_str().unwrap().starts_with("[firing, warning] shop (fleet): GET /"),
            "{body}"
        );
        let first = &body["notices"][0];
        assert_eq!((&first["fleet"], &first["event_id"]), (&true.into(), &format!("{:032x}", 7).into()));
    }
}
