//! Where a request stands in a trace, by its headers. Looked at only when a request was slow, failed, or was drawn by lot.

use actix_web::http::header::{HeaderMap, HeaderName};
use metrics_core::{SpanId, TraceContext, TraceId};

/// W3C's Trace Context: <https://www.w3.org/TR/trace-context/#traceparent-header>.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Datadog's own headers, of which the first has the lower 64 bits of a trace's id:
/// <https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/>.
const DATADOG_TRACE: HeaderName = HeaderName::from_static("x-datadog-trace-id");
const DATADOG_PARENT: HeaderName = HeaderName::from_static("x-datadog-parent-id");
const DATADOG_PRIORITY: HeaderName = HeaderName::from_static("x-datadog-sampling-priority");
const DATADOG_TAGS: HeaderName = HeaderName::from_static("x-datadog-tags");

/// That of Sentry's clients, such as `0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1`:
/// <https://develop.sentry.dev/sdk/telemetry/traces/#header-sentry-trace>.
const SENTRY_TRACE: HeaderName = HeaderName::from_static("sentry-trace");

/// The tag with the upper 64 bits.
const DATADOG_UPPER: &str = "_dd.p.tid=";

/// What the request's one `traceparent` says, if that is valid. More than one say nothing.
pub(crate) fn w3c(headers: &HeaderMap) -> Option<TraceContext> {
    parse(the_one(headers, TRACEPARENT)?)
}

/// As [`w3c`], or else what Datadog's headers say, or Sentry's.
pub(crate) fn w3c_or_vendors(headers: &HeaderMap) -> Option<TraceContext> {
    if headers.contains_key(TRACEPARENT) {
        w3c(headers)
    } else {
        datadog(headers).or_else(|| sentry(headers))
    }
}

/// The value of a header that is there once.
fn the_one(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() { None } else { Some(value) }
}

/// As strict as the specification: `00-<trace>-<parent>-<flags>`, in small hexadecimal digits, neither id all zeros. A later
/// version may go on behind another `-`; version `ff` is none.
fn parse(value: &str) -> Option<TraceContext> {
    let fields = value.get(..55)?;
    let mut fields = fields.split('-');
    let mut field = |digits| fields.next().filter(|field| is_small_hex(field, digits));
    let (version, trace, parent, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let ends = value.len() == 55 || version != "00" && value.as_bytes()[55] == b'-';
    if !ends || version == "ff" {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some(TraceContext {
        trace: trace.parse().ok()?,
        parent: Some(parent.parse().ok()?),
        sampled: flags & 1 == 1,
    })
}

fn datadog(headers: &HeaderMap) -> Option<TraceContext> {
    let lower = the_one(headers, DATADOG_TRACE).and_then(decimal).filter(|lower| *lower > 0)?;
    let upper = the_one(headers, DATADOG_TAGS).and_then(upper).unwrap_or(0);
    Some(TraceContext {
        trace: TraceId::new(u128::from(upper) << 64 | u128::from(lower))?,
        parent: the_one(headers, DATADOG_PARENT).and_then(decimal).and_then(SpanId::new),
        sampled: the_one(headers, DATADOG_PRIORITY).and_then(decimal).is_some_and(|priority| priority > 0),
    })
}

fn sentry(headers: &HeaderMap) -> Option<TraceContext> {
    let mut fields = the_one(headers, SENTRY_TRACE)?.split('-');
    Some(TraceContext {
        trace: fields.next()?.parse().ok()?,
        parent: Some(fields.next()?.parse().ok()?),
        // Without it the decision is left to others.
        sampled: fields.next() == Some("1"),
    })
}

/// The upper half of a trace's id, among tags such as `_dd.p.dm=-1,_dd.p.tid=640cfd8d00000000`.
fn upper(tags: &str) -> Option<u64> {
    let upper = tags.split(',').find_map(|tag| tag.trim().strip_prefix(DATADOG_UPPER))?;
    if is_small_hex(upper, 16) { u64::from_str_radix(upper, 16).ok() } else { None }
}

/// Digits and nothing else.
fn decimal(value: &str) -> Option<u64> {
    if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None }
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
        let parent = SpanId::new(0xb7ad_6b71_6920_3331);
        for value in [
            valid.clone(),
            format!("00-{TRACE}-b7ad6b7169203331-00"),
            format!("01-{TRACE}-b7ad6b7169203331-01"),
            format!("cc-{TRACE}-b7ad6b7169203331-01-what-comes-later"),
        ] {
            let context = parse(&value).unwrap();
            assert_eq!((context.trace.to_string().as_str(), context.parent), (TRACE, parent), "{value}");
            assert_eq!(context.sampled, !value.contains("-00"), "{value}");
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

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn two_headers_name_no_trace() {
        let value = format!("00-{TRACE}-b7ad6b7169203331-01");
        for context in [w3c, w3c_or_vendors] {
            assert_eq!(context(&headers(&[])), None);
            let once = context(&headers(&[("traceparent", &value)])).unwrap();
            assert_eq!(once.trace.to_string(), TRACE);
            assert_eq!(context(&headers(&[("traceparent", &value), ("traceparent", &value)])), None);
        }
    }

    #[test]
    fn datadogs_headers_are_taken_where_there_is_no_traceparent() {
        let [trace, parent] = [("x-datadog-trace-id", "1311768467463790320"), ("x-datadog-parent-id", "42")];
        let context = |values: &[_]| w3c_or_vendors(&headers(values));
        assert_eq!(w3c(&headers(&[trace, parent])), None);
        let known = context(&[trace, parent, ("x-datadog-sampling-priority", "2")]).unwrap();
        assert_eq!(known.trace.to_string(), "0000000000000000123456789abcdef0");
        assert_eq!((known.parent, known.sampled), (SpanId::new(42), true));
        let tags = ("x-datadog-tags", "_dd.p.dm=-1,_dd.p.tid=640cfd8d00000000");
        let whole = context(&[trace, tags, ("x-datadog-sampling-priority", "-1")]).unwrap();
        assert_eq!(whole.trace.to_string(), "640cfd8d00000000123456789abcdef0");
        assert_eq!((whole.parent, whole.sampled), (None, false));
        let other = ("x-datadog-tags", "_dd.p.tid=640CFD8D00000000");
        assert_eq!(context(&[trace, other]).unwrap().trace, known.trace);
        for wrong in ["", "0", "+5", "-5", "0x5", "18446744073709551616", " 5"] {
            assert_eq!(context(&[("x-datadog-trace-id", wrong)]), None, "{wrong:?}");
        }
        assert_eq!(context(&[trace, trace]), None);
        // A traceparent wins, valid or not: whoever sends both means one trace.
        let w3c = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(context(&[trace, ("traceparent", &w3c)]).unwrap().trace.to_string(), TRACE);
        assert_eq!(context(&[trace, ("traceparent", "00")]), None);
    }

    #[test]
    fn sentrys_header_is_taken_where_there_is_no_other() {
        let of = |value: &str| w3c_or_vendors(&headers(&[("sentry-trace", value)]));
        let whole = format!("{TRACE}-b7ad6b7169203331");
        for (value, sampled) in
            [(whole.clone(), false), (format!("{whole}-1"), true), (format!("{whole}-0"), false)]
        {
            let known = of(&value).unwrap();
            assert_eq!((known.trace.to_string().as_str(), known.sampled), (TRACE, sampled), "{value}");
            assert_eq!(known.parent, SpanId::new(0xb7ad_6b71_6920_3331));
        }
        for wrong in ["", "-", TRACE, &format!("{TRACE}-"), &whole.to_uppercase(), &whole[1..]] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        let both = [("sentry-trace", whole.as_str()), ("x-datadog-trace-id", "5")];
        assert_eq!(w3c_or_vendors(&headers(&both)).unwrap().trace, TraceId::new(5).unwrap());
    }
}
