//! The handles of one kind: counters, gauges or histograms.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Key;
use metrics_core::MetricError;

use super::keys::KeyTable;
use super::names;
use super::refusals::Refusals;

pub(super) struct KindHandles<H> {
    keys: KeyTable<H>,
    /// By name. Refused ones are not included, so the registry's room bounds the map.
    named: Mutex<HashMap<String, H>>,
}

impl<H: Clone + From<Arc<Refusals>>> KindHandles<H> {
    pub(super) fn new() -> Self {
        Self { keys: KeyTable::new(), named: Mutex::default() }
    }

    /// Returns the handle of a key; one that refuses every call if the registry rejects the metric.
    #[inline]
    pub(super) fn get_or_create(
        &self,
        key: &Key,
        refusals: &Arc<Refusals>,
        create: impl FnOnce(&str) -> Result<H, MetricError>,
    ) -> H {
        match self.keys.get(key) {
            Some(handle) => handle.clone(),
            None => self.find_or_create(key, refusals, create),
        }
    }

    #[cold]
    fn find_or_create(
        &self,
        key: &Key,
        refusals: &Arc<Refusals>,
        create: impl FnOnce(&str) -> Result<H, MetricError>,
    ) -> H {
        let name = names::of_key(key);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = match named.get(&name) {
            Some(handle) => handle.clone(),
            None => match create(&name) {
                Ok(handle) => {
                    named.insert(name, handle.clone());
                    handle
                }
                Err(error) => {
                    refusals.refuse_metric(error);
                    Arc::clone(refusals).into()
                }
            },
        };
        self.keys.keep(key, handle.clone());
        handle
    }
}
