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

/// A literal part of a skeleton, and the captured part after it.
struct Part<'a> {
    literal: &'a [u8],
    name: &'a [u8],
    value: &'a [u8],
}

/// The parts of a skeleton up to its last captured one, and then what is left of the path: slices of the path and of the
/// pattern's text.
struct Parts<'a, I> {
    path: &'a [u8],
    captured: I,
    /// Where the literal part after the last captured one begins.
    from: usize,
}

fn parts(info: &Path<Url>) -> Parts<'_, impl Iterator<Item = (&str, &str)>> {
    Parts { path: info.as_str().as_bytes(), captured: info.iter(), from: 0 }
}

impl<'a, I: Iterator<Item = (&'a str, &'a str)>> Parts<'a, I> {
    /// The literal part at the end, once all others were taken.
    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.path.get(self.from..).unwrap_or_default()
    }
}

impl<'a, I: Iterator<Item = (&'a str, &'a str)>> Iterator for Parts<'a, I> {
    /// `None` for a captured part that is no slice of the path: then there is no skeleton.
    type Item = Option<Part<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.captured.next()?;
        // The router's values are slices of the path, so their positions follow from their addresses. A value from
        // elsewhere is no such slice, and its distance is out of bounds.
        let start = (value.as_ptr() as usize).wrapping_sub(self.path.as_ptr() as usize);
        let end = start.wrapping_add(value.len());
        let literal = self.path.get(self.from..start);
        self.from = end;
        Some(literal.filter(|_| end <= self.path.len()).map(|literal| Part {
            literal,
            name: name.as_bytes(),
            value: value.as_bytes(),
        }))
    }
}

/// Whether the last part is a captured one whose value has a slash.
#[inline]
fn has_slash(rest: &[u8], last: &[u8]) -> bool {
    rest.is_empty() && last.contains(&b'/')
}

/// As `==`, without a call for the few bytes that most parts have.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let is_same_end = || match (a.first_chunk::<8>(), b.first_chunk::<8>()) {
        (Some(begin), Some(other)) => begin == other && a.last_chunk::<8>() == b.last_chunk::<8>(),
        _ => match (a.first_chunk::<4>(), b.first_chunk::<4>()) {
            (Some(begin), Some(other)) => begin == other && a.last_chunk::<4>() == b.last_chunk::<4>(),
            _ => a.iter().eq(b),
        },
    };
    a.len() == b.len() && if a.len() <= 16 { is_same_end() } else { a == b }
}

/// Whether a request's skeleton would be written as that.
#[inline]
fn is_written(info: &Path<Url>, mut skeleton: &[u8]) -> bool {
    let mut parts = parts(info);
    let mut last: &[u8] = &[];
    for part in &mut parts {
        let Some(Part { literal, name, value }) = part else { return false };
        let Some((begin, [MARK, rest @ ..])) = skeleton.split_at_checked(literal.len()) else { return false };
        let Some((own_name, [MARK, rest @ ..])) = rest.split_at_checked(name.len()) else { return false };
        if !is_same(begin, literal) || !is_same(own_name, name) {
            return false;
        }
        (skeleton, last) = (rest, value);
    }
    let rest = parts.rest();
    match skeleton {
        [MARK] => has_slash(rest, last),
        _ => is_same(skeleton, rest) && !has_slash(rest, last),
    }
}

/// Writes a request's skeleton. Returns whether there is one.
fn write(info: &Path<Url>, skeleton: &mut Vec<u8>) -> bool {
    skeleton.clear();
    let mut parts = parts(info);
    let mut last: &[u8] = &[];
    for part in &mut parts {
        let Some(Part { literal, name, value }) = part else { return false };
        skeleton.extend_from_slice(literal);
        skeleton.push(MARK);
        skeleton.extend_from_slice(name);
        skeleton.push(MARK);
        last = value;
    }
    let rest = parts.rest();
    if has_slash(rest, last) {
        skeleton.push(MARK);
    }
    skeleton.extend_from_slice(rest);
    true
}

/// The request's skeleton, unless it is too long: the path itself if nothing was captured, or else written into
/// `buffer`.
pub(crate) fn skeleton<'a>(info: &'a Path<Url>, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if info.is_empty() {
        let path = info.as_str().as_bytes();
        return (path.len() <= MAX_LENGTH).then_some(path);
    }
    // Names are the pattern's own, and only values make a path longer than its skeleton's literal parts.
    let values: usize = info.iter().map(|(_, value)| value.len()).sum();
    let literals = info.as_str().len().saturating_sub(values);
    (literals <= MAX_LENGTH && write(info, buffer)).then_some(buffer)
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
            self.find(self.hash_of_path(path)?, |skeleton| is_same(skeleton, path))
        } else {
            self.find(self.hash_of_parts(info)?, |skeleton| is_written(info, skeleton))
        };
        Some(&self.rows[row?].value)
    }

    /// What is known of the request's skeleton, which is `written`; the default if that is nothing. `None` for a path
    /// that has no skeleton.
    pub(crate) fn entry(&mut self, info: &Path<Url>, written: &[u8]) -> Option<&mut T> {
        let hash = if info.is_empty() { self.hash_of_path(written)? } else { self.hash_of_parts(info)? };
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
    fn hash_of_parts(&self, info: &Path<Url>) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        let mut parts = parts(info);
        for part in &mut parts {
            hasher.write(part?.literal);
        }
        let rest = parts.rest();
        // The others are the pattern's own. What a prefix leaves of a path is the client's.
        if rest.len() > MAX_LENGTH {
            return None;
        }
        if !rest.is_empty() {
            hasher.write(rest);
        }
        Some(hasher.finish())
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
