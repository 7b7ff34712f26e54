//! The clients of a storm: hostile ones, a well-behaved one that is timed, and somebody who looks at the dashboard.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::book::Book;
use crate::connection::Connection;
use crate::load::Times;
use crate::mutex::lock;
use crate::service::{API_KEY, METRICS};

/// Connections of hostile clients.
pub(crate) const LANES: u32 = 4;

/// Requests that a hostile client sends at once.
const BATCH: u64 = 10;

/// The pause of the well-behaved client between two requests.
const WELL_EVERY: Duration = Duration::from_millis(2);

/// What somebody asks for each second who looks at the dashboard.
const LOOKED_AT: [&str; 6] = ["errors/groups", "errors", "slow", "consumers", "summary", "prometheus"];

/// What hostile clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storm {
    None,
    Successes,
    Errors,
}

/// Whom all clients call, and what hostile ones do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) service: usize,
    pub(crate) storm: Storm,
}

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Field {
    /// Of the service with a monitor, and of that without.
    addresses: [SocketAddr; 2],
    turn: Mutex<Turn>,
    pub(crate) is_over: AtomicBool,
    /// What the clients of each service saw.
    pub(crate) seen: [Mutex<Book>; 2],
    /// The number of the next hostile request of each kind at each service.
    successes: [AtomicU64; 2],
    errors: [AtomicU64; 2],
    pub(crate) times: Times,
    complaints: Mutex<Vec<String>>,
}

impl Field {
    pub(crate) fn new(addresses: [SocketAddr; 2]) -> Self {
        Self {
            addresses,
            turn: Mutex::new(Turn { service: 0, storm: Storm::None }),
            is_over: AtomicBool::new(false),
            seen: Default::default(),
            successes: Default::default(),
            errors: Default::default(),
            times: Times::default(),
            complaints: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, turn: Turn) {
        *lock(&self.turn) = turn;
    }

    fn turn(&self) -> Option<Turn> {
        (!self.is_over.load(Ordering::Relaxed)).then(|| *lock(&self.turn))
    }

    /// Hostile errors so far at the service with a monitor.
    pub(crate) fn errors(&self) -> u64 {
        self.errors[0].load(Ordering::Relaxed)
    }

    pub(crate) fn complain(&self, complaint: String) {
        let mut complaints = lock(&self.complaints);
        if complaints.len() < 20 && !complaints.contains(&complaint) {
            complaints.push(complaint);
        }
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).clone()
    }

    /// Sends these requests at once, and counts the answers.
    fn exchange(&self, service: usize, connection: &mut Connection, requests: &[(String, u16)]) {
        let text: String = requests.iter().map(|(request, _)| request.as_str()).collect();
        if let Err(error) = connection.write(text) {
            self.complain(format!("a request: {error}"));
            return;
        }
        for (request, expected) in requests {
            match connection.answer() {
                Ok(answer) if answer.status == *expected => {
                    lock(&self.seen[service]).add(status(*expected), 1)
                }
                Ok(answer) => self.complain(format!("{}: {request}", answer.status)),
                Err(error) => {
                    self.complain(format!("{error}: {request}"));
                    return;
                }
            }
        }
    }
}

fn status(status: u16) -> &'static str {
    match status {
        200 => "200",
        400 => "400",
        404 => "404",
        _ => "500",
    }
}

/// A word for each number. Numbers in messages would be of the same group.
fn word(number: u64) -> String {
    format!("{number:o}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn request(path: &str, key: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{API_KEY}: {key}\r\n\r\n")
}

/// A hostile request with a path, a message and a consumer that no other one has; and the status of its answer.
fn hostile(storm: Storm, number: u64) -> (String, u16) {
    let word = word(number);
    let (path, status) = match (storm, number % 10) {
        (Storm::Errors, 0..4) => (format!("/fails/{word}"), 500),
        (Storm::Errors, 4..7) => (format!("/refused/{word}"), 400),
        (Storm::Errors, _) => (format!("/made-up/{word}"), 404),
        _ => (format!("/items/{word}"), 200),
    };
    (request(&path, &format!("made-up-{word}")), status)
}

/// Sends hostile requests while it is their turn, in batches. All hostile clients together send so many a second, if
/// the machine has time for them.
pub(crate) fn attack(field: &Field, rate: u32) {
    let every = Duration::from_secs(BATCH) * LANES / rate;
    let mut connections = connect(field);
    let mut due = Instant::now();
    while let Some(Turn { service, storm }) = field.turn() {
        let numbers = match storm {
            Storm::None => None,
            Storm::Successes => Some(&field.successes),
            Storm::Errors => Some(&field.errors),
        };
        if let Some(numbers) = numbers {
            let first = numbers[service].fetch_add(BATCH, Ordering::Relaxed);
            let requests: Vec<_> = (first..first + BATCH).map(|number| hostile(storm, number)).collect();
            field.exchange(service, &mut connections[service], &requests);
        }
        // Late batches are not made up for.
        let now = Instant::now();
        due = (due + every).max(now);
        std::thread::sleep(due - now);
    }
}

/// Sends requests that are answered at once, and times them.
pub(crate) fn behave(field: &Field) {
    let mut connections = connect(field);
    let request = [("GET /well HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 200)];
    while let Some(Turn { service, .. }) = field.turn() {
        let begun = Instant::now();
        field.exchange(service, &mut connections[service], &request);
        field.times.add(begun.elapsed());
        std::thread::sleep(WELL_EVERY);
    }
}

/// Looks at the dashboard of the service with a monitor, each second of its turns.
pub(crate) fn look(field: &Field) {
    let mut connection = connect(field).into_iter().next();
    while let Some(turn) = field.turn() {
        for name in LOOKED_AT {
            let Some(connection) = connection.as_mut().filter(|_| turn.service == 0) else { break };
            match connection.exchange("GET", &format!("{METRICS}/{name}"), "", "") {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => field.complain(format!("{name}: {}", answer.status)),
                Err(error) => field.complain(format!("{name}: {error}")),
            }
        }
        let next = Instant::now() + Duration::from_secs(1);
        while Instant::now() < next && field.turn().is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Asks the service with a monitor for a text that no figure counts.
pub(crate) fn ask(field: &Field, path: &str) -> Option<String> {
    let mut connection = Connection::to(field.addresses[0]).ok()?;
    let answer = connection.exchange("GET", path, "", "").ok()?;
    Some(String::from_utf8_lossy(&answer.body).into_owned())
}

fn connect(field: &Field) -> Vec<Connection> {
    let connections = field.addresses.iter().map(|addr| Connection::to(*addr));
    connections.collect::<Result<_, _>>().expect("the services listen")
}
