//! Where alerts get their figures from.

use std::sync::Arc;
use std::time::Duration;

use super::example;
use super::notice::Alert;
use super::rule::{Burn, BurnRate};
use crate::history::{Business, History, Window};
use crate::labels::trace::TraceId;
use crate::read::summary::Summary;
use crate::read::summary::figures::Figures;

/// Where alerts get their figures from: a [`History`], or a substitute in tests.
pub trait FigureSource {
    /// Returns the figures of all requests in a window that ends now. For a [`History`] it ends with the last tick.
    fn summary(&self, window: Window) -> Summary;

    /// Returns the figures of each endpoint in a window that ends now.
    fn endpoints(&self, window: Window) -> Summary;

    /// Like [`FigureSource::summary`], without 4xx of endpoints that [catch all](crate::EndpointName::catches_all)
    /// paths.
    fn matched(&self, window: Window) -> Summary;

    /// Like [`FigureSource::endpoints`], without 4xx of endpoints that catch all paths.
    fn matched_endpoints(&self, window: Window) -> Summary;

    /// Returns the most errors in a row at any moment of the last `recent`; 0 if the window has none.
    fn consecutive_errors(&self, window: Window, recent: Duration) -> u64;

    /// Returns the application's own metrics in a window that ends now.
    fn own_metrics(&self, window: Window) -> Business;

    /// Returns how fast the budget of an objective was spent; `None` if one of the windows had no valid calls. Default:
    /// `None`.
    fn burn_rate(&self, burn: &Burn) -> Option<BurnRate> {
        let _ = burn;
        None
    }

    /// Returns the figures of the newest version of the service and of the rest, in a window that ends now; `None` if
    /// there are fewer than two versions. Default: `None`.
    fn newest_version(&self, window: Window) -> Option<NewestVersion> {
        let _ = window;
        None
    }

    /// Returns the window in which each existing route and own metric occurs: a rule that names another one is [not
    /// seen](Alert::not_seen) once that window is an hour long. Default: the last hour.
    fn window_of_names(&self) -> Window {
        Window::OneHour
    }

    /// Returns the trace of a request that shows what an alert is about: see [`Alert::trace`]. Called when an alert
    /// begins to fire and for each reminder; default: `None`.
    fn trace(&self, alert: &Alert) -> Option<TraceId> {
        let _ = alert;
        None
    }

    /// Requests to the monitor's own endpoints with a wrong token in a window; default: 0.
    fn wrong_tokens(&self, window: Window) -> u64 {
        let _ = window;
        0
    }
}

/// The newest version of a service, beside the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct NewestVersion {
    /// Its name.
    pub version: Arc<str>,
    /// The figures of its requests.
    pub newest: Figures,
    /// The figures of all requests to other versions.
    pub rest: Figures,
}

/// The windows end with the last tick, so that nothing is read twice.
impl FigureSource for History {
    fn summary(&self, window: Window) -> Summary {
        self.at_last_tick(window)
    }

    fn endpoints(&self, window: Window) -> Summary {
        self.by_endpoint(window)
    }

    fn matched(&self, window: Window) -> Summary {
        self.matched_at_last_tick(window)
    }

    fn matched_endpoints(&self, window: Window) -> Summary {
        self.matched_by_endpoint(window)
    }

    fn consecutive_errors(&self, window: Window, recent: Duration) -> u64 {
        self.most_consecutive_errors(window, recent)
    }

    fn own_metrics(&self, window: Window) -> Business {
        self.business(window)
    }

    fn trace(&self, alert: &Alert) -> Option<TraceId> {
        example::trace(self, alert)
    }
}
