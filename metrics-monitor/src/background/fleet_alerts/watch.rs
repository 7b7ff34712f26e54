//! What the thread and the deliveries share: who leads, the states of the alerts, and the notices on their way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use metrics_core::alert::{Alert, Alerts, Change, EventId, Moment, Notice};
use metrics_core::objective::{Objective, ObjectiveState};
use metrics_export::alert::{Permit, Settled};
use metrics_export::fleet::redis::{AlertLease, Member};

use super::budgets::Budgets;
use super::figures::FleetFigures;
use super::outbox::{Outbox, names};
use super::record::{Foreign, Record};
use crate::background::alerting::Alerting;

/// Where lines of the log about it go.
const TARGET: &str = "metrics_monitor::alerts";

/// How many intervals instances take to write again after Redis was away: the longest pause between two attempts, and
/// an attempt.
const SETTLES_IN: u32 = 7;

/// How old counts of objectives become that are shown, in intervals, and at least: another holder may be to come.
const BUDGETS_AGE: (u32, Duration) = (SETTLES_IN, Duration::from_secs(600));

/// What the thread and the deliveries share.
#[derive(Debug)]
pub(super) struct Watch {
    alerting: Arc<Alerting>,
    /// The names of the destinations, in the order of the deliveries.
    destinations: Vec<String>,
    objectives: Vec<Objective>,
    /// For the log.
    service: String,
    /// Held while Redis is asked, so never by a request.
    state: Mutex<WatchState>,
    pub(super) shown: Mutex<Shown>,
}

#[derive(Debug)]
struct WatchState {
    lease: AlertLease,
    alerts: Alerts,
    outbox: Outbox,
    budgets: Budgets,
    foreign: Foreign,
    /// Alerts that had no room at another holder.
    left_out_there: usize,
    /// The token under which this instance goes on with the states; `None` while another one does.
    leads: Option<u64>,
    /// Whether the states or the outbox changed since they were last written.
    is_unwritten: bool,
    /// What the deliveries ask, one for each destination, for the current token.
    permits: Vec<Arc<dyn Permit>>,
    /// When the firing alerts were last repeated, for each destination that asks for it.
    repeated: Vec<Option<Instant>>,
    evaluated: Option<SystemTime>,
    /// The state that the other instance wrote, as it was taken up last.
    followed: Vec<u8>,
    /// Whether the log says that alerts have no room.
    tells_left_out: bool,
    /// Until when instances may not have written yet after Redis was away.
    unsettled: Option<Instant>,
}

/// What requests see.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) holder: Option<String>,
    pub(super) token: Option<u64>,
    pub(super) evaluated: Option<SystemTime>,
    pub(super) alerts: Vec<Alert>,
    pub(super) waiting: usize,
    pub(super) dropped: u64,
    pub(super) left_out: usize,
    /// The newest first.
    pub(super) changes: Vec<Notice>,
    pub(super) objectives: Vec<ObjectiveState>,
    pub(super) error: Option<String>,
}

impl Watch {
    pub(super) fn new(
        lease: AlertLease,
        alerts: Alerts,
        objectives: Vec<Objective>,
        alerting: Arc<Alerting>,
        service: &str,
    ) -> Self {
        let destinations = names(alerting.delivery().iter().map(|counts| counts.destination));
        let shown = Shown { alerts: alerts.alerts(), ..Shown::default() };
        let state = WatchState {
            lease,
            alerts,
            outbox: Outbox::default(),
            budgets: Budgets::default(),
            foreign: Foreign::default(),
            left_out_there: 0,
            leads: None,
            is_unwritten: false,
            permits: Vec::new(),
            repeated: vec![None; destinations.len()],
            evaluated: None,
            followed: Vec::new(),
            tells_left_out: false,
            unsettled: None,
        };
        let (service, state, shown) = (service.to_owned(), Mutex::new(state), Mutex::new(shown));
        Self { alerting, destinations, objectives, service, state, shown }
    }

    /// Asks for the lease or renews it. The holder evaluates what is due.
    pub(super) fn turn(self: &Arc<Self>, member: &Member) {
        let (due, at): (Result<Vec<_>, _>, _) = {
            let mut state = locked(&self.state);
            let leads = state.lead_or_follow(self);
            // Only what is due now has figures when they are read, whatever becomes due meanwhile.
            let now = Moment::now();
            let due = |leads| if leads { state.alerts.due(now).cloned().collect() } else { Vec::new() };
            (leads.map(due), now)
        };
        let result = due.and_then(|due| {
            if due.is_empty() {
                return locked(&self.state).send(self);
            }
            // Without the lock, since deliveries ask meanwhile.
            let renew = || locked(&self.state).renew();
            let figures = FleetFigures::read(member, due.iter(), &self.objectives, renew);
            let mut state = locked(&self.state);
            let read = figures.and_then(|figures| state.evaluate(at, &figures));
            state.send(self).and(read)
        });
        let mut state = locked(&self.state);
        if result.is_err() || member.status().failing.is_some() {
            state.unsettled = Some(Instant::now() + member.interval() * SETTLES_IN);
        }
        state.foreign.forget(SystemTime::now());
        let left_out = state.left_out();
        let is_new =
            left_out > 0 && state.leads.is_some() && !std::mem::replace(&mut state.tells_left_out, true);
        self.show(&state, result.err());
        drop(state);
        if is_new {
            log::warn!(
                target: TARGET,
                "{}: {left_out} alerts of the fleet do not fit into its state, so no notices are sent for them (the \
                 least severe and newest ones); see alerts_left_out in GET alerts",
                self.service
            );
        }
    }

    fn show(&self, state: &WatchState, error: Option<String>) {
        let token = state.lease.token().filter(|token| state.leads == Some(*token));
        let mut shown = locked(&self.shown);
        shown.holder = state.lease.holder().map(str::to_owned);
        shown.token = token;
        shown.evaluated = state.evaluated;
        shown.alerts = state.alerts.alerts();
        (shown.waiting, shown.dropped) = (state.outbox.len(), state.outbox.dropped());
        shown.left_out = state.left_out();
        shown.changes = state.alerts.changes().cloned().collect();
        let (intervals, least) = BUDGETS_AGE;
        let age = least.max(state.lease.interval() * intervals);
        shown.objectives = state.budgets.states(&self.objectives, SystemTime::now(), age);
        shown.error = error;
    }

    pub(super) fn end(&self) {
        let mut state = locked(&self.state);
        state.leads = None;
        // If it fails, the lease ends by itself.
        let _ = state.lease.release();
    }
}

impl WatchState {
    /// Renews the lease, or asks for it. Returns whether this instance holds it.
    fn lead_or_follow(&mut self, watch: &Arc<Watch>) -> Result<bool, String> {
        if self.leads.is_some() {
            if self.lease.renew()? {
                return Ok(self.lease.token().is_some());
            }
            self.leads = None;
        }
        let is_ours = self.lease.acquire()?;
        let taken_up = if is_ours || self.followed != self.lease.state() { self.take_up() } else { Ok(()) };
        if let Some(token) = self.lease.token().filter(|_| is_ours) {
            self.leads = Some(token);
            self.permits = watch.destinations.iter().map(|name| Sent::permit(watch, token, name)).collect();
            self.repeated.fill(None);
        }
        // A holder of a state that it cannot read begins anew, and says so once.
        taken_up.map(|()| self.leads.is_some())
    }

    /// Takes up what the last holder wrote.
    fn take_up(&mut self) -> Result<(), String> {
        let now = Moment::now();
        self.followed = self.lease.state().to_vec();
        let rules: Vec<_> = self.alerts.rules().cloned().collect();
        let (record, result) = match Record::read(&self.followed, &rules, now.wall) {
            _ if self.followed.is_empty() => (Record::default(), Ok(())),
            Ok(record) => (record, Ok(())),
            Err(error) => (Record::default(), Err(error)),
        };
        self.evaluated = record.saved.evaluated.iter().map(|(_, at)| *at).max();
        self.alerts.resume(now, &record.saved);
        self.outbox.take_up(record.entries);
        self.budgets = record.budgets;
        self.foreign = record.foreign;
        self.left_out_there = record.left_out;
        result
    }

    /// Alerts that had no room, at the holder.
    fn left_out(&self) -> usize {
        match self.leads {
            Some(_) => self.alerts.left_out() + self.foreign.left_out(),
            None => self.left_out_there,
        }
    }

    /// Keeps the lease over a long reading.
    fn renew(&mut self) -> Result<(), String> {
        if self.lease.renew()? {
            return Ok(());
        }
        self.leads = None;
        Err("another instance took over".to_owned())
    }

    /// Evaluates the rules that were due at this time, before the figures were read.
    ///
    /// # Errors
    ///
    /// Returns an error if this instance no longer holds the lease.
    fn evaluate(&mut self, now: Moment, figures: &FleetFigures<'_>) -> Result<(), String> {
        let Some(token) = self.leads.filter(|token| self.lease.token() == Some(*token)) else {
            let lasts = self.lease.interval() * 2;
            return Err(format!(
                "reading the fleet took longer than the lease lasts, {lasts:?}: raise its interval"
            ));
        };
        // What instances counted meanwhile is still to come: until then, a rule of too few calls would fire, and an
        // alert about a gauge would end.
        if figures.has_late_instances() && self.unsettled.is_some_and(|until| now.monotonic < until) {
            return Ok(());
        }
        let notices = self.alerts.evaluate(now, figures);
        self.evaluated = Some(now.wall);
        self.outbox.add(notices, token, now.wall);
        self.budgets.update(figures.counted(), now.wall);
        self.is_unwritten = true;
        Ok(())
    }

    /// Writes what is not written, and hands out what is.
    fn send(&mut self, watch: &Arc<Watch>) -> Result<(), String> {
        if self.leads.is_none() {
            return Ok(());
        }
        self.is_unwritten |= self.outbox.clear(&watch.destinations);
        if !self.write()? {
            return Ok(());
        }
        let now = Instant::now();
        let destinations = watch.destinations.iter().zip(watch.alerting.deliveries());
        for ((name, delivery), (permit, repeated)) in
            destinations.zip(self.permits.iter().zip(&mut self.repeated))
        {
            let mut notices = self.outbox.hand_out(name);
            let is_due = |every| repeated.is_none_or(|last| now.saturating_duration_since(last) >= every);
            if delivery.repeat_every().is_some_and(is_due) {
                *repeated = Some(now);
                let repeat = |alert| Notice { change: Change::Reminder, alert, event_id: None };
                notices.extend(self.alerts.firing().into_iter().map(repeat));
            }
            if !notices.is_empty() {
                let refused = delivery.queue_with(permit, notices);
                self.outbox.settle(&refused, name, Settled::Withheld);
            }
        }
        Ok(())
    }

    /// Writes what is not written. Returns whether this instance leads and all is written.
    fn write(&mut self) -> Result<bool, String> {
        if !self.is_unwritten {
            return Ok(self.leads.is_some());
        }
        let saved = self.alerts.save(Moment::now());
        self.outbox.limit();
        let most = AlertLease::MAX_STATE;
        let saved = (&saved, self.alerts.left_out());
        let bytes = Record::write(saved, self.outbox.entries(), &self.budgets, &mut self.foreign, most);
        if !self.lease.write(&bytes)? {
            self.leads = None;
            return Ok(false);
        }
        self.is_unwritten = false;
        Ok(true)
    }
}

/// Notices of one destination, sent under one token.
#[derive(Debug)]
struct Sent {
    watch: Weak<Watch>,
    token: u64,
    destination: String,
}

impl Sent {
    fn permit(watch: &Arc<Watch>, token: u64, destination: &str) -> Arc<dyn Permit> {
        Arc::new(Self { watch: Arc::downgrade(watch), token, destination: destination.to_owned() })
    }
}

impl Permit for Sent {
    fn may_send(&self, events: &[EventId]) -> bool {
        let Some(watch) = self.watch.upgrade() else { return false };
        let mut state = locked(&watch.state);
        if state.leads != Some(self.token) || !state.outbox.has_all(events, &self.destination) {
            return false;
        }
        // Without an answer of Redis, another instance may have the lease.
        state.lease.confirm().unwrap_or(false)
    }

    fn settled(&self, events: &[EventId], outcome: Settled) {
        let Some(watch) = self.watch.upgrade() else { return };
        let mut state = locked(&watch.state);
        if state.outbox.settle(events, &self.destination, outcome) {
            state.outbox.clear(&watch.destinations);
            state.is_unwritten = true;
            // If it fails, the next turn writes it.
            let _ = if state.leads == Some(self.token) { state.write() } else { Ok(false) };
        }
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it is locked is a bug of ours, but leaves the states valid.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
