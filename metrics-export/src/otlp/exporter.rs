//! The exporter: one request per window.

use std::time::Instant;

use metrics_core::InvalidSetting;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;

use super::encode::Encoding;
use super::resource::Attributes;
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
}

/// How requests are sent to the collector.
#[derive(Debug)]
pub(super) enum Transport {
    Http {
        client: Client,
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
        let request = self.encoding.request(window);
        match transport {
            Transport::Http { client, gzip } => {
                let mut body = request.encode_to_vec();
                if *gzip {
                    body = gzipped(&body);
                }
                let encoding = gzip.then_some("gzip");
                let answer = post(client, "application/x-protobuf", encoding, &body, deadline)?;
                // A 2xx accepts the window, even if the rest of the answer is lost.
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
