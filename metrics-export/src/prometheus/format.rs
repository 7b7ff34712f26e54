//! Which format a scrape gets.

/// An exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus' text format, version 0.0.4, for browsers and old clients.
    #[default]
    Text,
    /// OpenMetrics 1.0 as text, with units and exemplars.
    OpenMetrics,
    /// Prometheus' length-delimited protobuf format, the only one with native histograms.
    Protobuf,
}

impl Format {
    const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::Protobuf];

    /// Picks the best format for the value of an `Accept` header, by its quality values. Join several headers with
    /// commas.
    ///
    /// Among equal qualities, a media range that names a format wins over a wildcard, and an earlier range over a later
    /// one. OpenMetrics is accepted without a version or as 1.0.0, text without a version or as 0.0.4, and protobuf as
    /// delimited `io.prometheus.client.MetricFamily`. Invalid ranges are ignored. If no format is acceptable, the
    /// result is [`Format::Text`]. Allocates nothing.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (Rank { quality: 0, named: false, before: 0 }, Self::Text);
        for format in Self::ALL {
            if let Some(rank) = Rank::of(format, accept).filter(|rank| *rank > best.0 && rank.quality > 0) {
                best = (rank, format);
            }
        }
        best.1
    }

    /// Returns the value of the `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// How precisely a media range names this format; `None` if it does not.
    fn precision(self, range: &Range<'_>) -> Option<Precision> {
        let (kind, subtype) = match self {
            Self::Text => ("text", "plain"),
            Self::OpenMetrics => ("application", "openmetrics-text"),
            Self::Protobuf => ("application", "vnd.google.protobuf"),
        };
        match (range.kind, range.subtype) {
            ("*", "*") => return Some(Precision::Anything),
            (theirs, "*") if theirs.eq_ignore_ascii_case(kind) => return Some(Precision::Kind),
            (theirs, subtypes)
                if theirs.eq_ignore_ascii_case(kind) && subtypes.eq_ignore_ascii_case(subtype) => {}
            _ => return None,
        }
        let version = match self {
            Self::Text => "0.0.4",
            Self::OpenMetrics => "1.0.0",
            Self::Protobuf => {
                let ours = range.proto == Some("io.prometheus.client.MetricFamily");
                return (ours && range.encoding == Some("delimited")).then_some(Precision::Version);
            }
        };
        match range.version {
            None => Some(Precision::Subtype),
            Some(theirs) => (theirs == version).then_some(Precision::Version),
        }
    }
}

/// How precisely a media range names a format. The most precise range that matches decides the quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Anything,
    Kind,
    Subtype,
    Version,
}

/// How much the client wants a format. The greatest rank wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    quality: u16,
    named: bool,
    /// Greater for earlier ranges.
    before: usize,
}

impl Rank {
    fn of(format: Format, accept: &str) -> Option<Self> {
        let ranges = outside_quotes(accept, ',').enumerate();
        let fitting = ranges.filter_map(|(index, range)| {
            let range = Range::parse(range)?;
            Some((format.precision(&range)?, range.quality, usize::MAX - index))
        });
        fitting.max().map(|(precision, quality, before)| Self {
            quality,
            named: precision >= Precision::Subtype,
            before,
        })
    }
}

/// One entry of an `Accept` header.
#[derive(Debug)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    proto: Option<&'a str>,
    encoding: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(range: &'a str) -> Option<Self> {
        let mut parts = outside_quotes(range, ';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let mut range = Self { kind, subtype, version: None, proto: None, encoding: None, quality: 1_000 };
        for parameter in parts {
            let Some((name, value)) = parameter.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim());
            let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = quoted.unwrap_or(value);
            match name {
                _ if name.eq_ignore_ascii_case("q") => range.quality = thousandths(value)?,
                _ if name.eq_ignore_ascii_case("version") => range.version = Some(value),
                _ if name.eq_ignore_ascii_case("proto") => range.proto = Some(value),
                _ if name.eq_ignore_ascii_case("encoding") => range.encoding = Some(value),
                _ => {}
            }
        }
        Some(range)
    }
}

/// Splits a text at separators outside quoted strings.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = escaped;
        escaped = quoted && c == '\\' && !literal;
        quoted ^= c == '"' && !literal;
        !quoted && c == separator
    })
}

/// Parses a quality value into thousandths: 0 to 1, with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = [1_000, 100, 10, 1][fraction.len()];
    let value = u16::from(whole == "1") * 1_000 + fraction.parse::<u16>().unwrap_or(0) * scale;
    (value <= 1_000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROTOBUF: &str =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn scrapers_get_the_format_that_they_prefer() {
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("text/plain;version=0.0.4", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=\"1.0.0\"", Format::OpenMetrics),
            ("Application/OpenMetrics-Text;Version=1.0.0", Format::OpenMetrics),
            // Two versions that we do not write.
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("text/plain;version=1.0.0;q=0.9,application/openmetrics-text;q=0.5", Format::OpenMetrics),
            (PROTOBUF, Format::Protobuf),
            (&PROTOBUF.replace("delimited", "text"), Format::Text),
            (&PROTOBUF.replace("MetricFamily", "Metric"), Format::Text),
            // Prometheus 2.42, without and with native histograms.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                &format!("{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5"),
                Format::Protobuf,
            ),
            // Prometheus 3.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept}");
        }
    }

    #[test]
    fn quality_decides_then_precision_then_order() {
        for (accept, expected) in [
            ("application/openmetrics-text;q=0.5,text/plain;q=0.6", Format::Text),
            ("application/openmetrics-text;q=0.6,text/plain;q=0.599", Format::OpenMetrics),
            ("application/openmetrics-text,text/plain", Format::OpenMetrics),
            ("text/plain,application/openmetrics-text", Format::Text),
            ("*/*,application/openmetrics-text", Format::OpenMetrics),
            // The more precise range decides the quality of its format.
            ("application/*;q=0.9,application/openmetrics-text;q=0.1,text/plain;q=0.5", Format::Protobuf),
            (
                "application/openmetrics-text;version=1.0.0;q=0.1,application/openmetrics-text,text/plain;q=0.5",
                Format::Text,
            ),
            // The client refuses text, so it gets another format.
            ("text/plain;q=0,application/openmetrics-text;q=0.001", Format::OpenMetrics),
            ("text/plain;q=0,*/*;q=0.5", Format::OpenMetrics),
            ("*/*;q=0", Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept}");
        }
    }

    #[test]
    fn an_invalid_range_is_ignored() {
        for broken in ["q=2", "q=-1", "q=0.1234", "q=1.001", "q=", "q=nan", "q=1,", "q=.5"] {
            let accept = format!("application/openmetrics-text;{broken}");
            let expected = if broken == "q=1," { Format::OpenMetrics } else { Format::Text };
            assert_eq!(Format::negotiate(&accept), expected, "{accept}");
        }
        assert_eq!(Format::negotiate(",,;/;=,/,application/openmetrics-text;;q=1"), Format::OpenMetrics);
        // A comma or a semicolon in quotes separates nothing.
        assert_eq!(Format::negotiate(r#"text/plain;a="\",*/*;",application/openmetrics-text"#), Format::Text);
        assert_eq!(Format::negotiate(r#"text/plain;a="x,application/openmetrics-text"#), Format::Text);
    }

    proptest! {
        #[test]
        fn no_accept_header_panics(accept in "[ -~]{0,200}", joined in "([*a-z/;,=\"\\\\ .0-9]|q=|text/plain){0,60}") {
            Format::negotiate(&accept);
            Format::negotiate(&joined);
        }
    }
}
