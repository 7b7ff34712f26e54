//! Where alerts get their figures from in tests: figures that the test sets.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics_core::alert::{FigureSource, NewestVersion};
use metrics_core::{
    Business, EndpointName, EndpointSummary, Figures, Health, MetricFigures, MetricSummary, Summary, Window,
};

/// Figures that the test sets, and a log of those that were read.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) total: Figures,
    pub(crate) routes: Vec<(&'static str, Figures)>,
    pub(crate) in_flight: u64,
    pub(crate) consecutive_errors: u64,
    pub(crate) own_metrics: Vec<(&'static str, MetricFigures)>,
    pub(crate) newest: Option<NewestVersion>,
    /// The time that the figures cover, if that is less than the window.
    pub(crate) young: Option<Duration>,
    pub(crate) read: RefCell<Vec<(Window, &'static str)>>,
}

impl Source {
    fn read(&self, window: Window, what: &'static str) -> Summary {
        self.read.borrow_mut().push((window, what));
        let endpoint = |(route, figures): &(&str, Figures)| EndpointSummary {
            name: Arc::new(EndpointName { method: "GET".into(), route: (*route).into() }),
            figures: figures.clone(),
            in_flight: 0,
        };
        Summary {
            total: self.total.clone(),
            endpoints: self.routes.iter().map(endpoint).collect(),
            business: Vec::new(),
            recent_errors: Vec::new(),
            in_flight: self.in_flight,
            open_streams: 0,
            since: SystemTime::UNIX_EPOCH,
            window: self.young.or(window.length()).unwrap(),
            health: Health::default(),
        }
    }
}

impl FigureSource for Source {
    fn summary(&self, window: Window) -> Summary {
        self.read(window, "summary")
    }

    fn endpoints(&self, window: Window) -> Summary {
        self.read(window, "endpoints")
    }

    fn matched(&self, window: Window) -> Summary {
        self.read(window, "matched")
    }

    fn matched_endpoints(&self, window: Window) -> Summary {
        self.read(window, "matched endpoints")
    }

    fn consecutive_errors(&self, _: Window, _: Duration) -> u64 {
        self.consecutive_errors
    }

    fn wrong_tokens(&self, _: Window) -> u64 {
        9
    }

    fn own_metrics(&self, window: Window) -> Business {
        let Summary { since, window, .. } = self.read(window, "own metrics");
        let summary = |(name, figures): &(&str, MetricFigures)| MetricSummary {
            name: (*name).into(),
            labels: Default::default(),
            figures: figures.clone(),
        };
        Business {
            metrics: self.own_metrics.iter().map(summary).collect(),
            totals: Vec::new(),
            since,
            window,
        }
    }

    fn newest_version(&self, _: Window) -> Option<NewestVersion> {
        self.newest.clone()
    }
}
