//! Methods of the builder whose cargo feature is off. A call of one fails to compile, and the error names the feature;
//! otherwise rustc would only say that there is no such method.

/// Declares a method for the case that its feature is off, with a bound that nothing meets.
macro_rules! needs_feature {
    ($feature:literal, $method:ident($($argument:pat)?), $message:literal, $note:literal) => {
        #[cfg(not(feature = $feature))]
        const _: () = {
            #[diagnostic::on_unimplemented(message = $message, label = $message, note = $note)]
            pub trait IsEnabled {}

            impl<H> super::Builder<H> {
                #[doc(hidden)]
                pub fn $method(self $(, $argument: impl Sized)?) -> Self
                where
                    Self: IsEnabled,
                {
                    self
                }
            }
        };
    };
}

needs_feature!(
    "alert-log",
    alert_log(),
    "`alert_log` needs the cargo feature `alert-log`",
    "run: cargo add metrics-actix --features alert-log (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "alert-webhook",
    alert_webhook(_),
    "`alert_webhook` needs the cargo feature `alert-webhook`",
    "run: cargo add metrics-actix --features alert-webhook (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "alertmanager",
    alertmanager(_),
    "`alertmanager` needs the cargo feature `alertmanager`",
    "run: cargo add metrics-actix --features alertmanager (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "alert-toml",
    alerts_toml(_),
    "`alerts_toml` needs the cargo feature `alert-toml`",
    "run: cargo add metrics-actix --features alert-toml (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "alert-toml",
    alerts_file(_),
    "`alerts_file` needs the cargo feature `alert-toml`",
    "run: cargo add metrics-actix --features alert-toml (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "redis",
    fleet(_),
    "`fleet` needs the cargo feature `redis`",
    "run: cargo add metrics-actix --features redis (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "redis",
    fleet_alert(_),
    "`fleet_alert` needs the cargo feature `redis`",
    "run: cargo add metrics-actix --features redis (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "redis",
    fleet_objective(_),
    "`fleet_objective` needs the cargo feature `redis`",
    "run: cargo add metrics-actix --features redis (or metrics-monitor, if you depend on that instead)"
);
needs_feature!(
    "redis",
    history_key(_),
    "`history_key` needs the cargo feature `redis`",
    "run: cargo add metrics-actix --features redis (or metrics-monitor, if you depend on that instead)"
);
