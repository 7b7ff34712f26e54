//! Tells browsers from scrapers by the `Accept` headers of a request, where a page and the scrapes share a path.

use crate::policy::headers::{Headers, values};

/// Who sends a request, by its `Accept` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A browser: it names HTML.
    Browser,
    /// A scraper: it names a format of Prometheus, and no HTML.
    Scraper,
    /// Neither, such as `curl` with `*/*`.
    Unknown,
}

/// The media types that only scrapers name; `text/plain` is one of them only with a version.
const EXPOSITIONS: [&str; 2] = ["application/openmetrics-text", "application/vnd.google.protobuf"];

impl Sender {
    pub(crate) fn of(headers: &dyn Headers) -> Self {
        let mut sender = Self::Unknown;
        for accept in values(headers, "accept").filter_map(|value| std::str::from_utf8(value).ok()) {
            for range in accept.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let media = parts.next().unwrap_or_default().to_ascii_lowercase();
                let mut has_version = || parts.any(|part| part.to_ascii_lowercase().starts_with("version="));
                if matches!(&*media, "text/html" | "application/xhtml+xml") {
                    return Self::Browser;
                }
                if EXPOSITIONS.contains(&&*media) || media == "text/plain" && has_version() {
                    sender = Self::Scraper;
                }
            }
        }
        sender
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::headers::List;

    #[test]
    fn a_sender_is_known_by_the_media_types_that_it_accepts() {
        for (accept, sender) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Sender::Browser),
            ("TEXT/HTML", Sender::Browser),
            // Prometheus 2 and 3, and vmagent.
            (
                "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Sender::Scraper,
            ),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", Sender::Scraper),
            ("text/plain; Version=0.0.4;q=1,*/*;q=0.1", Sender::Scraper),
            ("text/plain", Sender::Unknown),
            ("*/*", Sender::Unknown),
            ("application/json", Sender::Unknown),
            ("", Sender::Unknown),
        ] {
            assert_eq!(Sender::of(&List(&[("accept", accept)])), sender, "{accept}");
        }
        let two = List(&[("accept", "text/plain;version=0.0.4"), ("accept", "text/html")]);
        assert_eq!(Sender::of(&two), Sender::Browser);
        assert_eq!(Sender::of(&List(&[])), Sender::Unknown);
    }
}
