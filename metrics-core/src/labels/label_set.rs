//! The labels of a series of the application's own metrics.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::visible;

/// The most labels of a series.
pub const MAX_LABELS: usize = 4;

/// The longest name of a label, in bytes. Longer ones are cut.
pub const MAX_LABEL_NAME_BYTES: usize = 64;

/// The longest value of a label, in bytes. Longer ones are cut at a character boundary.
pub const MAX_LABEL_VALUE_BYTES: usize = 128;

/// Names of labels that the formats use for something else: those of the buckets and quantiles of Prometheus, and what
/// tells the series of a hit ratio and of a unique count apart.
const RESERVED: [&str; 4] = ["day", "le", "quantile", "result"];

/// The prefix for a name that is taken.
const APP_PREFIX: &str = "app_";

/// The value of each label of the series that counts what did not fit.
const OTHER: &str = "_other";

/// Ends each name and each value. It is a hidden character, so it is in neither.
const END: char = '\0';

/// The longest text of a set, in bytes.
const MAX_BYTES: usize = MAX_LABELS * (MAX_LABEL_NAME_BYTES + 1 + MAX_LABEL_VALUE_BYTES + 1);

/// The labels of a series of one of the application's own metrics, sorted by name. Cheap to clone.
///
/// At most [`MAX_LABELS`], each name once. Names are valid in Prometheus: other characters are `_`, and a name that is
/// taken, such as `le` or one that starts with `__`, begins with `app_`. [Hidden](crate::is_hidden) characters of
/// values are escaped. An empty value is no label, as in Prometheus.
///
/// ```
/// let registry = metrics_core::Registry::new();
/// let jobs = registry.counter("jobs")?.with_labels([("queue", "mail"), ("le", "a\nb")]);
/// let labels: Vec<_> = jobs.labels().iter().collect();
/// assert_eq!(labels, [("app_le", "a\\nb"), ("queue", "mail")]);
/// assert_eq!(jobs.labels().series("jobs"), r#"jobs{app_le="a\\nb",queue="mail"}"#);
/// # Ok::<(), metrics_core::MetricError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet {
    /// Names and values in turn, each with [`END`] after it.
    text: Arc<str>,
}

impl LabelSet {
    /// Creates a set of these labels, as [`Counter::with_labels`](crate::Counter::with_labels) does. If a name occurs
    /// twice, the last value counts; labels beyond [`MAX_LABELS`] are left out.
    pub fn new<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut chosen = Chosen::default();
        labels.into_iter().for_each(|(name, value)| chosen.set(name, value));
        chosen.with_text(|text| Self { text: text.into() })
    }

    /// Returns whether there are no labels.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Returns names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let mut texts = self.text.split_terminator(END);
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }

    /// Returns the value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|&(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns the name of a series of the metric `name` with these labels, as PromQL writes it: `jobs{queue="mail"}`,
    /// or `jobs` without labels.
    pub fn series<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.is_empty() {
            return Cow::Borrowed(name);
        }
        let mut series = String::from(name);
        for (at, (name, value)) in self.iter().enumerate() {
            series.push(if at == 0 { '{' } else { ',' });
            series.push_str(name);
            series.push_str("=\"");
            for c in value.chars() {
                if matches!(c, '\\' | '"') {
                    series.push('\\');
                }
                series.push(c);
            }
            series.push('"');
        }
        series.push('}');
        Cow::Owned(series)
    }

    /// Returns the set for what does not fit: the same names, whose values are all `_other`.
    pub fn other(&self) -> Self {
        Self::new(self.iter().map(|(name, _)| (name, OTHER)))
    }
}

/// The name of the metric of a series, from what [`LabelSet::series`] writes.
pub(crate) fn metric_of(series: &str) -> &str {
    series.split_once('{').map_or(series, |(metric, _)| metric)
}

/// Without labels.
impl Default for LabelSet {
    fn default() -> Self {
        Self { text: Arc::default() }
    }
}

/// So that a set is found by its text.
impl Borrow<str> for LabelSet {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As a map from names to values.
impl Serialize for LabelSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Formats such as postcard want to know the length.
        serializer.collect_map(self.iter().collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for LabelSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Self::new(labels.iter().map(|(name, value)| (&**name, &**value))))
    }
}

/// Labels that become a set. Allocates only for names and values that have to change.
#[derive(Debug, Default)]
pub(crate) struct Chosen<'a> {
    /// By name; the first `len` are in use.
    labels: [(Cow<'a, str>, Cow<'a, str>); MAX_LABELS],
    len: usize,
    /// How many labels did not fit.
    left_out: usize,
}

impl<'a> Chosen<'a> {
    /// Sets a label, in place of one of the same name. An empty value takes it away.
    pub(crate) fn set(&mut self, name: &'a str, value: &'a str) {
        let (name, value) = (valid_name(name), visible(value, MAX_LABEL_VALUE_BYTES));
        match self.labels[..self.len].binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(at) if value.is_empty() => {
                self.labels[at..self.len].rotate_left(1);
                self.len -= 1;
            }
            Ok(at) => self.labels[at].1 = value,
            Err(_) if value.is_empty() => {}
            Err(_) if self.len == MAX_LABELS => self.left_out += 1,
            Err(at) => {
                self.labels[self.len] = (name, value);
                self.len += 1;
                self.labels[at..self.len].rotate_right(1);
            }
        }
    }

    /// How many labels were left out, since there are [`MAX_LABELS`] others.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    /// Calls `find` with the text of the set.
    pub(crate) fn with_text<R>(&self, find: impl FnOnce(&str) -> R) -> R {
        let (mut bytes, mut len) = ([0; MAX_BYTES], 0);
        for text in self.labels[..self.len].iter().flat_map(|(name, value)| [name, value]) {
            bytes[len..len + text.len()].copy_from_slice(text.as_bytes());
            // The byte after it is `END` already.
            len += text.len() + END.len_utf8();
        }
        find(std::str::from_utf8(&bytes[..len]).expect("names and values are text"))
    }

    /// The set.
    pub(crate) fn to_set(&self) -> LabelSet {
        self.with_text(|text| LabelSet { text: text.into() })
    }
}

/// The name of a label as Prometheus allows it, and that no format uses for something else.
fn valid_name(name: &str) -> Cow<'_, str> {
    let fits = (1..=MAX_LABEL_NAME_BYTES).contains(&name.len()) && !name.as_bytes()[0].is_ascii_digit();
    let is_valid = fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_valid && !is_reserved(name) {
        return Cow::Borrowed(name);
    }
    let mut valid = String::new();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        valid.push('_');
    }
    let chars = name.chars().take(MAX_LABEL_NAME_BYTES);
    valid.extend(chars.map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    if is_reserved(&valid) {
        valid.insert_str(0, APP_PREFIX);
    }
    valid.truncate(MAX_LABEL_NAME_BYTES);
    Cow::Owned(valid)
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("__") || RESERVED.contains(&name)
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_valid_and_taken_ones_get_a_prefix() {
        let long = "x".repeat(MAX_LABEL_NAME_BYTES + 9);
        for (name, expected) in [
            ("queue", "queue"),
            ("db.pool-size", "db_pool_size"),
            ("1st", "_1st"),
            ("", "_"),
            ("caf\u{e9}", "caf_"),
            ("le", "app_le"),
            ("result", "app_result"),
            ("__name__", "app___name__"),
            ("-_", "app___"),
            (&long, &long[..MAX_LABEL_NAME_BYTES]),
        ] {
            assert_eq!(LabelSet::new([(name, "x")]).iter().collect::<Vec<_>>(), [(expected, "x")]);
        }
    }

    #[test]
    fn a_set_is_the_same_in_any_order_and_without_empty_values() {
        let set = LabelSet::new([("b", "2"), ("a", "1")]);
        assert_eq!(set, LabelSet::new([("a", "0"), ("c", ""), ("a", "1"), ("b", "2")]));
        assert_eq!((set.len(), set.get("b"), set.get("c")), (2, Some("2"), None));
        assert_eq!(set.series("jobs"), r#"jobs{a="1",b="2"}"#);
        assert_eq!(LabelSet::new([("a", r#"\ " {,}"#)]).series("jobs"), r#"jobs{a="\\ \" {,}"}"#);
        assert_eq!(LabelSet::new([("a", "")]), LabelSet::default());
        assert_eq!(LabelSet::default().series("jobs"), "jobs");
        let five = LabelSet::new([("e", "5"), ("d", "4"), ("c", "3"), ("b", "2"), ("a", "1")]);
        assert_eq!(five.iter().map(|(name, _)| name).collect::<String>(), "bcde");
    }

    #[test]
    #[cfg(not(miri))]
    fn any_text_becomes_labels_that_are_read_back() {
        let text = || prop_oneof!["[a-c_]{0,3}", "\\PC{0,9}", any::<String>(), "x{120,140}"];
        proptest!(|(labels in prop::collection::vec((text(), text()), 0..6))| {
            let set = LabelSet::new(labels.iter().map(|(name, value)| (&**name, &**value)));
            prop_assert!(set.len() <= MAX_LABELS);
            let names: Vec<_> = set.iter().map(|(name, _)| name.to_owned()).collect();
            prop_assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]));
            for (name, value) in set.iter() {
                prop_assert!((1..=MAX_LABEL_NAME_BYTES).contains(&name.len()) && !is_reserved(name));
                prop_assert!(!name.as_bytes()[0].is_ascii_digit());
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
                prop_assert!((1..=MAX_LABEL_VALUE_BYTES).contains(&value.len()));
                prop_assert!(!value.chars().any(crate::is_hidden));
            }
            prop_assert_eq!(&LabelSet::new(set.iter()), &set);
            let json = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(&serde_json::from_str::<LabelSet>(&json).unwrap(), &set);
            let packed = postcard::to_allocvec(&set).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<LabelSet>(&packed).unwrap(), &set);
        });
    }
}
