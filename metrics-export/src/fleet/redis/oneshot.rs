//! A value handed over once, to a future or to a thread that waits. Needs no runtime.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Creates both ends.
pub(super) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Arc::new(Mutex::new(Slot { value: None, waker: None }));
    (Sender(Arc::clone(&slot)), Receiver(slot))
}

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// Sends the value.
pub(super) struct Sender<T>(Arc<Mutex<Slot<T>>>);

impl<T> Sender<T> {
    /// Hands the value over and wakes the receiver. The waker is foreign code, so hold no lock here.
    pub(super) fn send(self, value: T) {
        let mut slot = lock(&self.0);
        slot.value = Some(value);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Resolves to the value.
pub(super) struct Receiver<T>(Arc<Mutex<Slot<T>>>);

impl<T> Future for Receiver<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = lock(&self.0);
        if let Some(value) = slot.value.take() {
            return Poll::Ready(value);
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

/// Blocks the calling thread until the future is ready.
pub(super) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    // The lock is only held for moves, so a panic leaves nothing half done.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicU32);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn sending_wakes_the_last_waker_once() {
        let (sender, mut receiver) = channel();
        let wakes = [(); 2].map(|()| Arc::<Wakes>::default());
        let mut poll = |wakes: &Arc<Wakes>| {
            let waker = Waker::from(Arc::clone(wakes));
            Pin::new(&mut receiver).poll(&mut Context::from_waker(&waker))
        };
        assert_eq!(poll(&wakes[0]), Poll::Pending);
        assert_eq!(poll(&wakes[1]), Poll::Pending);
        sender.send(7);
        assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed)), [0, 1]);
        assert_eq!(poll(&wakes[1]), Poll::Ready(7));
    }

    #[test]
    fn a_thread_can_wait_for_a_value_and_sending_without_a_receiver_does_no_harm() {
        let (sender, receiver) = channel();
        let waiting = thread::spawn(|| block_on(receiver));
        sender.send("there");
        assert_eq!(waiting.join().unwrap(), "there");
        let (sender, receiver) = channel();
        drop(receiver);
        sender.send("unread");
    }
}
