//! JSON by HTTP POST, for destinations that take it.

use std::time::Duration;

use metrics_core::InvalidSetting;
use serde::Serialize;

use super::destination::SendError;
use crate::environment::Variables;
use crate::http::{Client, HttpOptions};

/// How long one attempt may take by default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where to post to.
#[derive(Debug)]
pub(super) struct Target {
    client: Client,
    timeout: Duration,
    /// Why nothing is sent: a proxy in a variable cannot be used.
    off: Option<String>,
}

impl Target {
    /// Posts to the URL that `field` was set to.
    pub(super) fn new(field: &'static str, url: &str, options: &HttpOptions) -> Result<Self, InvalidSetting> {
        if let Some(interval) = options.interval {
            return Err(InvalidSetting::new(
                "interval",
                format!("{interval:?}"),
                "none: alerts are sent at once",
            ));
        }
        if options.gzip == Some(true) {
            return Err(InvalidSetting::new("gzip", true, "false: alerts are not compressed"));
        }
        let variables = Variables::new(&crate::environment::variable, false);
        let client = options.client(field, url, 0, &variables)?;
        let off = variables.finish(field);
        Ok(Self { client, timeout: options.timeout.unwrap_or(TIMEOUT), off })
    }

    /// Posts a body; each 2xx is a success.
    pub(super) fn post(&self, body: &impl Serialize) -> Result<(), SendError> {
        if let Some(reason) = &self.off {
            return Err(SendError { reason: reason.clone(), is_temporary: false });
        }
        let json = serde_json::to_vec(body).expect("numbers, texts and lists can be serialised");
        let answer = self
            .client
            .post("application/json", None, &json, self.timeout)
            .map_err(|reason| SendError { reason, is_temporary: true })?;
        if answer.is_success() {
            return Ok(());
        }
        Err(SendError { is_temporary: answer.is_temporary(), reason: answer.refusal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_do_not_apply_to_alerts_are_rejected() {
        let rejected = |options| Target::new("url", "http://a", &options).unwrap_err().to_string();
        let interval = HttpOptions::new().interval(Duration::from_secs(1));
        assert_eq!(rejected(interval), "interval is 1s; allowed: none: alerts are sent at once");
        assert_eq!(
            rejected(HttpOptions::new().gzip(true)),
            "gzip is true; allowed: false: alerts are not compressed"
        );
        let allowed = HttpOptions::new().timeout(Duration::from_secs(1)).gzip(false).header("a", "b");
        assert!(Target::new("url", "http://a", &allowed.proxy("http://proxy:3128")).is_ok());
    }
}
