//! Where the history is kept: in a file, or in a Redis.

use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use tests::{Folder, Redis};

/// The key of the history of the service that is restarted.
const KEY: &str = "metrics:restarts:history:a";

#[derive(Debug)]
pub(crate) enum Place {
    File(Folder),
    Fleet(Redis),
}

impl Place {
    /// What the service is told.
    pub(crate) fn settings(&self) -> Value {
        match self {
            Self::File(folder) => json!({ "file": folder.path().join("history") }),
            Self::Fleet(redis) => json!({ "redis": redis.url() }),
        }
    }

    /// Differs after each write; empty before the first one.
    pub(crate) fn version(&self) -> String {
        match self {
            Self::File(folder) => {
                let written =
                    std::fs::metadata(folder.path().join("history")).and_then(|file| file.modified());
                let since = written.ok().and_then(|written| written.duration_since(UNIX_EPOCH).ok());
                since.map(|since| since.as_nanos().to_string()).unwrap_or_default()
            }
            Self::Fleet(redis) => redis.cli(&["hget", KEY, "revision"]),
        }
    }

    /// Whether a history was set aside, which never must be.
    pub(crate) fn has_refused(&self) -> bool {
        matches!(self, Self::File(folder) if folder.path().join("history.set-aside").exists())
    }
}
