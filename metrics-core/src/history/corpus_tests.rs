//! Histories as each version of the format saved them, which every later version reads as what they are.
//!
//! `corpus/vN-name.history` is the bytes, and `.txt` beside it what they say. Files are added, and never changed: set
//! `METRICS_WRITE_CORPUS` to write those of this version that are missing.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::saved_error::{MAX_VERSION, WITHOUT_LABELS};
use super::*;
use crate::histogram::Layout;
use crate::labels::outcome::{Granularity, Outcome};

/// The series with labels in histories that have any.
const LABELLED: &str = r#"jobs{queue="a \"b\"",to="x"}"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/history/corpus")
}

/// A history of three processes, as this version saves it.
fn saved(digits: u8, granularity: Granularity, calls: u64, has_labels: bool) -> Vec<u8> {
    let new = || {
        let builder = Registry::builder().max_series(16).significant_digits(digits);
        builder.granularity(granularity).build().unwrap()
    };
    let registry = new();
    let history = History::new(registry.clone());
    for at in 1..=calls {
        let endpoint = registry.endpoint("GET", ["/a", "/b/{id}", "_unmatched"][at as usize % 3]);
        let status = [200, 201, 304, 404, 500, 99][(at * at % 6) as usize];
        registry.record_nanos(endpoint, status, (at * at * at * 7_919) % (1 << (at % 38)));
    }
    if calls > 0 {
        let endpoint = registry.endpoint("PUT", "/a");
        registry.record_error(endpoint, Outcome::Panicked, Duration::from_millis(2), "a panic");
        registry.with_recorder(|recorder| recorder.add_bytes(endpoint, Outcome::Panicked, 7, 9));
        registry.counter("jobs").unwrap().add(calls);
        registry.gauge("depth").unwrap().set(-1.5);
        registry.hit_ratio("cache").unwrap().hit();
        registry.timer("db").unwrap().record(Duration::from_micros(30));
        registry.unique("users").unwrap().insert("ann");
        if has_labels {
            registry.counter("jobs").unwrap().with_labels([("queue", "a \"b\""), ("to", "x")]).add(7);
            registry.timer("db").unwrap().with("table", "users").record(Duration::from_micros(90));
        }
        history.tick();
        registry.reset();
        history.tick();
    }
    let again = History::resume(new(), &history.save(usize::MAX)).unwrap();
    History::resume(new(), &again.save(usize::MAX)).unwrap().save(usize::MAX)
}

/// What a history says, as lines of text.
fn text(saved: &[u8]) -> String {
    let layout = Layout::for_digits(saved[1]).unwrap();
    let has_labels = saved[0] > WITHOUT_LABELS;
    let mut saved = resume::Saved::read(saved, layout).unwrap();
    saved.save_now();
    let registry = Registry::builder().significant_digits(layout.digits()).build().unwrap();
    // So that own metrics are shown.
    registry.counter("jobs").unwrap();
    registry.gauge("depth").unwrap();
    registry.hit_ratio("cache").unwrap();
    registry.timer("db").unwrap();
    registry.unique("users").unwrap();
    if has_labels {
        registry.counter("jobs").unwrap().with_labels([("queue", "a \"b\""), ("to", "x")]);
    }
    let history = History::new(registry);
    saved.add_to(&mut history.timeline());
    let mut text = String::new();
    writeln!(text, "{} digits", layout.digits()).unwrap();
    writeln!(text, "{} gaps, {} resets", history.gaps().len() - 1, history.resets().len()).unwrap();
    writeln!(text, "all: {:?}", history.summary(Window::OneDay).total).unwrap();
    for endpoint in history.endpoints(Window::OneDay).endpoints {
        writeln!(text, "{} {}: {:?}", endpoint.name.method, endpoint.name.route, endpoint.figures).unwrap();
    }
    for name in ["jobs", "cache", "db", LABELLED] {
        let Some(trend) = history.metric_trend(Window::OneDay, None, name).unwrap() else { continue };
        let counted = trend.points.into_iter().map(|point| point.figures);
        // The frames of processes that counted nothing are the same frame or others, as the clock has it.
        let counted = counted.filter(|figures| format!("{figures:?}") != "Counter(0)");
        writeln!(text, "{name}: {:?}", counted.collect::<Vec<_>>()).unwrap();
    }
    text
}

#[test]
fn every_history_that_any_version_saved_is_read_as_what_it_is() {
    let folder = folder();
    let class = Granularity::Class;
    for (version, name, digits, granularity, calls) in [
        (WITHOUT_LABELS, "empty", 2, class, 0),
        (WITHOUT_LABELS, "two-digits-by-class", 2, class, 500),
        (WITHOUT_LABELS, "one-digit-by-outcome", 1, Granularity::Outcome, 300),
        (WITHOUT_LABELS, "three-digits-by-status", 3, Granularity::Exact, 200),
        (MAX_VERSION, "labels", 2, class, 20),
    ] {
        let path = folder.join(format!("v{version}-{name}.history"));
        if std::env::var_os("METRICS_WRITE_CORPUS").is_some() && !path.exists() {
            let saved = saved(digits, granularity, calls, version > WITHOUT_LABELS);
            fs::write(&path, &saved).unwrap();
            fs::write(path.with_extension("txt"), text(&saved)).unwrap();
        }
        assert!(path.exists(), "write it with METRICS_WRITE_CORPUS: {}", path.display());
    }
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "history") {
            let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
            assert_eq!(text(&fs::read(&path).unwrap()), expected, "{}", path.display());
            read += 1;
        }
    }
    assert!(read >= 5, "{read}");
}
