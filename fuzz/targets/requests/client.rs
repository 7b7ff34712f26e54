//! The client, and the server around the application: sends requests, goes away, reads bodies or drops them, and tells
//! the model what it saw.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use actix_http::h1;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpResponse};
use futures_util::stream;
use metrics_actix::Metrics;
use metrics_core::{ErrorCursor, Outcome};

use crate::config::{Callers, Config, GUARD, Mount};
use crate::input::{self, Cut, Own, Request, Step, Target, Then};
use crate::model::{Answered, Model, Sent, View};
use crate::places::{PLACES, Place};
use crate::service::{self, Call, Calls, Response};

/// Requests and bodies that wait at most. Fewer than the connections to the events that one address may have.
const MAX_WAITING: usize = 3;

/// Pieces of the events that are read: the later ones take a second each.
const EVENTS: u8 = 2;

const KEYS: [Option<&[u8]>; 12] = [
    None,
    None,
    Some(b""),
    Some(b"ann-1"),
    Some(b"ann-2"),
    Some(b"one"),
    Some(b"two"),
    Some(b"three"),
    Some(b"four"),
    Some(b"name-\xe2\x80\xaeone"),
    Some(b"\xff\xfe"),
    Some(b"boom"),
];

/// A client of a service, with the model.
pub struct Client {
    config: Config,
    pub metrics: Metrics,
    calls: Calls,
    pub model: Model,
    pub errors: ErrorCursor,
    /// Errors of each priority that were counted and not logged.
    pub thinned: [u64; 4],
    waiting: Vec<Waiting>,
}

/// What a client waits for.
enum Waiting {
    Call { call: Call, sent: Sent, request: Request },
    Body { body: Body, answered: Answered },
}

/// A body as the server reads it.
struct Body {
    pieces: Pin<Box<dyn MessageBody<Error = Box<dyn StdError>>>>,
    is_events: bool,
}

impl Client {
    pub async fn start(config: Config) -> Self {
        let metrics = config.build();
        let calls = service::start(&config, &metrics).await;
        let (model, errors) = (Model::new(config), ErrorCursor::default());
        Self { config, metrics, calls, model, errors, thinned: [0; 4], waiting: Vec::new() }
    }

    pub async fn run(&mut self, steps: Vec<Step>) {
        for Step { request, then } in steps {
            self.request(request).await;
            while self.waiting.len() > MAX_WAITING {
                self.resume(0).await;
            }
            match then {
                Some(Then::Check) => self.check(),
                Some(Then::Reset) => self.reset(),
                Some(Then::Resume(number)) => self.resume(number).await,
                Some(Then::Leave(number)) => self.leave(number),
                None => {}
            }
        }
        while !self.waiting.is_empty() {
            self.leave(0);
        }
        self.check();
        self.reset();
    }

    async fn request(&mut self, mut request: Request) {
        crate::count_request();
        let (uri, place, own) = match request.target {
            Target::Place(number) => {
                let place = PLACES[usize::from(number) % PLACES.len()];
                (place.path.to_owned(), place, None)
            }
            Target::Own(mut own) => {
                if own.is_right {
                    (own, request.method) = (own.right(), own.method());
                }
                let place = Place::unmatched(own.endpoint());
                (own.uri(&self.config), place, Some(own))
            }
        };
        if own.is_some_and(|own| own.endpoint() == "/reset") {
            // Whether one that is cut off resets is a matter of time; what it answers is compared.
            (request.cut, request.body_cut, request.at_once) = (None, None, None);
        }
        let method = Method::from_bytes(request.method.as_bytes()).expect("it is a method");
        let mut sending = TestRequest::with_uri(&uri).method(method);
        if let Some(own) = own {
            sending = own.headers(sending);
        }
        let key = KEYS[usize::from(request.key) % KEYS.len()];
        if let Some(key) = key {
            sending = sending.insert_header(("x-api-key", key));
        }
        if request.guard {
            sending = sending.insert_header((GUARD, "yes"));
        }
        let (payload, length) = payload(&request.body);
        if request.has_length {
            sending = sending.insert_header((header::CONTENT_LENGTH, length));
        }
        let is_h1 = matches!(payload, Payload::H1 { .. });
        let may_have_body = !["GET", "HEAD"].contains(&request.method) || request.has_length;
        let has_body = length > 0 && (is_h1 || may_have_body);
        let (sending, _) = sending.to_request().replace_payload(payload);
        sending.extensions_mut().insert(Rc::clone(&request.plan));

        let sent = Sent {
            method: request.method,
            place,
            is_own: own.is_some(),
            // Nothing tells a mount at the root from other paths.
            looks_own: own.is_some() && (self.config.mount != Mount::Root || uri.starts_with("/scrapes")),
            has_guard: request.guard,
            key,
            has_body,
            plan: Rc::clone(&request.plan),
            marked: None,
            is_left_out: false,
        };
        self.model.begin();
        match catch_unwind(AssertUnwindSafe(|| (self.calls)(sending))) {
            Ok(call) => self.go_on(call, sent, request, own).await,
            Err(_) => self.model.unanswered(sent, Outcome::Panicked),
        }
    }

    /// Polls a call until it ends, or until its client stops.
    async fn go_on(&mut self, mut call: Call, mut sent: Sent, mut request: Request, own: Option<Own>) {
        let cut = request.cut.take();
        let mut polls = 0;
        let polled = std::future::poll_fn(|cx| {
            if cut.is_some_and(|cut| polls >= cut.after()) {
                return Poll::Ready(Ok(None));
            }
            polls += 1;
            match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
                Ok(Poll::Pending) if cut.is_some() => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Ok(polled) => polled.map(|result| Ok(Some(result))),
                Err(_) => Poll::Ready(Err(())),
            }
        });
        match polled.await {
            Err(()) => {
                drop(call);
                self.model.unanswered(sent, Outcome::Panicked);
            }
            Ok(None) if cut.is_some_and(|cut| cut.waits) => {
                self.model.polled(&mut sent);
                self.waiting.push(Waiting::Call { call, sent, request });
            }
            Ok(None) => {
                drop(call);
                self.model.unanswered(sent, Outcome::Aborted);
            }
            Ok(Some(Ok(response))) => {
                drop(call);
                self.answered(response, sent, request, own).await;
            }
            Ok(Some(Err(error))) => {
                drop(call);
                self.failed(error, sent, request, own).await;
            }
        }
    }

    async fn answered(&mut self, response: Response, sent: Sent, request: Request, own: Option<Own>) {
        let error = response.response().error().map(|error| self.message(error));
        let view = view(response.response(), error.unwrap_or_default());
        let own = own.filter(|_| !sent.plan.seen.early.get());
        let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        // Not one that a middleware answered.
        let is_events = sent.is_own && !sent.plan.seen.early.get() && view.is_event_stream;
        let mut answered = self.model.answered(sent, &view);
        let response = response.into_parts().1;
        if let Some(own) = own {
            let expected = own.expected(&self.config, request.method, &request.body);
            assert!(
                expected.contains(&view.status),
                "{own:?} of {:?}: {}, not {expected:?}",
                self.config,
                view.status
            );
        }
        let body = if request.at_once.is_some() && !is_events {
            match response.into_body().try_into_bytes() {
                Ok(bytes) => {
                    self.model.passed(&mut answered, bytes.len());
                    return self.model.ended(answered, true);
                }
                Err(body) => Body { pieces: Box::pin(body), is_events },
            }
        } else {
            Body { pieces: Box::pin(response.into_body()), is_events }
        };
        let is_whole = request.body_cut.is_none();
        let read = self.read(body, answered, request.body_cut).await;
        if let Some(own) = own
            && is_whole
            && !is_events
            && request.method != "HEAD"
        {
            let content_type =
                content_type.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            self.check_answer(own, view.status, content_type, &read);
        }
    }

    /// A middleware failed. The server makes a response of the error.
    async fn failed(&mut self, error: Error, sent: Sent, request: Request, own: Option<Own>) {
        if let Some(own) = own
            && own.endpoint() == "/reset"
            && sent.plan.seen.inside.get()
            && own.expected(&self.config, request.method, &request.body) == [200, 200]
        {
            // The endpoint has answered, but the middleware failed afterwards.
            self.model.reset();
        }
        let message = self.message(&error);
        if request.at_once.is_some() {
            let status = error.as_response_error().status_code().as_u16();
            drop(error);
            let size = BodySize::None;
            let answered = self.model.failed(sent, &View { status, size, is_event_stream: false, message });
            return self.model.ended(answered, true);
        }
        let response = error.error_response();
        drop(error);
        let answered = self.model.failed(sent, &view(&response, message));
        let body = Body { pieces: Box::pin(response.into_body()), is_events: false };
        self.read(body, answered, request.body_cut).await;
    }

    /// What the error log is to say of an error.
    fn message(&self, error: &Error) -> String {
        let hooked = if self.config.callers == Callers::Hook { "hooked: " } else { "" };
        format!("{hooked}{error}")
    }

    /// Reads a body to its end, or until its client stops.
    async fn read(&mut self, mut body: Body, mut answered: Answered, mut cut: Option<Cut>) -> Vec<u8> {
        let (mut read, mut pieces) = (Vec::new(), 0);
        loop {
            if let Some(cut) = cut.take_if(|cut| pieces >= cut.after()) {
                if cut.waits {
                    self.waiting.push(Waiting::Body { body, answered });
                } else {
                    drop(body);
                    self.model.ended(answered, false);
                }
                return read;
            }
            if body.is_events && pieces >= EVENTS {
                break;
            }
            let next = std::future::poll_fn(|cx| {
                match catch_unwind(AssertUnwindSafe(|| body.pieces.as_mut().poll_next(cx))) {
                    Ok(next) => next.map(|next| next.map(|next| next.map_err(drop))),
                    Err(_) => Poll::Ready(Some(Err(()))),
                }
            });
            match next.await {
                Some(Ok(piece)) => {
                    self.model.passed(&mut answered, piece.len());
                    read.extend_from_slice(&piece);
                    pieces += 1;
                }
                Some(Err(())) => break,
                None => {
                    drop(body);
                    self.model.ended(answered, true);
                    return read;
                }
            }
        }
        drop(body);
        self.model.ended(answered, false);
        read
    }

    /// One of those that wait goes on.
    async fn resume(&mut self, number: u8) {
        match self.take_waiting(number) {
            Some(Waiting::Call { call, sent, request }) => self.go_on(call, sent, request, None).await,
            // Its next event may be a second away.
            Some(Waiting::Body { body, answered }) if body.is_events => {
                drop(body);
                self.model.ended(answered, false);
            }
            Some(Waiting::Body { body, answered }) => drop(self.read(body, answered, None).await),
            None => {}
        }
    }

    /// The client of one of those that wait goes away.
    fn leave(&mut self, number: u8) {
        match self.take_waiting(number) {
            Some(Waiting::Call { call, sent, .. }) => {
                drop(call);
                self.model.unanswered(sent, Outcome::Aborted);
            }
            Some(Waiting::Body { body, answered }) => {
                drop(body);
                self.model.ended(answered, false);
            }
            None => {}
        }
    }

    fn take_waiting(&mut self, number: u8) -> Option<Waiting> {
        let len = self.waiting.len();
        (len > 0).then(|| self.waiting.remove(usize::from(number) % len))
    }
}

fn view<B: MessageBody>(response: &HttpResponse<B>, message: String) -> View {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_event_stream =
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    View { status: response.status().as_u16(), size: response.body().size(), is_event_stream, message }
}

/// A request's body, and its length.
fn payload(body: &input::Sent) -> (Payload, usize) {
    let whole = |size| {
        let (mut sender, payload) = h1::Payload::create(false);
        sender.feed_data(vec![b'x'; size].into());
        sender.feed_eof();
        (Payload::from(payload), size)
    };
    match body {
        input::Sent::None => (Payload::None, 0),
        input::Sent::Whole(size) => whole(usize::from(*size)),
        input::Sent::Long => whole(2_000),
        input::Sent::Pieces { sizes, fails } => {
            let pieces = sizes.map(|size| Ok(Bytes::from(vec![b'x'; usize::from(size)])));
            let error = fails.then_some(Err(PayloadError::Incomplete(None)));
            let payload = Box::pin(stream::iter(pieces.into_iter().chain(error)));
            (Payload::Stream { payload }, sizes.iter().map(|size| usize::from(*size)).sum())
        }
    }
}
