//! Clients that mean harm. They have turns, so that the well-behaved client can be timed with and without them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::connection::Connection;
use crate::load::{Lane, Way};
use crate::service::{API_KEY, METRICS};
use crate::turn::Group;
use crate::world::{Slot, World};

/// The pause of each client between two requests.
const EVERY: Duration = Duration::from_millis(4);

/// Connections for events that are never read.
const LISTENERS: usize = 20;

/// Whether hostile clients go on. Without a turn, waits for the next one.
fn goes_on(world: &World, slot: &Slot) -> bool {
    world.waits_for(slot.group, true) && world.pause(EVERY)
}

/// Asks for paths that do not exist.
pub(crate) fn flood(world: &World, slot: &Slot, lane: u32) {
    let mut client = Lane::new(world, slot, lane);
    for number in 0_u64.. {
        if !goes_on(world, slot) {
            return;
        }
        client.send("GET", &format!("/wp-admin/{number}"), "", "", Way::Whole(404));
    }
}

/// Makes up an API key for each request.
pub(crate) fn make_up_keys(world: &World, slot: &Slot, lane: u32) {
    let mut client = Lane::new(world, slot, lane);
    for number in 0_u64.. {
        if !goes_on(world, slot) {
            return;
        }
        let key = format!("{API_KEY}: made-up-{number}\r\n");
        client.send("GET", "/items/3", &key, "", Way::Whole(200));
    }
}

/// What no figure counts: guesses of tokens, and requests that nobody in their right mind sends. With their statuses.
fn refused(number: usize) -> (String, &'static [u16]) {
    let request = |method: &str, name: &str, head: &str| {
        format!("{method} {METRICS}/{name} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n")
    };
    let guess = format!("authorization: Bearer {number}\r\n");
    let long = "9".repeat(4_000);
    match number % 9 {
        0 => (request("POST", "reset", &guess), &[401, 403]),
        1 => (request("POST", "reset", ""), &[401, 403]),
        2 => (request("POST", "fleet/reset", &guess), &[401, 403]),
        3 => (request("GET", &format!("consumers?top={long}"), ""), &[400]),
        4 => (request("GET", "history?window=-1h", ""), &[400]),
        5 => (request("GET", &format!("fleet/summary?window={long}"), ""), &[400]),
        6 => (request("GET", "errors", "host: evil.example\r\n"), &[400, 403]),
        7 => (request("POST", "summary", &format!("x-long: {long}\r\n")), &[405, 400]),
        _ => ("GET / HTTP/9.9\r\nbroken\r\n\r\n".to_owned(), &[400, 505]),
    }
}

/// Guesses tokens, and sends large and bad requests.
pub(crate) fn guess(world: &World, slot: &Slot) {
    for number in 0_usize.. {
        if !goes_on(world, slot) {
            return;
        }
        let life = slot.current();
        let (request, expected) = refused(number);
        let answered = Connection::to(life.addr).and_then(|mut connection| {
            connection.write(&request)?;
            connection.answer()
        });
        world.refused.fetch_add(1, Ordering::Relaxed);
        // Without an answer the instance is ending.
        if let Ok(answer) = answered
            && !expected.contains(&answer.status)
            // An instance that ends answers nothing more.
            && answer.status != 503
            // Without a monitor there are no endpoints.
            && !(slot.group == Group::Bare && answer.status == 404)
        {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let line = request.lines().next().unwrap_or_default();
            let line: String = line.chars().take(80).collect();
            world.complain(format!("{}: {line}: {} {body:.200}", life.name, answer.status));
        }
    }
}

/// Opens connections for events and never reads them.
pub(crate) fn listen(world: &World, slot: &Slot) {
    while goes_on(world, slot) {
        let life = slot.current();
        let mut open = Vec::new();
        for _ in 0..LISTENERS {
            let Ok(mut connection) = Connection::to(life.addr) else { break };
            let request = format!("GET {METRICS}/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
            if connection.write(request).is_ok() {
                open.push(connection);
            }
            world.refused.fetch_add(1, Ordering::Relaxed);
        }
        // Until the turn or the instance ends.
        let mut is_open = true;
        while is_open {
            is_open = world.pause(Duration::from_millis(100))
                && world.board.is(slot.group, true)
                && Arc::ptr_eq(&life, &slot.current());
        }
    }
}
