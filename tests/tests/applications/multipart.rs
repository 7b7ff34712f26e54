//! Uploads as `multipart/form-data`.

use actix_multipart::Multipart;
use actix_web::{App, Error, web};
use futures_util::TryStreamExt;

use crate::harness::{Client, Inner, same};

async fn upload(mut form: Multipart) -> Result<String, Error> {
    let mut parts = Vec::new();
    while let Some(mut field) = form.try_next().await? {
        let mut size = 0;
        while let Some(chunk) = field.try_next().await? {
            size += chunk.len();
        }
        parts.push(format!("{}: {size}", field.name().unwrap_or("?")));
    }
    Ok(parts.join(", "))
}

fn app() -> App<impl Inner> {
    App::new().route("/upload", web::post().to(upload))
}

#[test]
fn uploads_are_the_same_with_and_without_the_monitor() {
    let talk = |client: &mut Client<'_>| {
        let part = |name: &str, content: &str| {
            format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
        };
        let form = [("content-type", "multipart/form-data; boundary=b")];
        let whole = part("title", "a chair") + &part("picture", &"x".repeat(200_000)) + "--b--\r\n";
        let answer = client.send("POST /upload", &form, whole.as_bytes());
        assert_eq!(answer.body, b"title: 7, picture: 200000");
        client.send("POST /upload", &[("content-type", "multipart/form-data")], b"no boundary");
        client.send("POST /upload", &[("content-type", "text/plain")], b"no form");
    };
    same(app, talk, &[("POST", "/upload", 200, 1), ("POST", "/upload", 400, 1), ("POST", "/upload", 415, 1)]);
}
