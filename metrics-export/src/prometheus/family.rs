//! A family of series: name, kind, unit and help text.

/// A family, without its series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family<'a> {
    /// Without the `_total` of a counter.
    pub(crate) name: Name<'a>,
    pub(crate) kind: Kind,
    /// The last word of the name, if it is a unit.
    pub(crate) unit: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// A family's name in three parts, so that the names of the application's metrics are never allocated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a>(pub(crate) [&'a str; 3]);

impl<'a> Name<'a> {
    pub(crate) const fn whole(name: &'a str) -> Self {
        Self(["", name, ""])
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        self.0.iter().filter(|part| !part.is_empty()).for_each(|part| out.extend_from_slice(part.as_bytes()));
    }

    pub(crate) fn len(self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    pub(crate) fn bytes(self) -> impl Iterator<Item = u8> + Clone + use<'a> {
        self.0.into_iter().flat_map(str::bytes)
    }
}

/// A family, and the figure of a `T` that is its value.
pub(crate) type Figure<T, V> = (&'static Family<'static>, fn(&T) -> V);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The name of the kind in the text formats.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    /// The suffixes of a family's samples in any format; the empty one stands for the family itself.
    pub(crate) fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["", "_total", "_created"],
            Self::Gauge => &[""],
            Self::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        }
    }
}
