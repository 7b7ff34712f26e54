//! The settings of an exposition.

use metrics_core::InvalidSetting;
use metrics_core::objective::{Apdex, Objective};

use super::bounds::{Bound, DEFAULT_DURATION_BOUNDS, MAX_BOUNDS, MAX_SECONDS};
use super::consumers::MAX_TOP_CONSUMERS;
use super::labels::{self, RESERVED};
use super::names::Names;
use super::objectives::Judged;
use crate::wire::Wire;

/// Two buffers for the text of some 600 series of the request histogram, or one for 1,400.
const DEFAULT_KEPT_BYTES: usize = 4 << 20;

/// Places in the text take 32 bits.
const MAX_KEPT_BYTES: usize = 1 << 30;

/// Writes snapshots for Prometheus. Built and checked once, used for every scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposition {
    pub(crate) names: Names,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) constant_names: Vec<String>,
    /// The constant labels as text, without braces.
    pub(crate) constant_text: String,
    /// The constant labels as protobuf.
    pub(crate) constant_wire: Vec<u8>,
    /// Whether OpenMetrics has `_created` samples.
    pub(crate) created: bool,
    pub(crate) top_consumers: usize,
    pub(crate) judged: Judged,
    pub(crate) kept_bytes: usize,
}

impl Exposition {
    /// Creates an exposition with the defaults of [`ExpositionBuilder`].
    pub fn new() -> Self {
        Self::builder().build().expect("the defaults are in range")
    }

    /// Returns a builder for an exposition with settings of your own.
    pub fn builder() -> ExpositionBuilder {
        ExpositionBuilder::default()
    }

    /// Returns the naming scheme of families and labels.
    pub fn names(&self) -> Names {
        self.names
    }

    /// Returns whether it shows consumers. If not, [`Registry::snapshot_without_consumers`] has all that it needs.
    ///
    /// [`Registry::snapshot_without_consumers`]: metrics_core::Registry::snapshot_without_consumers
    pub fn shows_consumers(&self) -> bool {
        self.top_consumers > 0
    }

    /// Adds objectives and an Apdex, whose requests are then counted.
    pub fn judging(mut self, objectives: impl IntoIterator<Item = Objective>, apdex: Option<Apdex>) -> Self {
        self.judged.objectives.extend(objectives);
        self.judged.apdex = apdex.or(self.judged.apdex);
        self
    }

    /// Returns how much memory a [`Scraper`](super::Scraper) may keep, in bytes.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }
}

impl Default for Exposition {
    fn default() -> Self {
        Self::new()
    }
}

/// Builds an [`Exposition`].
///
/// ```
/// use metrics_export::prometheus::Exposition;
/// let exposition = Exposition::builder()
///     .constant_label("env", "prod") // on every series
///     .duration_bounds([0.01, 0.1, 1.0, 3.0]) // of classic buckets, in seconds
///     .build()?;
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "call `build` to get an exposition"]
pub struct ExpositionBuilder {
    names: Names,
    bounds: Option<Vec<f64>>,
    constant: Vec<(String, String)>,
    created: bool,
    top_consumers: usize,
    judged: Judged,
    kept_bytes: Option<usize>,
}

impl ExpositionBuilder {
    /// Sets the naming scheme of families and labels; default: [`Names::Prometheus`].
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Sets the upper bounds of the classic buckets, in seconds: 1 to 64 of them, ascending, 1 ns to 60 s; default:
    /// [`DEFAULT_DURATION_BOUNDS`]. Native histograms need no bounds.
    pub fn duration_bounds(mut self, seconds: impl Into<Vec<f64>>) -> Self {
        self.bounds = Some(seconds.into());
        self
    }

    /// Adds a label to every series, such as `env="prod"`; default: none. Call it once for each label.
    ///
    /// A name consists of ASCII letters, digits and `_`, starts with neither a digit nor `__`, and is not a label of
    /// our own series under either of the [`Names`]. A value is any text. A label of the same name of one of the
    /// application's own metrics gets the prefix `app_`.
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant.push((name.into(), value.into()));
        self
    }

    /// Sets how many consumers to expose, those with the most calls since the start first: 0 to 1,000; default: 0.
    ///
    /// Each consumer costs three series, which end when others push it out of the top.
    pub fn top_consumers(mut self, consumers: usize) -> Self {
        self.top_consumers = consumers;
        self
    }

    /// Adds objectives whose valid and good requests are counted; default: none. The monitor adds its own.
    pub fn objectives(mut self, objectives: impl IntoIterator<Item = Objective>) -> Self {
        self.judged.objectives.extend(objectives);
        self
    }

    /// Counts requests by how satisfied users are with their durations; default: not counted. The monitor sets its own.
    pub fn apdex(mut self, apdex: Apdex) -> Self {
        self.judged.apdex = Some(apdex);
        self
    }

    /// Sets whether OpenMetrics has a `_created` sample for each counter and histogram, with the time when counting
    /// began; default: `false`.
    ///
    /// Prometheus stores each of these samples as a series of its own, which doubles the number of counter series. All
    /// of its versions that ask for OpenMetrics do so, unless the feature `created-timestamp-zero-ingestion` is
    /// enabled. Protobuf always has these times, and there they cost no series.
    pub fn created(mut self, created: bool) -> Self {
        self.created = created;
        self
    }

    /// Sets how much text a [`Scraper`](super::Scraper) may keep to rewrite only what changed, in bytes, 0 (nothing is
    /// kept) to 1 GiB; default: 4 MiB, enough for 1,400 endpoints and status classes with the default bounds.
    pub fn kept_bytes(mut self, bytes: usize) -> Self {
        self.kept_bytes = Some(bytes);
        self
    }

    /// Builds the exposition.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is out of range. The error says what is allowed.
    pub fn build(self) -> Result<Exposition, InvalidSetting> {
        let seconds = self.bounds.unwrap_or_else(|| DEFAULT_DURATION_BOUNDS.into());
        let Some(bounds) = Bound::all(&seconds) else {
            let allowed = format!("1 to {MAX_BOUNDS} bounds, ascending, 1 ns to {MAX_SECONDS} s");
            return Err(InvalidSetting::new("duration_bounds", format_args!("{seconds:?}"), allowed));
        };
        if self.top_consumers > MAX_TOP_CONSUMERS {
            let allowed = format!("0 to {MAX_TOP_CONSUMERS}");
            return Err(InvalidSetting::new("top_consumers", self.top_consumers, allowed));
        }
        let kept_bytes = self.kept_bytes.unwrap_or(DEFAULT_KEPT_BYTES);
        if kept_bytes > MAX_KEPT_BYTES {
            let allowed = format!("0 to {MAX_KEPT_BYTES}");
            return Err(InvalidSetting::new("kept_bytes", kept_bytes, allowed));
        }
        let (mut constant_text, mut constant_wire) = (Vec::new(), Vec::new());
        for (index, (name, value)) in self.constant.iter().enumerate() {
            check_label(name)?;
            if self.constant[..index].iter().any(|(before, _)| before == name) {
                let twice = format_args!("{name:?} twice");
                return Err(InvalidSetting::new("constant_label", twice, "each name once"));
            }
            if index > 0 {
                constant_text.push(b',');
            }
            labels::write_text(&mut constant_text, name, value);
            labels::write_protobuf(&mut Wire(&mut constant_wire), name, value);
        }
        let constant_text = String::from_utf8(constant_text).expect("names and values are UTF-8");
        let Self { names, constant, created, top_consumers, judged, .. } = self;
        for objective in &judged.objectives {
            objective.check()?;
        }
        Ok(Exposition {
            names,
            bounds,
            constant_names: constant.into_iter().map(|(name, _)| name).collect(),
            constant_text,
            constant_wire,
            created,
            top_consumers,
            judged,
            kept_bytes,
        })
    }
}

fn check_label(name: &str) -> Result<(), InvalidSetting> {
    let invalid =
        |allowed: String| Err(InvalidSetting::new("constant_label", format_args!("{name:?}"), allowed));
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.chars().all(allowed) || name.starts_with("__") {
        return invalid("ASCII letters, digits and _, starting with neither a digit nor __".to_owned());
    }
    if RESERVED.contains(&name) {
        return invalid(format!("any name but the built-in labels {}", RESERVED.join(", ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(builder: impl FnOnce(ExpositionBuilder) -> ExpositionBuilder) -> String {
        builder(Exposition::builder()).build().unwrap_err().to_string()
    }

    #[test]
    fn a_setting_out_of_range_is_refused_with_what_is_allowed() {
        assert_eq!(
            refused(|b| b.duration_bounds([2.0, 1.0])),
            "duration_bounds is [2.0, 1.0]; allowed: 1 to 64 bounds, ascending, 1 ns to 60 s"
        );
        assert_eq!(refused(|b| b.top_consumers(1_001)), "top_consumers is 1001; allowed: 0 to 1000");
        let kept = refused(|b| b.kept_bytes(MAX_KEPT_BYTES + 1));
        assert_eq!(kept, "kept_bytes is 1073741825; allowed: 0 to 1073741824");
        for name in ["", "1st", "__meta", "a-b", "é", "a b", "a\"b"] {
            assert_eq!(
                refused(|b| b.constant_label(name, "x")),
                format!(
                    "constant_label is {name:?}; allowed: ASCII letters, digits and _, starting with neither a \
                     digit nor __"
                )
            );
        }
        for name in RESERVED {
            let error = refused(|b| b.constant_label(name, "x"));
            assert!(error.contains("allowed: any name but the built-in labels consumer, "), "{error}");
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
