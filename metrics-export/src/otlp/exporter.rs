//! The exporter: one request a window, and what the collector says of it.

use std::time::Instant;

use metrics_core::InvalidSetting;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;

use super::encode::Encoding;
use super::resource::Attributes;
use crate::http::{Client, gzipped};
use crate::push::{Accepted, Exporter, Failed, PushSettings, Window, post};
use crate::service::Service;

/// The longest text of a collector's that is kept, in characters.
const MAX_REASON: usize = 200;

/// Sends metrics to an OpenTelemetry collector, or whatever else takes OTLP.
#[derive(Debug)]
pub struct Otlp {
    pub(super) transport: Transport,
    pub(super) encoding: Encoding,
    pub(super) attributes: Attributes,
    pub(super) settings: PushSettings,
}

/// How a request gets to the collector.
#[derive(Debug)]
pub(super) enum Transport {
    Http {
        client: Client,
        gzip: bool,
    },
    #[cfg(feature = "otlp-grpc")]
    Grpc(Box<super::grpc::Client>),
}

impl Exporter for Otlp {
    fn name(&self) -> &str {
        "otlp"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.encoding.resource = self.attributes.of(service);
        Ok(())
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        let request = self.encoding.request(window);
        match &self.transport {
            Transport::Http { client, gzip } => {
                let mut body = request.encode_to_vec();
                if *gzip {
                    body = gzipped(&body);
                }
                let encoding = gzip.then_some("gzip");
                let answer = post(client, "application/x-protobuf", encoding, &body, deadline)?;
                // With a 2xx all is taken, whatever becomes of the rest of the answer.
                Ok(answer.body.map_or_else(unread, |body| accepted(&body)))
            }
            #[cfg(feature = "otlp-grpc")]
            Transport::Grpc(client) => Ok(taken(client.export(request, deadline)?)),
        }
    }
}

fn unread(reason: String) -> Accepted {
    Accepted { rejected: 0, reason: Some(reason) }
}

/// What a collector says of what it took.
fn accepted(body: &[u8]) -> Accepted {
    // Some answer with something else, whatever they were sent.
    taken(ExportMetricsServiceResponse::decode(body).unwrap_or_default())
}

fn taken(answer: ExportMetricsServiceResponse) -> Accepted {
    let partial = answer.partial_success;
    let Some(ExportMetricsPartialSuccess { rejected_data_points, error_message }) = partial else {
        return Accepted::default();
    };
    Accepted {
        rejected: u64::try_from(rejected_data_points).unwrap_or(0),
        reason: (!error_message.is_empty()).then(|| line(&error_message)),
    }
}

/// The beginning of a text, on one line.
fn line(text: &str) -> String {
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_REASON).map(one_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_rejected_is_counted_and_said() {
        let answer = |rejected_data_points, error_message: &str| {
            let error_message = error_message.to_owned();
            let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points, error_message });
            accepted(&ExportMetricsServiceResponse { partial_success }.encode_to_vec())
        };
        let of = |rejected, reason: Option<&str>| Accepted { rejected, reason: reason.map(str::to_owned) };
        assert_eq!(accepted(&[]), of(0, None));
        assert_eq!(answer(3, "too\nold"), of(3, Some("too old")));
        assert_eq!(answer(0, "a warning"), of(0, Some("a warning")));
        assert_eq!(answer(-1, ""), of(0, None));
        // Some answer with JSON whatever they were sent.
        assert_eq!(accepted(b"{}"), of(0, None));
    }
}
