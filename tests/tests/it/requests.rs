//! Single requests for exporters: which ones an exporter gets, and their spans in a trace.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpResponse, rt};
use futures_util::stream;
use metrics_actix::push::{Accepted, Exporter, Failed, PushSettings, Window};
use metrics_actix::{Metrics, Until};
use metrics_core::{RecentRequest, SpanId};
use tests::{Client, Server};

const SLOW: Duration = Duration::from_millis(50);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");

fn shop(config: &mut ServiceConfig) {
    let dawdle = || rt::time::sleep(SLOW * 2);
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().finish() }))
        .route(
            "/slow",
            web::get().to(move || async move {
                dawdle().await;
                "a report"
            }),
        )
        .route(
            "/slow-body",
            web::get().to(move || async move {
                let parts = stream::unfold(2, move |left| async move {
                    dawdle().await;
                    (left > 0).then(|| (Ok::<_, actix_web::Error>(Bytes::from_static(b"a part")), left - 1))
                });
                HttpResponse::Ok().streaming(parts)
            }),
        );
}

/// Forwards the windows that it gets.
struct Taking {
    settings: PushSettings,
    given: Sender<Window>,
}

impl Exporter for Taking {
    fn name(&self) -> &str {
        "taking"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn export(&mut self, window: &Window, _deadline: Instant) -> Result<Accepted, Failed> {
        let _ = self.given.send(window.clone());
        Ok(Accepted::default())
    }
}

fn taking(slow: Option<Duration>, sample_rate: f64) -> (Taking, Receiver<Window>) {
    let (given, windows) = channel();
    let mut settings = PushSettings::default();
    (settings.slow, settings.sample_rate) = (slow, sample_rate);
    (Taking { settings, given }, windows)
}

/// Sends requests and returns those that exporters with these settings got.
fn given<const N: usize>(
    measure: Until,
    settings: [(Option<Duration>, f64); N],
    send: impl Fn(&Client),
) -> [Vec<RecentRequest>; N] {
    let taking = settings.map(|(slow, rate)| taking(slow, rate));
    let mut builder = Metrics::builder("shop").measure(measure);
    let windows = taking.map(|(exporter, windows)| {
        builder = std::mem::replace(&mut builder, Metrics::builder("shop")).exporter(exporter);
        windows
    });
    let metrics = builder.build().unwrap();
    let server = Server::start(1, &metrics, shop);
    send(&server.client());
    drop(server);
    assert!(rt::System::new().block_on(metrics.shutdown(Duration::from_secs(60))));
    windows.map(|windows| {
        let windows: Vec<_> = windows.try_iter().collect();
        assert!(windows.iter().all(|window| window.requests_missed == 0));
        windows.into_iter().flat_map(|window| window.requests).collect()
    })
}

fn routes(requests: &[RecentRequest]) -> Vec<&str> {
    requests.iter().map(|request| &*request.endpoint.route).collect()
}

#[test]
fn slow_requests_come_with_their_span_in_a_trace() {
    let [requests, none] = given(Until::Head, [(Some(SLOW), 0.0), (None, 0.0)], |client| {
        client.send("GET", "/items/1");
        client.send("GET", "/fails");
        client.send_with("GET", "/slow", &[TRACEPARENT]);
        client.send_with("GET", "/slow", &[("x-datadog-trace-id", "7"), ("x-datadog-parent-id", "5")]);
        client.send("GET", "/slow");
    });
    assert_eq!((routes(&requests), none.len()), (vec!["/slow"; 3], 0));
    assert!(requests.iter().all(|request| request.response_time >= SLOW && request.randomness == 1.0));
    let [w3c, datadog, neither] = [0, 1, 2].map(|i| requests[i].trace);
    let (w3c, datadog) = (w3c.unwrap(), datadog.unwrap());
    assert_eq!((w3c.trace.to_string().as_str(), w3c.sampled), (TRACE, true));
    assert_eq!((datadog.trace.bits(), datadog.parent, datadog.sampled), (7, SpanId::new(5), false));
    assert_eq!(neither, None);
}

#[test]
fn each_exporter_gets_its_own_share_of_all_requests() {
    const CALLS: usize = 600;
    let [all, half, slow] = given(Until::Head, [(None, 1.0), (None, 0.5), (Some(SLOW), 0.0)], |client| {
        for i in 0..CALLS {
            client.send("GET", if i % 6 == 0 { "/fails" } else { "/items/1" });
        }
        client.send_with("GET", "/slow", &[TRACEPARENT]);
    });
    assert_eq!((all.len(), routes(&slow)), (CALLS + 1, vec!["/slow"]));
    let expected: Vec<_> = all.iter().filter(|request| request.randomness < 0.5).cloned().collect();
    assert_eq!(half, expected);
    // Ten standard deviations are 122.
    assert!((180..420).contains(&half.len()), "{}", half.len());
    assert_eq!(all.iter().filter(|request| request.outcome.is_error()).count(), CALLS / 6);
}

#[test]
fn measured_until_the_end_of_the_body_a_request_is_sampled_once_with_the_trace_of_its_head() {
    let settings = [(Some(SLOW), 0.0), (None, 1.0)];
    let [slow, all] = given(Until::BodyEnd, settings, |client| {
        client.send_with("GET", "/slow", &[TRACEPARENT]);
        client.send_with("GET", "/slow-body", &[TRACEPARENT]);
        client.send_with("GET", "/items/1", &[TRACEPARENT]);
    });
    assert_eq!(routes(&all), ["/slow", "/slow-body", "/items/{id}"]);
    assert!(all.iter().all(|request| request.trace.is_some() && request.randomness < 1.0), "{all:?}");
    assert_eq!(slow, all[..2]);

    // Only its body is slow, and its head was not captured.
    let [slow] = given(Until::BodyEnd, [(Some(SLOW * 3), 0.0)], |client| {
        client.send_with("GET", "/slow-body", &[TRACEPARENT]);
    });
    assert_eq!((routes(&slow), slow[0].trace), (vec!["/slow-body"], None));
}
