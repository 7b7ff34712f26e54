//! Sentry's rate limits: <https://develop.sentry.dev/sdk/foundations/transport/rate-limiting/>.

use std::time::{Duration, Instant};

use sentry_types::protocol::v7::client_report::Category;

use crate::http::HttpResponse;

/// The categories that are sent, with their names in rate limits.
const CATEGORIES: [(&str, Category); 3] =
    [("error", Category::Error), ("session", Category::Session), ("transaction", Category::Transaction)];

/// How long a limit without a valid duration lasts, according to Sentry's documentation.
const DEFAULT: Duration = Duration::from_secs(60);

/// The longest limit that is honoured.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Until when categories are left out.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    categories: [Option<Instant>; CATEGORIES.len()],
    /// Until when everything is left out, whatever its category.
    all: Option<Instant>,
}

impl RateLimits {
    /// Takes over the limits in an answer. A 429 without limits limits all categories for its `Retry-After`.
    pub(super) fn update(&mut self, answer: &HttpResponse, now: Instant) {
        let limits = answer.rate_limits.iter().flat_map(|text| text.split(','));
        let limits: Vec<_> = limits.filter(|text| !text.trim().is_empty()).map(read).collect();
        if limits.is_empty() && answer.status == 429 {
            let limit = answer.retry_after.unwrap_or(DEFAULT).min(LONGEST);
            self.extend(now + limit, None);
        }
        for (limit, categories) in limits {
            self.extend(now + limit, categories);
        }
    }

    /// Whether nothing may be sent.
    pub(super) fn forbid_all(&self, now: Instant) -> bool {
        self.all.is_some_and(|until| until > now)
    }

    /// How much longer a category is left out; `None` if it may be sent.
    pub(super) fn left(&self, category: Category, now: Instant) -> Option<Duration> {
        let at = CATEGORIES.iter().position(|(_, known)| *known == category)?;
        self.categories[at]?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    fn extend(&mut self, until: Instant, categories: Option<Categories<'_>>) {
        let applies = |name| categories.as_ref().is_none_or(|categories| categories.contains(name));
        let limits = CATEGORIES.iter().map(|(name, _)| applies(name)).zip(&mut self.categories);
        for (_, limit) in
            limits.chain([(categories.is_none(), &mut self.all)]).filter(|(applies, _)| *applies)
        {
            *limit = Some(limit.map_or(until, |known| known.max(until)));
        }
    }
}

/// The categories of one limit.
struct Categories<'a>(&'a str);

impl Categories<'_> {
    fn contains(&self, name: &str) -> bool {
        self.0.split(';').any(|category| category.trim().eq_ignore_ascii_case(name))
    }
}

/// Parses one limit, `seconds:category;category:...`, into its duration and its categories; `None` stands for all
/// categories. The rest is ignored.
fn read(text: &str) -> (Duration, Option<Categories<'_>>) {
    let mut fields = text.trim().split(':');
    let seconds = fields.next().and_then(|seconds| seconds.trim().parse().ok());
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(DEFAULT);
    let categories = fields.next().map(str::trim).filter(|categories| !categories.is_empty());
    (limit.min(LONGEST), categories.map(Categories))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer without headers and body.
    fn answered(status: u16) -> HttpResponse {
        HttpResponse::new(status, &ureq::http::HeaderMap::new(), Ok(Vec::new()))
    }

    /// For how many seconds errors, sessions and transactions are left out after an answer.
    fn limits(status: u16, retry_after: Option<u64>, rate_limits: Option<&str>) -> [Option<u64>; 3] {
        let retry_after = retry_after.map(Duration::from_secs);
        let rate_limits = rate_limits.map(str::to_owned);
        let answer = HttpResponse { retry_after, rate_limits, ..answered(status) };
        let (mut limits, now) = (RateLimits::default(), Instant::now());
        limits.update(&answer, now);
        CATEGORIES.map(|(_, category)| limits.left(category, now).map(|left| left.as_secs()))
    }

    #[test]
    fn limits_are_read_by_category() {
        let of = |text| limits(200, None, Some(text));
        assert_eq!(
            of("60:transaction:key, 2700:default;error;security:organization"),
            [Some(2_700), None, Some(60)]
        );
        assert_eq!(of("60::organization, 2700::organization"), [Some(2_700); 3]);
        assert_eq!(of("10:session:key:reason:more, 7:transaction"), [None, Some(10), Some(7)]);
        assert_eq!(of("1.5: Error ; session :key"), [Some(1), Some(1), None]);
        assert_eq!(of("10"), [Some(10); 3]);
        // An invalid duration is a minute, and no limit is longer than a day.
        for text in ["x:error:key", "-1:error:key", "nan:error", ":error"] {
            assert_eq!(of(text), [Some(60), None, None], "{text}");
        }
        assert_eq!(of("1e300:error"), [Some(60), None, None]);
        assert_eq!(of("99999999:error"), [Some(86_400), None, None]);
        // Nothing between commas is not a limit.
        assert_eq!(of("60:error:key, ,"), [Some(60), None, None]);
        assert_eq!([of(""), of(" , ")], [[None; 3]; 2]);
        // A limit of 0 s, and limits of categories that are not sent.
        assert_eq!([of("0:error"), of("10:replay;attachment:key")], [[None; 3]; 2]);
    }

    #[test]
    fn a_429_without_limits_limits_all_categories() {
        assert_eq!(limits(429, Some(7), None), [Some(7); 3]);
        assert_eq!(limits(429, None, None), [Some(60); 3]);
        assert_eq!(limits(429, Some(0), None), [None; 3]);
        assert_eq!(limits(429, Some(7), Some("9:error:key")), [Some(9), None, None]);
        assert_eq!(limits(429, Some(7), Some("")), [Some(7); 3]);
        assert_eq!(limits(503, Some(7), None), [None; 3]);
    }

    #[test]
    fn a_limit_without_categories_forbids_everything() {
        let forbidden = |status, rate_limits: &str| {
            let rate_limits = Some(rate_limits.to_owned());
            let answer = HttpResponse { rate_limits, ..answered(status) };
            let (mut limits, now) = (RateLimits::default(), Instant::now());
            limits.update(&answer, now);
            limits.forbid_all(now)
        };
        assert_eq!([forbidden(200, "60::key"), forbidden(429, "")], [true; 2]);
        assert_eq!([forbidden(429, "60:error;session;transaction"), forbidden(200, "")], [false; 2]);
    }

    #[test]
    fn a_shorter_limit_does_not_end_a_longer_one() {
        let answer = |text: &str| HttpResponse { rate_limits: Some(text.to_owned()), ..answered(200) };
        let (mut limits, now) = (RateLimits::default(), Instant::now());
        limits.update(&answer("60:error"), now);
        limits.update(&answer("10:error"), now);
        assert_eq!(limits.left(Category::Error, now), Some(Duration::from_secs(60)));
        assert_eq!(limits.left(Category::Error, now + Duration::from_secs(60)), None);
    }
}
