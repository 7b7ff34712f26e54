//! The place of a request in a trace, by its headers. Only read for requests that were slow, failed, or were sampled.

use metrics_core::{SpanId, TraceContext, TraceId};
use metrics_export::push::TraceHeaders;

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

/// Zipkin's single header and its several ones: <https://github.com/openzipkin/b3-propagation>.
const B3: &str = "b3";
const B3_TRACE: &str = "x-b3-traceid";
const B3_SPAN: &str = "x-b3-spanid";
const B3_SAMPLED: &str = "x-b3-sampled";
const B3_FLAGS: &str = "x-b3-flags";

/// The tag with the upper 64 bits.
const DATADOG_UPPER: &str = "_dd.p.tid=";

/// Returns the header without which a request has no trace of this kind; `None` for a kind that is never read.
pub fn announced_by(kind: TraceHeaders) -> Option<&'static str> {
    Some(match kind {
        TraceHeaders::W3c => TRACEPARENT,
        TraceHeaders::Datadog => DATADOG_TRACE,
        TraceHeaders::Sentry => SENTRY_TRACE,
        TraceHeaders::B3 => B3,
        TraceHeaders::B3Multi => B3_TRACE,
        // The list is of another crate, which may know more.
        _ => return None,
    })
}

/// Returns the trace in the first of these headers that is valid and occurs only once.
pub fn first(order: &[TraceHeaders], headers: &dyn Headers) -> Option<TraceContext> {
    order.iter().find_map(|kind| match kind {
        TraceHeaders::W3c => parse(single_text(headers, TRACEPARENT)?),
        TraceHeaders::Datadog => datadog(headers),
        TraceHeaders::Sentry => sentry(headers),
        TraceHeaders::B3 => b3(headers),
        TraceHeaders::B3Multi => b3_multi(headers),
        // The list is of another crate, which may know more.
        _ => None,
    })
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

fn b3(headers: &dyn Headers) -> Option<TraceContext> {
    let mut fields = single_text(headers, B3)?.split('-');
    let (trace, span) = (fields.next()?, fields.next()?);
    b3_context(trace, span, matches!(fields.next(), Some("1" | "d")))
}

fn b3_multi(headers: &dyn Headers) -> Option<TraceContext> {
    let is = |name, values: &[&str]| single_text(headers, name).is_some_and(|value| values.contains(&value));
    let sampled = is(B3_SAMPLED, &["1", "true"]) || is(B3_FLAGS, &["1"]);
    b3_context(single_text(headers, B3_TRACE)?, single_text(headers, B3_SPAN)?, sampled)
}

/// A trace's id has 128 bits or 64.
fn b3_context(trace: &str, span: &str, sampled: bool) -> Option<TraceContext> {
    let is_id = is_lower_hex(trace, 32) || is_lower_hex(trace, 16);
    let trace = u128::from_str_radix(trace, 16).ok().filter(|_| is_id)?;
    Some(TraceContext { trace: TraceId::new(trace)?, parent: Some(span.parse().ok()?), sampled })
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
    fn no_kind_has_a_trace_without_the_header_that_announces_it() {
        let (w3c, sentry) =
            (format!("00-{TRACE}-b7ad6b7169203331-01"), format!("{TRACE}-b7ad6b7169203331-1"));
        let headers = [
            (TRACEPARENT, &*w3c),
            (DATADOG_TRACE, "7"),
            (DATADOG_PARENT, "8"),
            (SENTRY_TRACE, &*sentry),
            (B3, &*sentry),
            (B3_TRACE, TRACE),
            (B3_SPAN, "b7ad6b7169203331"),
        ];
        for kind in [
            TraceHeaders::W3c,
            TraceHeaders::Datadog,
            TraceHeaders::Sentry,
            TraceHeaders::B3,
            TraceHeaders::B3Multi,
        ] {
            let announcing = announced_by(kind).unwrap();
            let others: Vec<_> = headers.into_iter().filter(|(name, _)| *name != announcing).collect();
            assert!(first(&[kind], &List(&headers)).is_some(), "{kind:?}");
            assert!(others.len() < headers.len() && first(&[kind], &List(&others)).is_none(), "{kind:?}");
        }
    }

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

    fn default(values: &[(&str, &str)]) -> Option<TraceContext> {
        first(&TraceHeaders::DEFAULT, &List(values))
    }

    fn with(order: &[TraceHeaders], values: &[(&str, &str)]) -> Option<u128> {
        first(order, &List(values)).map(|context| context.trace.bits())
    }

    #[test]
    fn two_traceparents_name_no_trace() {
        let value = format!("00-{TRACE}-b7ad6b7169203331-01");
        for order in [&TraceHeaders::DEFAULT[..1], &TraceHeaders::DEFAULT] {
            let context = |values: &[_]| first(order, &List(values));
            assert_eq!(context(&[]), None);
            let once = context(&[("traceparent", &value)]).unwrap();
            assert_eq!(once.trace.to_string(), TRACE);
            assert_eq!(context(&[("traceparent", &value), ("traceparent", &value)]), None);
        }
    }

    #[test]
    fn a_valid_header_counts_beside_broken_doubled_and_empty_ones_of_others() {
        use TraceHeaders::{B3, B3Multi, Datadog, Sentry, W3c};
        let w3c = format!("00-{TRACE}-b7ad6b7169203331-01");
        let zeros = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let sentry = format!("{TRACE}-b7ad6b7169203331-1");
        let trace = TRACE.parse::<TraceId>().unwrap().bits();
        for broken in [&w3c[1..], "", "00", &zeros, &w3c.to_uppercase()] {
            for (other, expected) in [(("x-datadog-trace-id", "7"), 7), (("sentry-trace", &sentry), trace)] {
                let values = [("traceparent", broken), other];
                assert_eq!(default(&values).unwrap().trace.bits(), expected, "{broken:?} {other:?}");
            }
        }
        let doubled = [("traceparent", &*w3c), ("traceparent", &*w3c), ("x-datadog-trace-id", "7")];
        assert_eq!(default(&doubled).unwrap().trace.bits(), 7);
        let both = [
            ("traceparent", &*w3c),
            ("x-datadog-trace-id", "7"),
            ("b3", "00000000000000aa-0000000000000001"),
        ];
        for (order, expected) in [
            (&[W3c, Datadog, Sentry][..], Some(trace)),
            (&[Datadog, W3c, Sentry], Some(7)),
            (&[B3, W3c], Some(0xaa)),
            (&[B3Multi, Sentry], None),
            (&[], None),
        ] {
            assert_eq!(with(order, &both), expected, "{order:?}");
        }
        let broken = [("traceparent", &*w3c), ("x-datadog-trace-id", "0")];
        assert_eq!(with(&[Datadog, W3c], &broken), Some(trace));
    }

    #[test]
    fn zipkins_headers_are_read_in_both_forms() {
        let single = |value: &str| first(&[TraceHeaders::B3], &List(&[("b3", value)]));
        let span = "00000000000000cd";
        for (sampled, expected) in
            [("-1", true), ("-d", true), ("-0", false), ("", false), ("-1-00000000000000ef", true)]
        {
            let known = single(&format!("{TRACE}-{span}{sampled}")).unwrap();
            assert_eq!((known.trace.to_string().as_str(), known.parent), (TRACE, SpanId::new(0xcd)));
            assert_eq!(known.sampled, expected, "{sampled}");
        }
        for wrong in ["0", "1", TRACE, "ab-00000000000000cd", "0000000000000000-00000000000000cd"] {
            assert_eq!(single(wrong), None, "{wrong}");
        }
        let several = |values: &[_]| first(&[TraceHeaders::B3Multi], &List(values));
        let ids = [("x-b3-traceid", "00000000000000ab"), ("x-b3-spanid", span)];
        let [trace, parent] = ids;
        for (third, sampled) in [
            (("x-b3-sampled", "1"), true),
            (("x-b3-sampled", "0"), false),
            (("x-b3-flags", "1"), true),
            (("x-other", "1"), false),
        ] {
            let known = several(&[trace, parent, third]).unwrap();
            assert_eq!((known.trace.bits(), known.sampled), (0xab, sampled), "{third:?}");
        }
        assert_eq!((several(&[trace]), several(&[trace, trace, parent])), (None, None));
    }

    #[test]
    fn datadogs_headers_are_read_without_a_traceparent() {
        let [trace, parent] = [("x-datadog-trace-id", "1311768467463790320"), ("x-datadog-parent-id", "42")];
        let context = default;
        assert_eq!(with(&[TraceHeaders::W3c], &[trace, parent]), None);
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
    }

    #[test]
    fn sentrys_header_is_read_without_any_other() {
        let of = |value: &str| default(&[("sentry-trace", value)]);
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
        assert_eq!(default(&both).unwrap().trace, TraceId::new(5).unwrap());
    }
}
