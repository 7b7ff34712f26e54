//! The envelope of every answer.

use serde::Serialize;

/// The answer to a successful call: `{"success": true, "data": ...}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Success<T> {
    success: bool,
    data: T,
}

impl<T> Success<T> {
    /// Wraps the body.
    pub fn new(data: T) -> Self {
        Self { success: true, data }
    }
}

/// The answer to a failed call: `{"success": false, "error": {"code": ..., "message": ...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure<'a> {
    success: bool,
    error: Cause<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Cause<'a> {
    code: &'a str,
    message: &'a str,
}

impl<'a> Failure<'a> {
    /// Creates the answer. `code` is for programs, in snake case; `message` is for people.
    pub fn new(code: &'a str, message: &'a str) -> Self {
        Self { success: false, error: Cause { code, message } }
    }
}
