//! What is exposed, and how it is called.

use metrics_core::Snapshot;

use super::bounds::{Bound, DEFAULT_DURATION_BOUNDS, MAX_BOUNDS, MAX_SECONDS};
use super::families;
use super::format::Format;
use super::names::{Names, RESERVED};
use super::protobuf::{self, Protobuf};
use super::resources::Resources;
use super::text::{self, Dialect, Text};
use crate::push::Counts;
use crate::wire::Wire;

/// The most consumers that can be exposed.
pub(crate) const MAX_CONSUMERS: usize = 1_000;

/// What is written of a snapshot. Made once, checked when it is made, used for every scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposition {
    pub(crate) names: Names,
    pub(crate) bounds: Vec<Bound>,
    /// The constant labels as text, without braces.
    pub(crate) constant_text: String,
    /// The constant labels as protobuf.
    pub(crate) constant_wire: Vec<u8>,
    /// Whether OpenMetrics says when each series began to count.
    pub(crate) created: bool,
    top_consumers: usize,
}

impl Exposition {
    /// The default settings: see [`Builder`].
    pub fn new() -> Self {
        Self::builder().build().expect("the default settings are in range")
    }

    /// Begins an exposition with other settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Whose names families and labels bear.
    pub fn names(&self) -> Names {
        self.names
    }

    /// Writes a snapshot into `buffer`, in place of what is in it.
    ///
    /// The text formats allocate nothing once the buffer is large enough; protobuf has two small lists besides. About 3 KB
    /// of text for each endpoint and class of statuses, with the default bounds.
    pub fn render(&self, snapshot: &Snapshot, format: Format, buffer: &mut Vec<u8>) {
        self.render_with(snapshot, &Resources::default(), &[], format, buffer);
    }

    /// As [`Exposition::render`], with what is known of the process besides, and of what was sent to other places.
    pub fn render_with(
        &self,
        snapshot: &Snapshot,
        resources: &Resources,
        exporters: &[Counts],
        format: Format,
        buffer: &mut Vec<u8>,
    ) {
        buffer.clear();
        let since = snapshot.since();
        let dialect = match format {
            Format::Text => Dialect::Classic,
            Format::OpenMetrics => Dialect::OpenMetrics,
            Format::Protobuf => {
                let mut protobuf = Protobuf::new(buffer, self, since);
                return families::write(
                    snapshot,
                    resources,
                    exporters,
                    self.names,
                    self.top_consumers,
                    &mut protobuf,
                );
            }
        };
        let mut text = Text::new(buffer, dialect, self, since);
        families::write(snapshot, resources, exporters, self.names, self.top_consumers, &mut text);
        text.finish();
    }
}

impl Default for Exposition {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes an [`Exposition`].
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    names: Names,
    bounds: Option<Vec<f64>>,
    constant: Vec<(String, String)>,
    created: bool,
    top_consumers: usize,
}

impl Builder {
    /// Whose names families and labels bear; default: [`Names::Prometheus`].
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// The upper bounds of the classic buckets, in seconds: 1 to 64, ascending, 1 ns to 60 s; default:
    /// [`DEFAULT_DURATION_BOUNDS`]. Native histograms have no bounds to choose.
    pub fn duration_bounds(mut self, seconds: impl Into<Vec<f64>>) -> Self {
        self.bounds = Some(seconds.into());
        self
    }

    /// A label that every series gets, such as `env="prod"`; default: none. Several times for several labels.
    ///
    /// The name is of letters, digits and `_`, begins with no digit and no `__`, and is none that our own series have, by
    /// whichever [`Names`]. The value is any text.
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant.push((name.into(), value.into()));
        self
    }

    /// The consumers with the most calls since the start, 0 to 1,000; default 0, none.
    ///
    /// Each costs three series. A consumer that others overtake has none any more.
    pub fn top_consumers(mut self, consumers: usize) -> Self {
        self.top_consumers = consumers;
        self
    }

    /// Whether OpenMetrics has a `_created` sample for each counter and histogram, with the time when it began to count;
    /// default: no.
    ///
    /// Prometheus stores each of them as a series of its own, which for counters are as many again; it does so with all versions
    /// that ask for OpenMetrics, unless one with the feature `created-timestamp-zero-ingestion` is told to take them for what
    /// they are. Protobuf always has these times, where they cost no series.
    pub fn created(mut self, created: bool) -> Self {
        self.created = created;
        self
    }

    /// Makes the exposition.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range; the error says what is allowed.
    pub fn build(self) -> Result<Exposition, BuildError> {
        let seconds = self.bounds.unwrap_or_else(|| DEFAULT_DURATION_BOUNDS.into());
        let Some(bounds) = Bound::all(&seconds) else { return Err(BuildError::Bounds { seconds }) };
        if self.top_consumers > MAX_CONSUMERS {
            return Err(BuildError::TopConsumers { consumers: self.top_consumers });
        }
        let (mut constant_text, mut constant_wire) = (Vec::new(), Vec::new());
        for (place, (name, value)) in self.constant.iter().enumerate() {
            check_label(name)?;
            if self.constant[..place].iter().any(|(before, _)| before == name) {
                return Err(BuildError::LabelTwice { name: name.clone() });
            }
            if place > 0 {
                constant_text.push(b',');
            }
            text::label(&mut constant_text, name, value);
            protobuf::label(&mut Wire(&mut constant_wire), name, value);
        }
        let constant_text = String::from_utf8(constant_text).expect("names and values are texts");
        let Self { names, created, top_consumers, .. } = self;
        Ok(Exposition { names, bounds, constant_text, constant_wire, created, top_consumers })
    }
}

fn check_label(name: &str) -> Result<(), BuildError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.chars().all(allowed) || name.starts_with("__") {
        return Err(BuildError::LabelName { name: name.to_owned() });
    }
    if RESERVED.contains(&name) {
        return Err(BuildError::LabelReserved { name: name.to_owned() });
    }
    Ok(())
}

/// A setting that is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The bounds are none, too many, out of range, or not ascending.
    #[error("duration_bounds is {seconds:?}; allowed: 1 to {MAX_BOUNDS}, ascending, 1 ns to {MAX_SECONDS} s")]
    Bounds {
        /// The bounds, in seconds.
        seconds: Vec<f64>,
    },
    /// More consumers than can be exposed.
    #[error("top_consumers is {consumers}; allowed: 0 to {MAX_CONSUMERS}")]
    TopConsumers {
        /// How many.
        consumers: usize,
    },
    /// Prometheus allows no label of this name.
    #[error("constant_label is {name:?}; allowed: letters, digits and _, not beginning with a digit or __")]
    LabelName {
        /// The name.
        name: String,
    },
    /// Our own series have a label of this name.
    #[error(
        "constant_label is {name:?}, which series of our own have; allowed: another name than {RESERVED:?}"
    )]
    LabelReserved {
        /// The name.
        name: String,
    },
    /// Two constant labels have the same name.
    #[error("constant_label is {name:?} twice; allowed: each name once")]
    LabelTwice {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(builder: impl FnOnce(Builder) -> Builder) -> String {
        builder(Exposition::builder()).build().unwrap_err().to_string()
    }

    #[test]
    fn every_setting_out_of_range_is_refused_with_what_is_allowed() {
        assert_eq!(
            refused(|b| b.duration_bounds([2.0, 1.0])),
            "duration_bounds is [2.0, 1.0]; allowed: 1 to 64, ascending, 1 ns to 60 s"
        );
        assert_eq!(refused(|b| b.top_consumers(1_001)), "top_consumers is 1001; allowed: 0 to 1000");
        for name in ["", "1st", "__meta", "a-b", "é", "a b", "a\"b"] {
            let error = refused(|b| b.constant_label(name, "x"));
            assert!(
                error.ends_with("allowed: letters, digits and _, not beginning with a digit or __"),
                "{error}"
            );
        }
        for name in RESERVED {
            assert!(refused(|b| b.constant_label(name, "x")).contains("which series of our own have"));
        }
        let twice = refused(|b| b.constant_label("env", "a").constant_label("env", "b"));
        assert_eq!(twice, "constant_label is \"env\" twice; allowed: each name once");
    }

    #[test]
    fn constant_labels_are_escaped_once() {
        let exposition =
            Exposition::builder().constant_label("_a1", "x\"y").constant_label("b", "").build().unwrap();
        assert_eq!(exposition.constant_text, r#"_a1="x\"y",b="""#);
    }
}
