//! Queries of what a scraper has stored, in Prometheus' language, and the load before them.

use std::time::{Duration, Instant};

use metrics_export::prometheus::DEFAULT_DURATION_BOUNDS;
use serde_json::Value;
use tests::Client;

/// The query API of a scraper.
#[derive(Debug)]
pub(crate) struct Api {
    base: String,
}

impl Api {
    /// The API at this port of 127.0.0.1.
    pub(crate) fn new(port: u16) -> Self {
        Self { base: format!("http://127.0.0.1:{port}") }
    }

    /// Returns the answer, also one that refuses; `None` before the scraper is ready.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let request = ureq::get(format!("{}{path}", self.base)).config().http_status_as_error(false).build();
        let mut answer = request.call().ok().filter(|answer| answer.status() != 503)?;
        answer.body_mut().read_to_string().ok()
    }

    /// Returns the vector of a query: labels and values. The value of a native histogram is NaN.
    pub(crate) fn vector(&self, query: &str) -> Vec<(Value, f64)> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let Some(answer) = self.get(&format!("/api/v1/query?query={encoded}")) else { return Vec::new() };
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let Value::Array(series) = answer["data"]["result"].take() else { panic!("{query} is not a vector") };
        let value =
            |series: &Value| series["value"][1].as_str().map_or(f64::NAN, |value| value.parse().unwrap());
        series.into_iter().map(|mut series| (series["metric"].take(), value(&series))).collect()
    }

    /// Returns the value of a query with a single series.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        let vector = self.vector(query);
        (vector.len() == 1).then(|| vector[0].1)
    }

    pub(crate) fn wait_for(&self, query: &str, expected: f64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.value(query) != Some(expected) {
            assert!(Instant::now() < deadline, "{query} is {:?}, not {expected}", self.value(query));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Sends a mix of fast and slow requests from four clients. Returns the number of requests.
pub(crate) fn load(client: &Client, turns: u64) -> f64 {
    const MIX: [(&str, u16); 6] = [
        ("/items/7", 200),
        ("/items/4711", 404),
        ("/search?q=chair", 200),
        ("/api/v1/orders/7", 200),
        ("/search?q=lamp", 200),
        ("/report", 200),
    ];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..turns {
                    MIX.iter()
                        .for_each(|&(path, status)| assert_eq!(client.send("GET", path).status, status));
                }
            });
        }
    });
    (4 * turns * MIX.len() as u64) as f64
}

/// Returns the bounds of the classic bucket of a duration, in seconds.
pub(crate) fn classic_bucket(seconds: f64) -> (f64, f64) {
    let at = DEFAULT_DURATION_BOUNDS.partition_point(|&bound| bound < seconds);
    let lower = at.checked_sub(1).map_or(0.0, |at| DEFAULT_DURATION_BOUNDS[at]);
    (lower, DEFAULT_DURATION_BOUNDS.get(at).copied().unwrap_or(f64::INFINITY))
}
