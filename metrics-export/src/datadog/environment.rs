//! Datadog's environment variables.

use std::net::Ipv6Addr;

use metrics_core::InvalidSetting;

use super::agent;
use crate::environment::{Variables, invalid};
use crate::push::TraceHeaders;
use crate::secret::Secret;

const PORT: &str = "DD_TRACE_AGENT_PORT";

/// The service and its tags, as the variables say them.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) service: Option<String>,
    pub(super) env: Option<String>,
    pub(super) version: Option<String>,
    pub(super) others: Vec<(String, String)>,
}

/// Whether `DD_TRACE_ENABLED` turns the exporter off.
pub(super) fn is_off(variables: &Variables<'_>) -> bool {
    let switch = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    let is_off = variables.parsed("DD_TRACE_ENABLED", "true, false", switch) == Some(false);
    if is_off {
        variables.turn_off("DD_TRACE_ENABLED is false");
    }
    is_off
}

/// The Agent's URL: `DD_TRACE_AGENT_URL`, or else the one made of `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`. One that
/// cannot be used keeps the exporter off.
pub(super) fn agent_url(variables: &Variables<'_>) -> Option<Secret> {
    if let Some(url) = variables.vital("DD_TRACE_AGENT_URL") {
        return agent::usable(variables, "DD_TRACE_AGENT_URL", url);
    }
    let (host, port) = (host(variables), port(variables));
    if host.is_none() && port.is_none() {
        return None;
    }
    let (host, port) = (host.as_deref().unwrap_or("localhost"), port.unwrap_or(8126));
    agent::usable(variables, "DD_AGENT_HOST", format!("http://{host}:{port}").into())
}

/// The Agent's host, where an IPv6 address is in brackets.
fn host(variables: &Variables<'_>) -> Option<String> {
    let name = "DD_AGENT_HOST";
    let host = variables.vital(name)?;
    let host = host.expose();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{bare}]"));
    }
    if !host.is_empty() && !host.contains([':', '/', '@', '?', '#', '[', ']']) {
        return Some(host.to_owned());
    }
    let allowed = "a host's name or address, without scheme and port";
    // Something that looks like a URL may hold a password.
    let has_login = host.contains('@');
    let problem =
        if has_login { InvalidSetting::secret(name, allowed) } else { invalid(name, host, allowed) };
    variables.refuse(problem);
    None
}

/// The Agent's port. In Kubernetes, a service called `dd-trace-agent` sets the variable to its own URL, which is left
/// out.
fn port(variables: &Variables<'_>) -> Option<u16> {
    let port = variables.vital(PORT)?;
    let port = port.expose();
    if let Some(port) = port.parse().ok().filter(|port| *port > 0) {
        return Some(port);
    }
    let problem = invalid(PORT, port, "1 to 65535");
    if port.starts_with("tcp://") || port.starts_with("udp://") {
        variables.warn(problem);
    } else {
        variables.refuse(problem);
    }
    None
}

/// The share of all requests to trace: `DD_TRACE_SAMPLE_RATE`.
pub(super) fn sample_rate(variables: &Variables<'_>) -> Option<f64> {
    variables.share("DD_TRACE_SAMPLE_RATE")
}

/// What Datadog's admission controller says about the container, for a header: `DD_EXTERNAL_ENV`.
pub(super) fn external_env(variables: &Variables<'_>) -> Option<String> {
    let is_sendable = |c: char| c == '\t' || c == ' ' || c.is_ascii_graphic();
    let text = |text: &str| text.chars().all(is_sendable).then(|| text.to_owned());
    variables.parsed("DD_EXTERNAL_ENV", "visible ASCII characters", text)
}

/// The headers from which traces are read: `DD_TRACE_PROPAGATION_STYLE_EXTRACT`, or else `DD_TRACE_PROPAGATION_STYLE`.
/// Unknown styles are left out, and so is a list of nothing else. `none` is an empty list.
pub(super) fn trace_headers(variables: &Variables<'_>) -> Option<Vec<TraceHeaders>> {
    let allowed = "datadog, tracecontext, b3, b3multi, baggage or none, with commas between them";
    let styles = |name| variables.parsed(name, allowed, propagation_styles);
    styles("DD_TRACE_PROPAGATION_STYLE_EXTRACT").or_else(|| styles("DD_TRACE_PROPAGATION_STYLE"))
}

fn propagation_styles(text: &str) -> Option<Vec<TraceHeaders>> {
    let text = text.to_ascii_lowercase();
    let styles = || text.split(',').map(str::trim).filter(|style| !style.is_empty());
    let known = styles().filter_map(|style| match style {
        "datadog" => Some(TraceHeaders::Datadog),
        "tracecontext" => Some(TraceHeaders::W3c),
        "b3" | "b3 single header" => Some(TraceHeaders::B3),
        "b3multi" => Some(TraceHeaders::B3Multi),
        _ => None,
    });
    let known: Vec<_> = known.collect();
    (!known.is_empty() || styles().eq(["none"])).then_some(known)
}

/// `DD_TAGS`. `DD_SERVICE`, `DD_ENV` and `DD_VERSION` win over the tags `service`, `env` and `version`.
pub(super) fn tags(variables: &Variables<'_>) -> Tags {
    let mut others = variables.get("DD_TAGS").map(|text| pairs(&text)).unwrap_or_default();
    let mut take = |key: &str| {
        let (of_key, rest) = std::mem::take(&mut others).into_iter().partition(|(known, _)| known == key);
        others = rest;
        Vec::into_iter(of_key).map(|(_, value)| value).find(|value| !value.is_empty())
    };
    let [service, env, version] = ["service", "env", "version"].map(&mut take);
    Tags {
        service: variables.get("DD_SERVICE").or(service),
        env: variables.get("DD_ENV").or(env),
        version: variables.get("DD_VERSION").or(version),
        others,
    }
}

/// Splits `key:value,key:value`, where spaces may stand for the commas. A tag without a colon has an empty value; of the
/// same key, the last one counts.
fn pairs(text: &str) -> Vec<(String, String)> {
    let separator = if text.contains(',') { ',' } else { ' ' };
    let tag = |tag: &str| {
        let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
        (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value.trim().to_owned()))
    };
    let mut tags: Vec<(String, String)> = Vec::new();
    for (key, value) in text.split(separator).filter_map(tag) {
        tags.retain(|(known, _)| *known != key);
        tags.push((key, value));
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::fixed;

    #[test]
    fn tags_are_separated_by_commas_or_by_spaces() {
        let expected = |tags: &[(&str, &str)]| {
            tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(
            pairs("team:orders, url:http://x ,"),
            expected(&[("team", "orders"), ("url", "http://x")])
        );
        assert_eq!(pairs("team:orders  tier:1"), expected(&[("team", "orders"), ("tier", "1")]));
        assert_eq!(pairs("alone,:x"), expected(&[("alone", "")]));
        assert_eq!(pairs("a:1,b:2,a:3"), expected(&[("b", "2"), ("a", "3")]));
    }

    #[test]
    fn the_url_of_an_agent_is_its_own_variable_or_made_of_host_and_port() {
        let (url, host) = ("DD_TRACE_AGENT_URL", "DD_AGENT_HOST");
        for (set, expected) in [
            (&[][..], None),
            (&[(url, "http://other:1/"), (host, "agent")], Some("http://other:1/")),
            (&[(url, ""), (host, "agent")], Some("http://agent:8126")),
            (&[(host, "agent"), (PORT, "8127\n")], Some("http://agent:8127")),
            (&[(host, "::1")], Some("http://[::1]:8126")),
            (&[(host, "[::1]")], Some("http://[::1]:8126")),
            (&[(PORT, "8127")], Some("http://localhost:8127")),
            (&[(PORT, "tcp://10.0.0.1:8126")], None),
            (&[(PORT, "tcp://10.0.0.1:8126"), (host, "10.0.0.2")], Some("http://10.0.0.2:8126")),
        ] {
            let read = fixed(set);
            let variables = Variables::new(&read, true);
            assert_eq!(agent_url(&variables).as_ref().map(Secret::expose), expected, "{set:?}");
            assert_eq!(variables.finish("datadog"), None, "{set:?}");
        }
    }

    #[test]
    fn styles_of_propagation_are_headers_and_unknown_ones_are_left_out() {
        use TraceHeaders::{B3, B3Multi, Datadog, W3c};
        let of = |extract: Option<&str>, both: Option<&str>| {
            let (extract, both) = (extract.unwrap_or(""), both.unwrap_or(""));
            let set = [("DD_TRACE_PROPAGATION_STYLE_EXTRACT", extract), ("DD_TRACE_PROPAGATION_STYLE", both)];
            let read = fixed(&set);
            trace_headers(&Variables::new(&read, true))
        };
        assert_eq!(of(None, None), None);
        assert_eq!(of(Some("tracecontext"), Some("datadog")), Some(vec![W3c]));
        assert_eq!(of(None, Some("Datadog, tracecontext,baggage")), Some(vec![Datadog, W3c]));
        assert_eq!(of(Some("b3multi,B3"), None), Some(vec![B3Multi, B3]));
        assert_eq!((of(Some("none"), None), of(Some("xray"), None)), (Some(vec![]), None));
    }
}
