//! The exporter: one message per window, or more if one would be too large.

use std::sync::Arc;
use std::time::Instant;

use metrics_core::{InvalidSetting, Snapshot};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;

use super::encode::Encoding;
use super::resource::Attributes;
use super::split::split;
use crate::gzip::gzipped;
use crate::http::{Client, short_line};
use crate::push::{Accepted, Exporter, Failed, PushSettings, Window, post};
use crate::service::Service;

/// Sends metrics to an OpenTelemetry collector, or to any other receiver of OTLP.
#[derive(Debug)]
pub struct Otlp {
    /// How to send, or why nothing is sent.
    pub(super) transport: Result<Transport, String>,
    pub(super) encoding: Encoding,
    pub(super) attributes: Attributes,
    pub(super) settings: PushSettings,
    pub(super) max_message_bytes: usize,
    pub(super) attempt: Attempt,
}

/// The window that is being sent, as one or more messages.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The end of the window; `None` between windows.
    until: Option<Arc<Snapshot>>,
    /// Messages that were accepted, or refused for good.
    done: usize,
    has_arrived: bool,
    accepted: Accepted,
}

/// How requests are sent to the collector.
#[derive(Debug)]
pub(super) enum Transport {
    Http {
        client: Box<Client>,
        gzip: bool,
    },
    #[cfg(feature = "otlp-grpc")]
    Grpc(Box<super::grpc::GrpcClient>),
}

impl Exporter for Otlp {
    fn name(&self) -> &str {
        "otlp"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn off(&self) -> Option<&str> {
        self.transport.as_ref().err().map(String::as_str)
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.encoding.resource = self.attributes.of(service);
        Ok(())
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        let transport = self.transport.as_ref().map_err(Failed::permanent)?;
        if !self.attempt.until.as_ref().is_some_and(|until| Arc::ptr_eq(until, &window.total)) {
            self.attempt = Attempt { until: Some(Arc::clone(&window.total)), ..Attempt::default() };
        }
        let (parts, left_out) = split(self.encoding.request(window), self.max_message_bytes);
        let is_delta = self.encoding.temporality.is_delta();
        let (mut accepted, count) = (std::mem::take(&mut self.attempt.accepted), parts.len());
        let done = self.attempt.done;
        for part in parts.into_iter().skip(done) {
            match transport.send(part.request, deadline) {
                Ok(sent) => {
                    accepted.rejected = accepted.rejected.saturating_add(sent.rejected);
                    accepted.reason = sent.reason.or(accepted.reason);
                    self.attempt.has_arrived = true;
                }
                // The others may be accepted.
                Err(failed) if failed.permanent && count > 1 => {
                    accepted.rejected = accepted.rejected.saturating_add(part.points);
                    accepted.reason = Some(failed.reason);
                }
                Err(failed) => {
                    if is_delta {
                        // The window is sent again unchanged, without the messages that arrived.
                        self.attempt.accepted = accepted;
                    } else {
                        self.attempt = Attempt::default();
                    }
                    return Err(failed);
                }
            }
            self.attempt.done += 1;
        }
        let has_arrived = std::mem::take(&mut self.attempt).has_arrived;
        if !has_arrived && count > 1 {
            return Err(Failed::permanent(accepted.reason.unwrap_or_default()));
        }
        if left_out > 0 {
            accepted.rejected = accepted.rejected.saturating_add(left_out);
            accepted.reason = Some(format!(
                "{left_out} data points are larger than a message of {} bytes; use fewer buckets, or raise \
                 max_message_bytes here and the limit of the collector",
                self.max_message_bytes
            ));
        }
        Ok(accepted)
    }
}

impl Transport {
    fn send(&self, request: ExportMetricsServiceRequest, deadline: Instant) -> Result<Accepted, Failed> {
        match self {
            Self::Http { client, gzip } => {
                let mut body = request.encode_to_vec();
                if *gzip {
                    body = gzipped(&body);
                }
                let encoding = gzip.then_some("gzip");
                let answer = post(client, "application/x-protobuf", encoding, &body, deadline)?;
                // A 2xx accepts the message, even if the rest of the answer is lost.
                Ok(answer.body.map_or_else(unread, |body| accepted(&body)))
            }
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc(client) => Ok(taken(client.export(request, deadline)?)),
        }
    }
}

fn unread(reason: String) -> Accepted {
    Accepted { rejected: 0, reason: Some(reason) }
}

/// Reads the answer to an accepted window.
fn accepted(body: &[u8]) -> Accepted {
    // Some receivers answer with something other than protobuf.
    taken(ExportMetricsServiceResponse::decode(body).unwrap_or_default())
}

fn taken(answer: ExportMetricsServiceResponse) -> Accepted {
    let partial = answer.partial_success;
    let Some(ExportMetricsPartialSuccess { rejected_data_points, error_message }) = partial else {
        return Accepted::default();
    };
    Accepted {
        rejected: u64::try_from(rejected_data_points).unwrap_or(0),
        reason: (!error_message.is_empty()).then(|| short_line(&error_message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_data_points_are_counted_with_their_reason() {
        let answer = |rejected_data_points, error_message: &str| {
            let error_message = error_message.to_owned();
            let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points, error_message });
            accepted(&ExportMetricsServiceResponse { partial_success }.encode_to_vec())
        };
        let of = |rejected, reason: Option<&str>| Accepted { rejected, reason: reason.map(str::to_owned) };
        assert_eq!(accepted(&[]), of(0, None));
        assert_eq!(answer(3, "too\nold"), of(3, Some(r"too\nold")));
        assert_eq!(answer(0, "a warning"), of(0, Some("a warning")));
        assert_eq!(answer(-1, ""), of(0, None));
        // Some receivers always answer with JSON.
        assert_eq!(accepted(b"{}"), of(0, None));
    }
}
