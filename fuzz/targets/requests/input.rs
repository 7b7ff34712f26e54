//! What a run does, as it is made of the fuzzer's bytes: one request after the other, each with its handler's plan.

use std::cell::Cell;
use std::rc::Rc;

use arbitrary::{Arbitrary, Result, Unstructured};

/// Requests of one run at most. The error log holds more, so that it evicts nothing between two checks.
pub const MAX_STEPS: usize = 240;

#[derive(Debug, Arbitrary)]
pub struct Input {
    /// Which of the configurations.
    pub config: u8,
    /// Whether the service starts anew; else it is the one of the last run with this configuration.
    #[arbitrary(with = one_in_64)]
    pub restarts: bool,
    #[arbitrary(with = steps)]
    pub steps: Vec<Step>,
}

/// A request, and what happens after it.
#[derive(Debug, Arbitrary)]
pub struct Step {
    pub request: Request,
    #[arbitrary(with = rarely)]
    pub then: Option<Then>,
}

#[derive(Debug, Arbitrary)]
pub enum Then {
    /// All figures are compared.
    Check,
    Reset,
    /// A request or a body that waits goes on to its end.
    Resume(u8),
    /// The client of a request or a body that waits goes away.
    Leave(u8),
}

#[derive(Debug, Arbitrary)]
pub struct Request {
    pub target: Target,
    #[arbitrary(with = method)]
    pub method: &'static str,
    pub key: u8,
    /// Has the header that guards demand.
    pub guard: bool,
    pub body: Sent,
    /// Has a `content-length`.
    pub has_length: bool,
    pub plan: Rc<Plan>,
    /// After how many polls the client stops, if there is no response yet.
    #[arbitrary(with = seldom)]
    pub cut: Option<Cut>,
    /// After how many pieces of the body the client stops.
    #[arbitrary(with = seldom)]
    pub body_cut: Option<Cut>,
    /// The whole body is taken at once, or a response that is made of an error is never made.
    #[arbitrary(with = seldom)]
    pub at_once: Option<()>,
}

#[derive(Debug)]
pub enum Target {
    /// One of the places of the application.
    Place(u8),
    /// One of the monitor's endpoints.
    Own(Own),
}

impl<'a> Arbitrary<'a> for Target {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(if u.arbitrary::<u8>()? % 16 == 15 {
            Self::Own(u.arbitrary()?)
        } else {
            Self::Place(u.arbitrary()?)
        })
    }
}

/// A call of one of the monitor's endpoints. Each number is the position in a table.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Own {
    pub endpoint: u8,
    /// A caller that may call it, whatever the other fields say of the caller.
    pub is_right: bool,
    pub has_slash: bool,
    pub query: u8,
    pub host: u8,
    pub authorization: u8,
    pub peer: u8,
    pub forwarded: u8,
    pub origin: u8,
    pub site: u8,
    pub accept: u8,
    pub gzip: bool,
    pub is_http_1_0: bool,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub struct Cut {
    after: u8,
    /// The client waits, and goes on or away later; else it goes away now.
    pub waits: bool,
}

impl Cut {
    pub fn after(self) -> u8 {
        self.after % 4
    }
}

/// The body of a request.
#[derive(Debug, Arbitrary)]
pub enum Sent {
    None,
    /// As over HTTP/1, where only requests with a body have a payload.
    Whole(u8),
    /// As over HTTP/2, where each request has a payload.
    Pieces {
        sizes: [u8; 2],
        fails: bool,
    },
    Long,
}

/// What the application does with a request.
#[derive(Debug, Arbitrary)]
pub struct Plan {
    /// Of the middleware around the app, and of the one around a scope.
    pub layers: [Layer; 2],
    pub handler: Handler,
    #[arbitrary(default)]
    pub seen: Seen,
}

#[derive(Debug, Arbitrary)]
pub struct Layer {
    /// How often it is pending before it goes on.
    #[arbitrary(with = few)]
    pub yields: u8,
    #[arbitrary(with = seldom)]
    pub act: Option<Act>,
}

#[derive(Debug, Arbitrary)]
pub enum Act {
    /// Answers without the code inside.
    Answer(Reply),
    Fail(Failure),
    /// Calls the code inside, and fails when that has answered.
    FailAfterwards(Failure),
    Panic,
    /// In its synchronous part.
    PanicAtOnce,
}

#[derive(Debug, Arbitrary)]
pub struct Handler {
    #[arbitrary(with = few)]
    pub yields: u8,
    /// Pieces of the request's body that it reads before it answers.
    #[arbitrary(with = few)]
    pub reads: u8,
    #[arbitrary(with = seldom)]
    pub act: Option<Unusual>,
    pub reply: Reply,
}

#[derive(Debug, Arbitrary)]
pub enum Unusual {
    Fail(Failure),
    Panic,
}

#[derive(Debug, Arbitrary)]
pub struct Reply {
    pub status: u8,
    pub body: Body,
    #[arbitrary(with = one_in_64)]
    pub is_event_stream: bool,
}

#[derive(Debug, Arbitrary)]
pub enum Body {
    Empty,
    Whole(u8),
    /// In pieces, with the length that the head announces, if any.
    Pieces {
        sizes: [u8; 2],
        announced: Option<u8>,
        end: End,
    },
    /// What is left of the request's body.
    Echo,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum End {
    Ends,
    Fails,
    Panics,
}

/// An error, with a message from a table.
#[derive(Debug, Arbitrary)]
pub enum Failure {
    Plain {
        status: u8,
        message: u8,
    },
    /// Made of a response.
    Made {
        reply: Reply,
        message: u8,
    },
    /// Its response has another status than it says itself.
    Differs {
        message: u8,
    },
    /// A middleware changes the status of its response.
    Mapped {
        status: u8,
        message: u8,
    },
}

/// What the application's code notes when a request gets there.
#[derive(Debug, Default)]
pub struct Seen {
    /// The code inside the app's middleware was called.
    pub inside: Cell<bool>,
    /// The request got to the middleware of the scope.
    pub in_scope: Cell<bool>,
    /// It got to the handler.
    pub handled: Cell<bool>,
    /// A middleware answered it.
    pub early: Cell<bool>,
    /// Bytes that were read of its body.
    pub read: Cell<u64>,
}

fn steps(u: &mut Unstructured<'_>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    while steps.len() < MAX_STEPS && !u.is_empty() {
        steps.push(u.arbitrary()?);
    }
    Ok(steps)
}

fn one_in_64(u: &mut Unstructured<'_>) -> Result<bool> {
    Ok(u.arbitrary::<u8>()? % 64 == 63)
}

fn seldom<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<Option<T>> {
    if u.arbitrary::<u8>()? % 8 == 7 { u.arbitrary().map(Some) } else { Ok(None) }
}

fn rarely<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<Option<T>> {
    if u.arbitrary::<u8>()? % 16 == 15 { u.arbitrary().map(Some) } else { Ok(None) }
}

fn few(u: &mut Unstructured<'_>) -> Result<u8> {
    Ok(u.arbitrary::<u8>()?.saturating_sub(192) / 22)
}

fn method(u: &mut Unstructured<'_>) -> Result<&'static str> {
    const METHODS: [&str; 14] = [
        "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE", "QUERY",
        "BREW", "get", "PROPFIND",
    ];
    u.choose(&METHODS).copied()
}
