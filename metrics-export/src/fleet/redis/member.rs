//! A member of a fleet: three threads, which write its own figures, read those of all members, and end the waits of
//! callers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use metrics_core::Registry;

use super::alert_lease::AlertLease;
use super::identity::Identity;
use super::question::{Busy, Question};
use super::read::Reader;
use super::reply::Reply;
use super::saved_history::SavedHistory;
use super::settings::FleetSettings;
use super::shared::Shared;
use super::status::WriterStatus;
use super::view::View;
use super::write::Writer;
use crate::service::Service;
use crate::start_error::StartError;

/// One instance of a fleet. Dropping it writes a last report and stops it.
///
/// It reads the registry on threads of its own, so recording never waits for it.
pub struct Member {
    shared: Arc<Shared>,
    view: Arc<View>,
}

impl Member {
    /// Starts to write the figures of a registry, as this instance of the service. Redis need not be reachable yet:
    /// writing is retried for as long as the member lives.
    ///
    /// An instance without a name gets that of the environment variable `HOSTNAME`, or else `instance`. Start one
    /// member for each registry: a second one would count everything twice.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is out of range, the instance's name is not 1 to 64 letters, digits and `-._`, the
    /// registry allows more than 19,000 endpoints, or the system cannot start a thread.
    pub fn start(registry: Registry, service: &Service, settings: FleetSettings) -> Result<Self, StartError> {
        settings.check(&registry)?;
        let identity = Identity::of(service)?;
        // redis takes the process's provider, and with several built in, rustls chooses none by itself. Fails if the
        // application chose one already.
        #[cfg(feature = "redis-tls")]
        if settings.address.is_tls() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let shared = Arc::new(Shared::new(identity, settings));
        let view = Arc::<View>::default();
        let writer = Writer::new(Arc::clone(&shared), registry);
        spawn("metrics-fleet", move || writer.run())?;
        // From here on, dropping it stops the threads that were started.
        let member = Self { shared, view };
        let (view, reader) = (Arc::clone(&member.view), Reader::new(Arc::clone(&member.shared)));
        spawn("metrics-fleet-read", move || view.run(reader))?;
        let view = Arc::clone(&member.view);
        spawn("metrics-fleet-wait", move || view.keep_time())?;
        Ok(member)
    }

    /// Asks for the figures of the whole fleet. Does not block: the [`Reply`] is a future, and can also be
    /// [waited for](Reply::wait).
    ///
    /// One thread reads for all callers, and an answer serves all of them for a second, or for as long as it took to
    /// read. A caller waits up to three seconds, or a tenth of a second if Redis did not answer before. If reading
    /// takes longer, the previous answer is returned, until its age is four times the time it took to read.
    ///
    /// # Errors
    ///
    /// Returns an error if too many callers are waiting already.
    pub fn ask(&self, question: Question) -> Result<Reply, Busy> {
        Reply::new(&self.view, question)
    }

    /// Returns whether this instance's own writes succeed.
    pub fn status(&self) -> WriterStatus {
        self.shared.status()
    }

    /// Returns the lease of the fleet's alerts, over a connection of its own. Call it once per member.
    pub fn alert_lease(&self) -> AlertLease {
        AlertLease::new(&self.shared)
    }

    /// Returns the history that is saved under a key, over a connection of its own; without a key, under this
    /// instance's name.
    pub fn saved_history(&self, key: Option<&str>) -> SavedHistory {
        SavedHistory::new(&self.shared, key.unwrap_or(&self.shared.identity.instance))
    }

    /// Returns how often this instance writes.
    pub fn interval(&self) -> Duration {
        self.shared.settings.interval
    }

    /// Returns the name of this instance.
    pub fn instance(&self) -> &str {
        &self.shared.identity.instance
    }

    /// Ends all waiting replies at once, and all later ones, with the reason that the service is shutting down. Only a
    /// reset that was already sent is still waited for. Writing continues.
    pub fn stop_answering(&self) {
        self.view.stop();
    }

    /// Stops answering, and writes a last report of what was counted by now; does not wait for that. Returns the
    /// report's number, for [`Member::has_tried`].
    ///
    /// From then on, the instance only writes last reports. Call it again for what was counted since.
    pub fn write_last(&self) -> u64 {
        self.view.stop();
        self.shared.write_last()
    }

    /// Returns whether this last report was written, or could not be: see [`Member::status`].
    pub fn has_tried(&self, report: u64) -> bool {
        self.shared.has_tried_last(report)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.write_last();
        self.shared.end();
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("identity", &self.shared.identity).finish_non_exhaustive()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}
