//! The windows that one evaluation has read.

use std::sync::Arc;

use super::observe::covers;
use super::rule::Scope;
use super::source::FigureSource;
use crate::history::{Business, Window};
use crate::read::summary::Summary;

/// The windows that one evaluation has read so far.
pub(super) struct Windows<'a, S> {
    pub(super) source: &'a S,
    read: Vec<(Window, Read, Arc<Summary>)>,
    own: Vec<(Window, Arc<Business>)>,
}

/// Which figures of a window were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Summary,
    Matched,
    Endpoints,
    MatchedEndpoints,
}

impl<'a, S: FigureSource> Windows<'a, S> {
    pub(super) fn new(source: &'a S) -> Self {
        Self { source, read: Vec::new(), own: Vec::new() }
    }

    pub(super) fn summary(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::Summary, S::summary)
    }

    pub(super) fn matched(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::Matched, S::matched)
    }

    pub(super) fn endpoints(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::Endpoints, S::endpoints)
    }

    pub(super) fn matched_endpoints(&mut self, window: Window) -> Arc<Summary> {
        self.once(window, Read::MatchedEndpoints, S::matched_endpoints)
    }

    fn once(&mut self, window: Window, what: Read, read: fn(&S, Window) -> Summary) -> Arc<Summary> {
        let known = self.read.iter().find(|known| (known.0, known.1) == (window, what));
        if let Some((.., summary)) = known {
            return Arc::clone(summary);
        }
        let summary = Arc::new(read(self.source, window));
        self.read.push((window, what, Arc::clone(&summary)));
        summary
    }

    pub(super) fn own_metrics(&mut self, window: Window) -> Arc<Business> {
        if let Some((_, own)) = self.own.iter().find(|known| known.0 == window) {
            return Arc::clone(own);
        }
        let own = Arc::new(self.source.own_metrics(window));
        self.own.push((window, Arc::clone(&own)));
        own
    }

    /// Whether the route or the metric that a rule names was not seen for an hour.
    pub(super) fn has_not_seen(&mut self, scope: &Scope) -> bool {
        let window = self.source.window_of_names();
        match scope {
            Scope::Route(_) => {
                let all = self.endpoints(window);
                let is_seen = all.endpoints.iter().any(|endpoint| scope.has(&endpoint.name));
                !is_seen && covers(all.window, Window::OneHour)
            }
            Scope::OwnMetric(name) => {
                let own = self.own_metrics(window);
                own.get(name).is_none() && covers(own.window, Window::OneHour)
            }
            _ => false,
        }
    }
}
