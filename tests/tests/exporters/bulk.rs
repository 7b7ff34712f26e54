//! A stand-in for `_bulk`.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;

/// Stores documents by their ids and answers, as `_bulk` does.
pub(crate) fn store(body: &[u8], stored: &Mutex<HashMap<String, Value>>) -> Vec<u8> {
    let lines: Vec<Value> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("each line is JSON"))
        .collect();
    let mut stored = stored.lock().unwrap();
    let create = |pair: &[Value]| {
        let id = pair[0]["create"]["_id"].as_str().unwrap().to_owned();
        assert_eq!(pair[1]["event"]["id"], id);
        let status = if stored.insert(id, pair[1].clone()).is_some() { 409 } else { 201 };
        serde_json::json!({ "create": { "status": status } })
    };
    let items: Vec<_> = lines.chunks(2).map(create).collect();
    let errors = items.iter().any(|item| item["create"]["status"] == 409);
    serde_json::json!({ "errors": errors, "items": items }).to_string().into_bytes()
}
