//! Checks that answers are valid JSON whatever the names of routes, consumers and errors, and that they hold these
//! names as they are shown.

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use metrics_core::{Consumer, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, Outcome, Registry, visible};
use metrics_export::json::{ConsumersBody, ErrorsBody, Failure, RoutesBody, Success, SummaryBody};
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    method: &'a str,
    route: &'a str,
    consumer: &'a str,
    message: &'a str,
    nanos: u64,
    status: u16,
}

fuzz_target!(|input: Input<'_>| {
    let registry = Registry::builder().max_series(1).max_consumers(1).error_log_capacity(1).build().unwrap();
    let endpoint = registry.endpoint(input.method, input.route);
    let consumer = registry.consumer(input.consumer);
    let (outcome, elapsed) = (Outcome::from(input.status), Duration::from_nanos(input.nanos));
    registry.record_error(endpoint, outcome, elapsed, input.message);
    registry.with_recorder(|recorder| recorder.record_consumer(consumer, outcome, elapsed));

    let summary = registry.summary();
    let body = parsed(&Success::new(SummaryBody::from(&summary)));
    assert_eq!(body["success"], true);
    assert_eq!(body["data"]["total_calls"], 1);
    let errors = parsed(&ErrorsBody::new(&registry.recent_errors(), &registry.errors_missing()));
    for error in [&body["data"]["recent_errors"][0], &errors["recent_errors"][0]] {
        assert_eq!(error["method"], *visible(input.method, MAX_NAME_BYTES));
        assert_eq!(error["route"], *visible(input.route, MAX_NAME_BYTES));
        assert_eq!(error["message"], *visible(input.message, MAX_MESSAGE_BYTES));
        assert_eq!(error["status"].as_u64(), outcome.status().map(u64::from));
    }

    let route = &parsed(&RoutesBody::from(&summary))["routes"][0];
    assert_eq!(route["method"], *visible(input.method, MAX_NAME_BYTES));
    assert_eq!(route["route"], *visible(input.route, MAX_NAME_BYTES));

    let consumers = parsed(&ConsumersBody::new(&registry.window(), 1));
    // A reserved name stands for a consumer that every registry has.
    if matches!(consumer, Consumer::Known(_)) {
        assert_eq!(consumers["consumers"][0]["consumer"], *visible(input.consumer, MAX_NAME_BYTES));
    }

    let failure = parsed(&Failure::new(input.consumer, input.message));
    assert_eq!(failure["error"]["code"], input.consumer);
    assert_eq!(failure["error"]["message"], input.message);
});

fn parsed(body: &impl Serialize) -> Value {
    let text = serde_json::to_string(body).expect("every body can be serialised");
    serde_json::from_str(&text).expect("a serialised body is JSON")
}
