//! Tokens: who may read, and who may reset.

use hmac_sha256::Hash;
use metrics_core::InvalidSetting;
use subtle::{Choice, ConstantTimeEq};

use super::headers::{Headers, single};

/// The shortest token and the shortest hash key, in bytes: secrets are made by machines, not by people.
pub(crate) const MIN_SECRET_BYTES: usize = 16;

/// Tokens for one purpose that are valid at once: the old one and the new one.
const MAX_TOKENS: usize = 2;

/// The tokens that open an endpoint; without any, it is open to all callers. Only their hashes are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens(Vec<[u8; 32]>);

/// What a request has to show for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// A token that is known.
    Right,
    /// No `Authorization`.
    Missing,
    /// An `Authorization` without a token that is known.
    Wrong,
}

/// Who may reset.
#[derive(Debug, Clone)]
pub(crate) enum Reset {
    /// Nobody; the endpoint does not exist.
    Absent,
    /// Everybody who can reach the endpoint.
    Open,
    /// Clients with a token.
    WithToken(Tokens),
}

impl Tokens {
    /// Checks and hashes the tokens that a setter was given.
    pub(crate) fn new(field: &'static str, tokens: &[String]) -> Result<Self, InvalidSetting> {
        if tokens.len() > MAX_TOKENS {
            return Err(InvalidSetting::new(field, format!("{} tokens", tokens.len()), "at most 2"));
        }
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let is_valid = |token: &String| token.len() >= MIN_SECRET_BYTES && token.chars().all(is_allowed);
        if !tokens.iter().all(is_valid) {
            return Err(InvalidSetting::secret(field, "at least 16 letters, digits and -._~+/="));
        }
        Ok(Self(tokens.iter().map(|token| Hash::hash(token.as_bytes())).collect()))
    }

    /// Whether there are none, so that no request needs one.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the token of a request opens. Takes as long for a wrong token as for none, and for any wrong one of its
    /// length.
    pub(crate) fn check(&self, headers: &dyn Headers) -> Check {
        let given = bearer(headers);
        let hash = Hash::hash(given.unwrap_or_default());
        let equal = self.0.iter().fold(Choice::from(0), |any, known| any | known.as_slice().ct_eq(&hash));
        match bool::from(equal & Choice::from(u8::from(given.is_some()))) {
            true => Check::Right,
            false if headers.value("authorization", 0).is_some() => Check::Wrong,
            false => Check::Missing,
        }
    }
}

/// The token of the `Authorization: Bearer` header, if there is exactly one such header.
fn bearer(headers: &dyn Headers) -> Option<&[u8]> {
    let (scheme, token) = single(headers, "authorization")?.split_at_checked(b"Bearer ".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}
