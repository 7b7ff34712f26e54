//! The error of a monitor that cannot be built.

use std::io;
use std::sync::Arc;

use metrics_core::InvalidSetting;
use metrics_export::StartError;

/// Why a monitor cannot be built, and what to change.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting was refused.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The system could not start a thread for the history, alert notices, exporters or the fleet.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] Arc<io::Error>),
}

metrics_core::debug_as_display!(BuildError);

impl From<StartError> for BuildError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Setting(setting) => Self::Setting(setting),
            StartError::Thread(error) => Self::thread(error),
            other => Self::thread(io::Error::other(other)),
        }
    }
}

impl BuildError {
    /// The system's error when it started no thread.
    pub(crate) fn thread(error: io::Error) -> Self {
        Self::Thread(Arc::new(error))
    }
}

/// For the `main` of most services, which returns `std::io::Result`: `build()?` works there. The text is the same, and
/// [`io::Error::get_ref`] returns the [`BuildError`].
impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        let kind = match error {
            BuildError::Setting(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    fn build(service: &str) -> io::Result<()> {
        Builder::new(service).read_token("short").build()?;
        Ok(())
    }

    #[test]
    fn a_refused_setting_keeps_its_text_as_an_io_error() {
        let refused = Builder::new("orders").read_token("short").build().unwrap_err();
        let error = build("orders").unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidInput, refused.to_string()));
        let inner = error.get_ref().and_then(|error| error.downcast_ref::<BuildError>());
        assert_eq!(inner.map(ToString::to_string), Some(refused.to_string()));
    }
}
