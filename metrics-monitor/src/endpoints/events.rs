//! The figures once a second, as server-sent events.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::http::{StatusCode, header};
use actix_web::rt::time::sleep;
use actix_web::web::{self, Bytes};
use actix_web::{Error, HttpRequest, HttpResponse};
use futures_core::Stream;
use metrics_core::{ParseWindowError, Window};
use metrics_export::json::LiveBody;
use serde::{Deserialize, Serialize};

use crate::access;
use crate::answer;
use crate::background::Refused;
use crate::builder::Shared;

/// Connections that may be open at one time.
const MAX_LISTENERS: usize = 16;

/// The time from one event to the next, and the longest that a connection outlives the monitor's shutdown.
const EVERY: Duration = Duration::from_secs(1);

/// How long a connection stays open; the page then asks again. A server that stops in order waits for open connections, 30 s
/// long if it is not told otherwise, and nothing tells a response that its server is stopping.
const LIFETIME: Duration = Duration::from_secs(10);

/// After how many seconds somebody who found all connections taken may ask again.
const RETRY_AFTER: &str = "5";

/// What the connections have in common.
#[derive(Debug, Default)]
pub(crate) struct Live {
    listeners: AtomicUsize,
    /// The last event of each window, so that the figures are read about once a second, however many listen.
    last: Mutex<HashMap<Window, (Instant, Bytes)>>,
}

impl Live {
    /// The event of now. Reads the figures, unless that was done just now.
    fn event(&self, shared: &Shared, window: Window) -> Bytes {
        // What panicked while it was locked changed nothing.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, event)) = last.get(&window)
            && read.elapsed() < EVERY / 2
        {
            return event.clone();
        }
        let history = &shared.history;
        let (summary, newest) = (history.summary(window), history.newest());
        let last_reset = history.resets().pop();
        let body = LiveBody::new(window, &summary, newest.as_ref(), last_reset, shared.cost.now(shared));
        let event = event("", &body);
        last.insert(window, (Instant::now(), event.clone()));
        event
    }
}

/// A place among the connections; free again when dropped.
#[derive(Debug)]
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.live.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that counts towards the limit until it is dropped, but no longer than its lifetime: of a client that does not
/// read, the server asks for no more events, so nothing else would end it.
#[derive(Debug)]
struct Listener {
    shared: Arc<Shared>,
    place: Arc<Mutex<Option<Place>>>,
}

impl Listener {
    fn new(shared: &Arc<Shared>) -> Option<Self> {
        let others = shared.live.listeners.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(shared));
        if others >= MAX_LISTENERS {
            return None;
        }
        let place = Arc::new(Mutex::new(Some(place)));
        let held = Arc::clone(&place);
        tokio::spawn(async move {
            sleep(LIFETIME + EVERY).await;
            leave(&held);
        });
        Some(Self { shared: Arc::clone(shared), place })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        leave(&self.place);
    }
}

fn leave(place: &Mutex<Option<Place>>) {
    // Nothing can panic while it is locked.
    place.lock().unwrap_or_else(PoisonError::into_inner).take();
}

#[derive(Debug, Deserialize)]
struct Query {
    window: Option<String>,
}

/// The first event of a connection.
#[derive(Debug, Serialize)]
struct Hello<'a> {
    service: &'a str,
    /// The names of the endpoints that there are.
    endpoints: &'a [&'static str],
}

/// Answers `GET events`.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    endpoints: &[&'static str],
    request: &HttpRequest,
) -> HttpResponse {
    // Another site's page cannot read the figures, but it could take all connections.
    if access::is_cross_site(request) {
        return access::cross_site();
    }
    let window = match window(request) {
        Ok(window) => window,
        Err(why) => return answer::failure(StatusCode::BAD_REQUEST, "bad_request", &why),
    };
    let unavailable = |why: &str| answer::failure(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why);
    if shared.background.is_closed() {
        return unavailable("the server is shutting down");
    }
    let Some(listener) = Listener::new(shared) else {
        let mut busy = unavailable("too many are listening; try again");
        busy.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER));
        return busy;
    };
    let hello = event("hello", &Hello { service: &shared.service.name, endpoints });
    let now = Instant::now();
    let feed = Feed { listener, window, hello: Some(hello), due: now, ends: now + LIFETIME };
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // For nginx, which would hold events back until it has a buffer full of them.
        .insert_header(("x-accel-buffering", "no"))
        // So that who asks again asks a server that still listens.
        .force_close()
        .streaming(Events { next: Some(Box::pin(feed.next())) })
}

fn window(request: &HttpRequest) -> Result<Window, String> {
    let query = web::Query::<Query>::from_query(request.query_string());
    let query = query.map_err(|error| format!("{error}; allowed: window, once"))?.into_inner();
    match query.window {
        Some(window) => window.parse().map_err(|error: ParseWindowError| error.to_string()),
        None => Ok(Window::FiveMinutes),
    }
}

/// An event as it is sent: JSON has no line breaks, so it is one line of data.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = answer::json(data);
    let name = if name.is_empty() { String::new() } else { format!("event: {name}\n") };
    Bytes::from([name.as_bytes(), b"data: ", &data, b"\n\n"].concat())
}

/// What one connection is sent.
///
/// The server asks for the next event when it has written the last one, so no more than that one waits for a slow client.
#[derive(Debug)]
struct Feed {
    listener: Listener,
    window: Window,
    hello: Option<Bytes>,
    due: Instant,
    ends: Instant,
}

impl Feed {
    /// The next event, and the rest; `None` at the end.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if let Some(hello) = self.hello.take() {
            return Some((hello, self));
        }
        loop {
            sleep(self.due.saturating_duration_since(Instant::now())).await;
            let now = Instant::now();
            if now >= self.ends {
                return None;
            }
            self.due = (self.due + EVERY).max(now);
            let (shared, window) = (Arc::clone(&self.listener.shared), self.window);
            let running = match shared.background.begin() {
                Ok(running) => running,
                Err(Refused::Busy) => continue,
                Err(Refused::Closed) => return None,
            };
            let event = web::block(move || {
                let event = shared.live.event(&shared, window);
                drop(running);
                event
            });
            return Some((event.await.ok()?, self));
        }
    }
}

/// The events of one connection as a stream.
struct Events {
    /// `None` after the end.
    next: Option<Next>,
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Feed)>>>>;

impl Stream for Events {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let (event, rest) = ready!(next.as_mut().poll(cx)).unzip();
        self.next = rest.map(|feed: Feed| Box::pin(feed.next()) as Next);
        Poll::Ready(event.map(Ok))
    }
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
