//! The shapes of requests.

use std::net::{Ipv4Addr, SocketAddr};

use actix_http::{Payload, Request};
use actix_web::http::{Method, StatusCode, header};
use actix_web::test::TestRequest;
use fastrand::Rng;

/// The kind of a request's route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `/health`.
    Static,
    /// `/items/{id}`.
    Dynamic,
    /// `/api/v1/orders/{id}/lines/{line}`, in nested scopes.
    Nested,
    /// No route: the answer is 404.
    Unmatched,
    /// `POST /upload` with a body. Not among the compared ones.
    Upload,
    /// `/broken/{id}`: the answer is 500, of an error with a message. Not among the compared ones.
    Failing,
}

impl Shape {
    /// Those that arms are compared by.
    pub const ALL: [Self; 4] = [Self::Static, Self::Dynamic, Self::Nested, Self::Unmatched];

    /// Its name in tables, in JSON and in criterion.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::Nested => "nested",
            Self::Unmatched => "unmatched",
            Self::Upload => "with a body",
            Self::Failing => "failing",
        }
    }

    /// The status that the app answers with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Static | Self::Dynamic | Self::Nested | Self::Upload => StatusCode::OK,
            Self::Unmatched => StatusCode::NOT_FOUND,
            Self::Failing => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Makes a request as a local client would send it, with random ids.
    pub(crate) fn request(self, random: &mut Rng) -> Request {
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let request = TestRequest::with_uri(&self.path(random));
        let request = match self {
            Self::Upload => request.method(Method::POST).set_payload("an order"),
            _ => request,
        };
        let request = request
            .peer_addr(client)
            .insert_header((header::HOST, "127.0.0.1:8080"))
            .insert_header((header::USER_AGENT, "bench"))
            .insert_header((header::ACCEPT, "*/*"))
            .to_request();
        // A server gives a payload only to requests with a body.
        if self == Self::Upload { request } else { request.replace_payload(Payload::None).0 }
    }

    fn path(self, random: &mut Rng) -> String {
        let mut id = || random.u32(1..1_000_000);
        match self {
            Self::Static => "/health".to_owned(),
            Self::Dynamic => format!("/items/{}", id()),
            Self::Nested => format!("/api/v1/orders/{}/lines/{}", id(), id() % 50),
            Self::Unmatched => format!("/nowhere/{}", id()),
            Self::Upload => "/upload".to_owned(),
            Self::Failing => format!("/broken/{}", id()),
        }
    }
}
