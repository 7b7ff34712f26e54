//! Jobs that several callers wait for at once: a caller joins the waiting job that will answer its question, if there
//! is one.
//!
//! So a crowd that asks the same question again and again costs one job, and cannot keep others from asking it. What is
//! waiting is also bounded for each subject, jobs as well as callers, so that a crowd that asks about one subject fills
//! its own places only; and for each address, so that others can ask about that subject, too. A job that has begun is
//! not joined: nobody gets figures that are older than the request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::lanes::{Lane, MAX_JOBS, Refused, Scratch, Ticket};
use crate::policy::peer::Source;

/// Callers that may wait for each endpoint, about 100 bytes each.
pub(crate) const MAX_CALLERS: usize = 4_096;

/// What a result depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The path of the endpoint.
    pub(crate) subject: &'static str,
    /// The rest of the question; `None` if the job must not be joined.
    pub(crate) variant: Option<String>,
}

/// The key of a waiting job, of which all that wait for it share one copy; the number tells jobs apart that must not be
/// joined.
type JobKey = Arc<(Key, Option<u64>)>;

/// The jobs of a lane that wait for a thread, with those who wait for them.
#[derive(Debug)]
pub(crate) struct Joined<T> {
    waiting: Arc<Mutex<Waiting<T>>>,
}

#[derive(Debug)]
struct Waiting<T> {
    jobs: HashMap<JobKey, Job<T>>,
    /// How many wait for each subject.
    callers: HashMap<&'static str, usize>,
    /// How many of them are from one address, if there are any.
    from: HashMap<(&'static str, Source), usize>,
    next_id: u64,
}

#[derive(Debug)]
struct Job<T> {
    /// Who asked first.
    source: Source,
    callers: Vec<Caller<T>>,
    /// Its place in the lane.
    _place: Ticket<()>,
}

#[derive(Debug)]
struct Caller<T> {
    id: u64,
    source: Source,
    sender: oneshot::Sender<Arc<T>>,
}

impl<T> Default for Joined<T> {
    fn default() -> Self {
        let (jobs, callers, from) = Default::default();
        let waiting = Waiting { jobs, callers, from, next_id: 0 };
        Self { waiting: Arc::new(Mutex::new(waiting)) }
    }
}

impl<T: Send + Sync + 'static> Joined<T> {
    /// Runs a job in a lane, or joins one with this key that has not begun.
    pub(crate) fn run(
        &self,
        lane: &Lane,
        key: Key,
        source: Source,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<Share<T>, Refused> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        let id = waiting.next_id;
        let subject = key.subject;
        let number = key.variant.is_none().then_some(id);
        let mut key = Arc::new((key, number));
        if waiting.callers.get(subject) == Some(&MAX_CALLERS) {
            return Err(Refused::Busy);
        }
        if waiting.from.get(&(subject, source)) == Some(&source.share(MAX_CALLERS)) {
            return Err(Refused::BusyAddress);
        }
        let caller = Caller { id, source, sender };
        if let Some((known, _)) = waiting.jobs.get_key_value(&key) {
            key = Arc::clone(known);
        }
        if let Some(known) = waiting.jobs.get_mut(&key) {
            known.callers.push(caller);
        } else {
            let sources = waiting.jobs.iter().filter(|(known, _)| known.0.subject == subject);
            let sources: Vec<_> = sources.map(|(_, job)| job.source).collect();
            if sources.len() == MAX_JOBS {
                return Err(Refused::Busy);
            }
            if sources.iter().filter(|known| **known == source).count() >= source.share(MAX_JOBS) {
                return Err(Refused::BusyAddress);
            }
            let (shared, own) = (Arc::clone(&self.waiting), Arc::clone(&key));
            let place = lane.run_for(subject, move |scratch| {
                // Waits until the job is in the map: it is locked until then.
                let begun = lock(&shared).take(&own);
                let result = Arc::new(job(scratch));
                // A receiver may be gone: its client gave up while the job ran.
                let callers = begun.into_iter().flat_map(|begun| begun.callers);
                callers.for_each(|caller| drop(caller.sender.send(Arc::clone(&result))));
            })?;
            waiting.jobs.insert(Arc::clone(&key), Job { source, callers: vec![caller], _place: place });
        }
        waiting.next_id += 1;
        *waiting.callers.entry(subject).or_default() += 1;
        *waiting.from.entry((subject, source)).or_default() += 1;
        drop(waiting);
        Ok(Share { receiver, key, id, waiting: Arc::clone(&self.waiting) })
    }
}

impl<T> Waiting<T> {
    /// Takes out a job that begins, or that nobody waits for.
    fn take(&mut self, key: &(Key, Option<u64>)) -> Option<Job<T>> {
        let job = self.jobs.remove(key)?;
        job.callers.iter().for_each(|caller| self.has_left(key.0.subject, caller.source));
        Some(job)
    }

    /// A caller does not wait for a subject any more.
    fn has_left(&mut self, subject: &'static str, source: Source) {
        if let Some(waiting) = self.callers.get_mut(subject) {
            *waiting -= 1;
        }
        if let Entry::Occupied(mut waiting) = self.from.entry((subject, source)) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
    }

    /// Takes out a caller, and its job if it was the last one.
    fn leave(&mut self, key: &(Key, Option<u64>), id: u64) -> Option<Job<T>> {
        let job = self.jobs.get_mut(key)?;
        let at = job.callers.iter().position(|caller| caller.id == id)?;
        let left = job.callers.swap_remove(at);
        let was_last = job.callers.is_empty();
        self.has_left(key.0.subject, left.source);
        if was_last { self.take(key) } else { None }
    }
}

/// A share in the result of a job, when it is there; `None` if the job panicked.
///
/// Dropping the last share of a job takes it out of its lane, unless it has begun.
#[derive(Debug)]
#[must_use = "a share that is dropped may take the job out of its lane"]
pub(crate) struct Share<T> {
    receiver: oneshot::Receiver<Arc<T>>,
    key: JobKey,
    id: u64,
    waiting: Arc<Mutex<Waiting<T>>>,
}

impl<T> Future for Share<T> {
    type Output = Option<Arc<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Arc<T>>> {
        Pin::new(&mut self.receiver).poll(cx).map(Result::ok)
    }
}

impl<T> Drop for Share<T> {
    fn drop(&mut self) {
        let left = lock(&self.waiting).leave(&self.key, self.id);
        // Not while the map is locked: what a job holds may be the last of the monitor.
        drop(left);
    }
}

fn lock<T>(waiting: &Mutex<Waiting<T>>) -> MutexGuard<'_, Waiting<T>> {
    // Nothing panics while it is locked.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};

    use super::super::lanes::Lanes;
    use super::*;
    use crate::testing::block_on;

    const LOCAL: Source = Source::UnixSocket;

    fn from(address: [u8; 4]) -> Source {
        Source::Address(address.into())
    }

    fn key(subject: &'static str, variant: impl Into<Option<&'static str>>) -> Key {
        Key { subject, variant: variant.into().map(str::to_owned) }
    }

    /// Occupies both threads of the lane until the senders are dropped.
    fn occupy(lane: &Lane) -> Vec<(Ticket<()>, Sender<()>)> {
        let occupy = |_| {
            let (release, released) = channel::<()>();
            let (begun, begins) = channel();
            let job = move |_: &mut Scratch| {
                begun.send(()).unwrap();
                let _ = released.recv();
            };
            let ticket = lane.run(job).unwrap();
            begins.recv().unwrap();
            (ticket, release)
        };
        (0..2).map(occupy).collect()
    }

    #[test]
    fn callers_with_the_same_question_share_one_job_that_has_not_begun() {
        let (Lanes { reads, .. }, joined) = (&Lanes::default(), Joined::default());
        let occupied = occupy(reads);
        let runs = Arc::new(AtomicUsize::new(0));
        let ask = |key| {
            let runs = Arc::clone(&runs);
            joined.run(reads, key, LOCAL, move |_| runs.fetch_add(1, Ordering::SeqCst)).unwrap()
        };
        let shares: Vec<_> = (0..1_000).map(|_| ask(key("summary", "1m"))).collect();
        let (other, alone) = (ask(key("summary", "5m")), [ask(key("reset", None)), ask(key("reset", None))]);
        drop(occupied);
        let first = block_on(shares.into_iter().next().unwrap());
        assert!(
            first.is_some()
                && block_on(other).is_some()
                && alone.into_iter().all(|one| block_on(one).is_some())
        );
        assert_eq!(runs.load(Ordering::SeqCst), 4);
        let later = block_on(ask(key("summary", "1m")));
        assert_eq!(later.as_deref(), Some(&4));
    }

    #[test]
    fn callers_with_the_same_question_share_its_text() {
        let (Lanes { reads, .. }, joined) = (&Lanes::default(), Joined::default());
        let occupied = occupy(reads);
        let ask = || joined.run(reads, key("history", "a long question"), LOCAL, |_| ()).unwrap();
        let shares: Vec<_> = (0..100).map(|_| ask()).collect();
        assert!(shares.iter().all(|share| Arc::ptr_eq(&share.key, &shares[0].key)));
        drop(occupied);
        assert!(shares.into_iter().all(|share| block_on(share).is_some()));
    }

    #[test]
    fn many_questions_about_one_subject_leave_room_for_others() {
        let (Lanes { reads, .. }, joined) = (&Lanes::default(), Joined::default());
        let occupied = occupy(reads);
        let ask_from = |source, key| joined.run(reads, key, source, |_| "done");
        let number = |i: usize| Key { subject: "history", variant: Some(i.to_string()) };
        // Four addresses with a quarter of the places each.
        let strangers = |i: usize| from([203, 0, 113, (i % 4) as u8]);
        let mut shares: Vec<_> = (0..MAX_JOBS).map(|i| ask_from(strangers(i), number(i)).unwrap()).collect();
        let ask = |key| ask_from(LOCAL, key);
        assert_eq!(ask(number(MAX_JOBS)).err(), Some(Refused::Busy));
        let summary = ask(key("summary", "1m")).unwrap();
        let joins = ask(number(0)).unwrap();
        // A caller that gives up leaves its place to another, unless somebody else waits for the same.
        drop(shares.remove(0));
        assert_eq!(ask(number(MAX_JOBS)).err(), Some(Refused::Busy));
        drop(shares.remove(0));
        shares.push(ask(number(MAX_JOBS)).unwrap());
        drop(occupied);
        assert_eq!(block_on(summary).as_deref(), Some(&"done"));
        assert_eq!(block_on(joins).as_deref(), Some(&"done"));
        assert!(shares.into_iter().all(|share| block_on(share).is_some()));
        assert!(lock(&joined.waiting).callers.values().all(|&callers| callers == 0));
        assert!(lock(&joined.waiting).from.is_empty());
    }

    #[test]
    fn many_questions_from_one_address_leave_room_for_those_of_others_about_the_same() {
        let (Lanes { reads, .. }, joined) = (&Lanes::default(), Joined::default());
        let occupied = occupy(reads);
        let ask = |source, i: usize| {
            let key = Key { subject: "history", variant: Some(i.to_string()) };
            joined.run(reads, key, source, |_| "done")
        };
        let (stranger, proxy) = (from([203, 0, 113, 7]), from([127, 0, 0, 1]));
        let mut shares: Vec<_> = (0..12).map(|i| ask(stranger, i).unwrap()).collect();
        assert_eq!(ask(stranger, 12).err(), Some(Refused::BusyAddress));
        // What waits already costs no further job.
        shares.push(ask(stranger, 3).unwrap());
        shares.extend((12..48).map(|i| ask(proxy, i).unwrap()));
        drop(shares.remove(0));
        assert_eq!(ask(proxy, 48).err(), Some(Refused::BusyAddress));
        shares.push(ask(from([203, 0, 113, 8]), 48).unwrap());
        drop(occupied);
        assert!(shares.into_iter().all(|share| block_on(share).is_some()));
    }

    #[test]
    fn no_more_than_a_fixed_number_of_callers_wait_for_a_subject_and_others_find_room() {
        let (Lanes { reads, .. }, joined) = (&Lanes::default(), Joined::default());
        let occupied = occupy(reads);
        let ask_from = |source, variant| joined.run(reads, key("summary", variant), source, |_| ());
        let (proxy, stranger) = (from([127, 0, 0, 1]), from([203, 0, 113, 7]));
        let callers = |source, callers| (0..callers).map(move |i| (source, ["1m", "5m"][i % 2]));
        let fill =
            |source, wanted| callers(source, wanted).map(|(source, variant)| ask_from(source, variant));
        let mut shares: Vec<_> = fill(proxy, MAX_CALLERS / 4 * 3).map(Result::unwrap).collect();
        assert_eq!(ask_from(proxy, "1m").err(), Some(Refused::BusyAddress));
        shares.extend(fill(stranger, MAX_CALLERS / 4).map(Result::unwrap));
        let ask = |variant| ask_from(LOCAL, variant);
        assert_eq!([ask("1m").err(), ask("1h").err()], [Some(Refused::Busy); 2]);
        let other = joined.run(reads, key("routes", "1m"), LOCAL, |_| ()).unwrap();
        shares.pop();
        drop((ask("1m").unwrap(), occupied));
        assert!(shares.into_iter().chain([other]).all(|share| block_on(share).is_some()));
        assert!(lock(&joined.waiting).callers.values().all(|&callers| callers == 0));
    }

    #[test]
    fn a_panic_of_a_job_reaches_all_who_wait_for_it() {
        let (Lanes { reads, .. }, joined) = (&Lanes::default(), Joined::<()>::default());
        let occupied = occupy(reads);
        let ask =
            || joined.run(reads, key("summary", "1m"), LOCAL, |_| panic!("as the test wants it")).unwrap();
        let shares = [ask(), ask()];
        drop(occupied);
        assert!(shares.into_iter().all(|share| block_on(share).is_none()));
    }
}
