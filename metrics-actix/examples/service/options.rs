//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const HELP: &str = "\
A demo service with metrics.

Usage: service [OPTIONS]

      --addr ADDR      address to listen on (default: 127.0.0.1:8000); port 0 picks a free one
      --workers N      worker threads, 1 to 256 (default: one per core)
      --otlp URL       send metrics to this OpenTelemetry collector, such as http://127.0.0.1:4318 (feature otlp)
      --datadog URL    send stats and error traces to this Datadog Agent, such as http://127.0.0.1:8126
                       (feature datadog)
      --sentry DSN     send errors and release health to this Sentry project, such as
                       http://KEY@127.0.0.1:9000/1 (feature sentry)
      --ecs-log PATH   write errors and summaries as ECS lines to this file (feature ecs-log)
      --redis URL      join the fleet in this Redis and show the totals of all instances, such as
                       redis://127.0.0.1:6379/0 (feature redis)
      --instance NAME  name of this instance in the fleet (default: the environment variable HOSTNAME)
      --history FILE   keep the history of the last 24 hours in this file, across restarts
      --interval MS    milliseconds between reports to the fleet (default: 10000), and between writes of the history
                       (default: 60000); 100 to 60000
      --objective-rules JOB
                       print Prometheus rules for the demo's objectives, for this job, and exit
      --demo-traffic   send itself a few requests a second, so that there is something to see
      --incident       the same, with an incident: after 10 s orders become slow, and after 20 s they fail for one
                       customer, in the middle of requests from scanners
  -h, --help           print this help";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) addr: SocketAddr,
    pub(crate) workers: usize,
    pub(crate) demo_traffic: bool,
    pub(crate) incident: bool,
    pub(crate) otlp: Option<String>,
    pub(crate) datadog: Option<String>,
    pub(crate) sentry: Option<String>,
    pub(crate) ecs_log: Option<String>,
    pub(crate) redis: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) history: Option<String>,
    pub(crate) interval: Option<Duration>,
    pub(crate) objective_rules: Option<String>,
}

impl Options {
    /// The options of this process; `None` for `--help`.
    pub(crate) fn from_args() -> Result<Option<Self>, String> {
        Self::parse(lexopt::Parser::from_env())
    }

    fn parse(mut parser: lexopt::Parser) -> Result<Option<Self>, String> {
        use lexopt::prelude::{Long, Short, ValueExt};
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self {
            addr: ([127, 0, 0, 1], 8000).into(),
            workers: cores,
            demo_traffic: false,
            incident: false,
            otlp: None,
            datadog: None,
            sentry: None,
            ecs_log: None,
            redis: None,
            instance: None,
            history: None,
            interval: None,
            objective_rules: None,
        };
        let text = |error: lexopt::Error| error.to_string();
        while let Some(argument) = parser.next().map_err(text)? {
            match argument {
                Long("addr") => {
                    let value = parser.value().and_then(|value| value.string()).map_err(text)?;
                    options.addr = value.parse().map_err(|_| {
                        format!(
                            "--addr is {value:?}; allowed: an IP address and a port, such as 127.0.0.1:8000"
                        )
                    })?;
                }
                Long("workers") => {
                    let value = parser.value().and_then(|value| value.string()).map_err(text)?;
                    options.workers = value
                        .parse()
                        .ok()
                        .filter(|workers| (1..=256).contains(workers))
                        .ok_or_else(|| format!("--workers is {value:?}; allowed: 1 to 256"))?;
                }
                Long("otlp") => {
                    options.otlp = Some(parser.value().and_then(|value| value.string()).map_err(text)?);
                }
                Long("datadog") => {
                    options.datadog = Some(parser.value().and_then(|value| value.string()).map_err(text)?);
                }
                Long("sentry") => {
                    options.sentry = Some(parser.value().and_then(|value| value.string()).map_err(text)?);
                }
                Long("ecs-log") => {
                    options.ecs_log = Some(parser.value().and_then(|value| value.string()).map_err(text)?);
                }
                Long(name @ ("redis" | "instance")) => {
                    let option = if name == "redis" { &mut options.redis } else { &mut options.instance };
                    *option = Some(parser.value().and_then(|value| value.string()).map_err(text)?);
                }
                Long("history") => {
                    options.history = Some(parser.value().and_then(|value| value.string()).map_err(text)?);
                }
                Long("interval") => {
                    let value = parser.value().and_then(|value| value.string()).map_err(text)?;
                    let millis = value.parse().ok().filter(|millis| (100..=60_000).contains(millis));
                    let millis =
                        millis.ok_or_else(|| format!("--interval is {value:?}; allowed: 100 to 60000"))?;
                    options.interval = Some(Duration::from_millis(millis));
                }
                Long("objective-rules") => {
                    options.objective_rules =
                        Some(parser.value().and_then(|value| value.string()).map_err(text)?);
                }
                Long("demo-traffic") => options.demo_traffic = true,
                Long("incident") => options.incident = true,
                Short('h') | Long("help") => return Ok(None),
                other => return Err(text(other.unexpected())),
            }
        }
        if options.redis.is_none() && options.instance.is_some() {
            return Err("--instance needs --redis".to_owned());
        }
        if options.redis.is_none() && options.history.is_none() && options.interval.is_some() {
            return Err("--interval needs --redis or --history".to_owned());
        }
        Ok(Some(options))
    }
}
