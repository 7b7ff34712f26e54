//! Which trace a request belongs to, by its `traceparent` header. Looked at only when a request was slow, or failed.

use actix_web::http::header::{HeaderMap, HeaderName};
use metrics_core::TraceId;

/// W3C's Trace Context: <https://www.w3.org/TR/trace-context/#traceparent-header>.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace that the request's one `traceparent` names, if that is valid.
pub(crate) fn trace(headers: &HeaderMap) -> Option<TraceId> {
    let mut values = headers.get_all(TRACEPARENT);
    let value = values.next()?.to_str().ok()?;
    // More than one name none.
    if values.next().is_some() { None } else { parse(value) }
}

/// As strict as the specification: `00-<trace>-<parent>-<flags>`, in small hexadecimal digits, neither id all zeros. A later
/// version may go on behind another `-`; version `ff` is none.
fn parse(value: &str) -> Option<TraceId> {
    let fields = value.get(..55)?;
    let mut fields = fields.split('-');
    let mut field = |digits| fields.next().filter(|field| is_small_hex(field, digits));
    let (version, trace, parent, _flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let ends = value.len() == 55 || version != "00" && value.as_bytes()[55] == b'-';
    let valid = ends && version != "ff" && parent.bytes().any(|digit| digit != b'0');
    if valid { trace.parse().ok() } else { None }
}

fn is_small_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn what_the_specification_allows_is_taken_and_nothing_else() {
        let valid = format!("00-{TRACE}-b7ad6b7169203331-01");
        for value in [
            valid.clone(),
            format!("00-{TRACE}-b7ad6b7169203331-00"),
            format!("01-{TRACE}-b7ad6b7169203331-01"),
            format!("cc-{TRACE}-b7ad6b7169203331-01-what-comes-later"),
        ] {
            assert_eq!(parse(&value).unwrap().to_string(), TRACE, "{value}");
        }
        for value in [
            String::new(),
            valid[..54].to_owned(),
            format!("{valid}-"),
            format!("{valid}-more"),
            format!("01{}.more", &valid[2..]),
            format!("ff{}", &valid[2..]),
            format!("0-{TRACE}-b7ad6b7169203331-011"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            valid.to_uppercase(),
            valid.replace('b', "g"),
            valid.replace('-', "_"),
            format!(" {valid}"),
            format!("00-{TRACE}-b7ad6b7169203331-é"),
            format!("00{TRACE}--b7ad6b7169203331-01"),
        ] {
            assert_eq!(parse(&value), None, "{value:?}");
        }
    }

    #[test]
    fn two_headers_name_no_trace() {
        let value = HeaderValue::from_str(&format!("00-{TRACE}-b7ad6b7169203331-01")).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(trace(&headers), None);
        headers.append(TRACEPARENT, value.clone());
        assert_eq!(trace(&headers).unwrap().to_string(), TRACE);
        headers.append(TRACEPARENT, value);
        assert_eq!(trace(&headers), None);
    }
}
