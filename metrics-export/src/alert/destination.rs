//! The trait of a destination of notices.

use std::time::Duration;

use metrics_core::InvalidSetting;
use metrics_core::alert::Notice;

use crate::service::Service;

/// Sends alert notices somewhere.
pub trait Destination: Send + 'static {
    /// Returns the name in the counts.
    fn name(&self) -> &'static str;

    /// Receives the identity of the service. Called once, before the first notice; default: does nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the destination does not accept the service's name, version or the like. The delivery does
    /// not start then.
    fn start(&mut self, _service: &Service) -> Result<(), InvalidSetting> {
        Ok(())
    }

    /// Sends notices, the oldest first. May block; it has a thread of its own. A panic ends that thread: waiting and
    /// later notices are dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if at least one notice was not sent. After a permanent error, notices are sent once more, one
    /// by one.
    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError>;

    /// Returns how often all firing alerts are sent again; default: never.
    fn repeat_every(&self) -> Option<Duration> {
        None
    }
}

impl<D: Destination + ?Sized> Destination for Box<D> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        (**self).start(service)
    }

    fn send(&mut self, notices: &[Notice]) -> Result<(), SendError> {
        (**self).send(notices)
    }

    fn repeat_every(&self) -> Option<Duration> {
        (**self).repeat_every()
    }
}

/// Why notices were not sent.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    /// What happened. Shown to everyone who may read the metrics, so it must not contain secrets.
    pub reason: String,
    /// Whether the same notices may be accepted later.
    pub is_temporary: bool,
    /// How long the destination asks to wait, as with `Retry-After`. The next attempt waits that long, but at most an
    /// hour.
    pub retry_after: Option<Duration>,
}

metrics_core::debug_as_display!(SendError);
