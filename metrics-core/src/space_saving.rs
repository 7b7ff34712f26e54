//! Which keys of a stream are frequent: an estimate of bounded size.
//!
//! The Space-Saving algorithm (Metwally, Agrawal and El Abbadi, 2005, <https://doi.org/10.1007/978-3-540-30570-5_27>): a
//! key that does not fit takes the place of the one with the lowest count, and its count as a possible error. So with
//! `n` rows, each key with more than 1/n of all counts has a row, whatever others send.

use std::borrow::Borrow;

/// Counts keys in a bounded number of rows.
///
/// ```
/// let mut paths = metrics_core::SpaceSaving::<String>::new(2);
/// for path in ["/.env", "/.env", "/wp-login.php", "/.env", "/.git"] {
///     paths.count(path);
/// }
/// // `/.git` took the row of `/wp-login.php`, so one of its two counts may be another path's.
/// let rows: Vec<_> = paths.rows().map(|(path, at_least, at_most)| (path.as_str(), at_least, at_most)).collect();
/// assert_eq!(rows, [("/.env", 3, 3), ("/.git", 1, 2)]);
/// assert_eq!(paths.unseen(), 2);
/// ```
#[derive(Debug, Clone)]
pub struct SpaceSaving<K> {
    rows: Vec<Row<K>>,
    max: usize,
}

#[derive(Debug, Clone)]
struct Row<K> {
    key: K,
    count: u64,
    /// How much of the count may be that of other keys.
    error: u64,
}

impl<K> SpaceSaving<K> {
    /// Creates a sketch of at most `max` rows, which are allocated as they are used.
    pub const fn new(max: usize) -> Self {
        Self { rows: Vec::new(), max }
    }

    /// Counts a key once. Takes time in proportion to the number of rows.
    pub fn count<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + ?Sized,
    {
        if let Some(row) = self.rows.iter_mut().find(|row| row.key.borrow() == key) {
            row.count += 1;
        } else if self.rows.len() < self.max {
            self.rows.push(Row { key: key.to_owned(), count: 1, error: 0 });
        } else if let Some(least) = self.rows.iter_mut().min_by_key(|row| row.count) {
            *least = Row { key: key.to_owned(), count: least.count + 1, error: least.count };
        }
    }

    /// Returns each key that has a row, with the least and the highest count that it can have.
    pub fn rows(&self) -> impl Iterator<Item = (&K, u64, u64)> {
        self.rows.iter().map(|row| (&row.key, row.count - row.error, row.count))
    }

    /// Returns the highest count that a key without a row can have.
    pub fn unseen(&self) -> u64 {
        if self.rows.len() < self.max { 0 } else { self.rows.iter().map(|row| row.count).min().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_count_is_within_its_bounds_and_each_frequent_key_has_a_row(
            keys in proptest::collection::vec(0_u32..40, 0..400), max in 1_usize..12,
        ) {
            let mut sketch = SpaceSaving::<u32>::new(max);
            let mut exact: HashMap<u32, u64> = HashMap::new();
            for key in &keys {
                sketch.count(key);
                *exact.entry(*key).or_default() += 1;
            }
            let rows: HashMap<_, _> = sketch.rows().map(|(key, least, most)| (*key, (least, most))).collect();
            prop_assert!(rows.len() <= max);
            for (key, count) in exact {
                match rows.get(&key) {
                    Some(&(least, most)) => prop_assert!((least..=most).contains(&count)),
                    None => prop_assert!(count <= sketch.unseen()),
                }
            }
        }
    }
}
