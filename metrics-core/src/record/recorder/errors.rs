//! What a recorder logs of a failed request besides its figures: an entry among the latest errors, and its group.
//!
//! A flood of errors costs as little as possible: of most errors in a flood, nothing is kept but the count of their
//! group, so nothing else of them is looked at.

use std::time::{Duration, SystemTime};

use super::{Recorder, Start, as_counted, nanos};
use crate::events::context::{EventDetails, RequestContext};
use crate::events::error_groups::{MADE_PER_SECOND, NewError, Seen};
use crate::events::error_log::{ErrorEvent, MAX_MESSAGE_BYTES, Message};
use crate::events::error_priority::ErrorPriority;
use crate::events::event_log::Budget;
use crate::labels::endpoint::EndpointId;
use crate::labels::outcome::Outcome;
use crate::text::has_hidden;

impl Recorder {
    /// Records a failed request, and logs it for [`Summary::recent_errors`](crate::Summary::recent_errors).
    ///
    /// The message is cut to [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES). A recorder logs a burst of the log's
    /// capacity for each [`ErrorPriority`], and then that number per second. Further errors are counted but not
    /// logged.
    pub fn record_error(&self, endpoint: EndpointId, outcome: Outcome, elapsed: Duration, message: &str) {
        self.record_outcome(endpoint, outcome, elapsed);
        self.log(endpoint, outcome, nanos(elapsed), message, RequestContext::default(), || None);
    }

    /// Like [`Recorder::finish`], and logs the request as [`Recorder::record_error`] does.
    pub fn finish_error(&self, start: Start, endpoint: EndpointId, outcome: Outcome, message: &str) -> u64 {
        let nanos = self.finish(start, endpoint, outcome);
        self.log(endpoint, outcome, nanos, message, RequestContext::default(), || None);
        nanos
    }

    /// Logs a failed request with further details, such as its position in a trace. Does not record it.
    pub fn log_error<'a>(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        elapsed: Duration,
        message: &str,
        context: impl Into<RequestContext<'a>>,
    ) {
        self.log(endpoint, outcome, nanos(elapsed), message, context.into(), || None);
    }

    /// Like [`Recorder::log_error`], but reads the [id](RequestContext::request_id) of the request only if the error is
    /// kept, as an entry or as an example of its group. In a flood, hardly any is.
    pub fn log_error_with_id<'a>(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        elapsed: Duration,
        message: &str,
        context: RequestContext<'a>,
        request_id: impl FnOnce() -> Option<&'a str>,
    ) {
        self.log(endpoint, outcome, nanos(elapsed), message, context, request_id);
    }

    fn log<'a>(
        &self,
        endpoint: EndpointId,
        outcome: Outcome,
        nanos: u64,
        message: &str,
        mut context: RequestContext<'a>,
        request_id: impl FnOnce() -> Option<&'a str>,
    ) {
        let (log, groups, outcome) =
            (self.shared.error_log(), self.shared.error_groups(), as_counted(outcome));
        let priority = ErrorPriority::from_parts(outcome, || self.shared.endpoints().catches_all(endpoint));
        let now = match self.failed_at.take() {
            0 => self.shared.uptime_nanos(),
            failed_at => self.shared.uptime_nanos_at(failed_at),
        };
        let shown;
        let message = if message.len() <= MAX_MESSAGE_BYTES && !has_hidden(message) {
            message
        } else {
            shown = Message::new(message);
            shown.as_str()
        };

        let logging = &self.logging;
        let latest = &logging.latest_groups[priority as usize];
        let may_make =
            || logging.groups[priority as usize].take(now, Budget::nanos_an_entry(MADE_PER_SECOND));
        let error = NewError { endpoint, outcome, priority, message, now };
        let is_grouped = groups.count(&error, latest, may_make);
        let is_example = is_grouped && latest.is_due(now);
        let is_logged = logging.errors[priority as usize].take(now, log.nanos_an_entry());

        let mut time = SystemTime::UNIX_EPOCH;
        if is_example || is_logged {
            time = SystemTime::now();
            context.request_id = context.request_id.or_else(request_id);
        }
        let worker = self.shard.number();
        if is_grouped {
            let seen = Seen { time, nanos, message, context: &context, worker, now };
            groups.keep(&seen, latest, is_example);
        }
        if is_logged {
            let (trace, details) = (context.trace, EventDetails::new(&context, worker));
            let message = Message::new(message);
            log.push(priority, ErrorEvent { time, endpoint, outcome, nanos, trace, details, message });
        } else {
            self.shard.count_thinned(priority);
        }
    }
}
