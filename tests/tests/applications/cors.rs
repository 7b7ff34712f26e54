//! CORS: preflights, allowed and refused origins.

use actix_cors::Cors;
use actix_web::{App, HttpResponse, web};

use crate::harness::{Client, Inner, same};

fn app() -> App<impl Inner> {
    let cors = Cors::default()
        .allowed_origin("https://shop.example")
        // One, since they come in any order.
        .allowed_methods(["DELETE"])
        .allowed_header("x-token")
        .block_on_origin_mismatch(true)
        .max_age(600);
    App::new()
        .service(
            web::resource("/items/{id}")
                .route(web::get().to(|| async { "a chair" }))
                .route(web::delete().to(HttpResponse::NoContent)),
        )
        .wrap(cors)
}

#[test]
fn cors_is_the_same_with_and_without_the_monitor() {
    let talk = |client: &mut Client<'_>| {
        let ours = ("origin", "https://shop.example");
        let theirs = ("origin", "https://evil.example");
        let asks = ("access-control-request-method", "DELETE");
        client.send("OPTIONS /items/1", &[ours, asks, ("access-control-request-headers", "x-token")], b"");
        client.send("OPTIONS /items/1", &[theirs, asks], b"");
        client.send("GET /items/1", &[ours], b"");
        client.send("DELETE /items/1", &[ours], b"");
        let refused = client.send("GET /items/1", &[theirs], b"");
        assert_eq!(refused.head[0], "HTTP/1.1 400 Bad Request");
        client.send("GET /items/1", &[], b"");
    };
    let counted = [
        ("OPTIONS", "/items/{id}", 200, 1),
        ("OPTIONS", "/items/{id}", 400, 1),
        ("GET", "/items/{id}", 400, 1),
        ("GET", "/items/{id}", 200, 2),
        ("DELETE", "/items/{id}", 204, 1),
    ];
    same(app, talk, &counted);
}
