//! The skeleton of a request's path: the path with each part that the router captured replaced by its name.
//!
//! `/items/` + *id* for `/items/7`. [`Skeletons`] finds what is known of a request's skeleton without writing it.

use std::hash::{BuildHasher, Hasher};

use actix_web::dev::{Path, Url};

/// Stands before and after a captured part's name, and once more at the end if that part is the last one and its value
/// has a slash. Not a byte of UTF-8, so no path can contain it.
pub(crate) const MARK: u8 = 0xff;

/// The longest skeleton that is looked up, in bytes. Routes are shorter; paths of clients may be longer.
const MAX_LENGTH: usize = 1_024;

/// The most captured parts of a path that is looked up. Patterns have fewer.
const MAX_PARTS: usize = 8;

/// The parts of a skeleton: slices of the path and of the pattern's text.
struct Parts<'a> {
    /// Literal parts, each with the name of the captured part after it.
    named: [(&'a [u8], &'a [u8]); MAX_PARTS],
    len: usize,
    /// The literal part at the end.
    rest: &'a [u8],
    /// The value of the last captured part.
    last: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` if the path has no skeleton, or a long one.
    #[inline]
    fn of(info: &'a Path<Url>) -> Option<Self> {
        let path = info.as_str().as_bytes();
        let mut parts =
            Self { named: [(&[], &[]); MAX_PARTS], len: info.segment_count(), rest: path, last: &[] };
        let mut from = 0;
        for (part, (name, value)) in parts.named.get_mut(..parts.len)?.iter_mut().zip(info.iter()) {
            // The router's values are slices of the path, so their positions follow from their addresses. A value from
            // elsewhere is no such slice, and its distance is out of bounds.
            let start = (value.as_ptr() as usize).wrapping_sub(path.as_ptr() as usize);
            *part = (path.get(from..start)?, name.as_bytes());
            from = start.saturating_add(value.len());
            parts.last = value.as_bytes();
        }
        parts.rest = path.get(from..)?;
        // Names are the pattern's own, and no literal part is longer than the path without its values.
        let literals = parts.named().iter().fold(parts.rest.len(), |sum, (literal, _)| sum + literal.len());
        (literals <= MAX_LENGTH).then_some(parts)
    }

    fn named(&self) -> &[(&'a [u8], &'a [u8])] {
        &self.named[..self.len.min(MAX_PARTS)]
    }

    /// Whether the last part is a captured one whose value has a slash.
    fn has_slash(&self) -> bool {
        self.rest.is_empty() && self.last.contains(&b'/')
    }

    fn write(&self, skeleton: &mut Vec<u8>) {
        skeleton.clear();
        for (literal, name) in self.named() {
            skeleton.extend_from_slice(literal);
            skeleton.push(MARK);
            skeleton.extend_from_slice(name);
            skeleton.push(MARK);
        }
        if self.has_slash() {
            skeleton.push(MARK);
        }
        skeleton.extend_from_slice(self.rest);
    }

    /// Whether this would be written as that skeleton.
    #[inline]
    fn is_written(&self, mut skeleton: &[u8]) -> bool {
        for (literal, name) in self.named() {
            let parts = [literal, &[MARK][..], name, &[MARK][..]];
            for part in parts {
                match skeleton.split_at_checked(part.len()) {
                    Some((begin, rest)) if is_same(begin, part) => skeleton = rest,
                    _ => return false,
                }
            }
        }
        match skeleton {
            [MARK] => self.has_slash(),
            _ => is_same(skeleton, self.rest) && !self.has_slash(),
        }
    }
}

/// As `==`, without a call for the few bytes that most parts have.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && if a.len() <= 8 { a.iter().zip(b).all(|(a, b)| a == b) } else { a == b }
}

/// The request's skeleton, unless it is too long: the path itself if nothing was captured, or else written into
/// `buffer`.
pub(crate) fn skeleton<'a>(info: &'a Path<Url>, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if info.is_empty() {
        let path = info.as_str().as_bytes();
        return (path.len() <= MAX_LENGTH).then_some(path);
    }
    Parts::of(info)?.write(buffer);
    Some(buffer)
}

/// What is known of skeletons. A hash table of our own: one of the standard library finds only what is written.
#[derive(Debug)]
pub(crate) struct Skeletons<T> {
    hasher: foldhash::fast::RandomState,
    rows: Vec<Row<T>>,
    /// The upper half of a row's hash, and the number of the row, counted from 1; 0 if the place is free. A power of
    /// two of places, at most half of them taken.
    places: Vec<(u32, u32)>,
}

#[derive(Debug)]
struct Row<T> {
    hash: u64,
    skeleton: Box<[u8]>,
    value: T,
}

impl<T> Default for Skeletons<T> {
    fn default() -> Self {
        Self { hasher: Default::default(), rows: Vec::new(), places: vec![(0, 0); 16] }
    }
}

impl<T: Default> Skeletons<T> {
    /// What is known of the request's skeleton.
    #[inline]
    pub(crate) fn get(&self, info: &Path<Url>) -> Option<&T> {
        let row = if info.is_empty() {
            let path = info.as_str().as_bytes();
            self.find(self.hash_of_path(path)?, |skeleton| skeleton == path)
        } else {
            let parts = Parts::of(info)?;
            self.find(self.hash_of_parts(&parts), |skeleton| parts.is_written(skeleton))
        };
        Some(&self.rows[row?].value)
    }

    /// What is known of the request's skeleton, which is `written`; the default if that is nothing. `None` for a path
    /// that has no skeleton.
    pub(crate) fn entry(&mut self, info: &Path<Url>, written: &[u8]) -> Option<&mut T> {
        let hash =
            if info.is_empty() { self.hash_of_path(written)? } else { self.hash_of_parts(&Parts::of(info)?) };
        let found = self.find(hash, |skeleton| skeleton == written);
        let row = found.unwrap_or_else(|| self.push(hash, written));
        self.rows.get_mut(row).map(|row| &mut row.value)
    }

    #[inline]
    fn hash_of_path(&self, path: &[u8]) -> Option<u64> {
        if path.len() > MAX_LENGTH {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(path);
        Some(hasher.finish())
    }

    /// Of the literal parts alone: hardly any two routes differ only in names.
    #[inline]
    fn hash_of_parts(&self, parts: &Parts<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        parts.named().iter().for_each(|(literal, _)| hasher.write(literal));
        if !parts.rest.is_empty() {
            hasher.write(parts.rest);
        }
        hasher.finish()
    }

    /// The row whose skeleton has this hash and is the same.
    #[inline]
    fn find(&self, hash: u64, is_wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
        let mut place = hash as usize;
        loop {
            let (upper, number) = self.places[place & (self.places.len() - 1)];
            let row = (number as usize).checked_sub(1)?;
            if upper == upper_half(hash) && is_wanted(&self.rows[row].skeleton) {
                return Some(row);
            }
            place = place.wrapping_add(1);
        }
    }

    fn push(&mut self, hash: u64, skeleton: &[u8]) -> usize {
        let row = self.rows.len();
        self.rows.push(Row { hash, skeleton: skeleton.into(), value: T::default() });
        if self.rows.len() * 2 > self.places.len() {
            self.places = vec![(0, 0); self.places.len() * 2];
            (0..row).for_each(|row| self.take_place(row));
        }
        self.take_place(row);
        row
    }

    fn take_place(&mut self, row: usize) {
        let (hash, last) = (self.rows[row].hash, self.places.len() - 1);
        let mut place = hash as usize & last;
        while self.places[place].1 != 0 {
            place = (place + 1) & last;
        }
        self.places[place] = (upper_half(hash), row as u32 + 1);
    }
}

fn upper_half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use actix_web::dev::ResourceDef;

    use super::*;

    /// What a router leaves of a path that matches the pattern.
    fn matched(pattern: &str, path: &str) -> Path<Url> {
        let mut info = Path::new(Url::new(path.parse().unwrap()));
        assert!(ResourceDef::new(pattern).capture_match_info(&mut info), "{pattern} {path}");
        info
    }

    fn written(info: &Path<Url>) -> Vec<u8> {
        skeleton(info, &mut Vec::new()).unwrap().to_vec()
    }

    #[test]
    fn a_skeleton_has_names_in_place_of_values() {
        for (pattern, path, expected) in [
            ("/", "/", &b"/"[..]),
            ("/items", "/items", b"/items"),
            ("/items/{id}", "/items/7", b"/items/\xffid\xff"),
            ("/{a}-{b}/x", "/1-2/x", b"/\xffa\xff-\xffb\xff/x"),
            ("/f/{path}*", "/f/a", b"/f/\xffpath\xff"),
            ("/f/{path}*", "/f/a/b", b"/f/\xffpath\xff\xff"),
            ("/f/{path:.*}/x", "/f/a/b/x", b"/f/\xffpath\xff/x"),
        ] {
            assert_eq!(written(&matched(pattern, path)), expected);
        }
        let long = format!("/{}", "x".repeat(MAX_LENGTH));
        assert_eq!(skeleton(&matched(&long, &long), &mut Vec::new()), None);
        assert_eq!(Skeletons::<u8>::default().get(&matched(&long, &long)), None);
        assert_eq!(written(&matched("/{x}", &long)), b"/\xffx\xff");
    }

    #[test]
    fn each_of_many_skeletons_is_found_by_every_path_that_has_it_and_by_no_other() {
        let mut known = Skeletons::<usize>::default();
        let shapes = [("/a{n}", "/a{n}"), ("/b{n}/{id}", "/b{n}/7"), ("/c{n}/{x}/{y}*", "/c{n}/8/9/10")];
        let of = |n: usize, (pattern, path): (&str, &str)| {
            let fill = |text: &str| text.replace("{n}", &n.to_string());
            matched(&fill(pattern), &fill(path))
        };
        let all = || (0..300).flat_map(|n| shapes.map(|shape| of(n, shape))).enumerate();
        for (number, info) in all() {
            assert_eq!(known.get(&info), None);
            *known.entry(&info, &written(&info)).unwrap() = number;
        }
        for (number, info) in all() {
            assert_eq!(known.get(&info), Some(&number));
            assert_eq!(known.entry(&info, &written(&info)), Some(&mut number.clone()));
        }
        assert_eq!(known.get(&matched("/b7/{di}", "/b7/7")), None);
        assert_eq!(known.get(&matched("/b7/{id}", "/b7/other")), known.get(&of(7, shapes[1])));
        // Without a slash, a tail has the skeleton of a parameter.
        assert_eq!(known.get(&matched("/c7/{x}/{y}*", "/c7/8/9")), None);
        assert_eq!(known.rows.len(), 900);
    }
}
