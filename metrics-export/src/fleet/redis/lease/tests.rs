//! Two instances and a store, in every order of what can happen to them.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

const LENGTH: Duration = Duration::from_millis(1_000);

/// The store, and what happens to the next request.
struct World {
    begun: Instant,
    now: Duration,
    holder: &'static str,
    token: u64,
    ends: Duration,
    state: Option<State>,
    /// Whether the next request and its answer arrive.
    is_away: bool,
    /// The next request takes effect, and its answer is lost.
    loses_answer: bool,
    /// How long the next request is on its way.
    delay: Duration,
    /// Writes that took effect, by token.
    writes: Vec<u64>,
}

#[derive(Clone)]
struct Fake {
    world: Rc<RefCell<World>>,
    me: &'static str,
    /// Breaks the store: it takes writes of any token.
    without_fencing: bool,
}

impl Fake {
    fn arrive<T>(&self, apply: impl FnOnce(&mut World) -> T) -> Result<T, String> {
        let mut world = self.world.borrow_mut();
        let delay = std::mem::take(&mut world.delay);
        world.now += delay;
        if world.is_away {
            return Err("away".to_owned());
        }
        let result = apply(&mut world);
        if std::mem::take(&mut world.loses_answer) { Err("lost".to_owned()) } else { Ok(result) }
    }
}

impl Store for Fake {
    fn acquire(&mut self, request: &Request<'_>) -> Result<Found, String> {
        self.arrive(|world| {
            let is_ours = world.holder.is_empty() || world.ends <= world.now;
            if is_ours {
                world.holder = self.me;
                world.token = world.token.max(request.token) + 1;
                world.ends = world.now + request.length;
            }
            let state = world.state.clone().filter(|state| state.revision != request.revision);
            Found { is_ours, holder: world.holder.to_owned(), token: world.token, state }
        })
    }

    fn keep(&mut self, token: u64, length: Duration, state: Option<&State>) -> Result<bool, String> {
        self.arrive(|world| {
            let is_latest = (world.holder, world.token) == (self.me, token);
            if is_latest || self.without_fencing {
                world.ends = world.now + length;
                if let Some(state) = state {
                    world.state = Some(state.clone());
                    world.writes.push(token);
                }
            }
            is_latest
        })
    }
}

fn world() -> Rc<RefCell<World>> {
    Rc::new(RefCell::new(World {
        begun: Instant::now(),
        now: Duration::ZERO,
        holder: "",
        token: 0,
        ends: Duration::ZERO,
        state: None,
        is_away: false,
        loses_answer: false,
        delay: Duration::ZERO,
        writes: Vec::new(),
    }))
}

fn now(world: &RefCell<World>) -> Instant {
    let world = world.borrow();
    world.begun + world.now
}

/// What can happen. An instance that is stopped is one that does nothing for a while.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// The first instance renews and writes, or asks for the lease.
    First,
    Second,
    Half,
    Whole,
    /// The store goes away or comes back.
    Outage,
    LosesAnswer,
    /// The next request is on its way for half a lease.
    Slow,
}

const EVENTS: [Event; 7] =
    [Event::First, Event::Second, Event::Half, Event::Whole, Event::Outage, Event::LosesAnswer, Event::Slow];

/// Whether at no time both held the lease, and no write came after one with a later token.
fn holds(events: impl Iterator<Item = Event>, without_fencing: bool) -> bool {
    let world = world();
    let fake = |me| Fake { world: Rc::clone(&world), me, without_fencing };
    let mut leases = ["a", "b"].map(|me| Lease::new(fake(me), LENGTH));
    for event in events {
        let instance = match event {
            Event::First => Some(0),
            Event::Second => Some(1),
            _ => None,
        };
        let mut changed = world.borrow_mut();
        match event {
            Event::First | Event::Second => {}
            Event::Half => changed.now += LENGTH / 2,
            Event::Whole => changed.now += LENGTH,
            Event::Outage => changed.is_away = !changed.is_away,
            Event::LosesAnswer => changed.loses_answer = true,
            Event::Slow => changed.delay = LENGTH / 2,
        }
        drop(changed);
        if let Some(lease) = instance.map(|instance| &mut leases[instance]) {
            let sent = now(&world);
            // What the result is shows in the lease.
            let _ = match lease.may_be_held() {
                true => lease.keep(sent, Some(b"state")),
                false => lease.acquire(sent).map(|found| found.is_ours),
            };
        }
        let at = now(&world);
        let tokens = leases.each_ref().map(|lease| lease.token(at));
        let have_both = tokens.iter().all(Option::is_some);
        let is_sorted = world.borrow().writes.is_sorted();
        if have_both || !is_sorted {
            return false;
        }
    }
    true
}

/// All sequences of so many events.
fn all(length: u32) -> impl Iterator<Item = Vec<Event>> {
    let base = EVENTS.len();
    (0..base.pow(length))
        .map(move |number| (0..length).map(|place| EVENTS[number / base.pow(place) % base]).collect())
}

#[test]
fn in_no_order_of_events_two_instances_hold_the_lease_or_an_older_one_writes() {
    let length = if cfg!(miri) { 3 } else { 5 };
    for events in all(length) {
        assert!(holds(events.iter().copied(), false), "{events:?}");
    }
}

#[test]
fn a_store_that_takes_writes_of_any_token_is_found_out() {
    assert!(all(5).any(|events| !holds(events.into_iter(), true)));
}

#[test]
fn a_holder_that_was_stopped_notices_by_its_clock_and_then_by_its_token() {
    let world = world();
    let fake = |me| Fake { world: Rc::clone(&world), me, without_fencing: false };
    let (mut first, mut second) = (Lease::new(fake("a"), LENGTH), Lease::new(fake("b"), LENGTH));
    let clock = || now(&world);
    assert!(first.acquire(clock()).unwrap().is_ours);
    assert!(!second.acquire(clock()).unwrap().is_ours);
    assert_eq!(first.confirm(clock), Ok(true));
    // Stopped for so long that it ended by its own clock; nobody took it, so it goes on with the same token.
    world.borrow_mut().now += LENGTH;
    assert_eq!(first.confirm(clock), Ok(false));
    assert_eq!(first.keep(clock(), Some(b"one")), Ok(true));
    assert_eq!(first.confirm(clock), Ok(true));
    // Stopped again, and another one takes it.
    world.borrow_mut().now += LENGTH;
    let found = second.acquire(clock()).unwrap();
    assert_eq!((found.is_ours, found.token, found.state.unwrap().bytes), (true, 2, b"one".to_vec()));
    assert_eq!(first.keep(clock(), Some(b"two")), Ok(false));
    assert!(!first.may_be_held());
    assert_eq!(world.borrow().state.as_ref().unwrap().bytes, b"one");
    // The clock of a machine that slept may have stood still; the token has not.
    let frozen = now(&world);
    second.keep(frozen, None).unwrap();
    world.borrow_mut().now += LENGTH;
    assert!(first.acquire(clock()).unwrap().is_ours);
    assert_eq!(second.confirm(|| frozen), Ok(false));
    // Given up, it is free at once, and no token comes twice even if the store forgot them.
    first.release().unwrap();
    (world.borrow_mut().token, world.borrow_mut().holder) = (0, "");
    assert_eq!(second.acquire(clock()).unwrap().token, 3);
}

#[test]
fn while_the_store_is_away_a_lease_ends_by_the_clock() {
    let world = world();
    let mut lease = Lease::new(Fake { world: Rc::clone(&world), me: "a", without_fencing: false }, LENGTH);
    let clock = || now(&world);
    lease.acquire(clock()).unwrap();
    world.borrow_mut().is_away = true;
    world.borrow_mut().now += LENGTH / 2;
    assert!(lease.keep(clock(), Some(b"state")).is_err() && lease.confirm(clock).is_err());
    assert!(lease.token(clock()).is_some());
    world.borrow_mut().now += LENGTH / 2;
    assert!(lease.token(clock()).is_none());
    assert_eq!(lease.confirm(clock), Ok(false));
    world.borrow_mut().is_away = false;
    assert_eq!(lease.keep(clock(), None), Ok(true));
}
