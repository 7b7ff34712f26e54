//! The durations of one histogram series: those of one class of an endpoint's statuses, or those of a timer.

use metrics_core::{EndpointSnapshot, Exemplar, GroupSnapshot};

use super::bounds::{Bound, MAX_BOUNDS};
use super::names::{Class, Names};

/// The durations of one series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Durations<'a> {
    source: Source<'a>,
    significant_digits: u8,
    /// A request with a trace among them, if one is known.
    pub(crate) exemplar: Option<&'a Exemplar>,
}

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    /// The groups of a class.
    Endpoint(&'a EndpointSnapshot, Names, Class),
    /// `None` before the first recorded duration.
    Timer(Option<&'a GroupSnapshot>),
}

impl<'a> Durations<'a> {
    /// The durations of a timer.
    pub(crate) fn of_timer(times: Option<&'a GroupSnapshot>, significant_digits: u8) -> Self {
        Self { source: Source::Timer(times), significant_digits, exemplar: None }
    }

    /// The series of an endpoint, each with its class.
    pub(crate) fn of(
        endpoint: &'a EndpointSnapshot,
        names: Names,
        significant_digits: u8,
    ) -> impl Iterator<Item = (Class, Self)> {
        let classes = move || endpoint.groups().map(move |group| names.class(group.group()));
        // One series for each class: at the class's first group.
        let firsts = classes().enumerate().filter(move |&(index, class)| {
            let mut before = classes().take(index);
            !before.any(|before| before == class)
        });
        firsts.map(move |(_, class)| {
            let source = Source::Endpoint(endpoint, names, class);
            (class, Self { source, significant_digits, exemplar: None })
        })
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &'a GroupSnapshot> + use<'a> {
        let (endpoint, timer) = match self.source {
            Source::Endpoint(endpoint, names, class) => {
                let is_in = move |group: &&GroupSnapshot| names.class(group.group()) == class;
                (Some(endpoint.groups().filter(is_in)), None)
            }
            Source::Timer(times) => (None, times),
        };
        endpoint.into_iter().flatten().chain(timer)
    }

    pub(crate) fn significant_digits(&self) -> u8 {
        self.significant_digits
    }

    /// Returns the index of the exemplar's bucket: the first bound that is not below it, or `bounds.len()` if all
    /// bounds are.
    pub(crate) fn exemplar_bucket(&self, bounds: &[Bound]) -> Option<usize> {
        let exemplar = self.exemplar?;
        Some(bounds.partition_point(|bound| bound.nanos < exemplar.nanos))
    }

    /// Adds them up.
    #[inline]
    pub(crate) fn totals(&self, bounds: &[Bound]) -> Totals {
        let mut totals = Totals { count: 0, sum_nanos: 0, cumulative: [0; MAX_BOUNDS] };
        for group in self.groups() {
            totals.count = totals.count.saturating_add(group.histogram().total());
            totals.sum_nanos = totals.sum_nanos.saturating_add(group.sum_nanos());
            let of_group = group.histogram().cumulative(bounds.iter().map(|bound| bound.nanos));
            let sums = totals.cumulative.iter_mut();
            sums.zip(of_group).for_each(|(sum, count)| *sum = sum.saturating_add(count));
        }
        totals
    }
}

/// The figures of a series.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) count: u64,
    pub(crate) sum_nanos: u64,
    /// The durations up to each bound. A bucket of ours counts in full if its lower end is not above the bound.
    pub(crate) cumulative: [u64; MAX_BOUNDS],
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_core::{Granularity, Registry};
    use proptest::prelude::*;

    fn registry(digits: u8, granularity: Granularity) -> Registry {
        Registry::builder().significant_digits(digits).granularity(granularity).build().unwrap()
    }

    #[test]
    fn statuses_of_one_class_are_one_series_unless_the_naming_scheme_labels_each_status() {
        let registry = registry(2, Granularity::Exact);
        let root = registry.endpoint("GET", "/");
        for status in [200, 404, 201, 410, 999] {
            registry.record_nanos(root, status, 1_000);
        }
        let snapshot = registry.snapshot();
        let endpoint = snapshot.endpoints().next().unwrap();
        let series = |names| {
            let mut series: Vec<_> = Durations::of(endpoint, names, 2)
                .map(|(class, durations)| {
                    let totals = durations.totals(&[]);
                    (format!("{class:?}"), totals.count, totals.sum_nanos)
                })
                .collect();
            series.sort();
            series
        };
        let class = |class: Class, calls: u64| (format!("{class:?}"), calls, calls * 1_000);
        assert_eq!(
            series(Names::Prometheus),
            [class(Class::Digit(2), 2), class(Class::Digit(4), 2), class(Class::Other, 1)]
        );
        let status = |status: u16| (format!("Status({status})"), 1, 1_000);
        assert_eq!(
            series(Names::OpenTelemetry),
            [class(Class::Other, 1), status(200), status(201), status(404), status(410)]
        );
    }

    proptest! {
        #[test]
        fn a_bound_counts_all_durations_up_to_it_and_others_only_within_the_error(
            nanos in prop::collection::vec(
                (0_u32..36).prop_flat_map(|bits| (1_u64 << bits) - 1..(2_u64 << bits)),
                1..200,
            ),
            digits in 1_u8..=3,
            bounds in prop::collection::btree_set(1_u64..60_000_000_000, 1..20),
        ) {
            let registry = registry(digits, Granularity::Class);
            let root = registry.endpoint("GET", "/");
            nanos.iter().for_each(|&nanos| registry.record_nanos(root, 200, nanos));
            let snapshot = registry.snapshot();
            let endpoint = snapshot.endpoints().next().unwrap();
            let (_, durations) = Durations::of(endpoint, Names::Prometheus, digits).next().unwrap();
            let seconds: Vec<_> = bounds.iter().map(|&nanos| nanos as f64 / 1e9).collect();
            let bounds = Bound::all(&seconds).unwrap();
            let Totals { count, cumulative: counts, .. } = durations.totals(&bounds);
            let error = [0.0625, 0.0079, 0.00098][usize::from(digits) - 1];
            let up_to = |limit: f64| nanos.iter().filter(|&&nanos| nanos as f64 <= limit).count() as u64;
            for (bound, &count) in bounds.iter().zip(&counts) {
                prop_assert!(count >= up_to(bound.nanos as f64));
                prop_assert!(count <= up_to(bound.nanos as f64 * (1.0 + error)));
            }
            prop_assert!(counts[..bounds.len()].is_sorted());
            prop_assert!(counts[bounds.len() - 1] <= count);
            prop_assert_eq!(count, nanos.len() as u64);
        }
    }
}
