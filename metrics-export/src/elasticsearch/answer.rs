//! The answer of `_bulk`, with a result for each document.

use serde::Deserialize;

use crate::http::short_line;
use crate::push::{Accepted, Failed};

#[derive(Deserialize)]
struct BulkAnswer {
    errors: bool,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    status: u16,
    error: Option<BulkError>,
}

#[derive(Deserialize)]
struct BulkError {
    #[serde(rename = "type")]
    kind: String,
}

/// Reads the answer for this number of documents. A document that is already there (409) arrived before. If one may be
/// accepted later, all are sent again; those that were accepted are already there then.
pub(super) fn read(body: &[u8], sent: usize) -> Result<Accepted, Failed> {
    let answer: BulkAnswer = serde_json::from_slice(body)
        .map_err(|_| Failed::temporary("it did not answer like Elasticsearch's _bulk; check the URL"))?;
    if !answer.errors {
        return Ok(Accepted::default());
    }
    if answer.items.len() != sent {
        let reason = format!("it answered for {} of {sent} documents", answer.items.len());
        return Err(Failed::temporary(reason));
    }
    let refused = answer.items.into_iter().map(|item| item.create);
    let mut accepted = Accepted::default();
    for Created { status, error } in refused.filter(|item| item.status >= 300 && item.status != 409) {
        let kind = error.map_or_else(String::new, |error| format!(" ({})", short_line(&error.kind)));
        let reason = format!("it answered {status}{kind} to a document");
        if status == 429 || status >= 500 {
            return Err(Failed::temporary(reason));
        }
        accepted.rejected += 1;
        accepted.reason = Some(reason);
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(json: serde_json::Value) -> Result<Accepted, Failed> {
        let sent = json["items"].as_array().map_or(7, Vec::len);
        read(json.to_string().as_bytes(), sent)
    }

    fn item(status: u16, kind: &str) -> serde_json::Value {
        let error = (status >= 300).then(|| serde_json::json!({"type": kind, "reason": "hunter2"}));
        serde_json::json!({"create": {"_index": "logs", "_id": "1", "status": status, "error": error}})
    }

    #[test]
    fn a_document_that_is_already_there_was_accepted_and_a_refused_one_is_counted() {
        assert_eq!(read_json(serde_json::json!({"errors": false, "took": 3})), Ok(Accepted::default()));
        let items = [item(201, ""), item(409, "version_conflict_engine_exception"), item(400, "mapper_x")];
        let accepted = read_json(serde_json::json!({"errors": true, "items": items})).unwrap();
        let reason = "it answered 400 (mapper_x) to a document";
        assert_eq!((accepted.rejected, accepted.reason.as_deref()), (1, Some(reason)));
    }

    #[test]
    fn a_document_that_may_be_accepted_later_fails_the_window() {
        for status in [429, 503] {
            let items = [item(201, ""), item(400, "a"), item(status, "es_rejected_execution_exception")];
            let failed = read_json(serde_json::json!({"errors": true, "items": items})).unwrap_err();
            assert!(!failed.permanent && failed.reason.contains(&status.to_string()), "{failed:?}");
        }
        assert!(!read(b"<html>", 1).unwrap_err().permanent);
        for items in ["", r#", "items": []"#, r#", "items": [{"create": {"status": 201}}]"#] {
            let failed = read(format!("{{\"errors\": true{items}}}").as_bytes(), 2).unwrap_err();
            assert!(!failed.permanent && failed.reason.ends_with(" of 2 documents"), "{failed:?}");
        }
    }
}
