//! Checks that an untrusted saved history is either refused or usable: its figures are in order, and what is saved of
//! it again is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics_core::{Figures, History, Registry, Window};

fuzz_target!(|bytes: &[u8]| {
    // The precision of the process that goes on with it.
    let Some((digits, saved)) = bytes.split_first() else { return };
    let registry = || Registry::builder().max_series(8).significant_digits(digits % 3 + 1).build().unwrap();
    let ours = registry();
    let Ok(history) = History::resume(ours.clone(), saved) else { return };
    ours.record_nanos(ours.endpoint("GET", "/"), 200, 1_000);
    ours.counter("jobs").unwrap().increment();
    ours.timer("db").unwrap();
    let written = history.save(1 << 20);
    let again = History::resume(registry(), &written).expect("a history that was saved can be continued");
    for window in Window::ALL {
        let summary = history.endpoints(window);
        let endpoints = summary.endpoints.iter().map(|endpoint| &endpoint.figures);
        endpoints.chain([&summary.total, &history.summary(window).total]).for_each(in_order);
        history.trend(window, None, None).unwrap().points.iter().for_each(|point| in_order(&point.figures));
        for endpoint in &summary.endpoints {
            let points = history.trend(window, None, Some(&endpoint.name)).unwrap().points;
            points.iter().for_each(|point| in_order(&point.figures));
        }
        drop(history.metric_trend(window, None, "db"));
    }
    let calls = |history: &History| history.summary(Window::OneHour).total.calls;
    assert!(calls(&history) >= 1 && calls(&again) <= calls(&history));
    assert!(ours.snapshot().endpoints().count() == 1, "what is cumulative begins anew");
});

fn in_order(figures: &Figures) {
    let Figures { min, p50, p95, p99, max, .. } = *figures;
    assert!(min <= p50 && p50 <= p95 && p95 <= p99 && p99 <= max, "{figures:?}");
    assert!(figures.errors <= figures.calls, "{figures:?}");
}
