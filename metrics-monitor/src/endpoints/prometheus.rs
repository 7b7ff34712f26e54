//! A scrape by Prometheus. What did not change since the last one in the same format is not written again.

use bytes::Bytes;
use metrics_export::prometheus::{Format, Resources};

use super::answer::{Answer, Body};
use super::request::{Coding, Request};
use super::work::Task;
use crate::background::lanes::Scratch;
use crate::policy::headers::{Headers, values};
use crate::state::State;

/// `GET prometheus`: all figures since the start.
pub(crate) fn scrape(request: &Request<'_>) -> Task {
    let format = accepted(request.headers);
    let gzip = cfg!(feature = "gzip") && request.coding == Coding::Gzip;
    let head = Answer::new(200, "").header("content-type", format.content_type()).volatile();
    // Without the feature, there is one coding, and the application's own compression is welcome.
    let head = if cfg!(feature = "gzip") {
        head.header("vary", "accept, accept-encoding").coded(request.coding, request.headers)
    } else {
        head.header("vary", "accept")
    };
    // The headers are part of the question: one of them depends on the client.
    Task::with_buffers((format, gzip, head.headers.len()), move |state, scratch| Answer {
        body: Body::Bytes(render(state, scratch, format, gzip)),
        ..head
    })
}

/// The format that the `Accept` headers ask for.
fn accepted(headers: &dyn Headers) -> Format {
    let values = values(headers, "accept").filter_map(|value| std::str::from_utf8(value).ok());
    Format::negotiate(&values.collect::<Vec<_>>().join(","))
}

fn render(state: &State, scratch: &mut Scratch, format: Format, gzip: bool) -> Bytes {
    state.sampler.refresh();
    let registry = &state.registry;
    let snapshot = if state.scrapes.shows_consumers() {
        registry.snapshot()
    } else {
        registry.snapshot_without_consumers()
    };
    let memory = state.cost.memory(registry, &state.history, &state.resources);
    let resources = Resources {
        denied: Some(state.access.denials.counts()),
        scrapes_kept_bytes: Some(state.scrapes.kept_bytes() as u64),
        history_bytes: Some(memory.history as u64),
        shard_bytes: Some(memory.shards as u64),
        error_groups_bytes: Some(memory.groups as u64),
        ..state.resources.exposed()
    };
    let exporters = state.exporting.counts();
    let mut scraper = state.scrapes.take(format);
    let mut whole = Vec::new();
    let kept = scraper.render(&snapshot, &resources, &exporters, &mut whole);
    // A copy of exactly the size, so that a slow client keeps no buffer from the next scrape.
    let body = match (kept, gzip) {
        (kept, true) => Bytes::copy_from_slice(pack(kept.unwrap_or(&whole), scratch)),
        (Some(kept), false) => Bytes::copy_from_slice(kept),
        (None, false) => Bytes::from(whole),
    };
    state.scrapes.put(scraper);
    body
}

#[cfg(feature = "gzip")]
fn pack<'a>(text: &[u8], Scratch { packed }: &'a mut Scratch) -> &'a [u8] {
    packed.clear();
    // The fastest level: text this repetitive packs well at any.
    metrics_export::gzip::gzip(text, metrics_export::gzip::Level::Fast, packed);
    packed
}

#[cfg(not(feature = "gzip"))]
fn pack<'a>(text: &'a [u8], _: &mut Scratch) -> &'a [u8] {
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::headers::List;

    #[test]
    fn several_accept_headers_are_one() {
        let headers = List(&[("accept", "text/html"), ("accept", "application/openmetrics-text")]);
        assert_eq!(accepted(&headers), Format::OpenMetrics);
    }
}
