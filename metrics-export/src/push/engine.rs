//! Starts and ends the threads.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{ErrorCursor, Registry, RequestCursor};

use super::collector::{Collector, Figures, Schedule};
use super::control::Control;
use super::counts::ExporterCounts;
use super::exporter::{Exporter, Process};
use super::queue::WindowQueue;
use super::sender;
use super::sending::Sending;
use super::watched::Watched;
use crate::service::Service;
use crate::start_error::StartError;

/// Sends what a registry counts to all destinations, until it is shut down or dropped.
#[derive(Debug)]
pub struct Engine {
    control: Arc<Watched<Control>>,
    destinations: Vec<Arc<Watched<Sending>>>,
    /// The exporters that are off, each with its place among all of them.
    off: Vec<(usize, ExporterCounts)>,
}

/// Builds an [`Engine`].
#[must_use = "nothing is sent before `start`"]
pub struct EngineBuilder {
    registry: Registry,
    service: Service,
    process: Box<dyn Fn() -> Process + Send>,
    exporters: Vec<Box<dyn Exporter>>,
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.exporters.iter().map(|exporter| exporter.name()).collect();
        f.debug_struct("EngineBuilder").field("exporters", &names).finish_non_exhaustive()
    }
}

impl EngineBuilder {
    /// Sets the function that returns what the process uses; default: nothing is known.
    pub fn process(mut self, process: impl Fn() -> Process + Send + 'static) -> Self {
        self.process = Box::new(process);
        self
    }

    /// Adds a destination.
    pub fn exporter(mut self, exporter: impl Exporter) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// Starts the threads. The first windows begin now.
    ///
    /// # Errors
    ///
    /// Returns an error if a destination does not accept the service's identity, or the system cannot start a thread.
    pub fn start(self) -> Result<Engine, StartError> {
        let mut engine = Engine { control: Arc::default(), destinations: Vec::new(), off: Vec::new() };
        if self.exporters.is_empty() {
            return Ok(engine);
        }
        let running = || self.exporters.iter().filter(|exporter| exporter.off().is_none());
        let consumers = running().any(|exporter| exporter.settings().consumers);
        let want_requests = running().any(|exporter| exporter.settings().want_requests());
        let figures = Figures { registry: self.registry.clone(), consumers };
        let base = figures.now();
        let mut cursor = ErrorCursor::default();
        // Entries from before the start belong to no window.
        self.registry.errors_after(&mut cursor);
        let mut request_cursor = RequestCursor::default();
        if want_requests {
            self.registry.requests_after(&mut request_cursor);
        }
        let (mut schedules, mut names) = (Vec::new(), Vec::new());
        for (place, mut exporter) in self.exporters.into_iter().enumerate() {
            exporter.start(&self.service)?;
            let name = unique(exporter.name(), &names);
            names.push(name.clone());
            if let Some(reason) = exporter.off() {
                let off = Some(reason.to_owned());
                engine.off.push((place, ExporterCounts { exporter: name, off, ..ExporterCounts::default() }));
                continue;
            }
            let settings = exporter.settings().in_range();
            let queue = WindowQueue::new(&name, settings.clone(), Arc::clone(&base));
            let sending = Arc::new(Watched::new(Sending::new(queue)));
            schedules.push(Schedule::new(Arc::clone(&sending), settings));
            // First, so that it is stopped if this thread or a later one does not start.
            engine.destinations.push(Arc::clone(&sending));
            let run = move || sender::run(&sending, exporter);
            thread::Builder::new().name(format!("metrics-{name}")).spawn(run)?;
        }
        if schedules.is_empty() {
            return Ok(engine);
        }
        let collector = Collector { figures, process: self.process, schedules, cursor, request_cursor };
        let control = Arc::clone(&engine.control);
        thread::Builder::new().name("metrics-export".to_owned()).spawn(move || collector.run(&control))?;
        Ok(engine)
    }
}

impl Engine {
    /// Creates a builder for an engine that sends what this registry counts, on behalf of this service.
    pub fn builder(registry: Registry, service: Service) -> EngineBuilder {
        EngineBuilder { registry, service, process: Box::new(Process::default), exporters: Vec::new() }
    }

    /// Returns the counts of each exporter, in the order in which they were added.
    pub fn counts(&self) -> Vec<ExporterCounts> {
        let mut counts: Vec<_> = self.destinations.iter().map(|sending| sending.lock().counts()).collect();
        // In ascending order, so that each place exists by now.
        self.off.iter().for_each(|(place, off)| counts.insert(*place, off.clone()));
        counts
    }

    /// Ends the open windows now and sends everything that waits; after that, no window ends by itself. Failed attempts
    /// are repeated until the timeout. Anything left then is dropped and counted. Returns whether nothing was dropped.
    ///
    /// Call it when the service has answered its last request, and again if more was counted since. The threads stay
    /// for that until the engine is dropped; a thread that is then waiting for its destination ends when its attempt
    /// times out.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        if self.destinations.is_empty() {
            return true;
        }
        let deadline = after(timeout);
        let dropped = |sending: &Arc<Watched<Sending>>| sending.lock().windows_dropped();
        let before: Vec<_> = self.destinations.iter().map(dropped).collect();
        let flush = self.control.update(|control| control.flush(deadline));
        let in_time = self.control.wait(|control, now| control.has_flushed(flush, deadline, now));
        let flushed = |sending: &Arc<Watched<Sending>>| sender::wait_until_flushed(sending, deadline);
        // Without short-circuiting, so that each destination gives up.
        let after: Vec<_> = self.destinations.iter().map(flushed).collect();
        before == after && in_time
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.control.update(Control::end);
        // Also directly, since the collector's thread may not have started.
        self.destinations.iter().for_each(|sending| sending.update(Sending::end));
    }
}

/// Makes a name unique: the second `otlp` becomes `otlp-2`.
fn unique(name: &str, others: &[String]) -> String {
    // A thread's name must not contain NUL.
    let name = name.replace('\0', "");
    let numbered = (2_usize..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !others.contains(name)).expect("there are more numbers than exporters")
}

/// The time after `timeout`, or in a year if the clock does not reach that far.
fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(365 * 86_400))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

    use super::super::exporter::{Accepted, Failed, Window};
    use super::super::settings::PushSettings;
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Returns the answers that the test sends, reports each window, and panics once the test has dropped its sender.
    struct Scripted {
        name: &'static str,
        settings: PushSettings,
        answers: Receiver<Result<Accepted, Failed>>,
        given: Sender<Window>,
    }

    impl Exporter for Scripted {
        fn name(&self) -> &str {
            self.name
        }

        fn settings(&self) -> PushSettings {
            self.settings.clone()
        }

        fn export(&mut self, window: &Window, _deadline: Instant) -> Result<Accepted, Failed> {
            let _ = self.given.send(window.clone());
            self.answers.recv().expect("the test sends an answer")
        }
    }

    type Answers = Sender<Result<Accepted, Failed>>;

    fn scripted(name: &'static str, max_errors: usize) -> (Scripted, Answers, Receiver<Window>) {
        let ((answer, answers), (given, windows)) = (channel(), channel());
        let settings = PushSettings {
            interval: Duration::from_millis(20),
            first_pause: Duration::from_millis(1),
            max_pause: Duration::from_millis(1),
            max_errors,
            ..PushSettings::default()
        };
        (Scripted { name, settings, answers, given }, answer, windows)
    }

    fn ok() -> Result<Accepted, Failed> {
        Ok(Accepted::default())
    }

    #[test]
    fn a_destination_that_hangs_delays_no_other_one() {
        let (hangs, _answer, first) = scripted("hangs", 0);
        let (works, answer, windows) = scripted("works", 0);
        let registry = Registry::new();
        let engine = Engine::builder(registry.clone(), Service::new("test"))
            .exporter(hangs)
            .exporter(works)
            .start()
            .unwrap();
        first.recv_timeout(LONG).unwrap();
        for _ in 0..5 {
            answer.send(ok()).unwrap();
            windows.recv_timeout(LONG).unwrap();
        }
        assert_eq!(engine.counts()[0].windows_sent, 0);
        assert!(engine.counts()[1].windows_sent >= 4);
        // The shutdown does not wait for it, either.
        drop(answer);
        assert!(!engine.shutdown(Duration::from_millis(50)));
        let counts = &engine.counts()[0];
        assert_eq!(counts.windows, counts.windows_dropped + counts.windows_merged);
    }

    #[test]
    fn exporters_with_the_same_name_are_numbered() {
        let mut names = Vec::new();
        for name in ["otlp", "ot\0lp", "otlp-2", "otlp"] {
            let name = unique(name, &names);
            names.push(name);
        }
        assert_eq!(names, ["otlp", "otlp-2", "otlp-2-2", "otlp-3"]);
    }

    #[test]
    fn an_exporter_that_panics_loses_its_window_and_continues() {
        let (exporter, answer, windows) = scripted("panics", 0);
        drop(answer);
        let engine =
            Engine::builder(Registry::new(), Service::new("test")).exporter(exporter).start().unwrap();
        (0..3).for_each(|_| drop(windows.recv_timeout(LONG).unwrap()));
        let counts = &engine.counts()[0];
        assert!(counts.windows_dropped >= 2, "{counts:?}");
        assert_eq!(counts.last_error.as_deref(), Some("the exporter panicked"));
    }

    #[test]
    fn errors_are_exported_once_and_those_before_the_start_never() {
        let (exporter, answer, windows) = scripted("errors", 100);
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/");
        let fail = |message| {
            let status = metrics_core::Outcome::Status(500);
            registry.record_error(endpoint, status, Duration::ZERO, message);
        };
        fail("before");
        let engine =
            Engine::builder(registry.clone(), Service::new("test")).exporter(exporter).start().unwrap();
        fail("one");
        answer.send(Err(Failed::temporary("no"))).unwrap();
        (0..1_000).for_each(|_| answer.send(ok()).unwrap());
        windows.recv_timeout(LONG).unwrap();
        // A reset takes nothing away from exporters.
        registry.reset();
        fail("two");
        assert!(engine.shutdown(LONG));
        let windows: Vec<_> = windows.try_iter().collect();
        let messages = windows.iter().flat_map(|window| &window.errors).map(|error| error.message.as_str());
        // An error in the first window is sent again with the second.
        let mut messages: Vec<_> = messages.collect();
        messages.dedup();
        assert_eq!(messages, ["one", "two"]);
        assert_eq!(engine.counts()[0].errors_sent, 2);
    }

    #[test]
    fn windows_have_consumers_only_if_an_exporter_wants_them() {
        for wanted in [false, true] {
            let (mut exporter, answer, windows) = scripted("consumers", 0);
            exporter.settings.consumers = wanted;
            let registry = Registry::new();
            let record = || {
                let ann = registry.consumer("Ann");
                let status = metrics_core::Outcome::Status(200);
                registry.with_recorder(|recorder| recorder.record_consumer(ann, status, Duration::ZERO));
            };
            // One before the first window, which is not in it.
            record();
            let engine = Engine::builder(registry.clone(), Service::new("test")).exporter(exporter);
            let engine = engine.start().unwrap();
            record();
            (0..1_000).for_each(|_| answer.send(ok()).unwrap());
            assert!(engine.shutdown(LONG));
            let windows: Vec<_> = windows.try_iter().collect();
            let counted =
                |window: &Window| window.figures.consumers().iter().map(|ann| ann.calls).sum::<u64>();
            assert_eq!(windows.iter().map(counted).sum::<u64>(), u64::from(wanted));
            assert!(windows.iter().all(|window| window.total.consumers().len() == usize::from(wanted)));
        }
    }

    #[test]
    fn dropping_the_engine_ends_its_threads() {
        let (exporter, answer, windows) = scripted("dropped", 0);
        drop(Engine::builder(Registry::new(), Service::new("test")).exporter(exporter).start().unwrap());
        // The thread drops its exporter once no answer keeps it waiting.
        drop(answer);
        loop {
            match windows.recv_timeout(LONG) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("the thread is still running"),
            }
        }
    }

    #[test]
    fn what_is_counted_after_a_shutdown_is_sent_by_the_next_one() {
        let (mut exporter, answer, windows) = scripted("tail", 100);
        exporter.settings.interval = LONG;
        let registry = Registry::new();
        let endpoint = registry.endpoint("GET", "/");
        let fail = || {
            registry.record_error(endpoint, metrics_core::Outcome::Status(500), Duration::ZERO, "");
        };
        let engine =
            Engine::builder(registry.clone(), Service::new("test")).exporter(exporter).start().unwrap();
        for _ in 0..3 {
            fail();
            answer.send(ok()).unwrap();
            assert!(engine.shutdown(LONG));
        }
        fail();
        let sent: Vec<_> = windows.try_iter().collect();
        assert_eq!(sent.iter().map(Window::calls).sum::<u64>(), 3);
        assert_eq!(sent.iter().map(|window| window.errors.len()).sum::<usize>(), 3);
        // A destination that fails until the end costs the last window, and the shutdown says so.
        drop(answer);
        assert!(!engine.shutdown(LONG));
        let counts = &engine.counts()[0];
        assert_eq!((counts.calls_dropped, counts.windows_waiting), (1, 0), "{counts:?}");
        assert_eq!((counts.errors_sent, counts.errors_dropped), (3, 1));
    }

    #[test]
    fn an_engine_without_exporters_has_ended_at_once() {
        let engine = Engine::builder(Registry::new(), Service::new("test")).start().unwrap();
        assert!(engine.shutdown(Duration::ZERO) && engine.counts().is_empty());
    }
}
