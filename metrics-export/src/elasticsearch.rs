//! ECS documents straight to Elasticsearch or OpenSearch, by `_bulk`.
//!
//! What they hold is told in [`crate::ecs`]. Each has an id of its own, and is only ever created: what arrived although
//! nobody heard of it is found to be there already when it is sent again, so nothing is stored twice.

mod answer;
mod builder;

use std::time::Instant;

use serde::Serialize;

use crate::ecs::Documents;
use crate::http::Client;
use crate::push::{Accepted, Exporter, Failed, Settings, Window, gzipped, post};

pub use self::builder::{BuildError, Builder};

/// Sends errors and summaries to a data stream or an index.
#[derive(Debug)]
pub struct Elasticsearch {
    client: Client,
    documents: Documents,
    gzip: bool,
    settings: Settings,
}

#[derive(Serialize)]
struct Action<'a> {
    create: Target<'a>,
}

#[derive(Serialize)]
struct Target<'a> {
    _id: &'a str,
}

impl Exporter for Elasticsearch {
    fn name(&self) -> &str {
        "elasticsearch"
    }

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        let (mut body, mut documents) = (Vec::new(), 0);
        for document in self.documents.of(window) {
            documents += 1;
            let action = Action { create: Target { _id: &document.event.id } };
            serde_json::to_writer(&mut body, &action).expect("a Vec takes everything");
            body.push(b'\n');
            document.append_to(&mut body);
        }
        let encoding = self.gzip.then_some("gzip");
        if self.gzip {
            body = gzipped(&body);
        }
        let answer = post(&self.client, "application/x-ndjson", encoding, &body, deadline)?;
        answer::read(&answer.body.map_err(Failed::temporary)?, documents)
    }
}
