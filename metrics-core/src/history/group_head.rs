//! A group's figures without its durations, as bytes.
//!
//! [Numbers](super::coding): the group's code, how many outcomes follow, the code and the count of each outcome, and
//! the sum of nanoseconds, clamped durations, bytes of requests, bytes of responses, truncated responses, the shortest
//! and the longest duration.
//!
//! | group | code | | outcome | code |
//! |---|---:|---|---|---:|
//! | success | 0 | | other | 0 |
//! | error | 1 | | aborted | 1 |
//! | other | 2 | | panicked | 2 |
//! | aborted | 3 | | a status | the status |
//! | panicked | 4 | | | |
//! | a class, 1 to 5 | 10 and the class | | | |
//! | a status | the status | | | |

use super::coding::{Untrusted, put, take};
use super::saved_error::SavedError;
use crate::bytes::Bytes;
use crate::histogram::Layout;
use crate::labels::outcome::{Outcome, StatusGroup};
use crate::read::snapshot::extremes::Extremes;
use crate::read::snapshot::group::GroupSnapshot;

/// The most outcomes of a group: each status, and the three others.
const MAX_OUTCOMES: u64 = 503;

pub(super) fn put_head(bytes: &mut Vec<u8>, group: &GroupSnapshot) {
    put(bytes, group_code(group.group));
    put(bytes, group.counts.len() as u64);
    for &(outcome, count) in &group.counts {
        put(bytes, outcome_code(outcome));
        put(bytes, count);
    }
    let GroupSnapshot { sum_nanos, clamped, bytes: bodies, truncated, extremes, .. } = group;
    for number in
        [*sum_nanos, *clamped, bodies.request, bodies.response, *truncated, extremes.min, extremes.max]
    {
        put(bytes, number);
    }
}

/// Takes a head that [`put_head`] wrote.
pub(super) fn take_head(bytes: &mut &[u8]) -> GroupSnapshot {
    let mut number = || Ok(take(bytes));
    head(&mut number).expect("these bytes were written by `put_head`")
}

/// Takes a head that anybody may have written.
pub(super) fn read_head(bytes: &mut Untrusted<'_>) -> Result<GroupSnapshot, SavedError> {
    head(&mut || bytes.number())
}

#[inline]
fn head(number: &mut impl FnMut() -> Result<u64, SavedError>) -> Result<GroupSnapshot, SavedError> {
    let name = read_group(number()?).ok_or(SavedError::Damaged("no group of statuses has such a code"))?;
    // The layout is that of the durations, which are not here.
    let mut group = GroupSnapshot::empty(name, Layout::TWO_DIGITS);
    let outcomes = number()?;
    if outcomes > MAX_OUTCOMES {
        return Err(SavedError::Damaged("a group has too many outcomes"));
    }
    group.counts.reserve_exact(outcomes as usize);
    for _ in 0..outcomes {
        let outcome = read_outcome(number()?).ok_or(SavedError::Damaged("no outcome has such a code"))?;
        group.counts.push((outcome, number()?));
    }
    group.sum_nanos = number()?;
    group.clamped = number()?;
    group.bytes = Bytes { request: number()?, response: number()? };
    group.truncated = number()?;
    group.extremes = Extremes { min: number()?, max: number()? };
    Ok(group)
}

fn group_code(group: StatusGroup) -> u64 {
    match group {
        StatusGroup::Success => 0,
        StatusGroup::Error => 1,
        StatusGroup::Other => 2,
        StatusGroup::Aborted => 3,
        StatusGroup::Panicked => 4,
        StatusGroup::Class(digit) => 10 + u64::from(digit),
        StatusGroup::Status(status) => u64::from(status),
    }
}

fn read_group(code: u64) -> Option<StatusGroup> {
    Some(match code {
        0 => StatusGroup::Success,
        1 => StatusGroup::Error,
        2 => StatusGroup::Other,
        3 => StatusGroup::Aborted,
        4 => StatusGroup::Panicked,
        11..=15 => StatusGroup::Class((code - 10) as u8),
        100..=599 => StatusGroup::Status(code as u16),
        _ => return None,
    })
}

fn outcome_code(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Other => 0,
        Outcome::Aborted => 1,
        Outcome::Panicked => 2,
        Outcome::Status(status) => u64::from(status),
    }
}

fn read_outcome(code: u64) -> Option<Outcome> {
    Some(match code {
        0 => Outcome::Other,
        1 => Outcome::Aborted,
        2 => Outcome::Panicked,
        100..=599 => Outcome::Status(code as u16),
        _ => return None,
    })
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn every_group_and_every_outcome_is_read_back_from_its_code() {
        let outcomes = [Outcome::Other, Outcome::Aborted, Outcome::Panicked];
        for outcome in outcomes.into_iter().chain((100..=599).map(Outcome::Status)) {
            assert_eq!(read_outcome(outcome_code(outcome)), Some(outcome));
        }
        let groups = [StatusGroup::Success, StatusGroup::Error, StatusGroup::Other];
        let groups = groups.into_iter().chain([StatusGroup::Aborted, StatusGroup::Panicked]);
        let groups =
            groups.chain((1..=5).map(StatusGroup::Class)).chain((100..=599).map(StatusGroup::Status));
        for group in groups {
            assert_eq!(read_group(group_code(group)), Some(group));
        }
        assert_eq!([5, 10, 16, 99, 600].map(read_group), [None; 5]);
        assert_eq!([3, 99, 600, u64::MAX].map(read_outcome), [None; 4]);
    }
}
