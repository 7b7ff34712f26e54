//! The builder's settings for access.

use std::sync::Arc;

use super::denials::Denials;
use super::hosts::AllowedHosts;
use super::tokens::{Reset, Tokens};

/// What the builder says about access, and how many requests were refused. `endpoints/access.rs` applies it.
#[derive(Debug)]
pub(crate) struct AccessRules {
    pub(crate) read: Tokens,
    pub(crate) reset: Reset,
    pub(crate) hosts: AllowedHosts,
    /// Whether `X-Forwarded-Proto` and `-Host` are from a proxy of ours.
    pub(crate) trust_forwarded: bool,
    pub(crate) open_to_everybody: bool,
    pub(crate) denials: Arc<Denials>,
}
