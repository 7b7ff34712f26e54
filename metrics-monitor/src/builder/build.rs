//! Puts a monitor together: checks the settings, then starts the threads.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use metrics_core::objective::Objectives;
use metrics_core::{Granularity, InvalidSetting, Registry};
use metrics_export::prometheus::Names;
use regex_lite::Regex;

use super::Settings;
use crate::background::cost::Cost;
use crate::background::event_loops::EventLoops;
use crate::background::live::Live;
use crate::background::resources::Resources;
use crate::background::sampler::Sampler;
use crate::background::scrapes::Scrapes;
use crate::background::ticker::Ticker;
use crate::build_error::BuildError;
use crate::policy::Policy;
use crate::policy::access::AccessRules;
use crate::policy::consumers::Consumers;
use crate::policy::denials::Denials;
use crate::policy::exclusions::Exclusions;
use crate::policy::hosts::AllowedHosts;
use crate::policy::mistakes::{Mistake, Mistakes};
use crate::policy::tokens::{MIN_SECRET_BYTES, Reset, Tokens};
use crate::state::State;

impl Settings {
    /// The state of a monitor whose threads run.
    pub(super) fn build(
        mut self,
        hook_identifies: bool,
        event_loops: EventLoops,
    ) -> Result<State, BuildError> {
        self.service.check()?;
        self.check_request_ids()?;
        self.check_history()?;
        self.check_fleet_rules()?;
        let mistakes = Arc::new(Mistakes::new(&self.service.name));
        self.excluded_without_slash().into_iter().for_each(|mistake| mistakes.tell(mistake));
        let exclusions = self.exclusions()?;
        let consumers = self.consumers(hook_identifies)?;
        let read_tokens = Tokens::new("read_token", &self.read_tokens)?;
        let reset_tokens = Tokens::new("reset_token", &self.reset_tokens)?;
        let reset = match (self.reset_without_token, self.reset_tokens.is_empty()) {
            (true, true) => Reset::Open,
            (true, false) => {
                let value = "set together with reset_token";
                return Err(InvalidSetting::new("reset_without_token", value, "only one of them").into());
            }
            (false, true) => Reset::Absent,
            (false, false) => Reset::WithToken(reset_tokens),
        };
        if self.open_to_everybody && !read_tokens.is_empty() {
            let value = "set together with read_token";
            return Err(InvalidSetting::new("open_to_everybody", value, "only one of them").into());
        }
        let access = AccessRules {
            read: read_tokens,
            reset,
            hosts: AllowedHosts::new(&self.allowed_hosts)?,
            trust_forwarded: self.trust_forwarded,
            open_to_everybody: self.open_to_everybody,
            denials: Arc::<Denials>::default(),
        };
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let registry = self.registry.take().unwrap_or_else(|| self.default_registry());
        let (history_file, history) = self.open_history(&registry);
        let history = Arc::new(history);
        let resources = Arc::<Resources>::default();
        let rules = self.rules();
        #[cfg(feature = "redis")]
        let fingerprints = super::fleet::fingerprints(&self.with_fleet_rules(&rules), consumers.as_ref());
        let mut objectives = Objectives::new(self.objectives.iter().cloned(), &registry)?;
        if let Some(apdex) = &self.apdex {
            objectives = objectives.with_apdex(apdex.clone(), &registry)?;
        }
        let objectives = Arc::new(objectives);
        let alerting = Arc::new(self.start_alerting(rules)?);
        let capture = self.capture_policy();
        let sampler = Arc::new(Sampler::new(&resources, event_loops));
        let exporting = self.start_exporting(&registry, &resources, &sampler)?;
        let live = Arc::<Live>::default();
        let ticker = {
            let (history, resources, alerting) =
                (Arc::clone(&history), Arc::clone(&resources), Arc::clone(&alerting));
            let (denials, live, sampler) =
                (Arc::clone(&access.denials), Arc::clone(&live), Arc::clone(&sampler));
            let (objectives, registry) = (Arc::clone(&objectives), registry.clone());
            let mistakes = Arc::clone(&mistakes);
            Ticker::start(move || {
                let begun = Instant::now();
                history.tick();
                objectives.tick(&registry);
                alerting.evaluate(&history, &denials, &objectives);
                if let Some(metric) = registry.labels_refused_of() {
                    mistakes.tell(Mistake::TooManyLabels { metric: metric.to_string() });
                }
                let has_counted = history.newest().is_some_and(|newest| newest.figures.calls > 0);
                sampler.tick(has_counted || live.has_listeners());
                resources.count_tick(begun.elapsed());
            })
        };
        let ticker = ticker.map_err(BuildError::thread)?;
        let every = self.time_between_writes();
        let writer = history_file.map(|file| file.start(Arc::clone(&history), every));
        let history_writer = writer.transpose().map_err(BuildError::thread)?;
        #[cfg(feature = "redis")]
        let fleet = self.start_fleet(&registry, fingerprints)?;
        #[cfg(feature = "redis")]
        let history_writer = match (&fleet, history_writer) {
            (Some(fleet), None) => Some(self.start_inheriting(fleet, &history).map_err(BuildError::thread)?),
            (_, writer) => writer,
        };
        #[cfg(feature = "redis")]
        let fleet_alerts = self.start_fleet_alerts(fleet.as_ref(), &alerting)?;
        Ok(State {
            service: self.service,
            registry,
            history,
            history_writer,
            resources,
            sampler,
            cost: Cost::default(),
            alerting,
            objectives,
            exporting,
            #[cfg(feature = "redis")]
            fleet,
            #[cfg(feature = "redis")]
            fleet_alerts,
            ticker,
            lanes: Default::default(),
            joined: Default::default(),
            policy: Arc::new(Policy { measure: self.measure, capture, exclusions, consumers, mistakes }),
            access,
            scrapes: Scrapes::new(self.exposition.judging(self.objectives, self.apdex)),
            live,
            has_ended: AtomicBool::new(false),
        })
    }

    fn check_request_ids(&self) -> Result<(), InvalidSetting> {
        match self.request_id_headers.iter().find(|name| !is_header_name(name)) {
            Some(name) => {
                let allowed = "names of headers, such as \"x-request-id\"";
                Err(InvalidSetting::new("request_id_headers", format!("{name:?}"), allowed))
            }
            None => Ok(()),
        }
    }

    /// Excluded routes that no template can be: those begin with a slash, or with `_` if they are none of the
    /// application's. Names of `route_with` may be anything.
    fn excluded_without_slash(&self) -> Option<Mistake> {
        let (routes, prefixes) = (self.excluded_routes.iter(), self.excluded_prefixes.iter());
        let routes =
            routes.map(|route| ("exclude", route)).chain(prefixes.map(|prefix| ("exclude_prefix", prefix)));
        let mut wrong = routes.filter(|(_, route)| !route.starts_with(['/', '_']));
        let (setting, route) = wrong.next()?;
        Some(Mistake::ExcludedWithoutSlash { setting, route: route.clone() })
    }

    fn exclusions(&mut self) -> Result<Exclusions, InvalidSetting> {
        let compile = |pattern: String| {
            Regex::new(&pattern).map_err(|error| {
                let allowed = format!("a regular expression ({error})");
                InvalidSetting::new("exclude_regex", format!("{pattern:?}"), allowed)
            })
        };
        let patterns = std::mem::take(&mut self.excluded_patterns).into_iter().map(compile);
        let patterns = patterns.collect::<Result<_, _>>()?;
        let statuses = std::mem::take(&mut self.excluded_statuses);
        if let Some(status) = statuses.iter().find(|status| !(100..=599).contains(*status)) {
            return Err(InvalidSetting::new("exclude_status", status, "100 to 599"));
        }
        Ok(Exclusions {
            routes: std::mem::take(&mut self.excluded_routes),
            prefixes: std::mem::take(&mut self.excluded_prefixes),
            patterns,
            statuses,
        })
    }

    fn consumers(&mut self, hook_identifies: bool) -> Result<Option<Consumers>, InvalidSetting> {
        let (header, alias, hash_key) = (self.api_key_header.take(), self.alias.take(), self.hash_key.take());
        let routes = self.consumer_routes.take();
        if let Some(route) = routes.iter().flatten().find(|route| !route.starts_with(['/', '_'])) {
            let allowed = "templates such as \"/orders/{id}\", or beginnings such as \"/api/\"";
            return Err(InvalidSetting::new("consumers_from", format!("{route:?}"), allowed));
        }
        if hash_key.as_ref().is_some_and(|key| key.len() < MIN_SECRET_BYTES) {
            return Err(InvalidSetting::secret("consumer_hash_key", "at least 16 bytes"));
        }
        if let Some(name) = header.as_ref().filter(|name| !is_header_name(name)) {
            let allowed = "the name of a header, such as \"x-api-key\"";
            return Err(InvalidSetting::new("api_key_header", format!("{name:?}"), allowed));
        }
        if header.is_none() && !hook_identifies {
            let field = match (&alias, &hash_key, &routes) {
                (None, None, None) => return Ok(None),
                (Some(_), _, _) => "consumer_alias",
                (None, Some(_), _) => "consumer_hash_key",
                (None, None, Some(_)) => "consumers_from",
            };
            let allowed = "together with api_key_header, or with a hook that identifies consumers";
            return Err(InvalidSetting::new(field, "set without consumers", allowed));
        }
        // A hook takes precedence.
        let header = header.filter(|_| !hook_identifies);
        Ok(Some(Consumers::new(header.map(|name| name.to_ascii_lowercase()), alias, routes, hash_key)))
    }

    /// A registry with a histogram wherever the exposition's names, or an exporter, have a series.
    fn default_registry(&self) -> Registry {
        let granularity = match self.exposition.names() {
            Names::OpenTelemetry => Granularity::Exact,
            _ if self.want_exact_statuses() => Granularity::Exact,
            _ => Granularity::default(),
        };
        let registry = Registry::builder().granularity(granularity).build();
        registry.expect("the default settings are in range")
    }
}

/// A token of RFC 9110, which is what header names are.
fn is_header_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.len() <= 256 && name.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::builder::Builder;

    const TOKEN: &str = "0123456789abcdef";

    fn refused(set: impl FnOnce(Builder) -> Builder) -> String {
        set(Builder::new("test")).build().unwrap_err().to_string()
    }

    #[test]
    fn a_service_name_that_is_no_label_is_refused_with_what_is_allowed() {
        for name in ["", "a\nb", &"x".repeat(129)] {
            let error = Builder::new(name).build().unwrap_err().to_string();
            assert!(
                error.ends_with("allowed: 1 to 128 bytes without control or invisible characters"),
                "{error}"
            );
        }
        assert_eq!(Builder::new("주문").build().unwrap().service(), "주문");
    }

    #[test]
    fn every_other_setting_out_of_range_is_refused_with_what_is_allowed() {
        let pattern = refused(|b| b.exclude_regex("("));
        assert!(pattern.starts_with("exclude_regex is \"(\"; allowed: a regular expression ("), "{pattern}");
        assert_eq!(refused(|b| b.exclude_status(99)), "exclude_status is 99; allowed: 100 to 599");
        for name in ["x api key", "", "x-api-key:", "é"] {
            let error = refused(|b| b.api_key_header(name));
            assert!(error.starts_with(&format!("api_key_header is {name:?}; ")), "{error}");
            assert!(error.ends_with("such as \"x-api-key\""), "{error}");
        }
        let error = refused(|b| b.request_id_headers(["x-request-id", "x request id"]));
        assert!(error.starts_with("request_id_headers is \"x request id\"; "), "{error}");
        for url in ["javascript:alert(1)//{trace_id}", "https://jaeger.example/trace/", "/trace/{trace_id}"] {
            assert!(refused(|b| b.trace_url(url)).starts_with("trace_url is "), "{url}");
        }
        let alias = refused(|b| b.consumer_alias(|_| None));
        assert_eq!(
            alias,
            "consumer_alias is set without consumers; allowed: together with api_key_header, or with a hook that \
             identifies consumers"
        );
        assert!(refused(|b| b.consumer_hash_key(TOKEN)).starts_with("consumer_hash_key is set without"));
        assert!(refused(|b| b.consumers_from(["/a"])).starts_with("consumers_from is set without"));
        assert!(
            refused(|b| b.api_key_header("k").consumers_from(["a"])).starts_with("consumers_from is \"a\"; ")
        );
        assert!(refused(|b| b.api_key_header("k").consumer_hash_key("short")).ends_with("at least 16 bytes"));
        let both = refused(|b| b.reset_token(TOKEN).reset_without_token());
        assert_eq!(both, "reset_without_token is set together with reset_token; allowed: only one of them");
        let both = refused(|b| b.read_token(TOKEN).open_to_everybody());
        assert_eq!(both, "open_to_everybody is set together with read_token; allowed: only one of them");
        let hosts = refused(|b| b.allowed_hosts(["a.example"]).allowed_hosts(["https://b.example"]));
        assert!(
            hosts.starts_with("allowed_hosts is \"https://b.example\"; allowed: names without"),
            "{hosts}"
        );
    }

    #[test]
    fn a_history_without_a_file_and_an_interval_out_of_range_are_refused() {
        let interval = refused(|b| b.history_interval(Duration::from_secs(1)));
        assert_eq!(
            interval,
            "history_interval is set without a file; allowed: together with history_file or a fleet"
        );
        let interval = refused(|b| b.history_file("history").history_interval(Duration::from_millis(99)));
        assert_eq!(interval, "history_interval is 99ms; allowed: 100 ms to 1 h");
        let path = refused(|b| b.history_file("/"));
        assert_eq!(path, "history_file is not a file name; allowed: a path such as \"data/history\"");
    }

    #[test]
    fn a_token_that_is_refused_is_not_repeated() {
        for token in ["hunter2", "0123456789abcde", "0123456789 abcdef", "0123456789abcdé"] {
            let error = refused(|b| b.read_token(token));
            assert!(error.starts_with("read_token is invalid; allowed: at least 16"), "{error}");
        }
        let three = refused(|b| b.reset_token(TOKEN).reset_token(TOKEN).reset_token(TOKEN));
        assert_eq!(three, "reset_token is 3 tokens; allowed: at most 2");
    }

    #[test]
    fn no_secret_shows_up_in_debug_output() {
        let builder = Builder::new("test").read_token(TOKEN).reset_token(TOKEN);
        let builder = builder.api_key_header("x-api-key").consumer_hash_key(TOKEN);
        assert!(!format!("{builder:?}").contains(TOKEN));
        assert!(!format!("{:?}", builder.build().unwrap()).contains(TOKEN));
    }
}
