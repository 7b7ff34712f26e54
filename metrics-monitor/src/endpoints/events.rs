//! The figures once a second, as server-sent events.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use metrics_core::Window;
use metrics_export::json::LiveBody;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::access;
use super::answer::{Answer, Body, json};
use super::query::Query;
use super::request::Request;
use super::work::refusal;
use crate::background::lanes::{Refused, Scratch, Ticket};
use crate::state::State;

/// The time between two events.
const EVERY: Duration = Duration::from_secs(1);

/// How long a connection stays open; the page then reconnects. A server that stops gracefully waits for open
/// connections, by default for 30 s, and nothing tells a response that its server is stopping.
const LIFETIME: Duration = Duration::from_secs(10);

/// When to come back if all connections are taken, in seconds.
const RETRY_AFTER: &str = "5";

/// The first event of a connection.
#[derive(Debug, Serialize)]
struct Hello<'a> {
    service: &'a str,
    /// The names of the endpoints that exist.
    endpoints: &'a [&'static str],
}

/// `GET events`: the figures of a window once a second.
pub(crate) fn listen(state: &Arc<State>, request: &Request<'_>, endpoints: &[&'static str]) -> Answer {
    // Another site's page cannot read the figures, but it could take all connections.
    if access::is_cross_site(request.headers) {
        return access::cross_site();
    }
    let window = match Query::parse(request.query).and_then(|query| query.window_or(Window::FiveMinutes)) {
        Ok(window) => window,
        Err(message) => return Answer::bad_request(&message),
    };
    let busy = "too many connections to the events; try again in 5 s";
    if state.lanes.are_closed() {
        return refusal(Refused::Closed, busy);
    }
    let Some(seat) = state.live.seat() else {
        return Answer::unavailable(busy).header("retry-after", RETRY_AFTER);
    };
    let hello = event("hello", &Hello { service: &state.service.name, endpoints });
    let events = match Events::new(state, window, seat, hello) {
        Ok(events) => events,
        Err(refused) => return refusal(refused, busy),
    };
    Answer { status: 200, headers: Vec::new(), body: Body::Events(Box::pin(events)) }
        .header("content-type", "text/event-stream")
        .volatile()
        // For nginx, which would hold events back until a buffer is full.
        .header("x-accel-buffering", "no")
}

/// An event as it is sent: JSON has no line breaks, so it is one line of data.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = json(data);
    let name = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
    Bytes::from([name.as_bytes(), b"data: ", &data, b"\n\n"].concat())
}

fn figures(state: &State, window: Window) -> Bytes {
    let State { history, registry, resources, .. } = state;
    let cost = state.cost.now(registry, history, resources);
    let (summary, newest) = (history.summary(window), history.newest());
    event("", &LiveBody::new(window, &summary, newest.as_ref(), history.resets().pop(), cost))
}

/// The seat of a connection, free again when it is taken out. It is shared with a job that frees it when the
/// connection's time is over: from a client that does not read, the server requests no more events, so nothing else
/// would end it.
type Seat = Arc<Mutex<Option<OwnedSemaphorePermit>>>;

/// The events of one connection.
///
/// The server requests the next event when it has written the last one, so no more than one waits for a slow client.
struct Events {
    state: Arc<State>,
    window: Window,
    hello: Option<Bytes>,
    /// The event that is being waited for.
    next: Option<Ticket<Option<Bytes>>>,
    due: Instant,
    ends: Instant,
    seat: Seat,
    /// The job that frees the seat.
    frees_seat: Option<Ticket<()>>,
}

impl Events {
    /// Each seat has two places in the lane, so this is refused only if the monitor is being shut down, or if the
    /// system has no thread to spare.
    fn new(
        state: &Arc<State>,
        window: Window,
        seat: OwnedSemaphorePermit,
        hello: Bytes,
    ) -> Result<Self, Refused> {
        let (due, seat) = (Instant::now(), Arc::new(Mutex::new(Some(seat))));
        let ends = due + LIFETIME;
        let held = Arc::clone(&seat);
        let frees_seat = Some(state.lanes.events.run_at(ends + EVERY, move |_| free(&held))?);
        let state = Arc::clone(state);
        Ok(Self { state, window, hello: Some(hello), next: None, due, ends, seat, frees_seat })
    }

    /// Has the next event computed when it is due. The ticket is of `None` if the connection's time is over then; there
    /// is no ticket if the monitor is being shut down.
    fn request(&self) -> Option<Ticket<Option<Bytes>>> {
        let (state, window, ends) = (Arc::clone(&self.state), self.window, self.ends);
        let read = move |_: &mut Scratch| {
            (Instant::now() < ends).then(|| state.live.event(window, || figures(&state, window)))
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
            // Not in the lane any more: the seat may be free already, and with it the places there.
            if Instant::now() >= this.ends {
                return Poll::Ready(None);
            }
            this.next = this.request();
        }
        let Some(next) = &mut this.next else { return Poll::Ready(None) };
        let event = ready!(Pin::new(next).poll(cx));
        this.next = None;
        this.due = (this.due + EVERY).max(Instant::now());
        Poll::Ready(event.flatten())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The places in the lane first: the next connection needs them with the seat.
        (self.next, self.frees_seat) = (None, None);
        free(&self.seat);
    }
}

fn free(seat: &Mutex<Option<OwnedSemaphorePermit>>) {
    // Nothing panics while it is locked.
    seat.lock().unwrap_or_else(PoisonError::into_inner).take();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data_whatever_is_in_it() {
        assert_eq!(event("", &"a\nb\r\n\ndata: c"), "data: \"a\\nb\\r\\n\\ndata: c\"\n\n");
        assert_eq!(event("hello", &1), "event: hello\ndata: 1\n\n");
    }
}
