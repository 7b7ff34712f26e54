//! Datadog's environment variables.

use super::builder::{BuildError, Builder};
use crate::push::Secret;

/// Takes over what the environment says and the builder does not. An empty variable is as one that is not set.
pub(super) fn apply(
    builder: &mut Builder,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), BuildError> {
    let get =
        |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    if builder.url.is_none() {
        builder.url = match get("DD_TRACE_AGENT_URL") {
            Some(url) => Some(url.into()),
            None => agent(get("DD_AGENT_HOST"), get("DD_TRACE_AGENT_PORT"))?,
        };
    }
    if builder.sample_rate.is_none()
        && let Some(share) = get("DD_TRACE_SAMPLE_RATE")
    {
        builder.sample_rate = Some(sample_rate(share)?);
    }
    let mut tags = get("DD_TAGS").map(|text| tags(&text)).unwrap_or_default();
    // Those three have variables of their own, which win.
    let mut tag = |key: &str| {
        let (of_key, others) = std::mem::take(&mut tags).into_iter().partition(|(known, _)| known == key);
        tags = others;
        Vec::into_iter(of_key).map(|(_, value)| value).find(|value| !value.is_empty())
    };
    for (known, key, name) in [
        (&mut builder.service, "service", "DD_SERVICE"),
        (&mut builder.env, "env", "DD_ENV"),
        (&mut builder.version, "version", "DD_VERSION"),
    ] {
        let tagged = tag(key);
        if known.is_none() {
            *known = get(name).or(tagged);
        }
    }
    for (key, value) in tags {
        if !builder.tags.iter().any(|(known, _)| *known == key) {
            builder.tags.push((key, value));
        }
    }
    Ok(())
}

/// The URL of an Agent of which a host or a port is known.
fn agent(host: Option<String>, port: Option<String>) -> Result<Option<Secret>, BuildError> {
    if host.is_none() && port.is_none() {
        return Ok(None);
    }
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let port = port.unwrap_or_else(|| "8126".to_owned());
    if let Some(port) = port.parse::<u16>().ok().filter(|port| *port > 0) {
        // An IPv6 address stands in brackets before a port.
        let bare = host.contains(':') && !host.starts_with('[');
        let host = if bare { format!("[{host}]") } else { host };
        return Ok(Some(format!("http://{host}:{port}").into()));
    }
    Err(BuildError::Variable { name: "DD_TRACE_AGENT_PORT", value: port, allowed: "1 to 65535" })
}

fn sample_rate(share: String) -> Result<f64, BuildError> {
    match share.parse() {
        Ok(parsed) if (0.0..=1.0).contains(&parsed) => Ok(parsed),
        _ => Err(BuildError::Variable { name: "DD_TRACE_SAMPLE_RATE", value: share, allowed: "0 to 1" }),
    }
}

/// `key:value,key:value`, or with spaces in place of commas. What has no colon is a key without a value.
fn tags(text: &str) -> Vec<(String, String)> {
    let separator = if text.contains(',') { ',' } else { ' ' };
    let tag = |tag: &str| {
        let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
        (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value.trim().to_owned()))
    };
    text.split(separator).filter_map(tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_separated_by_commas_or_by_spaces() {
        let expected = |tags: &[(&str, &str)]| {
            tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(tags("team:orders, url:http://x ,"), expected(&[("team", "orders"), ("url", "http://x")]));
        assert_eq!(tags("team:orders  tier:1"), expected(&[("team", "orders"), ("tier", "1")]));
        assert_eq!(tags("alone,:x"), expected(&[("alone", "")]));
    }

    #[test]
    fn an_address_of_ip_version_6_stands_in_brackets() {
        let url = |host: &str| agent(Some(host.to_owned()), None).unwrap().unwrap().expose().to_owned();
        assert_eq!(url("::1"), "http://[::1]:8126");
        assert_eq!(url("[::1]"), "http://[::1]:8126");
        assert_eq!(url("agent"), "http://agent:8126");
    }
}
