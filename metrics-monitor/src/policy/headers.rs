//! The look-up of a request's headers, which each framework stores in a type of its own.

/// The headers of a request.
///
/// The monitor looks up a few names only, so an adapter need not copy them.
pub trait Headers {
    /// Returns the value at this position, from 0, among those of the header with this lower-case name.
    ///
    /// The first `host` is the authority of the request target, if it has one: HTTP/2 has no such header.
    fn value(&self, name: &'static str, position: usize) -> Option<&[u8]>;

    /// Returns whether there is a header whose lower-case name is wanted.
    fn any_name(&self, is_wanted: &dyn Fn(&str) -> bool) -> bool;
}

/// The value of a header that is there exactly once.
pub(crate) fn single<'a>(headers: &'a dyn Headers, name: &'static str) -> Option<&'a [u8]> {
    let value = headers.value(name, 0)?;
    if headers.value(name, 1).is_some() { None } else { Some(value) }
}

/// The same as text; `None` if it is not visible ASCII.
pub(crate) fn single_text<'a>(headers: &'a dyn Headers, name: &'static str) -> Option<&'a str> {
    let value = single(headers, name)?;
    let is_visible = value.iter().all(|&byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    if is_visible { std::str::from_utf8(value).ok() } else { None }
}

/// The values of a header, in their order.
pub(crate) fn values<'a>(headers: &'a dyn Headers, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    (0..).map_while(move |position| headers.value(name, position))
}

/// Headers from a list, for tests.
#[cfg(test)]
pub(crate) struct List<'a>(pub(crate) &'a [(&'a str, &'a str)]);

#[cfg(test)]
impl Headers for List<'_> {
    fn value(&self, name: &'static str, position: usize) -> Option<&[u8]> {
        let values = self.0.iter().filter(|(known, _)| *known == name);
        values.map(|(_, value)| value.as_bytes()).nth(position)
    }

    fn any_name(&self, is_wanted: &dyn Fn(&str) -> bool) -> bool {
        self.0.iter().any(|(name, _)| is_wanted(name))
    }
}
