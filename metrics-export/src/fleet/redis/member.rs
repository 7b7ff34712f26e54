//! A member of a fleet: two threads, one that writes its own figures and one that reads all.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use metrics_core::Registry;

use super::question::{Busy, Question};
use super::read;
use super::reply::Reply;
use super::settings::{Settings, SettingsError};
use super::shared::Shared;
use super::status::WriterStatus;
use super::view::View;
use super::write::Writer;

/// One instance among those of its service. Dropping it stops it.
///
/// Nobody who records ever waits for it: it reads the registry as everybody does, in threads of its own.
pub struct Member {
    shared: Arc<Shared>,
    view: Arc<View>,
    writer: JoinHandle<()>,
}

/// A member that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The system gives no thread.
    #[error("there is no thread for the fleet: {0}")]
    Thread(#[from] std::io::Error),
}

impl Member {
    /// Starts to write the figures of a registry. Whether the Redis is there does not matter for that: it is tried again
    /// and again. A registry is one instance: a second member for it would write all that it counted once more.
    ///
    /// # Errors
    ///
    /// When a setting is out of range, the registry has room for more endpoints than a report, or the system gives no thread.
    pub fn start(registry: Registry, settings: Settings) -> Result<Self, StartError> {
        settings.check(&registry)?;
        // Unless the application chose its cryptography already. Where several are built in, rustls would not choose.
        #[cfg(feature = "redis-tls")]
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::new(Shared::new(settings));
        let view = Arc::<View>::default();
        let writer = Writer::new(Arc::clone(&shared), registry);
        let writer = spawn("metrics-fleet", move || writer.run())?;
        // From here on, dropping it stops the threads that were started.
        let member = Self { shared, view, writer };
        let (view, reader) = (Arc::clone(&member.view), read::reader(Arc::clone(&member.shared)));
        spawn("metrics-fleet-read", move || view.run(reader))?;
        let view = Arc::clone(&member.view);
        spawn("metrics-fleet-wait", move || view.keep_time())?;
        Ok(member)
    }

    /// Asks for the figures of the whole fleet. Does not block: the [`Reply`] is a future, and can also be
    /// [waited for](Reply::wait).
    ///
    /// One thread reads for all callers, and an answer serves all of them for a second, or for as long as it took to
    /// read. A caller waits up to three seconds, or a tenth of a second if Redis did not answer before. If reading takes
    /// longer, the answer before it is returned until it is four times as old as it took to read.
    ///
    /// # Errors
    ///
    /// If too many callers are waiting already.
    pub fn ask(&self, question: Question) -> Result<Reply, Busy> {
        Reply::new(&self.view, question)
    }

    /// How its own writes go.
    pub fn status(&self) -> WriterStatus {
        self.shared.status()
    }

    /// What it is called.
    pub fn instance(&self) -> &str {
        &self.shared.settings.instance
    }

    /// Ends all waiting replies at once, and all later ones, with the reason that the service is shutting down. Only a
    /// reset that was already sent is still waited for. Writing goes on.
    pub fn stop_answering(&self) {
        self.view.stop();
    }

    /// Stops answering, writes once more, and ends. Does not wait for that.
    pub fn stop(&self) {
        self.shared.stop();
        self.view.stop();
    }

    /// Whether the last write is over.
    pub fn is_finished(&self) -> bool {
        self.writer.is_finished()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}
