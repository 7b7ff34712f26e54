//! Turns names of the facade into names of the registry's metrics.

/// The maximum length of a name in the registry, in bytes.
const MAX_BYTES: usize = 100;

/// The length of the `_` and 16 hex digits at the end of a cut name.
const HASH_BYTES: usize = 17;

/// Returns the name of a key's metric, from the name of the key.
pub(super) fn of_name(name: &str) -> String {
    valid(name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect())
}

/// Makes a name of valid characters valid as a whole: not empty, no leading digit, not too long.
fn valid(mut name: String) -> String {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    if name.len() > MAX_BYTES {
        let hash = fnv1a(name.as_bytes());
        name.truncate(MAX_BYTES - HASH_BYTES);
        name.push_str(&format!("_{hash:016x}"));
    }
    name
}

/// A hash that is the same in each process and version, so that metrics of several instances can be merged by name.
///
/// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_valid_prometheus_name() {
        for (name, expected) in [
            ("jobs", "jobs"),
            ("db.pool-size:max", "db_pool_size_max"),
            ("1st", "_1st"),
            ("", "_"),
            ("caf\u{e9}", "caf_"),
            ("a b\n\"", "a_b__"),
        ] {
            assert_eq!(of_name(name), expected);
        }
    }

    #[test]
    fn a_long_name_is_cut_and_stays_unique() {
        let named = |end: &str| of_name(&format!("{}{end}", "x".repeat(100)));
        assert_eq!(of_name(&"x".repeat(100)), "x".repeat(100));
        assert_eq!(named("a").len(), MAX_BYTES);
        assert_ne!(named("a"), named("b"));
        // From FNV's test vectors. Names of other versions depend on it.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
