//! The labels of endpoints as text, escaped once a scrape instead of once for each of their series.

/// The text of the labels that all series of an endpoint begin with, by the number of the endpoint.
#[derive(Debug, Default)]
pub(crate) struct KnownLabels {
    text: Vec<u8>,
    /// Where the text of each endpoint ends.
    ends: Vec<u32>,
}

impl KnownLabels {
    /// Forgets all, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(crate) fn get(&self, endpoint: usize) -> Option<&[u8]> {
        let end = *self.ends.get(endpoint)? as usize;
        let begin = endpoint.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(begin..end)
    }

    /// Adds the text of an endpoint, if it is the next one.
    pub(crate) fn add(&mut self, endpoint: usize, text: &[u8]) {
        if endpoint == self.ends.len() {
            self.text.extend_from_slice(text);
            self.ends.push(self.text.len() as u32);
        }
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_endpoint_is_added() {
        let mut known = KnownLabels::default();
        known.add(1, b"not yet");
        known.add(0, b"a");
        known.add(0, b"again");
        known.add(1, b"bc");
        assert_eq!([known.get(0), known.get(1), known.get(2)], [Some(&b"a"[..]), Some(b"bc"), None]);
        known.clear();
        assert_eq!(known.get(0), None);
    }
}
