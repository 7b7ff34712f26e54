//! The figures once a second, as server-sent events.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use metrics_core::Window;
use metrics_export::json::LiveBody;
use serde::Serialize;

use super::answer::{Answer, Body, event};
use super::query::Query;
use super::request::{Coding, Request};
use super::tables;
use super::work::refusal;
use crate::background::lanes::{Refused, Scratch, Ticket};
use crate::background::live::{Full, Seat};
use crate::policy::tokens::Reset;
use crate::state::State;

/// The time between two events.
const EVERY: Duration = Duration::from_secs(1);

/// How long a connection stays open; the page then reconnects. A server that stops gracefully waits for open
/// connections, by default for 30 s, and nothing tells a response that its server is stopping.
pub(crate) const LIFETIME: Duration = Duration::from_secs(10);

/// Of an open page, every third event comes with its lists.
const LISTS_EVERY: u32 = 3;

/// When to come back if all connections are taken, in seconds.
const RETRY_AFTER: &str = "5";

/// The message to an address that has as many connections as one may have.
const BUSY_ADDRESS: &str = "too many connections to the events from one address; try again in 5 s. If a proxy adds the \
                            clients' addresses to X-Forwarded-For, set trust_forwarded(true)";

/// The first event of a connection.
#[derive(Debug, Serialize)]
struct Hello<'a> {
    service: &'a str,
    /// The names of the endpoints that exist.
    endpoints: &'a [&'static str],
    /// A link to a trace, with `{trace_id}` for its id.
    trace_url: Option<&'a str>,
    /// Who may reset: `open`, `token`, or `null` if nobody may.
    reset: Option<&'static str>,
}

/// `GET events`: the figures of a window once a second.
pub(crate) fn listen(state: &Arc<State>, request: &Request<'_>, endpoints: &[&'static str]) -> Answer {
    // Another site's page cannot read the figures, but it could take all connections.
    if let Some(refusal) = state.access.cross_site(request) {
        return refusal;
    }
    let asked = Query::parse(request.query)
        .and_then(|query| Ok((query.window_or(Window::FiveMinutes)?, query.page()?)));
    let (window, viewer) = match asked {
        Ok((window, false)) => (window, Viewer::Figures),
        Ok((window, true)) => (window, Viewer::Page { shows_private: state.access.shows_private(request) }),
        Err(message) => return Answer::bad_request(&message),
    };
    let busy = "too many connections to the events; try again in 5 s";
    if state.lanes.are_closed() {
        return refusal(Refused::Closed, busy);
    }
    let seat = match state.live.seat(state.access.source(request)) {
        Ok(seat) => seat,
        Err(full) => {
            let message = if full == Full::All { busy } else { BUSY_ADDRESS };
            return Answer::unavailable(message).header("retry-after", RETRY_AFTER);
        }
    };
    let reset = match state.access.reset {
        Reset::Absent => None,
        Reset::Open => Some("open"),
        Reset::WithToken(_) => Some("token"),
    };
    let (service, trace_url) = (&*state.service.name, state.service.trace_url.as_deref());
    let hello = event("hello", &Hello { service, endpoints, trace_url, reset }).into();
    let events = Events::new(state, window, viewer, seat, hello);
    Answer { status: 200, headers: Vec::new(), body: Body::Events(Box::pin(events)) }
        .header("content-type", "text/event-stream")
        .coded(Coding::Identity, request.headers)
        .volatile()
        // For nginx, which would hold events back until a buffer is full.
        .header("x-accel-buffering", "no")
}

fn figures(state: &State, window: Window) -> Bytes {
    let State { history, registry, resources, .. } = state;
    let cost = state.cost.now(registry, history, resources);
    let (summary, newest) = (history.summary(window), history.newest());
    event("", &LiveBody::new(window, &summary, newest.as_ref(), history.resets().pop(), cost)).into()
}

/// The figures of now, and whatever else an open page shows and is due: lists with every third event, beginning with
/// the first one, and trends with the first one, which means as often as the page reconnects.
fn page(state: &State, window: Window, sent: u32, shows_private: bool) -> Bytes {
    let mut events = state.live.event(window, || figures(state, window)).to_vec();
    if sent.is_multiple_of(LISTS_EVERY) {
        events.append(&mut tables::lists(state, window, shows_private));
    }
    if sent == 0 {
        events.append(&mut tables::trends(state, window));
    }
    events.into()
}

/// For whom events are.
#[derive(Debug, Clone, Copy)]
enum Viewer {
    /// A client that wants the figures alone.
    Figures,
    /// An open page, which shows more.
    Page {
        /// Whether it may see what other clients sent.
        shows_private: bool,
    },
}

/// The events of one connection.
///
/// The server requests the next event when it has written the last one, so no more than one waits for a slow client. Over
/// HTTP/2 that lasts until the client makes room or goes away, and nothing but the server can end it. So the seat is free
/// again when the server drops this, and not before: there are never more open streams than seats.
struct Events {
    state: Arc<State>,
    window: Window,
    viewer: Viewer,
    hello: Option<Bytes>,
    /// Events of figures that were sent.
    sent: u32,
    /// The event that is being waited for.
    next: Option<Ticket<Option<Bytes>>>,
    due: Instant,
    ends: Instant,
    /// Dropped after the place in the lane, which the next connection needs with the seat.
    _seat: Seat,
}

impl Events {
    fn new(state: &Arc<State>, window: Window, viewer: Viewer, seat: Seat, hello: Bytes) -> Self {
        let due = Instant::now();
        let (state, hello, ends) = (Arc::clone(state), Some(hello), due + LIFETIME);
        Self { state, window, viewer, hello, sent: 0, next: None, due, ends, _seat: seat }
    }

    /// Has the next event computed when it is due. The ticket is of `None` if the connection's time is over then; there
    /// is no ticket if the monitor is being shut down.
    fn request(&self) -> Option<Ticket<Option<Bytes>>> {
        let (state, window, ends) = (Arc::clone(&self.state), self.window, self.ends);
        let (viewer, sent) = (self.viewer, self.sent);
        let read = move |_: &mut Scratch| {
            let event = || match viewer {
                Viewer::Figures => state.live.event(window, || figures(&state, window)),
                Viewer::Page { shows_private } => page(&state, window, sent, shows_private),
            };
            (Instant::now() < ends).then(event)
        };
        self.state.lanes.events.run_at(self.due.min(ends), read).ok()
    }
}

impl Stream for Events {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        if let Some(hello) = this.hello.take() {
            return Poll::Ready(Some(hello));
        }
        if this.next.is_none() {
            if Instant::now() >= this.ends {
                return Poll::Ready(None);
            }
            this.next = this.request();
        }
        let Some(next) = &mut this.next else { return Poll::Ready(None) };
        let event = ready!(Pin::new(next).poll(cx));
        this.next = None;
        this.sent += 1;
        this.due = (this.due + EVERY).max(Instant::now());
        Poll::Ready(event.flatten())
    }
}
