//! Compares the figures of the restarted service with those of its shadow, and both with what they were told.

use std::collections::BTreeMap;

use serde_json::Value;

use super::load::Ledger;
use super::side::{Side, until, wall};

const WINDOWS: [&str; 4] = ["1m", "5m", "1h", "24h"];

/// What depends on when a window began, not on what was counted in it.
const OF_TIME: [&str; 4] = ["since", "window_seconds", "requests_per_second", "recent_errors"];

/// Whether both have the same figures in all windows. Waits for figures that are on their way.
pub(crate) fn compare(restarted: &mut Side, shadow: &mut Side, lives: u64) -> Result<(), String> {
    until(|| {
        let [all, alike] = [&mut *restarted, &mut *shadow].map(|side| side.data("summary?window=24h"));
        same("summary?window=24h", without_time(all?), without_time(alike?))?;
        let [own, others] = [&mut *restarted, &mut *shadow].map(|side| side.data("business?window=24h"));
        same("business?window=24h", own?["business"].take(), others?["business"].take())?;
        for window in WINDOWS {
            let [ours, theirs] = [&mut *restarted, &mut *shadow].map(|side| routes(side, window, lives));
            let (ours, theirs) = (ours?, theirs?);
            for (life, figures) in &ours.surely {
                if let Some(others) = theirs.surely.get(life) {
                    same(&format!("life {life} in {window}"), figures.clone(), others.clone())?;
                }
            }
            for side in [&mut *restarted, &mut *shadow] {
                summary(side, window)?;
                trend(side, window)?;
            }
        }
        Ok(())
    })
}

fn same(what: &str, ours: Value, theirs: Value) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}:\n  restarted {ours}\n  shadow    {theirs}")) }
}

fn without_time(mut figures: Value) -> Value {
    if let Some(figures) = figures.as_object_mut() {
        OF_TIME.iter().for_each(|name| drop(figures.remove(*name)));
    }
    figures
}

/// The routes of a window.
struct Routes {
    /// The figures of lives that are in it as a whole; an empty object for those that are not in it.
    surely: BTreeMap<u64, Value>,
}

fn routes(side: &mut Side, window: &str, lives: u64) -> Result<Routes, String> {
    let name = format!("routes?window={window}");
    let mut body = side.data(&name)?;
    let from = time(&body["since"])?;
    let mut by_route: BTreeMap<String, Value> = BTreeMap::new();
    for mut route in body["routes"].take().as_array_mut().into_iter().flatten().map(Value::take) {
        let path = route["route"].take().as_str().unwrap_or_default().to_owned();
        by_route.insert(path, without_time(route));
    }
    let mut surely = BTreeMap::new();
    for life in 0..=lives {
        let figures = by_route.remove(&format!("/lives/{life}")).unwrap_or_else(|| serde_json::json!({}));
        let calls = figures["total_calls"].as_u64().unwrap_or_default();
        let told = side.ledger.of_life_between(life, from, wall());
        within(&format!("{} {name}, life {life}", side.name), calls, told)?;
        let [least, most] = told;
        if least == most && (most == 0 || most == side.ledger.calls_of(life)) {
            surely.insert(life, figures);
        }
    }
    match by_route.first_key_value() {
        Some((route, _)) => Err(format!("{} {name}: nobody called {route}", side.name)),
        None => Ok(Routes { surely }),
    }
}

fn summary(side: &mut Side, window: &str) -> Result<(), String> {
    let name = format!("summary?window={window}");
    let body = side.data(&name)?;
    let calls = body["total_calls"].as_u64().unwrap_or_default();
    let told = side.ledger.between(time(&body["since"])?, wall());
    within(&format!("{} {name}", side.name), calls, told)
}

/// Whether what a trend has up to the end of each of its steps was counted by then.
fn trend(side: &mut Side, window: &str) -> Result<(), String> {
    let name = format!("history?window={window}");
    let body = side.data(&name)?;
    let points = body["points"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut calls = 0;
    let mut beginning = None;
    let mut last = f64::MIN;
    for point in points {
        let end = time(&point["time"])?;
        let start = end - 1e3 * point["seconds"].as_f64().unwrap_or_default();
        // Times are written to the millisecond.
        if start < last - 2.0 {
            return Err(format!(
                "{} {name}: a step that ends at {} begins before the one before it ended",
                side.name, point["time"]
            ));
        }
        last = end;
        calls += point["total_calls"].as_u64().unwrap_or_default();
        let told = side.ledger.between(*beginning.get_or_insert(start), end);
        within(&format!("{} {name} up to {}", side.name, point["time"]), calls, told)?;
    }
    match body["total"]["total_calls"].as_u64().unwrap_or_default() {
        total if total == calls => Ok(()),
        total => Err(format!("{} {name}: {total} in all, {calls} in its steps", side.name)),
    }
}

fn within(what: &str, calls: u64, [least, most]: [u64; 2]) -> Result<(), String> {
    if (least..=most).contains(&calls) {
        Ok(())
    } else {
        Err(format!("{what}: {calls} calls, of {least} to {most} that were sent"))
    }
}

/// The calls that a service shows of a life, of the last day.
pub(crate) fn calls_of(side: &mut Side, life: u64) -> Result<u64, String> {
    let body = side.data("routes?window=24h")?;
    let route = format!("/lives/{life}");
    let mut routes = body["routes"].as_array().into_iter().flatten();
    let found = routes.find(|found| found["route"] == *route);
    Ok(found.and_then(|found| found["total_calls"].as_u64()).unwrap_or_default())
}

/// The calls since the start of the process, which begin anew with each.
pub(crate) fn since_start(side: &mut Side, told: u64) -> Result<(), String> {
    match side.data("summary")?["total_calls"].as_u64() {
        Some(calls) if calls == told => Ok(()),
        other => Err(format!("{}: {other:?} calls since its start, of {told}", side.name)),
    }
}

/// What all instances of the fleet counted: never more than they were told.
pub(crate) fn fleet(side: &mut Side, ledger: &Ledger, most: u64) -> Result<(), String> {
    let body = side.data("fleet/summary")?;
    let calls = body["total_calls"].as_u64().unwrap_or(u64::MAX);
    if calls <= most {
        println!("the fleet counted {calls} of {most} requests; {} are in the history", ledger.calls());
        return Ok(());
    }
    Err(format!("the fleet has {calls} of {most} calls"))
}

/// Milliseconds since 1970 of a time as it is written in JSON, of this century.
fn time(text: &Value) -> Result<f64, String> {
    let parts: Option<Vec<f64>> = text.as_str().and_then(|text| {
        text.trim_end_matches('Z').split(['-', 'T', ':']).map(|part| part.parse().ok()).collect()
    });
    let Some(&[year, month, day, hour, minute, second]) = parts.as_deref() else {
        return Err(format!("{text} is no time"));
    };
    // Years begin with March, so that a leap day is the last of its year.
    let (year, month) = if month > 2.0 { (year, month - 3.0) } else { (year - 1.0, month + 9.0) };
    let days =
        365.0 * (year - 2000.0) + ((year - 2000.0) / 4.0).floor() + ((153.0 * month + 2.0) / 5.0).floor();
    // From 1970-01-01 to 2000-03-01.
    let days = days + day - 1.0 + 11_017.0;
    Ok(1e3 * (((days * 24.0 + hour) * 60.0 + minute) * 60.0 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let read = |text: &str| time(&text.into()).map(f64::round);
        assert_eq!(read("2024-02-29T12:34:56.789Z"), Ok(1_709_210_096_789.0));
        assert_eq!(read("2024-03-01T00:00:00.000Z"), Ok(1_709_251_200_000.0));
        assert_eq!(read("2026-12-31T23:59:59.999Z"), Ok(1_798_761_599_999.0));
        assert!(read("today").is_err());
    }
}
