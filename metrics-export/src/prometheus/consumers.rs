//! The families of the consumers with the most calls.

use metrics_core::{ConsumerSnapshot, Snapshot};

use super::catalog;
use super::encoder::{Encoder, Value};
use super::family::Figure;

/// The most consumers that can be exposed.
pub(crate) const MAX_TOP_CONSUMERS: usize = 1_000;

/// Writes the families of the `top` consumers with the most calls.
pub(crate) fn write<'a>(snapshot: &'a Snapshot, top: usize, to: &mut impl Encoder<'a>) {
    let all = snapshot.consumers();
    let mut indices = [0; MAX_TOP_CONSUMERS];
    let top = top_indices(all, &mut indices[..top.min(MAX_TOP_CONSUMERS)]);
    let figures: [Figure<ConsumerSnapshot, Value>; 3] = [
        (&catalog::CONSUMER_REQUESTS, |consumer| Value::Count(consumer.calls)),
        (&catalog::CONSUMER_ERRORS, |consumer| Value::Count(consumer.errors)),
        (&catalog::CONSUMER_SECONDS, |consumer| Value::Nanos(consumer.sum_nanos)),
    ];
    for (family, figure) in figures {
        to.begin(*family);
        for &index in top {
            let consumer = &all[index as usize];
            to.value(&[("consumer", &consumer.name)], figure(consumer));
        }
        to.end();
    }
}

/// Returns the indices of the consumers with the most calls, as many as `room` holds. Allocates nothing.
fn top_indices<'a>(consumers: &[ConsumerSnapshot], room: &'a mut [u32]) -> &'a [u32] {
    let mut len = 0;
    let rank = |index: u32| std::cmp::Reverse(consumers[index as usize].calls);
    for index in 0..consumers.len() as u32 {
        // After those with equal calls, so that a tie changes no order.
        let at = room[..len].partition_point(|&other| rank(other) <= rank(index));
        if at < room.len() {
            len = (len + 1).min(room.len());
            room[at..len].rotate_right(1);
            room[at] = index;
        }
    }
    &room[..len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_top_consumers_are_the_first_ones_of_a_sorted_list(
            calls in prop::collection::vec(0_u64..20, 0..60),
            room in 0_usize..30,
        ) {
            let consumer = |calls| ConsumerSnapshot {
                name: "".into(),
                calls,
                errors: 0,
                sum_nanos: 0,
                last_seen: std::time::SystemTime::UNIX_EPOCH,
            };
            let consumers: Vec<_> = calls.iter().map(|&calls| consumer(calls)).collect();
            let mut sorted: Vec<_> = (0..calls.len() as u32).collect();
            sorted.sort_by_key(|&index| std::cmp::Reverse(calls[index as usize]));
            sorted.truncate(room);
            let mut room = vec![0; room];
            prop_assert_eq!(top_indices(&consumers, &mut room), sorted);
        }
    }
}
