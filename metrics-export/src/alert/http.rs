//! JSON by HTTP POST, for destinations that take it.

use std::time::Duration;

use metrics_core::InvalidSetting;
use serde::Serialize;

use super::destination::SendError;
use crate::environment::{Variables, variable};
use crate::http::{Client, HttpOptions};

/// How long one attempt may take by default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where to post to.
#[derive(Debug)]
pub(super) struct Target {
    client: Client,
    timeout: Duration,
    /// Why nothing is sent: a proxy in a variable that cannot be used.
    off: Option<String>,
}

impl Target {
    /// Posts to the URL that `field` was set to.
    pub(super) fn new(field: &'static str, url: &str, options: &HttpOptions) -> Result<Self, InvalidSetting> {
        Self::with_variables(field, url, options, Variables::new(&variable, false))
    }

    fn with_variables(
        field: &'static str,
        url: &str,
        options: &HttpOptions,
        variables: Variables<'_>,
    ) -> Result<Self, InvalidSetting> {
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
        let client = options.client(field, url, 0, &variables)?;
        Ok(Self { client, timeout: options.timeout.unwrap_or(TIMEOUT), off: variables.finish(field) })
    }

    /// Posts a body; each 2xx is a success.
    pub(super) fn post(&self, body: &impl Serialize) -> Result<(), SendError> {
        if let Some(reason) = &self.off {
            return Err(SendError {
                reason: format!("off: {reason}"),
                is_temporary: false,
                retry_after: None,
            });
        }
        let json = serde_json::to_vec(body).expect("numbers, texts and lists can be serialised");
        let answer = self
            .client
            .post("application/json", None, &json, self.timeout)
            .map_err(|reason| SendError { reason, is_temporary: true, retry_after: None })?;
        if answer.is_success() {
            return Ok(());
        }
        Err(SendError {
            is_temporary: answer.is_temporary(),
            retry_after: answer.retry_after,
            reason: answer.refusal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::fixed;

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

    #[test]
    fn a_proxy_in_a_variable_that_cannot_be_used_keeps_the_destination_off_and_starts_the_service() {
        let read = fixed(&[("HTTP_PROXY", "gopher://proxy:70")]);
        let variables = Variables::new(&read, false);
        let target = Target::with_variables("url", "http://hooks.example", &HttpOptions::new(), variables);
        let error = target.unwrap().post(&"x").unwrap_err();
        assert!(!error.is_temporary && error.reason.starts_with("off: HTTP_PROXY: the proxy "), "{error:?}");
    }

    #[test]
    fn notices_take_the_proxy_of_the_environment_and_honour_retry_after() {
        use std::io::{Read, Write};
        let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", proxy.local_addr().unwrap());
        let answered = std::thread::spawn(move || {
            let (mut stream, _) = proxy.accept().unwrap();
            let (mut head, mut buffer) = (Vec::new(), [0; 1_024]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0);
                head.extend_from_slice(&buffer[..read]);
            }
            let answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&head).into_owned()
        });
        let set = [("HTTP_PROXY", &*url)];
        let read = fixed(&set);
        let target = Target::with_variables(
            "url",
            "http://hooks.example/x",
            &HttpOptions::new(),
            Variables::new(&read, false),
        );
        let error = target.unwrap().post(&"x").unwrap_err();
        let head = answered.join().unwrap();
        assert!(head.starts_with("POST http://hooks.example/x "), "{head}");
        assert!(error.is_temporary);
        assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn retry_after_of_an_answer_is_passed_on() {
        use std::io::{Read, Write};
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", server.local_addr().unwrap());
        let answered = std::thread::spawn(move || {
            for status in ["429 Too Many Requests", "503 Service Unavailable"] {
                let (mut stream, _) = server.accept().unwrap();
                let mut buffer = [0; 4_096];
                assert!(stream.read(&mut buffer).unwrap() > 0);
                let answer = format!("HTTP/1.1 {status}\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let no_variables = Variables::new(&|_| None, false);
        let target = Target::with_variables("url", &url, &HttpOptions::new(), no_variables).unwrap();
        for _ in 0..2 {
            let error = target.post(&"x").unwrap_err();
            assert!(error.is_temporary);
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)), "{error:?}");
        }
        answered.join().unwrap();
    }
}
