//! One endpoint for everything, as GraphQL has it: failures are 200, too.

use actix_web::{App, HttpResponse, Responder, web};
use serde_json::{Value, json};

use crate::harness::{Client, Inner, same};

async fn query(request: web::Json<Value>) -> impl Responder {
    match request["query"].as_str() {
        Some("{ chair { price } }") => web::Json(json!({ "data": { "chair": { "price": 25 } } })),
        Some(_) => web::Json(json!({ "data": null, "errors": [{ "message": "unknown field" }] })),
        None => web::Json(json!({ "errors": [{ "message": "no query" }] })),
    }
}

async fn playground() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html").body("<!doctype html><title>GraphQL</title>")
}

fn app() -> App<impl Inner> {
    App::new()
        .service(web::resource("/graphql").route(web::post().to(query)).route(web::get().to(playground)))
}

#[test]
fn graphql_is_the_same_with_and_without_the_monitor() {
    let talk = |client: &mut Client<'_>| {
        let json = [("content-type", "application/json")];
        for body in ["{\"query\":\"{ chair { price } }\"}", "{\"query\":\"{ table }\"}", "{}"] {
            client.send("POST /graphql", &json, body.as_bytes());
        }
        client.send("POST /graphql", &json, b"no JSON");
        client.send("GET /graphql", &[], b"");
    };
    same(
        app,
        talk,
        &[("POST", "/graphql", 200, 3), ("POST", "/graphql", 400, 1), ("GET", "/graphql", 200, 1)],
    );
}
