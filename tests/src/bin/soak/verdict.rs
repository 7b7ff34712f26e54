//! Whether all parties counted the same.

use serde_json::Value;

use crate::book::Book;
use crate::destinations::KINDS;
use crate::life::Life;
use crate::mutex::lock;
use crate::world::World;

/// The totals of each party over all lives, and what disagrees.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    clients: Book,
    summaries: Book,
    windows: u64,
    prometheus: Book,
    fleet: Option<Book>,
    exporters: [Exported; 4],
    lives: usize,
    unsent: usize,
    /// Lives whose events could be compared with documents, since neither lost any.
    events_compared: usize,
    pub(crate) disagreements: Vec<String>,
}

/// What one kind of exporter said, and what arrived.
#[derive(Debug, Default)]
struct Exported {
    calls: u64,
    calls_dropped: u64,
    /// Sessions that are known to have arrived twice.
    twice: u64,
    errors_sent: u64,
    errors_dropped: u64,
    errors_missed: u64,
    records: Option<u64>,
    failed: u64,
}

impl Verdict {
    /// Compares all lives, which have ended, and the fleet's figures from before the last ones ended.
    pub(crate) fn of(world: &World, fleet: Option<&Value>) -> Self {
        let mut verdict = Self { fleet: fleet.map(Book::of_summary), ..Self::default() };
        for life in world.lives() {
            verdict.add(&life);
        }
        let (clients, fleet) = (verdict.clients.clone(), verdict.fleet.clone());
        match fleet {
            Some(fleet) => verdict.compare("the fleet", "its totals in Redis", &fleet, &clients),
            None => verdict.disagreements.push("the fleet: no figures".to_owned()),
        }
        verdict
    }

    fn add(&mut self, life: &Life) {
        let name = &life.name;
        let Some(words) = life.last_words() else {
            self.disagreements.push(format!("{name}: no last words"));
            return;
        };
        self.lives += 1;
        self.unsent += usize::from(words["all_sent"] != true);
        if words["in_flight"] != 0 {
            self.disagreements.push(format!("{name}: {} still in flight", words["in_flight"]));
        }
        let seen = lock(&life.seen).clone();
        let mut summaries = Book::of_summary(words);
        let closed = lock(&life.closed);
        summaries.add_all(&closed.book);
        self.windows += closed.count + 1;
        let prometheus = lock(&life.scraped).clone();
        self.compare(name, "the summaries", &summaries, &seen);
        self.compare(name, "Prometheus", &prometheus, &seen);
        for (number, kind) in KINDS.iter().enumerate() {
            self.add_exporter(life, number, kind, words, &seen);
        }
        self.compare_events(life, words);
        for strange in life.received.strange() {
            self.disagreements.push(format!("{name}: a destination: {strange}"));
        }
        self.clients.add_all(&seen);
        self.summaries.add_all(&summaries);
        self.prometheus.add_all(&prometheus);
    }

    fn add_exporter(&mut self, life: &Life, number: usize, kind: &str, words: &Value, seen: &Book) {
        let name = &life.name;
        let found =
            words["exporters"].as_array().into_iter().flatten().find(|exporter| exporter["name"] == kind);
        let Some(exporter) = found else {
            self.disagreements.push(format!("{name}: no exporter {kind}"));
            return;
        };
        let count = |field: &str| exporter[field].as_u64().unwrap_or(0);
        let (calls, dropped) = (life.received.calls(kind), count("calls_dropped"));
        // Sentry's sessions are counted twice if an answer is lost; otherwise nothing is.
        let twice = (calls + dropped).saturating_sub(seen.calls());
        let is_known = twice == 0 || (kind == "sentry" && life.received.came_twice(twice));
        if calls + dropped < seen.calls() || !is_known {
            let text = format!("{calls} arrived, {dropped} dropped, {} measured: {exporter}", seen.calls());
            self.disagreements.push(format!("{name}, {kind}: {text}"));
        }
        let [sent, lost, missed] = ["errors_sent", "errors_dropped", "errors_missed"].map(count);
        let waiting = count("errors_waiting") + count("windows_waiting");
        if kind != "otlp" && (sent + lost + missed != seen.errors() || waiting != 0) {
            let text = format!("{} errors measured: {exporter}", seen.errors());
            self.disagreements.push(format!("{name}, {kind}: {text}"));
        }
        let records = life.received.error_records(kind);
        if kind == "elasticsearch" && records != Some(sent) {
            self.disagreements.push(format!("{name}, {kind}: {records:?} records of {sent} sent errors"));
        }
        // Outcomes can only be compared if nothing was dropped.
        if dropped == 0 && kind == "otlp" {
            let mut otlp = life.received.otlp_book();
            otlp.truncated = seen.truncated;
            self.compare(name, "OTLP", &otlp, seen);
        }
        if dropped == 0 && kind == "datadog" {
            let mut datadog = life.received.datadog_book();
            datadog.truncated = seen.truncated;
            self.compare(name, "Datadog", &datadog, &seen.by_status());
        }
        let exported = &mut self.exporters[number];
        exported.calls += calls - twice;
        exported.twice += twice;
        exported.calls_dropped += dropped;
        exported.errors_sent += sent;
        exported.errors_dropped += lost;
        exported.errors_missed += missed;
        exported.records = records.map(|records| exported.records.unwrap_or(0) + records);
        exported.failed += count("attempts_failed");
    }

    /// Both Sentry and Elasticsearch have a record of each 5xx and panic in the log, if no window was lost.
    fn compare_events(&mut self, life: &Life, words: &Value) {
        let exporters = words["exporters"].as_array().map(Vec::as_slice).unwrap_or_default();
        if exporters.iter().any(|exporter| exporter["errors_dropped"] != 0) {
            return;
        }
        self.events_compared += 1;
        let of_sentry = exporters.iter().find(|exporter| exporter["name"] == "sentry");
        // Too many of their kind, and counted.
        let left_out = of_sentry.and_then(|sentry| sentry["rejected"].as_u64()).unwrap_or(0);
        let (events, documents) =
            (life.received.error_records("sentry").unwrap_or(0), life.received.server_errors());
        if events + left_out != documents {
            let text = format!(
                "{events} events and {left_out} left out, but {documents} documents of 5xx and panics"
            );
            self.disagreements.push(format!("{}: {text}", life.name));
        }
    }

    fn compare(&mut self, name: &str, who: &str, book: &Book, clients: &Book) {
        if book != clients {
            self.disagreements.push(format!("{name}: {who} say {book}\n    its clients say {clients}"));
        }
    }

    /// Prints the totals of all parties.
    pub(crate) fn print(&self) {
        println!("clients     {}", self.clients);
        println!("summaries   {} (of {} windows)", self.summaries, self.windows);
        println!("Prometheus  {}", self.prometheus);
        match &self.fleet {
            Some(fleet) => println!("fleet       {fleet}"),
            None => println!("fleet       nothing"),
        }
        for (kind, exported) in KINDS.iter().zip(&self.exporters) {
            let total = exported.calls + exported.calls_dropped;
            print!(
                "{kind:<13} {} arrived + {} dropped = {total} calls; {} attempts failed",
                exported.calls, exported.calls_dropped, exported.failed
            );
            if *kind != "otlp" {
                let errors = exported.errors_sent + exported.errors_dropped + exported.errors_missed;
                print!(
                    "; {} errors sent + {} dropped + {} missed = {errors} of {}",
                    exported.errors_sent,
                    exported.errors_dropped,
                    exported.errors_missed,
                    self.clients.errors()
                );
            }
            if exported.twice > 0 {
                print!("; {} sessions arrived twice, since their answer was lost", exported.twice);
            }
            match exported.records {
                Some(records) => println!("; {records} records arrived"),
                None => println!(),
            }
        }
        println!(
            "{} lives, {} of which could not send all at their end; events compared with documents in {}",
            self.lives, self.unsent, self.events_compared
        );
    }
}
