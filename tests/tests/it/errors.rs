//! Errors show their sentence wherever they are printed.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::time::SystemTime;

use metrics_actix::{BuildError, InvalidSetting, Metrics};
use metrics_core::alert::ParseConditionError;
use metrics_core::{
    MergeError, Outcome, PartsError, PrecisionMismatch, SavedError, SpanId, StepError, TraceId, Window,
};
use metrics_export::alert::{RulesError, SendError};
use metrics_export::facade::Refusal;
use metrics_export::fleet::DecodeError;
use metrics_export::fleet::redis::{Busy, Stale};
use metrics_export::push::Failed;
use metrics_export::{Service, StartError};

/// One error of each type, by its name.
fn errors() -> Vec<(&'static str, Box<dyn Error>)> {
    let setting = || InvalidSetting::new("max_series", 0, "1 to 65536");
    let mismatch = PrecisionMismatch { ours: 2, theirs: 3 };
    let thread = || io::Error::from(io::ErrorKind::WouldBlock);
    let send = SendError { reason: "refused".to_owned(), is_temporary: false, retry_after: None };
    let registry = metrics_core::Registry::new();
    vec![
        ("BuildError", Box::new(BuildError::from(StartError::from(thread())))),
        ("Busy", Box::new(Busy { limit: 32 })),
        ("DecodeError", Box::new(DecodeError::from(PartsError::Gauge))),
        ("Failed", Box::new(Failed::temporary("refused"))),
        ("InvalidSetting", Box::new(setting())),
        ("MergeError", Box::new(MergeError::from(mismatch))),
        ("MetricError", Box::new(registry.counter("1").unwrap_err())),
        ("ParseConditionError", Box::new(ParseConditionError::from(setting()))),
        ("ParseOutcomeError", Box::new("99".parse::<Outcome>().unwrap_err())),
        ("ParseSpanIdError", Box::new("0".parse::<SpanId>().unwrap_err())),
        ("ParseTraceIdError", Box::new("0".parse::<TraceId>().unwrap_err())),
        ("ParseWindowError", Box::new("2m".parse::<Window>().unwrap_err())),
        ("PartsError", Box::new(PartsError::Digits(4))),
        ("PrecisionMismatch", Box::new(mismatch)),
        ("Refusal", Box::new(Refusal::Unit { name: "size".to_owned() })),
        ("RulesError", Box::new(RulesError { line: 2, reason: "no rule".to_owned() })),
        ("SavedError", Box::new(SavedError::Damaged("it ends early"))),
        ("SendError", Box::new(send)),
        ("Stale", Box::new(Stale { since: SystemTime::UNIX_EPOCH, reason: "refused".to_owned() })),
        ("StartError", Box::new(StartError::from(thread()))),
        ("StepError", Box::new(StepError::from(setting()))),
    ]
}

/// What Rust prints if `main` returns the error.
fn as_main_prints(error: &dyn Error) -> String {
    format!("{error:?}")
}

#[test]
fn every_error_prints_its_sentence_and_its_source_when_main_returns_it() {
    for (name, error) in errors() {
        let printed = as_main_prints(&*error);
        assert_eq!(printed, error.to_string(), "{name}");
        assert!(!printed.contains(" {"), "{name} prints its fields: {printed}");
        let sources = std::iter::successors(error.source(), |&error| error.source());
        for source in sources {
            assert!(printed.contains(&source.to_string()), "{name}: {printed:?} is without {source}");
        }
    }
}

#[test]
fn every_error_type_of_the_sources_is_tested() {
    let tested: BTreeSet<String> = errors().into_iter().map(|(name, _)| name.to_owned()).collect();
    let mut defined = BTreeSet::new();
    for (path, source) in super::inventory::sources() {
        let library = ["metrics-core/", "metrics-export/", "metrics-monitor/", "metrics-actix/"];
        if !library.iter().any(|library| path.starts_with(library)) {
            continue;
        }
        for derived in source.split("thiserror::Error)]").skip(1) {
            let declaration = derived
                .lines()
                .find_map(|line| line.strip_prefix("pub enum ").or_else(|| line.strip_prefix("pub struct ")));
            let declaration = declaration.unwrap_or_else(|| panic!("{path}: no public type is derived"));
            defined.insert(declaration.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned());
        }
        for by_hand in source.split("impl std::error::Error for ").skip(1) {
            defined.insert(by_hand.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned());
        }
    }
    assert_eq!(tested, defined);
}

#[test]
fn errors_of_main_name_the_setting_variable_or_file() {
    let refused = |builder: metrics_actix::Builder| as_main_prints(&builder.build().unwrap_err());
    let builder = || Metrics::builder("orders");
    assert!(refused(builder().read_token("short")).starts_with("read_token is invalid; allowed: "));
    let missing = refused(builder().alerts_file("no/alerts.toml"));
    assert!(missing.starts_with("alerts_file: cannot read no/alerts.toml: "), "{missing}");
    let webhook = refused(builder().alert_webhook("hooks.example.com"));
    assert!(webhook.starts_with("alert_webhook: the URL "), "{webhook}");
    let service = Service::new("");
    assert!(as_main_prints(&service.check().unwrap_err()).starts_with("service is \"\"; allowed: "));
}
