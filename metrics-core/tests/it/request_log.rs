//! Single requests: each is read once, or counted as missed.

use std::time::{Duration, SystemTime};

use metrics_core::{Outcome, Registry, RequestCursor, SpanId, TraceContext, TraceId};

#[test]
fn a_request_is_read_once_as_it_was_logged() {
    let registry = Registry::new();
    let (item, recorder) = (registry.endpoint("GET", "/items/{id}"), registry.recorder());
    let trace = TraceContext { trace: TraceId::new(7).unwrap(), parent: SpanId::new(5), sampled: true };
    let before = SystemTime::now();
    recorder.log_request(item, Outcome::Status(200), Duration::from_millis(3), Some(trace), 0.25);
    recorder.log_request(item, Outcome::Status(999), Duration::from_secs(2), None, 1.0);
    let mut cursor = RequestCursor::default();
    let requests = registry.requests_after(&mut cursor);
    let [sampled, slow] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((&*sampled.endpoint.route, sampled.outcome), ("/items/{id}", Outcome::Status(200)));
    assert_eq!((sampled.response_time, sampled.randomness), (Duration::from_millis(3), 0.25));
    assert_eq!((sampled.trace, slow.trace, slow.outcome), (Some(trace), None, Outcome::Other));
    assert!(before <= sampled.time && slow.time <= SystemTime::now());
    registry.reset();
    assert_eq!((registry.requests_after(&mut cursor), cursor.missed()), (vec![], 0));
    // Logging a request does not record it.
    assert_eq!(registry.snapshot().histogram().total(), 0);
}

#[test]
fn requests_beyond_the_logs_capacity_are_counted_as_missed() {
    let registry = Registry::builder().request_log_capacity(8).build().unwrap();
    let endpoint = registry.endpoint("GET", "/");
    // One recorder may fill the whole log at once, so five of them evict each other's entries.
    let recorders = [(); 5].map(|()| registry.recorder());
    for i in 0..100 {
        let elapsed = Duration::from_nanos(i);
        recorders[i as usize % 5].log_request(endpoint, Outcome::Status(200), elapsed, None, 0.0);
    }
    let mut cursor = RequestCursor::default();
    assert_eq!(registry.requests_after(&mut cursor).len(), 8);
    assert_eq!(cursor.missed(), 92);
    assert!(registry.requests_after(&mut cursor).is_empty());
    assert_eq!(cursor.missed(), 92);
}

#[test]
fn an_error_keeps_its_trace_context() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    let trace = TraceContext { trace: TraceId::new(u128::MAX).unwrap(), parent: None, sampled: false };
    recorder.log_error(endpoint, Outcome::Status(500), Duration::ZERO, "no", Some(trace));
    recorder.record_error(endpoint, Outcome::Panicked, Duration::ZERO, "oh");
    let errors = registry.summary().recent_errors;
    assert_eq!([errors[0].trace, errors[1].trace], [None, Some(trace)]);
    let text = serde_json::to_string(&errors).unwrap();
    assert_eq!(serde_json::from_str::<Vec<metrics_core::RecentError>>(&text).unwrap(), errors);
}
