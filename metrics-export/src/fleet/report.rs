//! The report of one instance: who it is, its figures, and its latest errors.

use std::time::SystemTime;

use metrics_core::{EndpointParts, PartsError, RecentError, Snapshot, SnapshotParts};

use super::bytes::ByteWriter;
use super::decoded::{Brief, Decoded, ReadEndpoint};
use super::encode;
use super::error::DecodeError;
use super::instance::Instance;

/// The figures of one instance, to be written for other instances.
///
/// `docs/fleet-format.md` describes the bytes.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use metrics_export::fleet::{Fingerprints, Instance, Report};
/// let registry = metrics_core::Registry::new();
/// registry.record_nanos(registry.endpoint("GET", "/"), 200, 350_000);
/// let instance = Instance {
///     service: "orders".to_owned(),
///     name: "a".to_owned(),
///     version: "1.0".to_owned(),
///     started: SystemTime::UNIX_EPOCH,
///     written: SystemTime::UNIX_EPOCH + Duration::from_secs(10),
///     interval: Duration::from_secs(10),
///     epoch: 0,
///     stopped: false,
///     fingerprints: Fingerprints::default(),
/// };
/// let report = Report { instance, snapshot: registry.snapshot(), errors: Vec::new() };
/// let read = Report::decode(&report.encode()).unwrap();
/// assert_eq!(read.snapshot.summary().total.calls, 1);
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    /// The instance, and when it wrote.
    pub instance: Instance,
    /// Its figures, since the epoch began or of a window.
    pub snapshot: Snapshot,
    /// Its latest errors, newest first.
    pub errors: Vec<RecentError>,
}

impl Report {
    /// Encodes the report. Consumers after the 50 with the most calls are summed as `_other`; errors after the first 32
    /// are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = ByteWriter::default();
        let total = self.snapshot.total().summary().total;
        let brief = Brief { calls: total.calls, errors: total.errors, p95: total.p95 };
        encode::write(&mut writer, &self.instance, &brief, &self.snapshot.to_parts(), &self.errors);
        writer.0
    }

    /// Decodes a report from untrusted bytes. Takes memory in proportion to their number, and at most 32 MiB for
    /// histograms.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not a whole report of this version, or a value is out of range.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self::unpacked(Decoded::read(bytes)?)?)
    }

    /// Like [`Report::decode`], but without what no longer holds at `now`. Counts of distinct values are those of
    /// `now`'s day and the day before. If the instance is not [up](super::Presence::Up), its gauges, requests in flight
    /// and open streams are left out.
    pub fn decode_at(bytes: &[u8], now: SystemTime) -> Result<Self, DecodeError> {
        Ok(Self::unpacked(Decoded::read_at(bytes, now)?)?)
    }

    /// Turns a decoded report into one with whole histograms.
    fn unpacked(decoded: Decoded<'_>) -> Result<Self, PartsError> {
        let Decoded { instance, rest, endpoints, errors, .. } = decoded;
        let digits = rest.significant_digits;
        let endpoints = endpoints.into_iter().map(|ReadEndpoint { name, in_flight, groups }| {
            let groups = groups.into_iter().map(|group| group.whole(digits)).collect::<Result<_, _>>()?;
            Ok(EndpointParts { name, in_flight, groups })
        });
        let endpoints = endpoints.collect::<Result<_, PartsError>>()?;
        let snapshot = Snapshot::from_parts(SnapshotParts { endpoints, ..rest })?;
        Ok(Self { instance, snapshot, errors })
    }
}
