//! The place of a request in a trace, by its headers. Read only of requests that were slow, failed, or were sampled.

use metrics_core::{SpanId, TraceContext, TraceId};

use super::headers::{Headers, single_text};

/// W3C's Trace Context: <https://www.w3.org/TR/trace-context/#traceparent-header>.
const TRACEPARENT: &str = "traceparent";

/// Datadog's own headers. The first has the lower 64 bits of a trace's id:
/// <https://docs.datadoghq.com/tracing/trace_collection/trace_context_propagation/>.
const DATADOG_TRACE: &str = "x-datadog-trace-id";
const DATADOG_PARENT: &str = "x-datadog-parent-id";
const DATADOG_PRIORITY: &str = "x-datadog-sampling-priority";
const DATADOG_TAGS: &str = "x-datadog-tags";

/// The header of Sentry's clients, such as `0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1`:
/// <https://develop.sentry.dev/sdk/telemetry/traces/#header-sentry-trace>.
const SENTRY_TRACE: &str = "sentry-trace";

/// The tag with the upper 64 bits.
const DATADOG_UPPER: &str = "_dd.p.tid=";

/// The trace in the request's `traceparent`, if it is valid and there is only one.
pub fn w3c(headers: &dyn Headers) -> Option<TraceContext> {
    parse(single_text(headers, TRACEPARENT)?)
}

/// The same; a request without `traceparent` may have Datadog's headers instead, or Sentry's.
pub fn w3c_or_vendors(headers: &dyn Headers) -> Option<TraceContext> {
    if headers.value(TRACEPARENT, 0).is_some() {
        w3c(headers)
    } else {
        datadog(headers).or_else(|| sentry(headers))
    }
}

/// As strict as the specification: `00-<trace>-<parent>-<flags>` in lower-case hexadecimal digits, neither id all
/// zeros. A later version may continue after another `-`; version `ff` is invalid.
fn parse(value: &str) -> Option<TraceContext> {
    let fields = value.get(..55)?;
    let mut fields = fields.split('-');
    let mut field = |digits| fields.next().filter(|field| is_lower_hex(field, digits));
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

fn datadog(headers: &dyn Headers) -> Option<TraceContext> {
    let lower = single_text(headers, DATADOG_TRACE).and_then(decimal).filter(|lower| *lower > 0)?;
    let upper = single_text(headers, DATADOG_TAGS).and_then(upper).unwrap_or(0);
    Some(TraceContext {
        trace: TraceId::new(u128::from(upper) << 64 | u128::from(lower))?,
        parent: single_text(headers, DATADOG_PARENT).and_then(decimal).and_then(SpanId::new),
        sampled: single_text(headers, DATADOG_PRIORITY)
            .and_then(decimal)
            .is_some_and(|priority| priority > 0),
    })
}

fn sentry(headers: &dyn Headers) -> Option<TraceContext> {
    let mut fields = single_text(headers, SENTRY_TRACE)?.split('-');
    Some(TraceContext {
        trace: fields.next()?.parse().ok()?,
        parent: Some(fields.next()?.parse().ok()?),
        // Without the flag, the next service decides.
        sampled: fields.next() == Some("1"),
    })
}

/// The upper half of a trace's id, among tags such as `_dd.p.dm=-1,_dd.p.tid=640cfd8d00000000`.
fn upper(tags: &str) -> Option<u64> {
    let upper = tags.split(',').find_map(|tag| tag.trim().strip_prefix(DATADOG_UPPER))?;
    if is_lower_hex(upper, 16) { u64::from_str_radix(upper, 16).ok() } else { None }
}

/// Digits and nothing else.
fn decimal(value: &str) -> Option<u64> {
    if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None }
}

fn is_lower_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::super::headers::List;
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_traceparent_is_read_as_strictly_as_specified() {
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

    #[test]
    fn two_traceparents_name_no_trace() {
        let value = format!("00-{TRACE}-b7ad6b7169203331-01");
        for context in [w3c, w3c_or_vendors] {
            assert_eq!(context(&List(&[])), None);
            let once = context(&List(&[("traceparent", &value)])).unwrap();
            assert_eq!(once.trace.to_string(), TRACE);
            assert_eq!(context(&List(&[("traceparent", &value), ("traceparent", &value)])), None);
        }
    }

    #[test]
    fn datadogs_headers_are_read_without_a_traceparent() {
        let [trace, parent] = [("x-datadog-trace-id", "1311768467463790320"), ("x-datadog-parent-id", "42")];
        let context = |values: &[_]| w3c_or_vendors(&List(values));
        assert_eq!(w3c(&List(&[trace, parent])), None);
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
        // A traceparent wins, even an invalid one: a client that sends both means one trace.
        let w3c = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(context(&[trace, ("traceparent", &w3c)]).unwrap().trace.to_string(), TRACE);
        assert_eq!(context(&[trace, ("traceparent", "00")]), None);
    }

    #[test]
    fn sentrys_header_is_read_without_any_other() {
        let of = |value: &str| w3c_or_vendors(&List(&[("sentry-trace", value)]));
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
        assert_eq!(w3c_or_vendors(&List(&both)).unwrap().trace, TraceId::new(5).unwrap());
    }
}
