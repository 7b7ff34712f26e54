//! Places in a lane for jobs that are not ready yet, such as answers that still wait for a Redis.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{Lane, Queue, Refused, Scratch, Ticket, with_receiver};
use crate::policy::peer::Source;

impl Lane {
    /// Reserves a place for a job that is not ready yet, and that a client at this address asked for.
    pub(crate) fn reserve(&self, source: Source) -> Result<Reservation, Refused> {
        let mut state = self.queue.accepting()?;
        let reserved = state.reserved_for.entry(source).or_default();
        if *reserved >= source.share(self.queue.capacity) {
            return Err(Refused::BusyAddress);
        }
        *reserved += 1;
        state.reserved += 1;
        drop(state);
        let share = OfAddress { source, queue: Arc::clone(&self.queue) };
        Ok(Reservation { share: Some(share), queue: Arc::clone(&self.queue) })
    }
}

/// A place in a lane for a job that is not ready yet. The job runs even if the lane is closed meanwhile, and
/// [`super::Lanes::wait_until_idle`] waits for it. Dropping the reservation frees the place.
#[derive(Debug)]
#[must_use = "a reservation that is dropped frees its place"]
pub(crate) struct Reservation {
    /// `None` once its job has it.
    share: Option<OfAddress>,
    queue: Arc<Queue>,
}

/// One of the places that an address may have, until it is dropped: never while the queue is locked.
#[derive(Debug)]
struct OfAddress {
    source: Source,
    queue: Arc<Queue>,
}

impl Reservation {
    /// Runs the job for a subject as soon as a thread is free and it is the subject's turn. Refused only if the system
    /// has no thread to spare.
    pub(crate) fn run<T: Send + 'static>(
        mut self,
        subject: &'static str,
        job: impl FnOnce(&mut Scratch) -> T + Send + 'static,
    ) -> Result<Ticket<T>, Refused> {
        // The address has its place until the job begins, or is taken out of the queue.
        let share = self.share.take();
        let (job, receiver) = with_receiver(move |scratch: &mut Scratch| {
            drop(share);
            job(scratch)
        });
        // The place is freed after this, so the lane is not idle in between.
        let id = self.queue.push(self.queue.lock(), subject, None, job)?;
        Ok(Ticket { receiver, id, queue: Arc::clone(&self.queue) })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.queue.lock().reserved -= 1;
        self.queue.rest.notify_all();
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        if let Entry::Occupied(mut reserved) = state.reserved_for.entry(self.source) {
            *reserved.get_mut() -= 1;
            if *reserved.get() == 0 {
                reserved.remove();
            }
        }
    }
}
