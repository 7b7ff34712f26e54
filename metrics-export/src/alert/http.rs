//! JSON by HTTP POST, for the destinations that take it.

use std::time::Duration;

use serde::Serialize;

use super::SendError;
use crate::http::{Client, UrlError};

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where to post to.
#[derive(Debug)]
pub(super) struct Target(Client);

impl Target {
    pub(super) fn new(url: String) -> Result<Self, UrlError> {
        Ok(Self(Client::new(url, None, 0)?))
    }

    /// Posts a body, and takes every 2xx for a success.
    pub(super) fn post(&self, body: &impl Serialize) -> Result<(), SendError> {
        let json =
            serde_json::to_vec(body).expect("a body is numbers, texts and lists, which can be written");
        let answer = self
            .0
            .post("application/json", None, &json, TIMEOUT)
            .map_err(|reason| SendError { reason, is_temporary: true })?;
        if answer.is_success() {
            return Ok(());
        }
        Err(SendError {
            reason: format!("it answered {}", answer.status),
            is_temporary: answer.is_temporary(),
        })
    }
}
