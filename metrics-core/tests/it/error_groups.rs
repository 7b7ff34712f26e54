//! Errors in groups.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::Duration;

use metrics_core::{ErrorGroups, History, Outcome, Registry, RequestContext, TraceContext, TraceId, Window};

use crate::support::{Rng, scaled};

const MILLISECOND: Duration = Duration::from_millis(1);

fn groups(registry: &Registry) -> ErrorGroups {
    History::new(registry.clone()).error_groups(Window::SinceReset)
}

fn total(groups: &ErrorGroups) -> u64 {
    groups.groups.iter().map(|group| group.count).sum::<u64>() + groups.ungrouped.iter().sum::<u64>()
}

#[test]
fn errors_are_grouped_by_endpoint_outcome_and_template() {
    let registry = Registry::new();
    let recorder = registry.recorder();
    let [get, put] = ["GET", "PUT"].map(|method| registry.endpoint(method, "/orders/{id}"));
    for i in 0..30 {
        recorder.record_error(get, Outcome::Status(500), MILLISECOND, &format!("order {i} is locked"));
        if i % 2 == 0 {
            recorder.record_error(put, Outcome::Status(500), MILLISECOND, "order 7 is locked");
        }
        if i % 3 == 0 {
            recorder.record_error(get, Outcome::Status(404), MILLISECOND, &format!("order {i} is locked"));
        }
    }
    recorder.record_error(get, Outcome::Panicked, MILLISECOND, "");
    let shown = groups(&registry);
    let rows: Vec<_> = shown
        .groups
        .iter()
        .map(|group| (&*group.endpoint.method, group.outcome, &*group.template, group.count))
        .collect();
    let locked = "order <num> is locked";
    let expected = [
        ("GET", Outcome::Status(500), locked, 30),
        ("PUT", Outcome::Status(500), locked, 15),
        ("GET", Outcome::Status(404), locked, 10),
        ("GET", Outcome::Panicked, "", 1),
    ];
    assert_eq!(rows, expected);
    assert_eq!((shown.ungrouped, shown.evicted, total(&shown)), ([0; 4], 0, 56));
    // Everywhere the same, so that a link to a group outlives the process.
    let again = groups(&registry);
    assert_eq!(again.groups[0].id, shown.groups[0].id);
    let recent = registry.recent_errors();
    let not_found = recent.iter().find(|error| error.outcome == Outcome::Status(404)).unwrap();
    assert_eq!(metrics_core::ErrorGroup::id_of(not_found), shown.groups[2].id);
}

/// Errors in any order, which repeat the one before or change one thing of it, beside a plain table.
#[test]
fn each_error_is_in_the_group_of_its_own_endpoint_outcome_and_message_whatever_came_before_it() {
    let registry = Registry::new();
    let routes = ["/a", "/b"];
    let endpoints = routes.map(|route| registry.endpoint("GET", route));
    let outcomes = [Outcome::Status(500), Outcome::Status(503), Outcome::Status(404), Outcome::Panicked];
    let messages = ["", "locked", "lost"];
    let recorders = [registry.recorder(), registry.recorder()];
    let mut rng = Rng::new(18);
    let mut expected = BTreeMap::<_, u64>::new();
    let mut at = [(0, 0, 0); 2];
    for _ in 0..scaled(4_000, 200) {
        let by = rng.below(2) as usize;
        let (route, outcome, message) = &mut at[by];
        match rng.below(6) {
            0 => *route = rng.below(2) as usize,
            1 => *outcome = rng.below(4) as usize,
            2 => *message = rng.below(3) as usize,
            _ => {}
        }
        let (endpoint, ended, text) = (endpoints[*route], outcomes[*outcome], messages[*message]);
        recorders[by].record_error(endpoint, ended, MILLISECOND, text);
        *expected.entry((routes[*route], ended.to_string(), text)).or_default() += 1;
    }
    let shown = groups(&registry);
    let counted: BTreeMap<_, _> = shown
        .groups
        .iter()
        .map(|group| ((&*group.endpoint.route, group.outcome.to_string(), &*group.template), group.count))
        .collect();
    assert_eq!(counted, expected);
    assert_eq!((counted.len(), shown.groups.len()), (24, 24));
}

#[test]
fn examples_say_whose_request_it_was_and_the_first_one_stays() {
    // With room for all, so that however long this takes, no entry is evicted.
    let registry = Registry::builder().error_log_capacity(1_000).build().unwrap();
    let (endpoint, recorder) = (registry.endpoint("GET", "/orders/{id}"), registry.recorder());
    let ann = registry.vouched_consumer("Ann");
    let trace = TraceContext { trace: TraceId::new(7).unwrap(), parent: None, sampled: true };
    for i in 0..1_000 {
        let (message, path) = (format!("order {i} is locked"), format!("/orders/{i}?token=secret"));
        let context = RequestContext {
            trace: Some(trace),
            consumer: Some(ann),
            request_id: Some("req-1"),
            path: Some(&path),
        };
        recorder.log_error(endpoint, Outcome::Status(500), MILLISECOND, &message, context);
    }
    let shown = groups(&registry);
    let [group] = &shown.groups[..] else { panic!("{shown:?}") };
    assert_eq!((group.count, group.consumers.clone()), (1_000, vec![("Ann".into(), 1_000)]));
    assert!((2..=3).contains(&group.examples.len()), "{group:?}");
    let first = group.examples.last().unwrap();
    assert_eq!((&*first.message, first.trace), ("order 0 is locked", Some(trace)));
    assert_eq!(first.details.path.as_deref(), Some("/orders/0"));
    assert_eq!(first.details.request_id.as_deref(), Some("req-1"));
    assert_eq!(first.details.consumer.as_deref(), Some("Ann"));
    assert_eq!(first.details.worker, Some(0));
    assert!(group.first_seen <= group.last_seen);
    // The log has the same details, and the same time.
    let latest = &group.examples[0];
    assert!(registry.errors_after(&mut metrics_core::ErrorCursor::default()).contains(latest), "{latest:?}");
    let recent = &registry.recent_errors()[0];
    assert_eq!(
        recent.details.path.as_deref().unwrap(),
        recent.message.replace("order ", "/orders/").replace(" is locked", "")
    );
}

#[test]
fn a_storm_of_made_up_errors_evicts_no_5xx_and_loses_no_count() {
    let registry = Registry::new();
    let [order, unmatched] = ["/orders/{id}", "_unmatched"].map(|route| registry.endpoint("GET", route));
    let recorder = registry.recorder();
    for i in 0..40 {
        recorder.record_error(order, Outcome::Status(500), MILLISECOND, ["a", "b", "c", "d"][i % 4]);
    }
    let errors = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let threads = 4;
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (registry, start) = (&registry, &start);
            scope.spawn(move || {
                let recorder = registry.recorder();
                start.wait();
                for i in 0..errors / threads {
                    // Letters, since numbers are one template.
                    let made_up: String =
                        format!("{thread}-{i}").bytes().map(|byte| char::from(byte + 60)).collect();
                    let context = RequestContext { path: Some(&made_up), ..RequestContext::default() };
                    recorder.record(unmatched, 404, MILLISECOND);
                    recorder.log_error(unmatched, Outcome::Status(404), MILLISECOND, &made_up, context);
                }
            });
        }
    });
    let shown = groups(&registry);
    assert_eq!(total(&shown), 40 + errors as u64);
    assert_eq!(shown.ungrouped[..3], [0; 3]);
    assert!(shown.groups.len() <= 1_024, "{}", shown.groups.len());
    let of_order: Vec<_> = shown
        .groups
        .iter()
        .filter(|group| &*group.endpoint.route == "/orders/{id}")
        .map(|group| group.count)
        .collect();
    assert_eq!(of_order, [10; 4]);
    assert!(shown.unmatched_paths.len() <= 64);
}

#[test]
fn more_groups_than_fit_evict_those_that_were_not_seen_for_longest() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let word = |i: usize| -> String { format!("{i:05}").bytes().map(|byte| char::from(byte + 60)).collect() };
    // Each recorder may make some groups at once.
    let made = 1_100;
    for i in 0..made {
        let recorder = registry.recorder();
        recorder.record_error(endpoint, Outcome::Status(500), MILLISECOND, &word(i));
        std::mem::forget(registry.recorder());
        recorder.record_error(endpoint, Outcome::Status(500), MILLISECOND, &word(0));
        std::mem::forget(recorder);
    }
    let shown = groups(&registry);
    assert_eq!((shown.groups.len(), shown.evicted), (1_024, (made - 1_024) as u64));
    assert_eq!(total(&shown), 2 * made as u64);
    assert_eq!((&*shown.groups[0].template, shown.groups[0].count), (&*word(0), made as u64 + 1));
    let has = |i| shown.groups.iter().any(|group| *group.template == *word(i));
    assert!(!has(1) && !has(made - 1_024) && has(made - 1_023) && has(made - 1));
}

#[test]
fn each_error_is_in_one_window_and_a_new_window_forgets_groups_without_errors() {
    let registry = Registry::new();
    let (endpoint, recorder) = (registry.endpoint("GET", "/"), registry.recorder());
    for _ in 0..3 {
        recorder.record_error(endpoint, Outcome::Status(500), MILLISECOND, "a");
    }
    recorder.record_error(endpoint, Outcome::Status(500), MILLISECOND, "b");
    registry.reset();
    recorder.record_error(endpoint, Outcome::Status(500), MILLISECOND, "a");
    let shown = groups(&registry);
    let rows: Vec<_> = shown.groups.iter().map(|group| (&*group.template, group.count)).collect();
    assert_eq!(rows, [("a", 1)]);
    // Other windows do not begin with a reset.
    let history = History::new(registry.clone());
    history.tick();
    let hour = history.error_groups(Window::OneHour);
    assert_eq!(hour.groups.iter().map(|group| group.count).sum::<u64>(), 5);
    assert_eq!((hour.step, hour.groups[0].trend.len()), (Duration::from_secs(60), 61));
    assert!(hour.window >= Duration::from_secs(3_600) && hour.window < Duration::from_secs(3_660));
}

#[test]
fn the_most_frequent_unmatched_paths_are_known_if_recorders_are_given_them() {
    let registry = Registry::new();
    let [unmatched, item] = ["_unmatched", "/items/{id}"].map(|route| registry.endpoint("GET", route));
    let recorder = registry.recorder();
    let log = |endpoint, path| {
        let context = RequestContext { path, ..RequestContext::default() };
        recorder.log_error(endpoint, Outcome::Status(404), MILLISECOND, "", context);
    };
    for _ in 0..5 {
        log(unmatched, Some("/.env?x=1"));
        log(unmatched, None);
        log(item, Some("/items/1"));
    }
    log(unmatched, Some("/wp-login.php"));
    let paths = groups(&registry).unmatched_paths;
    assert_eq!(paths, [("/.env".into(), 5, 5), ("/wp-login.php".into(), 1, 1)]);
    registry.reset();
    assert_eq!(groups(&registry).unmatched_paths, []);
}

#[test]
fn groups_at_their_caps_take_at_most_2_mib() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("GET", "/");
    let long = |i: usize| -> String {
        let word: String = format!("{i:05}").bytes().map(|byte| char::from(byte + 60)).collect();
        word + &"x".repeat(300)
    };
    let (id, path) = ("i".repeat(100), "/p".repeat(100));
    for i in 0..1_100 {
        let recorder = registry.recorder();
        for _ in 0..5 {
            let context = RequestContext {
                trace: None,
                consumer: Some(registry.consumer(&i.to_string())),
                request_id: Some(&id),
                path: Some(&path),
            };
            recorder.log_error(endpoint, Outcome::Status(500), MILLISECOND, &long(i), context);
        }
        std::mem::forget(recorder);
    }
    let history = History::new(registry.clone());
    history.tick();
    assert_eq!(history.error_groups(Window::SinceReset).groups.len(), 1_024);
    let bytes = registry.group_bytes();
    assert!((1 << 20..=2 << 20).contains(&bytes), "{bytes}");
}
