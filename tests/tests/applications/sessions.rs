//! Sessions in an encrypted cookie.

use actix_session::storage::CookieSessionStore;
use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{App, Error, HttpResponse, web};

use crate::harness::{Answer, Client, Inner, same};

async fn count(session: Session) -> Result<String, Error> {
    let visits = session.get::<u32>("visits")?.unwrap_or(0) + 1;
    session.insert("visits", visits)?;
    Ok(format!("visit {visits}"))
}

async fn leave(session: Session) -> HttpResponse {
    session.purge();
    HttpResponse::SeeOther().insert_header(("location", "/")).finish()
}

fn app() -> App<impl Inner> {
    App::new()
        .route("/count", web::get().to(count))
        .route("/leave", web::post().to(leave))
        .wrap(SessionMiddleware::new(CookieSessionStore::default(), Key::from(&[7; 64])))
}

/// The name and value of the cookie that an answer sets. The transcript has its attributes only: the value is encrypted
/// with a random number.
fn visit(client: &mut Client<'_>, request: &str, cookie: &str) -> String {
    let quiet = client.quiet(request, &[("cookie", cookie)]);
    let set = quiet.header("set-cookie").expect("it sets a cookie").to_owned();
    let (value, _) = set.split_once(';').unwrap();
    let mask = |line: &String| {
        if line.starts_with("set-cookie: id=") { line.replace(value, "id=*") } else { line.clone() }
    };
    client.add(request, &Answer { head: quiet.head.iter().map(mask).collect(), body: quiet.body });
    value.to_owned()
}

#[test]
fn sessions_are_the_same_with_and_without_the_monitor() {
    let talk = |client: &mut Client<'_>| {
        let first = visit(client, "GET /count", "none=1");
        let second = visit(client, "GET /count", &first);
        visit(client, "GET /count", "id=forged");
        visit(client, "POST /leave", &second);
        client.send("GET /leave", &[], b"");
    };
    same(app, talk, &[("GET", "/count", 200, 3), ("POST", "/leave", 303, 1), ("GET", "/leave", 404, 1)]);
}
