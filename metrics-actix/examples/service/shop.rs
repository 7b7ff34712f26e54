//! The routes of the demo: what a small shop might have.

use std::time::Duration;

use actix_web::rt::time::sleep;
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Responder, delete, error, get, post};
use futures_util::stream;

use crate::business::Business;
use crate::incident::Incident;

/// The header with the API key.
pub(crate) const API_KEY: &str = "x-api-key";

/// The customer with this key. Unknown keys are shown by their hash.
pub(crate) fn customer(key: &str) -> Option<String> {
    match key {
        "demo-key-of-ann" => Some("Ann".to_owned()),
        "demo-key-of-bob" => Some("Bob".to_owned()),
        _ => None,
    }
}

/// Mounts the shop.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(home)
        .service(item)
        .service(search)
        .service(flaky)
        .service(report)
        .service(export)
        .service(events)
        .service(
            web::scope("/api/v1").service(
                web::scope("/orders")
                    .service(place_order)
                    .service(order)
                    .service(order_line)
                    .service(cancel_order),
            ),
        );
}

/// Answers requests that matched no route.
pub(crate) async fn nothing_here() -> HttpResponse {
    HttpResponse::NotFound().body("nothing here\n")
}

#[get("/")]
async fn home() -> impl Responder {
    "A demo shop. Its dashboard is at /api/metrics/.\n"
}

#[get("/items/{id}")]
async fn item(id: web::Path<u32>, business: web::Data<Business>) -> actix_web::Result<String> {
    let id = id.into_inner();
    // As if the most popular items were cached.
    if dice(10) < 8 {
        business.cache.hit();
    } else {
        business.cache.miss();
        business.db.time_async(sleep(Duration::from_millis(1 + u64::from(dice(4))))).await;
    }
    match id {
        id @ 1..=1_000 => Ok(format!("item {id}\n")),
        id => Err(error::ErrorNotFound(format!("there is no item {id}; choose 1 to 1000"))),
    }
}

#[get("/search")]
async fn search(business: web::Data<Business>) -> impl Responder {
    business.db.time_async(sleep(Duration::from_millis(5 + u64::from(dice(20))))).await;
    "found some items\n"
}

/// Fails about one time in ten.
#[get("/flaky")]
async fn flaky() -> actix_web::Result<&'static str> {
    match dice(10) {
        0 => Err(error::ErrorInternalServerError("the stock database did not answer")),
        _ => Ok("in stock\n"),
    }
}

/// Takes 200 to 400 ms.
#[get("/report")]
async fn report(business: web::Data<Business>) -> impl Responder {
    business.analysis_requests.increment();
    sleep(Duration::from_millis(200 + u64::from(dice(200)))).await;
    "a long report\n"
}

/// Streams 20 lines, one every 10 ms.
#[get("/export")]
async fn export() -> HttpResponse {
    let lines = stream::unfold(0, |line| async move {
        if line == 20 {
            return None;
        }
        sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, actix_web::Error>(Bytes::from(format!("line {line}\n"))), line + 1))
    });
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").streaming(Box::pin(lines))
}

/// Server-sent events, one a second, until the client leaves.
#[get("/events")]
async fn events() -> HttpResponse {
    let events = stream::unfold(0_u64, |sale| async move {
        sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, actix_web::Error>(Bytes::from(format!("data: sale {sale}\n\n"))), sale + 1))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(Box::pin(events))
}

/// Needs a key; any will do.
#[post("")]
async fn place_order(request: HttpRequest, business: web::Data<Business>) -> HttpResponse {
    let Some(key) = request.headers().get(API_KEY) else {
        return HttpResponse::Unauthorized().body("orders need an API key\n");
    };
    business.daily_active_users.insert(key);
    business.external.time_async(sleep(Duration::from_millis(u64::from(dice(8))))).await;
    business.open_orders.add(1.0);
    HttpResponse::Created().body("ordered\n")
}

#[get("/{order_id}")]
async fn order(
    request: HttpRequest,
    order_id: web::Path<u64>,
    incident: web::Data<Incident>,
) -> actix_web::Result<String> {
    let key = request.headers().get(API_KEY).and_then(|key| key.to_str().ok());
    incident.strike(key.and_then(customer).as_deref(), *order_id).await?;
    Ok(format!("order {order_id}\n"))
}

#[get(r"/{order_id}/lines/{line:\d+}")]
async fn order_line(path: web::Path<(u64, u32)>) -> String {
    format!("order {}, line {}\n", path.0, path.1)
}

#[delete("/{order_id}")]
async fn cancel_order() -> HttpResponse {
    HttpResponse::Conflict().body("already on its way\n")
}

/// A number below `sides`, good enough for a demo.
fn dice(sides: u32) -> u32 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(sides) % u64::from(sides)) as u32
}
