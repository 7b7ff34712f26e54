//! Jobs on lanes: their order, their places, and the end of the threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::testing::block_on;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn in_a_minute() -> Instant {
    Instant::now() + MINUTE
}

/// Occupies a thread of the lane until the sender is dropped. Returns once the job runs.
fn occupy(lane: &Lane) -> (Ticket<()>, Sender<()>) {
    let (release, released): (_, Receiver<()>) = channel();
    let (begun, begins) = channel();
    let job = move |_: &mut Scratch| {
        begun.send(()).unwrap();
        let _ = released.recv();
    };
    let ticket = lane.run(job).unwrap();
    begins.recv_timeout(MINUTE).unwrap();
    (ticket, release)
}

#[test]
fn a_close_waits_for_running_and_waiting_jobs_and_accepts_no_more() {
    let lane = Lane::new("test", 1, 8);
    let (first, release) = occupy(&lane);
    let second = lane.run(|_| 2).unwrap();
    lane.close();
    assert_eq!(lane.run(|_| ()).err(), Some(Refused::Closed));
    drop(release);
    assert!(lane.wait_until_idle(MINUTE));
    assert_eq!((block_on(first), block_on(second)), (Some(()), Some(2)));
    assert!(lane.wait_until_idle(Duration::ZERO));
}

#[test]
fn a_wait_for_a_busy_lane_gives_up_when_its_time_is_over() {
    let lane = Lane::new("test", 1, 8);
    let (_job, release) = occupy(&lane);
    lane.close();
    assert!(!lane.wait_until_idle(Duration::from_millis(20)));
    assert!(!lane.wait_until_idle(Duration::ZERO));
    drop(release);
    assert!(lane.wait_until_idle(MINUTE));
}

#[test]
fn a_full_queue_refuses_jobs_until_a_client_gives_up() {
    let lane = Lane::new("test", 2, 2);
    let running = [occupy(&lane), occupy(&lane)];
    let waiting = lane.run(|_| "waited").unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ran);
    let given_up = lane.run(move |_| flag.store(true, Ordering::SeqCst)).unwrap();
    assert_eq!(lane.run(|_| ()).err(), Some(Refused::Busy));
    drop(given_up);
    let in_its_place = lane.run(|_| "came later").unwrap();
    assert_eq!(lane.run(|_| ()).err(), Some(Refused::Busy));
    drop(running);
    assert_eq!((block_on(waiting), block_on(in_its_place)), (Some("waited"), Some("came later")));
    assert!(!ran.load(Ordering::SeqCst), "the job of the client that gave up has run");
}

#[cfg(feature = "redis")]
#[test]
fn a_job_with_a_reservation_runs_even_after_the_close() {
    let lane = Lane::new("test", 1, 4);
    let (local, stranger) = (Source::UnixSocket, Source::Address([203, 0, 113, 7].into()));
    let (reservation, given_up) = (lane.reserve(local).unwrap(), lane.reserve(local).unwrap());
    let others = [lane.reserve(local).unwrap(), lane.reserve(stranger).unwrap()];
    assert_eq!(lane.run(|_| ()).err(), Some(Refused::Busy));
    drop((given_up, others));
    assert_eq!(block_on(lane.run(|_| 1).unwrap()), Some(1));
    lane.close();
    assert_eq!(lane.reserve(local).err(), Some(Refused::Closed));
    assert!(!lane.wait_until_idle(Duration::from_millis(20)));
    assert_eq!(block_on(reservation.run("fleet", |_| 2).unwrap()), Some(2));
    assert!(lane.wait_until_idle(MINUTE));
}

#[cfg(feature = "redis")]
#[test]
fn an_address_leaves_reservations_for_others() {
    let lane = Lane::new("test", 1, 8);
    let source = |address: &str| Source::Address(address.parse().unwrap());
    let (stranger, proxy, other) = (source("203.0.113.7"), source("127.0.0.1"), source("203.0.113.8"));
    let reserve = |source, places| (0..places).map(|_| lane.reserve(source).unwrap()).collect::<Vec<_>>();
    let mut of_stranger = reserve(stranger, 2);
    assert_eq!(lane.reserve(stranger).err(), Some(Refused::BusyAddress));
    of_stranger.pop();
    of_stranger.extend(reserve(stranger, 1));
    let of_proxy = reserve(proxy, 6);
    assert_eq!(lane.reserve(other).err(), Some(Refused::Busy));
    drop(of_stranger);
    assert_eq!(lane.reserve(proxy).err(), Some(Refused::BusyAddress));
    drop((of_proxy, reserve(other, 2)));
    assert!(lane.queue.lock().reserved_for.is_empty() && lane.wait_until_idle(Duration::ZERO));
}

#[cfg(feature = "redis")]
#[test]
fn an_address_has_its_share_while_its_jobs_wait_and_no_longer() {
    let lane = Lane::new("test", 1, 8);
    let stranger = Source::Address([203, 0, 113, 7].into());
    let (_job, release) = occupy(&lane);
    let wait = || lane.reserve(stranger).unwrap().run("fleet/summary", |_| "done").unwrap();
    let given_up = [wait(), wait()];
    assert_eq!(lane.reserve(stranger).err(), Some(Refused::BusyAddress));
    drop(given_up);
    let waiting = [wait(), wait()];
    assert_eq!(lane.reserve(stranger).err(), Some(Refused::BusyAddress));
    drop(release);
    assert_eq!(waiting.map(block_on), [Some("done"); 2]);
    assert!(lane.wait_until_idle(MINUTE) && lane.queue.lock().reserved_for.is_empty());
}

#[test]
fn subjects_take_turns_and_each_has_its_jobs_done_in_their_order() {
    let lane = Lane::new("test", 1, 16);
    let (_job, release) = occupy(&lane);
    let (done, order) = channel();
    let job = |subject, number: usize| {
        let done = done.clone();
        lane.run_for(subject, move |_| done.send((subject, number)).unwrap()).unwrap()
    };
    let mut tickets: Vec<_> = (0..4).map(|number| job("history", number)).collect();
    tickets.extend([job("slow", 0), job("slow", 1), job("summary", 0)]);
    drop(release);
    assert!(lane.wait_until_idle(MINUTE));
    let expected = [
        ("history", 0),
        ("slow", 0),
        ("summary", 0),
        ("history", 1),
        ("slow", 1),
        ("history", 2),
        ("history", 3),
    ];
    assert_eq!(order.try_iter().collect::<Vec<_>>(), expected);
    drop(tickets);
}

#[test]
fn a_panic_ends_its_own_job_and_not_the_lane() {
    let lane = Lane::new("test", 1, 8);
    let panics = lane.run(|_| assert_eq!(1, 2, "as the test wants it")).unwrap();
    let next = lane.run(|_| 0).unwrap();
    assert_eq!((block_on(panics), block_on(next)), (None, Some(0)));
    assert_eq!(
        block_on(lane.run(|_| thread::current().name().map(str::to_owned)).unwrap()),
        Some(Some("test".to_owned()))
    );
}

#[test]
fn a_timed_job_runs_at_its_time_and_holds_up_no_other() {
    let lane = Lane::new("test", 1, 8);
    let due = Instant::now() + Duration::from_millis(50);
    let timed = lane.run_at(due, |_| Instant::now()).unwrap();
    let never = lane.run_at(in_a_minute(), |_| ()).unwrap();
    assert!(block_on(lane.run(|_| Instant::now()).unwrap()).is_some());
    assert!(block_on(timed) >= Some(due));
    lane.close();
    assert_eq!(block_on(never), None);
    assert!(lane.wait_until_idle(MINUTE));
}

#[test]
fn the_threads_end_when_the_lanes_are_dropped() {
    let lanes = Lanes::default();
    let queue = Arc::downgrade(&lanes.reads.queue);
    assert_eq!(block_on(lanes.reads.run(|_| 1).unwrap()), Some(1));
    drop(lanes);
    let begun = Instant::now();
    // Each thread holds its queue.
    while queue.strong_count() > 0 && begun.elapsed() < MINUTE {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(queue.strong_count(), 0);
}

#[test]
fn no_more_than_two_scrapes_are_rendered_at_one_time() {
    let Lanes { scrapes, .. } = &Lanes::default();
    let running = [occupy(scrapes), occupy(scrapes)];
    let third = scrapes.run(|_| ()).unwrap();
    assert_eq!(scrapes.queue.lock().waiting.len(), 1);
    let [(first, release), _second] = running;
    drop(release);
    assert_eq!((block_on(first), block_on(third)), (Some(()), Some(())));
}
