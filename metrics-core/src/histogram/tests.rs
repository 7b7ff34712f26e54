//! Histograms against the `hdrhistogram` crate and against counting one by one.
//!
//! Not under Miri: plain arithmetic without `unsafe`, which would take an hour there.

use super::*;
use proptest::prelude::*;

const LAYOUTS: [Layout; 3] = [Layout::ONE_DIGIT, Layout::TWO_DIGITS, Layout::THREE_DIGITS];
const QUANTILES: [f64; 12] = [0.0, 1e-9, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0, 7.0];

fn of(layout: Layout, values: &[u64]) -> Histogram {
    let mut counts = vec![0; layout.buckets()];
    values.iter().for_each(|&value| counts[layout.index(value.min(MAX_NANOS))] += 1);
    Histogram::from_counts(layout, 0, &counts)
}

fn hdr_of(layout: Layout, values: &[u64]) -> hdrhistogram::Histogram<u64> {
    let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, MAX_NANOS, layout.digits()).unwrap();
    values.iter().for_each(|&value| hdr.saturating_record(value));
    hdr
}

fn values() -> impl Strategy<Value = Vec<u64>> {
    let octave = (0_u32..38).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits));
    prop::collection::vec(octave, 0..300)
}

proptest! {
    #[test]
    fn hdrhistogram_has_the_same_buckets_and_quantiles(values in values(), at in 0_usize..3, q in 0.0..1.0) {
        let (ours, hdr) = (of(LAYOUTS[at], &values), hdr_of(LAYOUTS[at], &values));
        prop_assert_eq!(&ours.to_hdr(), &hdr);
        prop_assert_eq!(ours.total(), hdr.len());
        for quantile in QUANTILES.into_iter().chain([q, -1.0, f64::NAN]) {
            prop_assert_eq!(ours.value_at_quantile(quantile), hdr.value_at_quantile(quantile), "{}", quantile);
        }
    }

    #[test]
    fn merging_equals_recording_both_and_the_difference_undoes_it(a in values(), b in values()) {
        let layout = Layout::TWO_DIGITS;
        let mut merged = of(layout, &a);
        merged.merge(&of(layout, &b)).unwrap();
        prop_assert_eq!(&merged, &of(layout, &[a.clone(), b.clone()].concat()));
        prop_assert_eq!(merged.difference(&of(layout, &a)), of(layout, &b));
    }

    #[test]
    fn quantiles_of_several_histograms_are_those_of_their_sum(
        sets in prop::collection::vec(values(), 0..5),
        at in 0_usize..3,
    ) {
        let histograms: Vec<_> = sets.iter().map(|set| of(LAYOUTS[at], set)).collect();
        let in_one_pass = values_at_quantiles(LAYOUTS[at], histograms.iter(), QUANTILES);
        let hdr = hdr_of(LAYOUTS[at], &sets.concat());
        prop_assert_eq!(in_one_pass, QUANTILES.map(|quantile| hdr.value_at_quantile(quantile)));
    }

    #[test]
    fn counting_one_by_one_equals_counting_at_once(values in values(), at in 0_usize..3) {
        let mut one_by_one = Histogram::empty(LAYOUTS[at]);
        values.iter().for_each(|&value| one_by_one.count(LAYOUTS[at].index(value.min(MAX_NANOS))));
        prop_assert_eq!(one_by_one, of(LAYOUTS[at], &values));
    }

    #[test]
    fn a_cumulative_count_is_the_sum_of_the_buckets_up_to_its_bound(
        values in values(),
        at in 0_usize..3,
        bounds in values(),
    ) {
        let histogram = of(LAYOUTS[at], &values);
        let bounds: Vec<_> = bounds.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let one_by_one = bounds.iter().map(|&bound| {
            let up_to = histogram.buckets().filter(|bucket| bucket.lowest <= bound);
            up_to.map(|bucket| bucket.count).sum::<u64>()
        });
        prop_assert!(histogram.cumulative(bounds.iter().copied()).eq(one_by_one));
    }

    #[test]
    fn a_sum_equals_merging_one_by_one(sets in prop::collection::vec(values(), 0..5)) {
        let layout = Layout::TWO_DIGITS;
        let mut sum = Sum::new(layout);
        for _ in 0..2 {
            sets.iter().for_each(|set| sum.add(&of(layout, set)));
            let all = of(layout, &sets.concat());
            prop_assert_eq!(sum.take(), all);
        }
    }

    #[test]
    fn a_sum_of_differences_holds_what_was_added(sets in prop::collection::vec((values(), values()), 0..4)) {
        let layout = Layout::TWO_DIGITS;
        let mut sum = Sum::new(layout);
        for (before, more) in &sets {
            let now = of(layout, &[before.clone(), more.clone()].concat());
            sum.add_difference(&now, &of(layout, before));
        }
        let more: Vec<u64> = sets.iter().flat_map(|(_, more)| more.clone()).collect();
        prop_assert_eq!(sum.take(), of(layout, &more));
    }

    #[test]
    fn a_histogram_survives_json(values in values()) {
        let histogram = of(Layout::TWO_DIGITS, &values);
        let text = serde_json::to_string(&histogram).unwrap();
        prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
    }
}

#[test]
fn cutting_down_keeps_what_the_earlier_state_has() {
    let layout = Layout::TWO_DIGITS;
    let (now, before) = (of(layout, &[5, 5, 1_000, 9_000]), of(layout, &[5, 9_000]));
    assert_eq!(now.clone().cut_down_to(4, Some(&before)), now);
    assert_eq!(now.clone().cut_down_to(3, Some(&before)), of(layout, &[5, 1_000, 9_000]));
    assert_eq!(now.clone().cut_down_to(2, Some(&before)), before);
    assert_eq!(now.clone().cut_down_to(0, Some(&before)), before);
    assert_eq!(now.cut_down_to(1, None), of(layout, &[9_000]));
}

#[test]
fn hostile_json_is_refused_with_what_is_allowed() {
    let refused = |text: &str| serde_json::from_str::<Histogram>(text).unwrap_err().to_string();
    assert!(refused(r#"{"digits":4,"counts":[]}"#).contains("allowed: 1 to 3"));
    for counts in ["[-3840,1]", "[1,-3840]", "[-3839,1,1]", "[-3839,1,0]", "[-9223372036854775808]"] {
        let error = refused(&format!(r#"{{"digits":2,"counts":{counts}}}"#));
        assert!(error.contains("more than 3840 buckets"), "{error}");
    }
    let full = serde_json::from_str::<Histogram>(
        r#"{"digits":2,"counts":[9223372036854775807,9223372036854775807,9223372036854775807]}"#,
    )
    .unwrap();
    assert_eq!(full.total(), u64::MAX);
    assert_eq!(full.value_at_quantile(1.0), 2);
    let mut sum = Sum::new(Layout::TWO_DIGITS);
    (0..4).for_each(|_| sum.add(&full));
    assert_eq!(sum.take(), full);
    // A full bucket stays full.
    let mut counted = full.clone();
    counted.count(1);
    assert_eq!(counted, full);
    counted.merge(&full).unwrap();
    assert_eq!(counted, full);
}

#[test]
fn histograms_of_different_precision_cannot_be_merged() {
    let mut ours = of(Layout::TWO_DIGITS, &[5]);
    let error = ours.merge(&of(Layout::ONE_DIGIT, &[5])).unwrap_err();
    assert_eq!(error, PrecisionMismatch { ours: 2, theirs: 1 });
    assert_eq!(ours.total(), 1);
}

#[test]
fn memory_grows_with_the_range_in_use() {
    assert_eq!(of(Layout::TWO_DIGITS, &[]).counts.capacity(), 0);
    assert_eq!(of(Layout::TWO_DIGITS, &[1_000_000]).counts.capacity(), 1);
}

#[test]
fn buckets_hold_every_value_once() {
    let histogram = of(Layout::TWO_DIGITS, &[1, 1_000, 1_000, MAX_NANOS]);
    let buckets: Vec<_> = histogram.buckets().collect();
    assert_eq!(buckets.iter().map(|bucket| bucket.count).collect::<Vec<_>>(), [1, 2, 1]);
    assert!(buckets[1].lowest <= 1_000 && 1_000 <= buckets[1].highest);
    assert_eq!(buckets[2].highest, MAX_NANOS);
}

#[test]
fn the_bounds_of_all_buckets_are_those_of_the_buckets_in_use_and_leave_no_gap() {
    for layout in LAYOUTS {
        let bounds: Vec<_> = Histogram::bounds(layout.digits()).collect();
        assert_eq!((*bounds[0].start(), bounds.last().unwrap().contains(&MAX_NANOS)), (0, true));
        assert!(bounds.windows(2).all(|two| two[0].end() + 1 == *two[1].start()));
        for nanos in [0, 1, 999, 1_000_000, MAX_NANOS] {
            let bucket = of(layout, &[nanos]).buckets().next().unwrap();
            let same = bounds.iter().find(|bounds| bounds.contains(&nanos)).unwrap();
            assert_eq!((bucket.lowest, bucket.highest), (*same.start(), *same.end()), "{nanos}");
        }
    }
    assert_eq!(Histogram::bounds(0).chain(Histogram::bounds(4)).count(), 0);
}
