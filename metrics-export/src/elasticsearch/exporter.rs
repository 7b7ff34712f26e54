//! The exporter: one `_bulk` request per window.

use std::time::Instant;

use metrics_core::InvalidSetting;
use serde::Serialize;

use super::answer;
use crate::ecs::Documents;
use crate::gzip::gzipped;
use crate::http::Client;
use crate::push::{Accepted, Exporter, Failed, PushSettings, Window, post};
use crate::service::Service;

/// Sends errors and summaries to a data stream or an index.
#[derive(Debug)]
pub struct Elasticsearch {
    /// Where to send, or why nothing is sent.
    pub(super) client: Result<Client, String>,
    pub(super) documents: Documents,
    pub(super) gzip: bool,
    pub(super) settings: PushSettings,
}

#[derive(Serialize)]
struct Action<'a> {
    create: DocumentId<'a>,
}

#[derive(Serialize)]
struct DocumentId<'a> {
    _id: &'a str,
}

impl Exporter for Elasticsearch {
    fn name(&self) -> &str {
        "elasticsearch"
    }

    fn settings(&self) -> PushSettings {
        self.settings.clone()
    }

    fn off(&self) -> Option<&str> {
        self.client.as_ref().err().map(String::as_str)
    }

    fn start(&mut self, service: &Service) -> Result<(), InvalidSetting> {
        self.documents.service = service.into();
        Ok(())
    }

    fn export(&mut self, window: &Window, deadline: Instant) -> Result<Accepted, Failed> {
        let (mut body, mut documents) = (Vec::new(), 0);
        for document in self.documents.of(window) {
            documents += 1;
            let action = Action { create: DocumentId { _id: &document.event.id } };
            serde_json::to_writer(&mut body, &action).expect("writing to a Vec does not fail");
            body.push(b'\n');
            document.append_to(&mut body);
        }
        let encoding = self.gzip.then_some("gzip");
        if self.gzip {
            body = gzipped(&body);
        }
        let client = self.client.as_ref().map_err(Failed::permanent)?;
        let answer = post(client, "application/x-ndjson", encoding, &body, deadline)?;
        answer::read(&answer.body.map_err(Failed::temporary)?, documents)
    }
}
