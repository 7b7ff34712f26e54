//! The numbers that stand for endpoints in a history.

use std::collections::HashMap;
use std::sync::Arc;

use crate::labels::endpoint::EndpointName;
use crate::read::snapshot::endpoint::EndpointSnapshot;

/// A number for each endpoint that any frame can have: those of the registry, in the order of their rows, after those
/// of earlier processes, which need no row in the registry.
#[derive(Debug, Default)]
pub(super) struct EndpointNumbers {
    names: Vec<Arc<EndpointName>>,
    by_name: HashMap<Arc<EndpointName>, u32>,
    of_row: Vec<u32>,
}

impl EndpointNumbers {
    /// The number of a name.
    pub(super) fn number(&mut self, name: &Arc<EndpointName>) -> u32 {
        if let Some(&number) = self.by_name.get(&**name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(Arc::clone(name));
        self.by_name.insert(Arc::clone(name), number);
        number
    }

    /// Numbers the registry's endpoints, as a snapshot has them.
    pub(super) fn take_in(&mut self, endpoints: &[Arc<EndpointSnapshot>]) {
        for endpoint in endpoints.get(self.of_row.len()..).unwrap_or_default() {
            let number = self.number(&endpoint.name);
            self.of_row.push(number);
        }
    }

    /// The number of the registry's endpoint in a row. One that is not numbered yet gets the number that no other has.
    pub(super) fn of(&self, row: usize, name: &EndpointName) -> u32 {
        let new = || (self.names.len() + row.saturating_sub(self.of_row.len())) as u32;
        self.of_row.get(row).copied().or_else(|| self.find(name)).unwrap_or_else(new)
    }

    pub(super) fn find(&self, name: &EndpointName) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn name(&self, number: u32) -> Option<&Arc<EndpointName>> {
        self.names.get(number as usize)
    }
}
