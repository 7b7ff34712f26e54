//! Envelopes: <https://develop.sentry.dev/sdk/foundations/envelopes/>.

use std::time::SystemTime;

use sentry_types::protocol::v7::{Envelope, EnvelopeHeaders, EnvelopeItem};

use super::request::{in_range, sdk};
use super::transaction::sampling;

/// The content type.
pub(super) const ENVELOPE: &str = "application/x-sentry-envelope";

/// Writes one item as an envelope. A transaction's headers have the project's key and the sample rate.
pub(super) fn envelope(item: EnvelopeItem, key: &str, sample_rate: f64) -> Vec<u8> {
    let mut headers = EnvelopeHeaders::new().with_sdk(sdk()).with_sent_at(in_range(SystemTime::now()));
    match &item {
        EnvelopeItem::Event(event) => headers = headers.with_event_id(event.event_id),
        EnvelopeItem::Transaction(transaction) => {
            let sampling = sampling(transaction, key, sample_rate);
            headers = headers.with_event_id(transaction.event_id).with_trace(sampling);
        }
        _ => {}
    }
    let mut envelope = Envelope::new().with_headers(headers);
    envelope.add_item(item);
    let mut bytes = Vec::new();
    envelope.to_writer(&mut bytes).expect("a Vec accepts all bytes, and no time is before 1970");
    bytes
}
