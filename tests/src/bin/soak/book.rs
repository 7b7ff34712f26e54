//! Requests by outcome, as one party counted them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Counts of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Book {
    /// By status, or `aborted` or `panicked` for requests without a response.
    outcomes: BTreeMap<String, u64>,
    /// Responses whose body broke off. They also count by their status.
    pub(crate) truncated: u64,
}

impl Book {
    pub(crate) fn add(&mut self, outcome: &str, calls: u64) {
        if calls > 0 {
            *self.outcomes.entry(outcome.to_owned()).or_default() += calls;
        }
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        other.outcomes.iter().for_each(|(outcome, calls)| self.add(outcome, *calls));
        self.truncated += other.truncated;
    }

    pub(crate) fn calls(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// 4xx, 5xx and panics.
    pub(crate) fn errors(&self) -> u64 {
        let errors = self.outcomes.iter().filter(|(outcome, _)| {
            *outcome == "panicked" || outcome.starts_with('4') || outcome.starts_with('5')
        });
        errors.map(|(_, calls)| calls).sum()
    }

    /// The same with 0 as the status of requests without a response.
    pub(crate) fn by_status(&self) -> Self {
        let mut book = Self { truncated: self.truncated, ..Self::default() };
        for (outcome, calls) in &self.outcomes {
            let status =
                if outcome.starts_with(|first: char| first.is_ascii_digit()) { outcome } else { "0" };
            book.add(status, *calls);
        }
        book
    }

    /// What `statuses` and `aborted` of a summary say.
    pub(crate) fn of_summary(summary: &Value) -> Self {
        let mut book = Self::default();
        for (outcome, calls) in summary["statuses"].as_object().into_iter().flatten() {
            book.add(outcome, calls.as_u64().unwrap_or(0));
        }
        let aborted = book.outcomes.get("aborted").copied().unwrap_or(0);
        book.truncated = summary["aborted"].as_u64().unwrap_or(0) - aborted;
        book
    }

    /// What an exposition in Prometheus' text format says.
    pub(crate) fn of_exposition(text: &str) -> Self {
        let mut book = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once('{') else { continue };
            let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let value = value as u64;
            match name {
                "http_requests_total" => book.add(label(labels, "status"), value),
                "http_requests_aborted_total" => book.add("aborted", value),
                "http_requests_panicked_total" => book.add("panicked", value),
                "http_responses_truncated_total" => book.truncated += value,
                _ => {}
            }
        }
        book
    }

    /// What is lower here than in an earlier reading of the same counters.
    pub(crate) fn fell_below(&self, before: &Self) -> Option<String> {
        let fell = before
            .outcomes
            .iter()
            .find(|(outcome, calls)| self.outcomes.get(*outcome).copied().unwrap_or(0) < **calls);
        let fell = fell.map(|(outcome, calls)| format!("{outcome} was {calls}"));
        fell.or_else(|| (self.truncated < before.truncated).then(|| "truncated".to_owned()))
    }
}

fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let found = labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\""));
    found.map_or("", |value| value.trim_end_matches('"'))
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls:", self.calls())?;
        for (outcome, calls) in &self.outcomes {
            write!(f, " {outcome} {calls}")?;
        }
        write!(f, "; {} truncated", self.truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_and_an_exposition_of_the_same_requests_are_the_same_book() {
        let summary = serde_json::json!({"statuses": {"200": 5, "404": 2, "aborted": 1}, "aborted": 4});
        let text = "# HELP http_requests_total x\n\
                    http_requests_total{method=\"GET\",route=\"/a,b\",status=\"200\"} 3\n\
                    http_requests_total{method=\"PUT\",route=\"/\",status=\"200\"} 2\n\
                    http_requests_total{method=\"GET\",route=\"_unmatched\",status=\"404\"} 2\n\
                    http_requests_aborted_total{method=\"GET\",route=\"/\"} 1\n\
                    http_responses_truncated_total{method=\"GET\",route=\"/\"} 3\n";
        let (ours, theirs) = (Book::of_summary(&summary), Book::of_exposition(text));
        assert_eq!(ours, theirs);
        assert_eq!((ours.calls(), ours.errors(), ours.truncated), (8, 2, 3));
        assert_eq!(ours.to_string(), "8 calls: 200 5 404 2 aborted 1; 3 truncated");
        let mut more = ours.clone();
        more.add("404", 1);
        assert_eq!(more.fell_below(&ours), None);
        assert_eq!(ours.fell_below(&more).as_deref(), Some("404 was 3"));
    }
}
