//! Errors and the health of releases, to Sentry.
//!
//! | what | envelope item | what it is |
//! |---|---|---|
//! | events | `event` | one for each 5xx and panic that the error log still has, up to some a minute of each kind |
//! | sessions | `sessions` | requests by minute: `exited`, `errored` (5xx) and `crashed` (panics); needs a release |
//! | transactions | `transaction` | one for each request of the sampled share, if one is set |
//! | what was left out | `client_report` | events that were over a limit, of ours or of Sentry's, as a count |
//!
//! **Not by Sentry's client.** Its protocol comes from `sentry-types`, which that client is built on; what posts is the
//! [engine](crate::push) that all destinations share. The client's transport says nothing of what became of an envelope, so
//! that nothing could be tried again or counted. And it need not be shared with anybody: no hub, no scope and no panic hook
//! of the process is touched, and an application's own set-up of `sentry` stays as it is. Where that reports errors already
//! (`sentry-actix`, `sentry-panic`), each would be there twice: [`max_events(0)`](SentryBuilder::max_events) leaves them out here;
//! and [`sessions(false)`](SentryBuilder::sessions) the sessions, where it tracks them.
//!
//! **Events.** Made of the error log by the thread that sends, so they cost a request nothing. An event has the method, the
//! route, the status, the duration and the message of an error, and nothing else of its request: no path, query, header,
//! cookie or body, as the log holds none; of a 4xx no message either, which can quote them. Its fingerprint is the route, the status and the message's template, in which
//! numbers, hexadecimal numbers and UUIDs are placeholders. Beyond some a minute of a fingerprint events are left out; the
//! next one says how many.
//!
//! **Sessions.** Each request is one, as with Sentry's own clients in a server. The three numbers are exact, and all requests
//! are in them. A window is in the minute in which it began.
//!
//! **Transactions.** Requests that were drawn by lot, with their place in the trace of their caller and without spans within.
//!
//! **Limits.** `X-Sentry-Rate-Limits` and `Retry-After` are honoured by category: what they forbid is left out, as Sentry asks
//! for, and counted. What failed otherwise is sent again, events under the same id, which Sentry takes once. Sessions have no
//! id, and an envelope's is that of its event: those whose answer got lost count twice, so they are sent only if there is time
//! for an answer.
//!
//! **Envelopes.** One for each item: Sentry takes one event or transaction in each, and
//! [asks](https://develop.sentry.dev/sdk/foundations/envelopes/envelope-items/#envelope-item-constraints) for no sessions
//! beside them. They share a connection, and are compressed from a kilobyte on. A window in which there is nothing to send is
//! [idle](crate::push::ExporterCounts::windows_idle).

mod builder;
mod discards;
mod environment;
mod event;
mod exporter;
mod limiter;
mod origin;
mod rate_limits;
mod request;
mod sessions;
mod template;
mod transaction;

pub use self::builder::SentryBuilder;
pub use self::exporter::Sentry;
