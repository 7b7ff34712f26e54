//! The look-up of headers that the monitor needs, in actix-web's requests.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use metrics_monitor::policy::headers::Headers;

/// The headers of a request.
#[derive(Debug)]
pub(crate) struct RequestHeaders<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// The authority in the target. HTTP/2 has it there, and no `host`.
    pub(crate) authority: Option<&'a str>,
}

impl Headers for RequestHeaders<'_> {
    fn value(&self, name: &'static str, position: usize) -> Option<&[u8]> {
        // Not by the text itself, from which actix-web would allocate a name.
        let values = self.headers.get_all(HeaderName::from_static(name)).map(HeaderValue::as_bytes);
        let authority = self.authority.filter(|_| name == "host").map(str::as_bytes);
        authority.into_iter().chain(values).nth(position)
    }

    fn any_name(&self, is_wanted: &dyn Fn(&str) -> bool) -> bool {
        self.headers.keys().any(|name| is_wanted(name.as_str()))
    }
}
