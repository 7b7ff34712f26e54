//! Datadog's environment variables.

use metrics_core::InvalidSetting;

use crate::environment::Variables;
use crate::secret::Secret;

/// The service and its tags, as the variables say them.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) service: Option<String>,
    pub(super) env: Option<String>,
    pub(super) version: Option<String>,
    pub(super) others: Vec<(String, String)>,
}

/// The Agent's URL: `DD_TRACE_AGENT_URL`, or else the one made of `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`.
pub(super) fn agent_url(variables: &Variables<'_>) -> Result<Option<Secret>, InvalidSetting> {
    match variables.get("DD_TRACE_AGENT_URL") {
        Some(url) => Ok(Some(url.into())),
        None => url_of(variables.get("DD_AGENT_HOST"), variables.get("DD_TRACE_AGENT_PORT")),
    }
}

/// The share of all requests to trace: `DD_TRACE_SAMPLE_RATE`.
pub(super) fn sample_rate(variables: &Variables<'_>) -> Result<Option<f64>, InvalidSetting> {
    variables.share("DD_TRACE_SAMPLE_RATE")
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

/// The URL of an Agent whose host or port is known.
fn url_of(host: Option<String>, port: Option<String>) -> Result<Option<Secret>, InvalidSetting> {
    if host.is_none() && port.is_none() {
        return Ok(None);
    }
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    let port = port.unwrap_or_else(|| "8126".to_owned());
    if let Some(port) = port.parse::<u16>().ok().filter(|port| *port > 0) {
        // An IPv6 address before a port is written in brackets.
        let is_bare = host.contains(':') && !host.starts_with('[');
        let host = if is_bare { format!("[{host}]") } else { host };
        return Ok(Some(format!("http://{host}:{port}").into()));
    }
    Err(InvalidSetting::new("DD_TRACE_AGENT_PORT", format!("{port:?}"), "1 to 65535"))
}

/// Splits `key:value,key:value`, where spaces may stand for the commas. A tag without a colon has an empty value.
fn pairs(text: &str) -> Vec<(String, String)> {
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
        assert_eq!(
            pairs("team:orders, url:http://x ,"),
            expected(&[("team", "orders"), ("url", "http://x")])
        );
        assert_eq!(pairs("team:orders  tier:1"), expected(&[("team", "orders"), ("tier", "1")]));
        assert_eq!(pairs("alone,:x"), expected(&[("alone", "")]));
    }

    #[test]
    fn an_ipv6_address_is_written_in_brackets() {
        let url = |host: &str| url_of(Some(host.to_owned()), None).unwrap().unwrap().expose().to_owned();
        assert_eq!(url("::1"), "http://[::1]:8126");
        assert_eq!(url("[::1]"), "http://[::1]:8126");
        assert_eq!(url("agent"), "http://agent:8126");
    }
}
