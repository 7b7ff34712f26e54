//! The kinds of metrics that an application can have, and a value for each kind.

use std::convert::Infallible;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// A count that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// How long something takes.
    Timer,
    /// How often something is found, such as in a cache.
    HitRatio,
    /// How many distinct values there are in a day.
    UniqueCount,
}

/// The name in a sentence: `hit ratio`.
impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Timer => "timer",
            Self::HitRatio => "hit ratio",
            Self::UniqueCount => "unique count",
        })
    }
}

/// The value of a metric of any kind. `Times` is the form of a timer's durations, `Unique` that of a day's distinct
/// values.
///
/// A snapshot's reading, a summary's figures and a snapshot's parts are this enum with different type arguments: see
/// [`MetricReading`](crate::MetricReading), [`MetricFigures`](crate::MetricFigures) and
/// [`MetricStateParts`](crate::MetricStateParts). Each says whether a count is cumulative or that of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricValue<Times, Unique> {
    /// How much was counted.
    Counter(u64),
    /// The gauge's number at the end of the span. Finite.
    Gauge(f64),
    /// The durations.
    Timer(Times),
    /// Hits and misses.
    HitRatio {
        /// How often something was found.
        hits: u64,
        /// How often it was not.
        misses: u64,
    },
    /// The distinct values of two days (UTC), whatever the span.
    UniqueCount {
        /// On the day on which the span ends.
        today: Unique,
        /// On the day before.
        yesterday: Unique,
    },
}

impl<Times, Unique> MetricValue<Times, Unique> {
    /// Returns the kind of the metric.
    pub fn kind(&self) -> MetricKind {
        match self {
            Self::Counter(_) => MetricKind::Counter,
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Timer(_) => MetricKind::Timer,
            Self::HitRatio { .. } => MetricKind::HitRatio,
            Self::UniqueCount { .. } => MetricKind::UniqueCount,
        }
    }

    /// The same value, with its durations and its distinct values borrowed.
    pub(crate) fn as_ref(&self) -> MetricValue<&Times, &Unique> {
        match self {
            &Self::Counter(count) => MetricValue::Counter(count),
            &Self::Gauge(value) => MetricValue::Gauge(value),
            Self::Timer(times) => MetricValue::Timer(times),
            &Self::HitRatio { hits, misses } => MetricValue::HitRatio { hits, misses },
            Self::UniqueCount { today, yesterday } => MetricValue::UniqueCount { today, yesterday },
        }
    }

    /// The same value, with its durations and its distinct values in another form.
    pub(crate) fn map<T, U>(
        self,
        times: impl FnOnce(Times) -> T,
        unique: impl Fn(Unique) -> U,
    ) -> MetricValue<T, U> {
        let Ok(value) = self.try_map(|form| Ok::<_, Infallible>(times(form)), |form| Ok(unique(form)));
        value
    }

    /// Like [`MetricValue::map`], unless the durations or the distinct values have no other form.
    pub(crate) fn try_map<T, U, E>(
        self,
        times: impl FnOnce(Times) -> Result<T, E>,
        unique: impl Fn(Unique) -> Result<U, E>,
    ) -> Result<MetricValue<T, U>, E> {
        Ok(match self {
            Self::Counter(count) => MetricValue::Counter(count),
            Self::Gauge(value) => MetricValue::Gauge(value),
            Self::Timer(form) => MetricValue::Timer(times(form)?),
            Self::HitRatio { hits, misses } => MetricValue::HitRatio { hits, misses },
            Self::UniqueCount { today, yesterday } => {
                MetricValue::UniqueCount { today: unique(today)?, yesterday: unique(yesterday)? }
            }
        })
    }
}

impl<Times, Unique: Default> MetricValue<Times, Unique> {
    /// Moves distinct values `days` days into the past: after one day, today's are yesterday's. Other kinds stay as
    /// they are.
    pub(crate) fn age(&mut self, days: u64) {
        let Self::UniqueCount { today, yesterday } = self else { return };
        match days {
            0 => {}
            1 => *yesterday = std::mem::take(today),
            _ => (*today, *yesterday) = Default::default(),
        }
    }
}
