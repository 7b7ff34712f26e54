//! What an exporter lost for good, in words.

use super::counts::ExporterCounts;

/// What was lost since the start, of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Losses {
    windows: u64,
    calls: u64,
    errors: u64,
    requests: u64,
    rejected: u64,
}

impl Losses {
    pub(super) fn of(counts: &ExporterCounts) -> Self {
        Self {
            windows: counts.windows_dropped,
            calls: counts.calls_dropped,
            errors: counts.errors_dropped,
            requests: counts.requests_dropped,
            rejected: counts.rejected,
        }
    }

    /// What was lost after the earlier losses; `None` if nothing was.
    pub(super) fn since(self, earlier: Self) -> Option<String> {
        let windows = (self.windows - earlier.windows, self.calls - earlier.calls);
        let parts = [
            (windows.0 > 0).then(|| {
                format!("{} with {}", counted(windows.0, "window", ""), counted(windows.1, "request", ""))
            }),
            some(self.errors - earlier.errors, "error", ""),
            some(self.requests - earlier.requests, "single request", ""),
            some(self.rejected - earlier.rejected, "item", " that it refused"),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

fn some(count: u64, one: &str, which: &str) -> Option<String> {
    (count > 0).then(|| counted(count, one, which))
}

/// Such as `1 item that it refused`, or `2 items that it refused`.
fn counted(count: u64, one: &str, which: &str) -> String {
    format!("{count} {one}{}{which}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_since_the_last_line() {
        let counts = ExporterCounts {
            windows_dropped: 2,
            calls_dropped: 70,
            errors_dropped: 5,
            rejected: 1,
            ..ExporterCounts::default()
        };
        let (none, all) = (Losses::default(), Losses::of(&counts));
        let text = "2 windows with 70 requests, 5 errors, 1 item that it refused";
        assert_eq!(all.since(none).as_deref(), Some(text));
        assert_eq!(all.since(all), None);
    }
}
