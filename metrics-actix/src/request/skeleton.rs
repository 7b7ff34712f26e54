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

/// The most captured parts that are looked at in an array of this length, which most requests pay for.
const FEW: usize = 3;

/// The most captured parts of a skeleton that is looked up.
const MANY: usize = 16;

/// A literal part of a skeleton, and the name of the captured part after it: slices of the path and of the pattern's
/// text.
#[derive(Debug, Clone, Copy, Default)]
struct Part<'a> {
    literal: &'a [u8],
    name: &'a [u8],
}

/// A path, cut into the parts of its skeleton.
struct Cut<'c, 'a> {
    parts: &'c [Part<'a>],
    /// The value of the last captured part.
    last: &'a [u8],
    /// The literal part at the end.
    rest: &'a [u8],
}

impl<'c, 'a> Cut<'c, 'a> {
    /// Puts the parts into an array. `None` if there are more of them, or one that is no slice of the path.
    #[inline(always)]
    fn of(info: &'a Path<Url>, parts: &'c mut [Part<'a>]) -> Option<Self> {
        let (mut len, mut last): (usize, &[u8]) = (0, &[]);
        let rest = each_part(info, |part, value| {
            if let Some(place) = parts.get_mut(len) {
                *place = part;
            }
            (len, last) = (len + 1, value);
        })?;
        Some(Self { parts: parts.get(..len)?, last, rest })
    }

    /// Whether this is the skeleton.
    #[inline(always)]
    fn is(&self, skeleton: &Skeleton) -> bool {
        if self.parts.len() != skeleton.parts.len() {
            return false;
        }
        // A loop, since `all` becomes a call.
        for (own, part) in skeleton.parts.iter().zip(self.parts) {
            if !is_same(&own.literal, part.literal) || !is_same(&own.name, part.name) {
                return false;
            }
        }
        is_same(&skeleton.rest, self.rest)
            && (!self.rest.is_empty() || skeleton.has_slash == has_slash(self.last))
    }
}

/// A [`Part`] that outlives its request.
#[derive(Debug)]
struct OwnedPart {
    literal: Box<[u8]>,
    name: Box<[u8]>,
}

/// The skeleton of a path.
#[derive(Debug)]
struct Skeleton {
    parts: Box<[OwnedPart]>,
    /// The literal part at the end.
    rest: Box<[u8]>,
    /// Whether the last part is a captured one whose value has a slash.
    has_slash: bool,
}

impl Skeleton {
    fn of(cut: &Cut<'_, '_>) -> Self {
        let parts =
            cut.parts.iter().map(|part| OwnedPart { literal: part.literal.into(), name: part.name.into() });
        let has_slash = cut.rest.is_empty() && has_slash(cut.last);
        Self { parts: parts.collect(), rest: cut.rest.into(), has_slash }
    }
}

/// Calls `put` with each captured part of a path and its value, and returns the literal part at the end; `None` if
/// there is a part that is no slice of the path.
#[inline(always)]
fn each_part<'a>(info: &'a Path<Url>, mut put: impl FnMut(Part<'a>, &'a [u8])) -> Option<&'a [u8]> {
    let path = info.as_str().as_bytes();
    let mut from = 0;
    for (name, value) in info.iter() {
        // The router's values are slices of the path, so their positions follow from their addresses. A value from
        // elsewhere is no such slice, and its distance is out of bounds.
        let start = (value.as_ptr() as usize).wrapping_sub(path.as_ptr() as usize);
        let end = start.wrapping_add(value.len());
        let literal = path.get(from..start).filter(|_| end <= path.len())?;
        put(Part { literal, name: name.as_bytes() }, value.as_bytes());
        from = end;
    }
    path.get(from..)
}

/// Whether a value has a slash. Looks at eight bytes at a time, since most values have no more.
#[inline(always)]
fn has_slash(value: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    // Whether a byte is zero where the slashes were: the highest bit of such a byte alone is set by the subtraction.
    let any = |bytes: u64| {
        let zero = bytes ^ (ONES * u64::from(b'/'));
        zero.wrapping_sub(ONES) & !zero & (ONES << 7) != 0
    };
    if let (Some(first), Some(last)) = (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        let (middle, _) = value.as_chunks::<8>();
        any(u64::from_le_bytes(*first))
            || any(u64::from_le_bytes(*last))
            || middle.iter().any(|&chunk| any(u64::from_le_bytes(chunk)))
    } else if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        any(u64::from(first) | u64::from(last) << 32)
    } else {
        value.contains(&b'/')
    }
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

/// Writes a request's skeleton. Returns whether there is one.
fn write(info: &Path<Url>, skeleton: &mut Vec<u8>) -> bool {
    skeleton.clear();
    let mut last: &[u8] = &[];
    let rest = each_part(info, |Part { literal, name }, value| {
        skeleton.extend_from_slice(literal);
        skeleton.push(MARK);
        skeleton.extend_from_slice(name);
        skeleton.push(MARK);
        last = value;
    });
    let Some(rest) = rest else { return false };
    if rest.is_empty() && has_slash(last) {
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
    skeleton: Skeleton,
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
        let row = match info.segment_count() {
            0 => {
                let path = info.as_str().as_bytes();
                let is_path =
                    |skeleton: &Skeleton| skeleton.parts.is_empty() && is_same(&skeleton.rest, path);
                self.find(self.hash_of_path(path)?, is_path)?
            }
            1..=FEW => self.find_cut(&Cut::of(info, &mut [Part::default(); FEW])?)?,
            _ => self.find_of_many(info)?,
        };
        Some(&self.rows[row].value)
    }

    #[cold]
    #[inline(never)]
    fn find_of_many(&self, info: &Path<Url>) -> Option<usize> {
        self.find_cut(&Cut::of(info, &mut [Part::default(); MANY])?)
    }

    #[inline(always)]
    fn find_cut(&self, cut: &Cut<'_, '_>) -> Option<usize> {
        self.find(self.hash(cut)?, |skeleton| cut.is(skeleton))
    }

    /// What is known of the request's skeleton; the default if that is nothing. `None` for a path that has no skeleton.
    pub(crate) fn entry(&mut self, info: &Path<Url>) -> Option<&mut T> {
        let mut parts = [Part::default(); MANY];
        let cut = Cut::of(info, &mut parts)?;
        let hash = self.hash(&cut)?;
        let row = self
            .find(hash, |skeleton| cut.is(skeleton))
            .unwrap_or_else(|| self.push(hash, Skeleton::of(&cut)));
        self.rows.get_mut(row).map(|row| &mut row.value)
    }

    /// As [`Skeletons::hash`], of a path of which nothing was captured.
    #[inline(always)]
    fn hash_of_path(&self, path: &[u8]) -> Option<u64> {
        if path.len() > MAX_LENGTH {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(path);
        Some(hasher.finish())
    }

    /// Of the literal parts alone: hardly any two routes differ only in names. `None` if the path is too long.
    #[inline(always)]
    fn hash(&self, cut: &Cut<'_, '_>) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        for part in cut.parts {
            hasher.write(part.literal);
        }
        // The others are the pattern's own. What a prefix leaves of a path is the client's.
        if cut.rest.len() > MAX_LENGTH {
            return None;
        }
        if !cut.rest.is_empty() {
            hasher.write(cut.rest);
        }
        Some(hasher.finish())
    }

    /// The row whose skeleton has this hash and is the same.
    #[inline(always)]
    fn find(&self, hash: u64, is_wanted: impl Fn(&Skeleton) -> bool) -> Option<usize> {
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

    fn push(&mut self, hash: u64, skeleton: Skeleton) -> usize {
        let row = self.rows.len();
        self.rows.push(Row { hash, skeleton, value: T::default() });
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
            *known.entry(&info).unwrap() = number;
        }
        for (number, info) in all() {
            assert_eq!(known.get(&info), Some(&number));
            assert_eq!(known.entry(&info), Some(&mut number.clone()));
        }
        assert_eq!(known.get(&matched("/b7/{di}", "/b7/7")), None);
        assert_eq!(known.get(&matched("/b7/{id}", "/b7/other")), known.get(&of(7, shapes[1])));
        // Without a slash, a tail has the skeleton of a parameter.
        assert_eq!(known.get(&matched("/c7/{x}/{y}*", "/c7/8/9")), None);
        assert_eq!(known.rows.len(), 900);
        // As many captured parts as are looked up, which is what one pattern may have, and one more.
        let pattern = |captured| (0..captured).map(|n| format!("/{{p{n}}}")).collect::<String>();
        let few = matched(&pattern(FEW + 1), &"/v".repeat(FEW + 1));
        let mut more = Path::new(Url::new("/v".repeat(MANY + 1).parse().unwrap()));
        assert!(ResourceDef::prefix(&*pattern(MANY)).capture_match_info(&mut more));
        let many = more.clone();
        assert!(ResourceDef::new("/{last}").capture_match_info(&mut more));
        for (info, is_found) in [(few, true), (many, true), (more, false)] {
            assert_eq!(known.entry(&info).map(|value| *value = 1_000), is_found.then_some(()));
            assert_eq!(known.get(&info), is_found.then_some(&1_000), "{info:?}");
        }
    }
}
