//! One life of an instance: its process, its destinations, and what was counted of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::book::Book;
use crate::connection::{Answer, Connection};
use crate::destinations::{Destinations, Received};
use crate::mutex::lock;
use crate::processes::kept_bytes;
use crate::program::{END, Program};
use crate::routes::ALLOCATED;
use crate::service::{METRICS, RESET_TOKEN};
use crate::turn::Group;

/// One life of an instance.
#[derive(Debug)]
pub(crate) struct Life {
    /// Unique among all lives.
    pub(crate) name: String,
    pub(crate) addr: SocketAddr,
    pub(crate) id: u32,
    process: Mutex<Program>,
    /// Gone once the process has ended.
    pub(crate) destinations: Mutex<Option<Destinations>>,
    pub(crate) received: Arc<Received>,
    /// What its clients saw.
    pub(crate) seen: Mutex<Book>,
    /// The windows that resets closed.
    pub(crate) closed: Mutex<Windows>,
    /// The counters of the last scrape.
    pub(crate) scraped: Mutex<Book>,
    /// The bytes that its monitor keeps, at the last scrape.
    kept_bytes: AtomicU64,
    /// The bytes that it has allocated, when it was last asked.
    allocated_bytes: AtomicU64,
    /// What the process said at its end.
    last_words: OnceLock<Value>,
}

/// The windows of a life that resets closed.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    pub(crate) book: Book,
    pub(crate) count: u64,
    /// No more resets, since an answer that is lost loses a window.
    is_ending: bool,
}

impl Life {
    /// Starts an instance, and waits until it listens.
    pub(crate) fn start(name: String, redis: &str, group: Group) -> Result<Self, String> {
        let destinations = Destinations::start();
        let mut settings = destinations.urls();
        settings["name"] = name.clone().into();
        settings["redis"] = redis.into();
        settings["bare"] = (group == Group::Bare).into();
        let program = Program::start("serve", &settings)?;
        let (addr, id) = (program.addr, program.id());
        let received = Arc::clone(&destinations.received);
        Ok(Self {
            name,
            addr,
            id,
            process: Mutex::new(program),
            destinations: Mutex::new(Some(destinations)),
            received,
            seen: Mutex::default(),
            closed: Mutex::default(),
            scraped: Mutex::default(),
            kept_bytes: AtomicU64::new(0),
            allocated_bytes: AtomicU64::new(0),
            last_words: OnceLock::new(),
        })
    }

    /// What the process said at its end; `None` while it lives.
    pub(crate) fn last_words(&self) -> Option<&Value> {
        self.last_words.get()
    }

    /// Calls an endpoint or another path that no figure counts.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Result<Answer, String> {
        let head = format!("authorization: Bearer {RESET_TOKEN}\r\n");
        let head = if method == "POST" { &*head } else { "" };
        let asked = Connection::to(self.addr).and_then(|mut to| to.exchange(method, path, head, ""));
        asked.map_err(|error| format!("{} {method} {path}: {error}", self.name))
    }

    /// The `data` of an endpoint's answer.
    pub(crate) fn data(&self, method: &str, name: &str) -> Result<Value, String> {
        let answer = self.ask(method, &format!("{METRICS}/{name}"))?;
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match answer.status {
            200 => Ok(body["data"].take()),
            status => Err(format!("{} {method} {name}: {status} {}", self.name, body["error"])),
        }
    }

    /// Resets the figures, and keeps those of the closed window.
    pub(crate) fn reset(&self) -> Result<(), String> {
        let mut closed = lock(&self.closed);
        if closed.is_ending {
            return Ok(());
        }
        let window = self.data("POST", "reset")?;
        closed.book.add_all(&Book::of_summary(&window));
        closed.count += 1;
        Ok(())
    }

    /// Scrapes the counters. They must not fall.
    pub(crate) fn scrape(&self) -> Result<(), String> {
        if lock(&self.closed).is_ending {
            return Ok(());
        }
        let answer = match self.ask("GET", "/metrics") {
            // It ended meanwhile.
            _ if lock(&self.closed).is_ending => return Ok(()),
            answer => answer?,
        };
        if answer.status != 200 {
            return Err(format!("{}: a scrape was answered with {}", self.name, answer.status));
        }
        let text = String::from_utf8_lossy(&answer.body);
        self.kept_bytes.store(kept_bytes(&text), Ordering::Relaxed);
        self.note_counters(&Book::of_exposition(&text))
    }

    /// Asks the process how many bytes it has allocated.
    pub(crate) fn weigh(&self) -> Result<(), String> {
        if lock(&self.closed).is_ending {
            return Ok(());
        }
        let answer = match self.ask("GET", ALLOCATED) {
            // It ended meanwhile.
            _ if lock(&self.closed).is_ending => return Ok(()),
            answer => answer?,
        };
        let allocated = String::from_utf8_lossy(&answer.body).parse();
        let allocated = allocated.map_err(|error| format!("{}: allocated bytes: {error}", self.name))?;
        self.allocated_bytes.store(allocated, Ordering::Relaxed);
        Ok(())
    }

    /// The bytes of what the monitor keeps and grows within bounds that the settings set: history, shards and the like.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// The bytes that the process has allocated and not freed.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes.load(Ordering::Relaxed)
    }

    fn note_counters(&self, counters: &Book) -> Result<(), String> {
        let mut scraped = lock(&self.scraped);
        let fell = counters.fell_below(&scraped);
        *scraped = counters.clone();
        fell.map_or(Ok(()), |what| Err(format!("{}: a counter fell: {what}", self.name)))
    }

    /// Whether the last scrape and the summary's endpoint have what its clients saw, while nothing is under way.
    pub(crate) fn agrees(&self) -> Result<(), String> {
        let (seen, scraped) = (lock(&self.seen).clone(), lock(&self.scraped).clone());
        let mut summary = Book::of_summary(&self.data("GET", "summary")?);
        summary.add_all(&lock(&self.closed).book);
        if seen == scraped && seen == summary {
            return Ok(());
        }
        Err(format!("{}: clients {seen}\n  the last scrape {scraped}\n  the summaries {summary}", self.name))
    }

    /// What became of a client's request that has no whole answer: its outcome and whether its body broke off. `None`
    /// if it never arrived.
    pub(crate) fn resolve(&self, lane: u32, number: u64) -> Result<Option<(String, bool)>, String> {
        let deadline = Instant::now() + END + Duration::from_secs(30);
        while Instant::now() < deadline {
            let ended = self.last_words.get();
            let last = match ended {
                Some(words) => Some(words["arrived"][lane.to_string()].clone()),
                None => self.ask("GET", &format!("/arrived/{lane}")).ok().and_then(|answer| {
                    (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok())?
                }),
            };
            let arrived = last.as_ref().map(|last| last[0].as_u64().unwrap_or(0));
            match (arrived, &last) {
                (Some(arrived), _) if arrived < number => return Ok(None),
                (Some(_), Some(last)) if last[1] != "" => {
                    let outcome = last[1].as_str().unwrap_or_default().to_owned();
                    return Ok(Some((outcome, last[2] == true)));
                }
                (Some(_), _) if ended.is_some() => break,
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(format!("{}: what became of request {number} of client {lane} is not known", self.name))
    }

    /// Ends the process with a signal, and keeps its last words.
    pub(crate) fn end(&self, signal: &str) -> Result<(), String> {
        lock(&self.closed).is_ending = true;
        let mut process = lock(&self.process);
        let (status, mut words) =
            process.end(signal).map_err(|error| format!("{}, {signal}: {error}", self.name))?;
        // Their counts stay.
        drop(lock(&self.destinations).take());
        let exposition = words["exposition"].take();
        let counters = Book::of_exposition(exposition.as_str().unwrap_or_default());
        let _ = self.last_words.set(words);
        self.note_counters(&counters)?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} ended with {status} after {signal}", self.name))
        }
    }
}
