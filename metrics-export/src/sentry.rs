//! Errors and the health of releases, to Sentry.
//!
//! | what | envelope item | contents |
//! |---|---|---|
//! | events | `event` | one for each 5xx and panic that the error log still has, up to a limit per minute and kind |
//! | sessions | `sessions` | requests by minute: `exited`, `errored` (5xx) and `crashed` (panics); needs a release |
//! | transactions | `transaction` | one for each request of a random sample, if a sample rate is set |
//! | omissions | `client_report` | how many items were left out because of a limit, ours or Sentry's |
//!
//! **Without Sentry's client.** The protocol's types are those of `sentry-types`, on which Sentry's client is built,
//! too; the [engine](crate::push) that all destinations share sends them. The client's transport does not report
//! whether an envelope arrived, so nothing could be retried or counted. No hub, scope or panic hook of the process is
//! touched: an application's own `sentry` works as before. If that already reports errors (`sentry-actix`,
//! `sentry-panic`), each would arrive twice: turn events off here with [`max_events(0)`](SentryBuilder::max_events),
//! and sessions with [`sessions(false)`](SentryBuilder::sessions).
//!
//! **Events.** Made from the error log by the thread that sends, so they cost a request nothing. An event has the
//! method, the route, the status, the duration and the message of an error, and nothing else of its request: no path,
//! query, header, cookie or body. A 4xx has no message either, since that may quote the client. The fingerprint is the
//! route, the status and the message's template, in which placeholders stand for numbers, hexadecimal numbers and
//! UUIDs. Events over the limit of a fingerprint per minute are left out; the next event says how many.
//!
//! **Sessions.** Each request is a session, as with Sentry's own clients in servers. The three counts are exact and
//! cover all requests. A window counts in the minute in which it began.
//!
//! **Transactions.** A random sample of requests, with their place in the caller's trace, and without inner spans.
//!
//! **Limits.** `X-Sentry-Rate-Limits` and `Retry-After` are honoured by category: what they forbid is left out and
//! counted, as Sentry requires. Other failures are retried, events under the same id, so that Sentry keeps one.
//! Sessions have no id, nor has their envelope: sessions whose answer is lost count twice, so they are sent only while
//! there is time for an answer.
//!
//! **Envelopes.** One per item: Sentry accepts one event or transaction per envelope, and [does not
//! want](https://develop.sentry.dev/sdk/foundations/envelopes/envelope-items/#envelope-item-constraints) sessions in
//! the same envelope. They share a connection, and are compressed from 1 KiB on. A window without items is
//! [idle](crate::push::ExporterCounts::windows_idle).

mod builder;
mod discards;
mod envelope;
mod environment;
mod event;
mod exporter;
mod limiter;
mod origin;
mod rate_limits;
mod request;
mod selection;
mod sessions;
mod transaction;

pub use self::builder::SentryBuilder;
pub use self::exporter::Sentry;
