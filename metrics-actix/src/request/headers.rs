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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_of_the_target_is_the_first_host_and_no_other_header() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "in.the.header"), ("via", "one"), ("via", "two")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let of = |authority| RequestHeaders { headers: &headers, authority };
        let values = |request: &RequestHeaders<'_>, name| {
            let values = (0..).map_while(|position| request.value(name, position));
            values.map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        };
        let (http1, http2) = (of(None), of(Some("in.the.target")));
        assert_eq!(values(&http1, "host"), ["in.the.header"]);
        assert_eq!(values(&http2, "host"), ["in.the.target", "in.the.header"]);
        for request in [&http1, &http2] {
            assert_eq!(values(request, "via"), ["one", "two"]);
            assert_eq!(values(request, "forwarded"), [""; 0]);
            assert!(
                request.any_name(&|name| name == "via") && !request.any_name(&|name| name == "forwarded")
            );
        }
    }
}
