//! Request methods as labels, from a fixed set, because clients can send any method.

use actix_web::http::Method;
use metrics_core::METHODS as NAMES;

/// The number of labels.
pub(crate) const LABELS: usize = NAMES.len();

/// A method that HTTP defines (RFC 9110, PATCH of RFC 5789 and QUERY of RFC 10008), or `_OTHER`. One byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MethodLabel(u8);

impl MethodLabel {
    pub(crate) const HEAD: Self = Self(4);

    /// Whether the method may come with a body. For others, none is looked for.
    pub(crate) fn may_have_body(self) -> bool {
        const GET: MethodLabel = MethodLabel(0);
        self != GET && self != Self::HEAD
    }

    pub(crate) fn of(method: &Method) -> Self {
        Self(match *method {
            Method::GET => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::DELETE => 3,
            Method::HEAD => 4,
            Method::OPTIONS => 5,
            Method::CONNECT => 6,
            Method::PATCH => 7,
            Method::TRACE => 8,
            // This version of the crate `http` has no constant for it.
            ref method if method.as_str() == "QUERY" => 9,
            _ => 10,
        })
    }

    /// Its position among all labels, below [`LABELS`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_that_http_defines_keeps_its_name() {
        for name in NAMES.iter().take(LABELS - 1) {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(MethodLabel::of(&method).name(), *name);
        }
    }

    #[test]
    fn a_method_that_http_does_not_define_is_other() {
        for name in ["get", "query", "BREW", "PROPFIND"] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(MethodLabel::of(&method).name(), "_OTHER");
        }
    }
}
