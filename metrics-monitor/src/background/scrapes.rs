//! The scrapers of one monitor: what each format's last scrape keeps for the next one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics_export::prometheus::{Exposition, Format, Scraper};

/// At most one scraper for each format, and a bound on what they keep together.
#[derive(Debug)]
pub(crate) struct Scrapes {
    exposition: Exposition,
    /// The one that was used last is the last.
    idle: Mutex<Vec<Scraper>>,
}

impl Scrapes {
    pub(crate) fn new(exposition: Exposition) -> Self {
        Self { exposition, idle: Mutex::default() }
    }

    /// A scraper of this format, for the caller alone. Two scrapes at the same time need two, and only the one that ends
    /// last stays.
    pub(crate) fn take(&self, format: Format) -> Scraper {
        let mut idle = self.lock();
        match idle.iter().position(|scraper| scraper.format() == format) {
            Some(position) => idle.remove(position),
            None => Scraper::new(self.exposition.clone(), format),
        }
    }

    /// Keeps a scraper for the next scrape. Those whose format was not asked for for longest go if there is not enough
    /// memory for all.
    pub(crate) fn put(&self, scraper: Scraper) {
        let mut idle = self.lock();
        idle.retain(|other| other.format() != scraper.format());
        idle.push(scraper);
        while bytes(&idle) > self.exposition.kept_bytes() && idle.len() > 1 {
            idle.remove(0);
        }
    }

    /// Whether a scrape shows consumers.
    pub(crate) fn shows_consumers(&self) -> bool {
        self.exposition.shows_consumers()
    }

    /// The memory of what is kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        bytes(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Scraper>> {
        // A panic while it is locked leaves whole scrapers in it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(scrapers: &[Scraper]) -> usize {
    scrapers.iter().map(Scraper::kept_bytes).sum()
}

#[cfg(test)]
mod tests {
    use metrics_core::Registry;
    use metrics_export::prometheus::Resources;

    use super::*;

    fn scrape(scrapes: &Scrapes, registry: &Registry, format: Format) {
        let mut scraper = scrapes.take(format);
        let kept = scraper.render(&registry.snapshot(), &Resources::default(), &[], &mut Vec::new());
        assert!(kept.is_some());
        scrapes.put(scraper);
    }

    fn formats(scrapes: &Scrapes) -> Vec<Format> {
        scrapes.lock().iter().map(Scraper::format).collect()
    }

    #[test]
    fn each_format_keeps_its_last_scrape_as_long_as_there_is_room() {
        let registry = Registry::new();
        let scrapes = Scrapes::new(Exposition::new());
        for format in [Format::Text, Format::Protobuf, Format::Text, Format::OpenMetrics] {
            scrape(&scrapes, &registry, format);
        }
        assert_eq!(formats(&scrapes), [Format::Protobuf, Format::Text, Format::OpenMetrics]);
        let kept = scrapes.kept_bytes();

        let room_for_two = Exposition::builder().kept_bytes(kept - 1).build().unwrap();
        let scrapes = Scrapes::new(room_for_two);
        for format in [Format::Text, Format::Protobuf, Format::Text, Format::OpenMetrics] {
            scrape(&scrapes, &registry, format);
            assert!(scrapes.kept_bytes() < kept);
        }
        assert_eq!(formats(&scrapes), [Format::Text, Format::OpenMetrics]);
    }

    #[test]
    fn of_two_scrapes_at_the_same_time_one_is_kept() {
        let scrapes = Scrapes::new(Exposition::new());
        let both = [scrapes.take(Format::Text), scrapes.take(Format::Text)];
        both.into_iter().for_each(|scraper| scrapes.put(scraper));
        assert_eq!(formats(&scrapes), [Format::Text]);
    }
}
