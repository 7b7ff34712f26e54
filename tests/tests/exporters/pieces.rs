//! Windows that arrive in several messages, of which some fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_actix::otlp::{Otlp, Temporality};
use metrics_actix::push::Engine;
use metrics_actix::{HttpOptions, Service};
use metrics_core::Registry;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tests::{Fault, Stub};

use crate::decode;
use crate::faults::counts;

/// Requests by route, in all messages that the collector took.
type Taken = BTreeMap<String, u64>;

fn add(taken: &mut Taken, body: &[u8]) {
    for metric in decode::metrics(body).filter(|metric| metric.name == "http.server.request.duration") {
        let Some(Data::ExponentialHistogram(histogram)) = metric.data else { panic!("{metric:?}") };
        for point in histogram.data_points {
            let route = point.attributes.into_iter().find(|attribute| attribute.key == "http.route").unwrap();
            let Some(Value::StringValue(route)) = route.value.unwrap().value else { panic!("no text") };
            *taken.entry(route).or_default() += point.count;
        }
    }
}

#[test]
fn each_request_of_a_delta_window_is_counted_once_though_some_of_its_messages_fail() {
    let (taken, messages) = (Arc::new(Mutex::new(Taken::new())), Arc::new(Mutex::new(0)));
    let stub = Stub::start(Fault::EveryThird, {
        let (taken, messages) = (Arc::clone(&taken), Arc::clone(&messages));
        move |body| {
            *messages.lock().unwrap() += 1;
            add(&mut taken.lock().unwrap(), body);
            Vec::new()
        }
    });
    let registry = Registry::new();
    let otlp = Otlp::builder().endpoint(stub.url()).temporality(Temporality::Delta);
    let otlp = otlp.max_message_bytes(100_000).http(HttpOptions::new().interval(Duration::from_millis(300)));
    let engine = Engine::builder(registry.clone(), Service::new("shop"));
    let engine = engine.exporter(otlp.build().unwrap()).start().unwrap();
    let routes: Vec<_> = (0..400).map(|number| format!("/{}/{number:03}", "x".repeat(200))).collect();
    let record = |times: u64| {
        for (route, more) in routes.iter().zip(0..) {
            let endpoint = registry.endpoint("GET", route);
            (0..times + more).for_each(|_| registry.record_nanos(endpoint, 200, 1_000));
        }
    };
    record(1);
    // A window is under way, with messages that arrived; the next one has other counts of the same routes.
    counts(&engine, |counts| counts.failing > 0 && counts.windows_waiting > 1);
    record(5);
    let failed = counts(&engine, |counts| counts.attempts_failed > 2);
    assert!(engine.shutdown(Duration::from_secs(60)), "{failed:?}");
    let after = engine.counts().remove(0);
    assert_eq!((after.windows_dropped, after.rejected, after.windows_waiting), (0, 0, 0), "{after:?}");
    assert!(*messages.lock().unwrap() as u64 > after.windows_sent, "{after:?}");
    let expected: Taken = routes.iter().cloned().zip((0..).map(|more| 6 + 2 * more)).collect();
    assert_eq!(*taken.lock().unwrap(), expected);
}
