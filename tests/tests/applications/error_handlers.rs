//! Errors of handlers and extractors, and middlewares that replace their pages.

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::middleware::{Compress, ErrorHandlerResponse, ErrorHandlers, NormalizePath};
use actix_web::{App, HttpResponse, ResponseError, Result, web};

use crate::harness::{Client, Inner, same};

#[derive(Debug)]
struct OutOfStock;

impl std::fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("out of stock")
    }
}

impl ResponseError for OutOfStock {
    fn status_code(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::Conflict().insert_header(("x-restock", "monday")).body("come back on monday")
    }
}

/// Replaces the page, and leaves the status.
fn page<B>(response: ServiceResponse<B>) -> Result<ErrorHandlerResponse<B>> {
    let (request, response) = response.into_parts();
    let text = format!("<h1>{}</h1>", response.status());
    let response = ServiceResponse::new(request, response.set_body(text));
    Ok(ErrorHandlerResponse::Response(response.map_into_boxed_body().map_into_right_body()))
}

fn app() -> App<impl Inner> {
    App::new()
        .route("/items/{id}", web::get().to(|id: web::Path<u32>| async move { format!("item {id}") }))
        .route("/order", web::post().to(|| async { Err::<&str, _>(OutOfStock) }))
        .route("/fails", web::get().to(|| async { HttpResponse::InternalServerError().body("a secret") }))
        .route("/json", web::post().to(|body: web::Json<Vec<u32>>| async move { body.len().to_string() }))
        .wrap(
            ErrorHandlers::new()
                .handler(StatusCode::NOT_FOUND, page)
                .handler(StatusCode::INTERNAL_SERVER_ERROR, page),
        )
        .wrap(NormalizePath::trim())
        .wrap(Compress::default())
}

#[test]
fn error_pages_are_the_same_with_and_without_the_monitor() {
    let talk = |client: &mut Client<'_>| {
        client.send("GET /items/7", &[("accept-encoding", "gzip")], b"");
        let page = client.send("GET /items/none", &[], b"");
        assert_eq!(page.body, b"<h1>404 Not Found</h1>");
        client.send("POST /order/", &[], b"");
        client.send("GET //fails//", &[("accept-encoding", "deflate")], b"");
        client.send("POST /json", &[("content-type", "application/json")], b"{}");
        client.send("GET /nowhere", &[], b"");
    };
    let counted = [
        ("GET", "/items/{id}", 200, 1),
        ("GET", "/items/{id}", 404, 1),
        ("POST", "/order", 409, 1),
        ("GET", "/fails", 500, 1),
        ("POST", "/json", 400, 1),
        ("GET", "_unmatched", 404, 1),
    ];
    same(app, talk, &counted);
}
