//! Loom's models of a cell.

use super::buckets::BucketCopy;
use super::reading::{Consistency, Header, Reading};
use super::wait_budget::WaitBudget;
use super::*;
use crate::sync::model;
use loom::sync::Arc;
use loom::thread;

/// A header that is not torn is of one moment: the counts, the sum and the extremes of the same records.
///
/// Fails when any of the three fences is removed, when the store in `count` is Relaxed, when `begun` is incremented
/// just before the count, and when the extremes are stored after it (each tried alone).
#[test]
fn a_header_that_is_not_torn_is_of_one_moment() {
    model(|| {
        let cell = Arc::new(Cell::<16>::new());
        let writer = thread::spawn({
            let cell = Arc::clone(&cell);
            move || {
                record_header(&cell, 0, 1, 0);
                record_header(&cell, 1, 2, 0);
            }
        });
        let mut header = Header::blank();
        if let Some(records) = cell.read_header(&mut header) {
            assert_eq!(header.counts[..2], [u64::from(records > 0), u64::from(records > 1)]);
            assert_eq!(header.sum, records * (records + 1) / 2);
            if records > 0 {
                assert_eq!((header.epoch, header.min, header.max), (0, 1, records));
            }
        }
        writer.join().unwrap();
    });
}

/// The buckets that are read after a header hold at least the records that the header counts, torn or not.
///
/// Fails when the bucket is added to after the header, in `record` or in `record_outside`, and when the store in
/// `count` is Relaxed (each tried). Either Acquire fence in `read_header` is enough.
#[test]
fn the_buckets_hold_at_least_what_the_header_counts() {
    model(|| {
        // Into a block that exists, and into one that does not.
        let (cell, writer) = written_to(&[(0, 16), (1, 3)]);
        let mut header = Header::blank();
        let mut buckets = BucketCopy::new(Layout::ONE_DIGIT);
        cell.read_header(&mut header);
        cell.read_buckets(&mut buckets);
        let mut sums = vec![0; Layout::ONE_DIGIT.buckets()];
        buckets.add_to(&mut sums);
        assert!(sums[16] >= header.counts[0] && sums[3] >= header.counts[1]);
        writer.join().unwrap();
    });
}

/// A reading of one moment has header and buckets of the same records.
///
/// Fails when the bucket is added to before `begin`, when any of the fences is removed but the second one in
/// `read_header`, when the store in `count` is Relaxed, and when `begun` is not compared after the buckets (each
/// tried).
#[test]
fn a_reading_of_one_moment_has_the_durations_of_its_calls() {
    model(|| {
        let (cell, writer) = written_to(&[(1, 17)]);
        let mut reading = Reading::new(Layout::ONE_DIGIT);
        let moment = cell.read(&mut reading, &mut WaitBudget::new());
        let counts = reading.header.counts;
        if let Consistency::One(records) = moment {
            let sums = sums(&reading);
            assert_eq!(records, counts.iter().sum::<u64>());
            assert_eq!([sums[16], sums[17]], counts);
            assert_eq!(reading.header.sum, counts[0] * 16 + counts[1] * 17);
        }
        writer.join().unwrap();
    });
}

/// Like the model above, for a reading without a copy.
///
/// Fails when the first fence in `read_header` or the one after the buckets is removed, and when `begun` is not
/// compared after them (each tried).
#[test]
fn a_reading_at_once_has_the_durations_of_its_calls() {
    model(|| {
        let (cell, writer) = written_to(&[(1, 17)]);
        let (mut header, mut sums) = (Header::blank(), vec![0; Layout::ONE_DIGIT.buckets()]);
        if let (Some(records), span) = cell.add_at_once(&mut header, &mut sums) {
            assert_eq!((records, span), (header.counts.iter().sum::<u64>(), 1..2));
            assert_eq!([sums[16], sums[17]], header.counts);
            assert_eq!(header.sum, header.counts[0] * 16 + header.counts[1] * 17);
        }
        writer.join().unwrap();
    });
}

/// The latest durations that are read after a header are those of the records that it counts.
///
/// Fails when the fence after the durations is removed, when `begun` is not compared after them, and when a record
/// keeps its duration before `begin` or after its count (each tried).
#[test]
fn the_latest_durations_are_those_of_the_header() {
    model(|| {
        let (cell, writer) = written_to(&[(1, 17), (1, 18)]);
        let (mut header, mut recent) = (Header::blank(), [0]);
        if let Some(done) = cell.read_header(&mut header)
            && cell.read_recent(done, &mut recent)
        {
            assert_eq!(u64::from(recent[0]), [16, 17, 18][done as usize - 2]);
        }
        writer.join().unwrap();
    });
}

/// A reading of which only the header is of one moment has as many durations as calls, and no bucket has fewer than
/// before.
///
/// Fails when the gain of the buckets is not cut down, when it is cut down without regard to their earlier counts (each
/// tried), and as the model above does.
#[test]
fn a_reading_around_a_header_has_as_many_durations_as_calls() {
    model(|| {
        let (cell, writer) = written_to(&[(1, 17)]);
        let mut reading = Reading::new(Layout::ONE_DIGIT);
        let moment = cell.read_between(&mut reading);
        let calls: u64 = reading.header.counts.iter().sum();
        let sums = sums(&reading);
        let durations: u64 = sums.iter().sum();
        assert_eq!(sums[16], 2);
        match moment {
            Consistency::Header(records) => assert_eq!((calls, durations), (records, records)),
            _ => assert!(calls <= durations),
        }
        writer.join().unwrap();
    });
}

fn sums(reading: &Reading) -> Vec<u64> {
    let mut sums = vec![0; Layout::ONE_DIGIT.buckets()];
    reading.add_buckets(&mut sums);
    sums
}

/// A cell with two records of 16 ns and their block, to which a thread adds `records`.
fn written_to(records: &'static [(usize, u64)]) -> (Arc<Cell<16>>, thread::JoinHandle<()>) {
    let cell = Arc::new(Cell::<16>::new());
    cell.record(0, 16, 0);
    cell.record(0, 16, 0);
    let writer = thread::spawn({
        let cell = Arc::clone(&cell);
        move || records.iter().for_each(|&(count, nanos)| cell.record(count, nanos, 0))
    });
    (cell, writer)
}

fn record_header(cell: &Cell<16>, count: usize, nanos: u64, epoch: u64) {
    begin(&cell.begun);
    cell.record_header(count, nanos, epoch);
}

/// A reset (a reading, and then the next epoch) while a writer records: each record falls into exactly one window; a
/// record that saw the new epoch never falls into the closing window; and extremes that are not torn are those of the
/// records of their epoch.
///
/// Fails when the epoch advances before the reading, when `stretch` continues from the extremes of another epoch, when
/// the reset zeroes a count, and by each weakening that the header's model fails by (each tried alone).
///
/// In loom a load never sees a store that comes later in its execution, so loom cannot show a closing window with a
/// record that saw the next epoch. The same fences rule that out: a header that shows any part of a record synchronises
/// with the record, which therefore loaded its epoch before it advanced.
#[test]
fn a_reset_puts_each_record_into_one_window() {
    const DURATIONS: [u64; 2] = [1, 2];
    model(|| {
        let shared = Arc::new((Cell::<16>::new(), AtomicU64::new(0)));
        record_header(&shared.0, 0, DURATIONS[0], 0);
        let writer = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (cell, current) = &*shared;
                let epoch = current.load(Ordering::Relaxed);
                record_header(cell, 0, DURATIONS[1], epoch);
                epoch
            }
        });
        let (cell, current) = &*shared;
        let read = || {
            let mut header = Header::blank();
            (cell.read_header(&mut header), header)
        };
        let closing = read();
        current.store(EPOCH_STEP, Ordering::Relaxed);
        let opened = read();
        let epochs = [0, writer.join().unwrap()];
        let tail = read();

        let count = |(_, header): &(_, Header)| header.counts[0];
        assert!(count(&closing) <= count(&opened) && closing.1.sum <= opened.1.sum);
        assert!(count(&opened) <= count(&tail) && opened.1.sum <= tail.1.sum);
        assert_eq!((tail.0, count(&tail), tail.1.sum), (Some(2), 2, 3));
        assert!(epochs.iter().take(count(&closing) as usize).all(|&epoch| epoch == 0));
        for (records, header) in [closing, opened, tail] {
            let Some(last) = records.unwrap_or(0).checked_sub(1) else { continue };
            let of_epoch = (0..=last as usize).filter(|&i| epochs[i] == header.epoch).map(|i| DURATIONS[i]);
            assert_eq!(header.epoch, epochs[last as usize]);
            assert_eq!((Some(header.min), Some(header.max)), (of_epoch.clone().min(), of_epoch.max()));
        }
    });
}
