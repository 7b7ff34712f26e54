//! What the service answers: one route for each outcome.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::rt::time::sleep;
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, error};
use futures_util::stream;

use crate::heap;
use crate::witness::{Mark, Witness};

/// The message of the panics that are asked for.
pub(crate) const PANIC: &str = "a panic that a client asked for";

/// Where the witness answers. No figure counts it.
pub(crate) const ARRIVED: &str = "/arrived/{lane}";

/// Where the process says how many bytes it has allocated. No figure counts it.
pub(crate) const ALLOCATED: &str = "/allocated";

/// The pieces of a streamed body, and the pause between two of them.
const PIECES: u32 = 20;
const PIECE_EVERY: Duration = Duration::from_millis(5);

/// How long slow answers take.
const SLOW: Duration = Duration::from_millis(30);

/// Longer than any client waits.
const FOREVER: Duration = Duration::from_secs(60);

pub(crate) fn mount(config: &mut ServiceConfig) {
    config
        .route("/items/{id}", web::get().to(|| async { "a chair" }))
        .route("/orders", web::post().to(|body: Bytes| async move { created(&body) }))
        .route(
            "/old",
            web::get().to(|| async { HttpResponse::Found().insert_header((LOCATION, "/")).finish() }),
        )
        .route("/missing/{id}", web::get().to(missing))
        .route("/refused", web::delete().to(|| async { HttpResponse::Conflict().body("already on its way") }))
        .route("/locked", web::get().to(|| async { HttpResponse::Unauthorized().body("no key") }))
        .route("/fails", web::get().to(fails))
        .route("/busy", web::get().to(|| async { HttpResponse::ServiceUnavailable().body("later") }))
        .route("/panics", web::get().to(panics))
        .route("/slow", web::get().to(slow))
        .route("/late", web::get().to(late))
        .route("/waits", web::post().to(waits))
        .route("/streams", web::get().to(streams))
        .route("/big", web::get().to(|| async { vec![b'x'; 100_000] }))
        .route(ARRIVED, web::get().to(arrived))
        .route(ALLOCATED, web::get().to(|| async { heap::allocated().to_string() }));
}

fn created(body: &[u8]) -> HttpResponse {
    HttpResponse::Created().body(format!("ordered with {} bytes", body.len()))
}

async fn missing(id: web::Path<u32>) -> actix_web::Result<&'static str> {
    Err(error::ErrorNotFound(format!("there is no item {id}")))
}

async fn fails() -> actix_web::Result<&'static str> {
    Err(error::ErrorInternalServerError("the database did not answer"))
}

async fn panics() -> &'static str {
    if true {
        panic!("{PANIC}");
    }
    ""
}

async fn slow() -> &'static str {
    sleep(SLOW).await;
    "a report"
}

async fn waits() -> &'static str {
    sleep(FOREVER).await;
    "nobody waits this long"
}

/// Works first. The body tells whether it was taken at all, which it is not once its stream of HTTP/2 is given up.
async fn late(request: HttpRequest, witness: Data<Witness>) -> HttpResponse {
    sleep(SLOW).await;
    streams(request, witness).await
}

async fn streams(request: HttpRequest, witness: Data<Witness>) -> HttpResponse {
    let watched = Mark::of(request.query_string()).map(|mark| Arc::clone(&witness).stream(mark));
    let pieces = stream::unfold((0, watched), |(piece, mut watched)| async move {
        if piece == PIECES {
            if let Some(watched) = &mut watched {
                watched.whole = true;
            }
            return None;
        }
        sleep(PIECE_EVERY).await;
        let line = Bytes::from(format!("piece {piece}\n"));
        Some((Ok::<_, actix_web::Error>(line), (piece + 1, watched)))
    });
    HttpResponse::Ok().streaming(Box::pin(pieces))
}

async fn arrived(lane: web::Path<u32>, witness: Data<Witness>) -> HttpResponse {
    HttpResponse::Ok().json(witness.last(*lane))
}
