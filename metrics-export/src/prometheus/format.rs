//! Which format a scrape is answered in.

/// A format of the exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Format {
    /// Prometheus' text format, version 0.0.4: what browsers and old clients get.
    #[default]
    Text,
    /// OpenMetrics 1.0 as text: with units and the time when counting began.
    OpenMetrics,
    /// Prometheus' protobuf format, messages delimited by their lengths: the only one with native histograms.
    Protobuf,
}

impl Format {
    const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::Protobuf];

    /// The best format for an `Accept` header's value (several headers joined by commas), by its quality values.
    ///
    /// A media range that names a format goes before a wildcard of the same quality, and the one that stands first before
    /// later ones. OpenMetrics is asked for without a version or as 1.0.0, text without one or as 0.0.4, protobuf as
    /// delimited `io.prometheus.client.MetricFamily`. Ranges that cannot be parsed are passed over. Where nothing is left,
    /// it is [`Format::Text`], never a refusal. Allocates nothing.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (Rank { quality: 0, named: false, before: 0 }, Self::Text);
        for format in Self::ALL {
            if let Some(rank) = Rank::of(format, accept).filter(|rank| *rank > best.0 && rank.quality > 0) {
                best = (rank, format);
            }
        }
        best.1
    }

    /// The value of the `Content-Type` header.
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

/// How precisely a media range names a format. The most precise one that fits says the quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Anything,
    Kind,
    Subtype,
    Version,
}

/// How much a format is wanted; a greater one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    quality: u16,
    named: bool,
    /// Greater for what stands further in front.
    before: usize,
}

impl Rank {
    fn of(format: Format, accept: &str) -> Option<Self> {
        let ranges = outside_quotes(accept, ',').enumerate();
        let fitting = ranges.filter_map(|(place, range)| {
            let range = Range::parse(range)?;
            Some((format.precision(&range)?, range.quality, usize::MAX - place))
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

/// The parts of a text between separators that are not in a quoted string.
fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = escaped;
        escaped = quoted && c == '\\' && !literal;
        quoted ^= c == '"' && !literal;
        !quoted && c == separator
    })
}

/// A quality value in thousandths: 0 to 1 with at most three digits behind the point.
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
    fn scrapers_get_what_they_ask_for_first() {
        for (accept, expected) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("text/plain;version=0.0.4", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=\"1.0.0\"", Format::OpenMetrics),
            ("Application/OpenMetrics-Text;Version=1.0.0", Format::OpenMetrics),
            // Two versions that are not written here.
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
    fn quality_goes_before_precision_and_precision_before_place() {
        for (accept, expected) in [
            ("application/openmetrics-text;q=0.5,text/plain;q=0.6", Format::Text),
            ("application/openmetrics-text;q=0.6,text/plain;q=0.599", Format::OpenMetrics),
            ("application/openmetrics-text,text/plain", Format::OpenMetrics),
            ("text/plain,application/openmetrics-text", Format::Text),
            ("*/*,application/openmetrics-text", Format::OpenMetrics),
            // The more precise range says the quality of what it names.
            ("application/*;q=0.9,application/openmetrics-text;q=0.1,text/plain;q=0.5", Format::Protobuf),
            (
                "application/openmetrics-text;version=1.0.0;q=0.1,application/openmetrics-text,text/plain;q=0.5",
                Format::Text,
            ),
            // Refused, so anything else.
            ("text/plain;q=0,application/openmetrics-text;q=0.001", Format::OpenMetrics),
            ("text/plain;q=0,*/*;q=0.5", Format::OpenMetrics),
            ("*/*;q=0", Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), expected, "{accept}");
        }
    }

    #[test]
    fn a_range_that_cannot_be_parsed_is_passed_over() {
        for broken in ["q=2", "q=-1", "q=0.1234", "q=1.001", "q=", "q=nan", "q=1,", "q=.5"] {
            let accept = format!("application/openmetrics-text;{broken}");
            let expected = if broken == "q=1," { Format::OpenMetrics } else { Format::Text };
            assert_eq!(Format::negotiate(&accept), expected, "{accept}");
        }
        assert_eq!(Format::negotiate(",,;/;=,/,application/openmetrics-text;;q=1"), Format::OpenMetrics);
        // A comma and a semicolon in quotes part nothing.
        assert_eq!(Format::negotiate(r#"text/plain;a="\",*/*;",application/openmetrics-text"#), Format::Text);
        assert_eq!(Format::negotiate(r#"text/plain;a="x,application/openmetrics-text"#), Format::Text);
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_panics(accept in "[ -~]{0,200}", joined in "([*a-z/;,=\"\\\\ .0-9]|q=|text/plain){0,60}") {
            Format::negotiate(&accept);
            Format::negotiate(&joined);
        }
    }
}
