//! What leases and saved histories cost one Redis: instances that hold on to them as the monitor does.

use std::error::Error;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::Registry;
use metrics_export::Service;
use metrics_export::fleet::redis::{AlertLease, Claim, FleetSettings, Member, SavedHistory};

use super::redis::{INTERVAL, Redis, command, millis};

/// How often an instance writes its history.
const HISTORY_EVERY: Duration = Duration::from_secs(60);

/// The bytes of a history, and those of the state of alerts.
const BYTES: [usize; 2] = [SavedHistory::MAX_BYTES, 64 << 10];

/// Measures this many instances for this long.
pub(crate) fn run(instances: usize, time: Duration) -> Result<(), Box<dyn Error>> {
    let redis = Redis::start()?;
    let mut link = redis.link()?;
    let members = (0..instances).map(|number| {
        let settings = FleetSettings::new(&redis.url())?.interval(INTERVAL);
        let service = Service::new("bench").instance(format!("instance-{number}"));
        Ok::<_, Box<dyn Error>>(Member::start(Registry::new(), &service, settings)?)
    });
    let members: Vec<_> = members.collect::<Result<_, _>>()?;
    let took = Mutex::new(Vec::new());
    let begun = Instant::now();
    let ends = begun + INTERVAL + time;
    let (stats, processor, received) = thread::scope(|scope| {
        for (number, member) in members.iter().enumerate() {
            let took = &took;
            scope.spawn(move || {
                // As instances do that started at different times.
                thread::sleep(INTERVAL.mul_f64(number as f64 / instances as f64));
                let own =
                    Held { alerts: member.alert_lease(), leads: false, history: member.saved_history(None) };
                let times = own.hold(begun + INTERVAL, ends);
                took.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(times);
            });
        }
        // Once all have begun.
        thread::sleep(INTERVAL);
        command(&mut link, &[b"CONFIG", b"RESETSTAT"])?;
        let before = processor_seconds(&command(&mut link, &[b"INFO", b"cpu"])?);
        thread::sleep(time);
        let stats = command(&mut link, &[b"INFO", b"commandstats"])?;
        let after = processor_seconds(&command(&mut link, &[b"INFO", b"cpu"])?);
        let received = number(&command(&mut link, &[b"INFO", b"stats"])?, "total_net_input_bytes:");
        Ok::<_, Box<dyn Error>>((stats, after - before, received.unwrap_or_default()))
    })?;
    let mut took = took.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    took.sort();
    let at = |share: f64| took.get(((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1)));
    let seconds = time.as_secs_f64();
    let per_eval = field(&stats, "cmdstat_eval:", "usec_per_call").unwrap_or_default();
    let all: f64 = stats.lines().filter_map(|line| field(line, "cmdstat_", "calls")).sum();
    let evals = field(&stats, "cmdstat_eval:", "calls").unwrap_or_default();
    let in_evals = 100.0 * evals * per_eval / 1e6 / seconds;
    println!(
        "instances | EVAL/s | other commands/s, also those within EVAL | received | Redis' processor, of it in EVAL | \
         an EVAL in Redis | at an instance: median / 99 % / longest"
    );
    println!(
        "{instances:9} | {:6.1} | {:16.1} | {:3.0} KB/s | {:.2} %, {in_evals:.2} % | {per_eval:.1} µs | {:.2} / {:.2} / \
         {:.2} ms",
        evals / seconds,
        (all - evals) / seconds,
        received / seconds / 1e3,
        100.0 * processor / seconds,
        at(0.5).map_or(0.0, |time| millis(*time)),
        at(0.99).map_or(0.0, |time| millis(*time)),
        at(1.0).map_or(0.0, |time| millis(*time)),
    );
    Ok(())
}

/// What one instance holds.
struct Held {
    alerts: AlertLease,
    leads: bool,
    history: SavedHistory,
}

impl Held {
    /// Renews everything twice in an interval, and returns how long each command took after a time.
    fn hold(mut self, from: Instant, until: Instant) -> Vec<Duration> {
        let (mut took, mut written) = (Vec::new(), None::<Instant>);
        let [history, state] = BYTES.map(|bytes| vec![b'x'; bytes]);
        let mut is_ours = false;
        while Instant::now() < until {
            let turn = Instant::now();
            let mut time = |begun: Instant| took.extend((begun > from).then(|| begun.elapsed()));
            is_ours = match is_ours {
                false => matches!(self.history.claim(), Ok(Claim::Ours(_))),
                true if written.is_none_or(|at| at.elapsed() >= HISTORY_EVERY) => {
                    written = Some(turn);
                    self.history.write(&history).unwrap_or(false)
                }
                true => self.history.renew().unwrap_or(false),
            };
            time(turn);
            let begun = Instant::now();
            self.leads =
                if self.leads { self.alerts.renew() } else { self.alerts.acquire() }.unwrap_or(false);
            time(begun);
            if self.leads {
                // The holder evaluates once in an interval.
                let begun = Instant::now();
                self.leads = self.alerts.write(&state).unwrap_or(false);
                time(begun);
            }
            thread::sleep((INTERVAL / 2).saturating_sub(turn.elapsed()));
        }
        took
    }
}

/// The number of a field in the line of Redis's statistics that begins like this.
fn field(stats: &str, line: &str, name: &str) -> Option<f64> {
    let line = stats.lines().find(|text| text.starts_with(line))?;
    let fields = line.split_once(':')?.1.split(',');
    fields.filter_map(|field| field.split_once('=')).find(|(field, _)| *field == name)?.1.trim().parse().ok()
}

/// The processor time that Redis used, by `INFO cpu`.
fn processor_seconds(info: &str) -> f64 {
    ["used_cpu_sys:", "used_cpu_user:"].iter().filter_map(|name| number(info, name)).sum()
}

/// A number of Redis's statistics.
fn number(info: &str, name: &str) -> Option<f64> {
    info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
