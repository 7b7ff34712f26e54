//! What all endpoints answer with: JSON that nobody stores.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use metrics_export::json::{Failure, Success};
use serde::Serialize;

/// The body of a successful answer.
pub(crate) fn success(data: impl Serialize) -> Vec<u8> {
    json(&Success::new(data))
}

/// A failed answer. `code` is for programs and in snake case; `message` is for people, and says what is allowed.
pub(crate) fn failure(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    respond(status, json(&Failure::new(code, message)))
}

pub(crate) fn respond(status: StatusCode, json: Vec<u8>) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(json)
}

pub(crate) fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a body is numbers, texts and lists, which all can be written")
}
