//! The handles of one kind: counters, gauges or histograms.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Key;
use metrics_core::{Counter, Gauge, LabelSet, MetricError, Timer};

use super::keys::KeyTable;
use super::names;
use super::refusals::Refusals;

/// A metric of the registry that has labels.
pub(super) trait Labelled: Sized {
    /// The series with these labels; `_other` if they do not fit.
    fn with<'a>(&'a self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Self;
    /// The labels of the series.
    fn labels(&self) -> &LabelSet;
}

macro_rules! labelled {
    ($($metric:ident)*) => {$(
        impl Labelled for $metric {
            fn with<'a>(&'a self, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
                self.with_labels(labels)
            }

            fn labels(&self) -> &LabelSet {
                self.labels()
            }
        }
    )*};
}

labelled!(Counter Gauge Timer);

pub(super) struct KindHandles<H> {
    keys: KeyTable<H>,
    /// By name and the labels that the registry has. Refused ones are not included, so the registry's room bounds the
    /// map.
    series: Mutex<HashMap<(String, LabelSet), H>>,
}

impl<H: Clone + From<Arc<Refusals>>> KindHandles<H> {
    pub(super) fn new() -> Self {
        Self { keys: KeyTable::new(), series: Mutex::default() }
    }

    /// Returns the handle of a key; one that refuses every call if the registry rejects the metric. `find` finds the
    /// metric of a name, and `create` makes the handle of a series.
    #[inline]
    pub(super) fn get_or_create<M: Labelled>(
        &self,
        key: &Key,
        refusals: &Arc<Refusals>,
        find: impl FnOnce(&str) -> Result<M, MetricError>,
        create: impl FnOnce(M, &str) -> H,
    ) -> H {
        match self.keys.get(key) {
            Some(handle) => handle.clone(),
            None => self.find_or_create(key, refusals, find, create),
        }
    }

    #[cold]
    fn find_or_create<M: Labelled>(
        &self,
        key: &Key,
        refusals: &Arc<Refusals>,
        find: impl FnOnce(&str) -> Result<M, MetricError>,
        create: impl FnOnce(M, &str) -> H,
    ) -> H {
        let name = names::of_name(key.name());
        // One at a time fills the table of keys.
        let mut known = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = match find(&name) {
            Ok(metric) => {
                let series = metric.with(key.labels().map(|label| (label.key(), label.value())));
                let id = (name, series.labels().clone());
                match known.get(&id) {
                    Some(handle) => handle.clone(),
                    None => {
                        let handle = create(series, &id.0);
                        known.insert(id, handle.clone());
                        handle
                    }
                }
            }
            Err(error) => {
                refusals.refuse_metric(error);
                Arc::clone(refusals).into()
            }
        };
        self.keys.keep(key, handle.clone());
        handle
    }
}
