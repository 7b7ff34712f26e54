//! Tokens: who may read, and who may reset.

use hmac_sha256::Hash;
use metrics_core::InvalidSetting;
use subtle::{Choice, ConstantTimeEq};

use super::headers::{Headers, single, values};

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
    /// No token: no `Authorization`, or another scheme of the application's own, such as `Basic`.
    Missing,
    /// A token that is not known.
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
            false if values(headers, "authorization").any(|value| token(value).is_some()) => Check::Wrong,
            false => Check::Missing,
        }
    }
}

/// The token of the `Authorization: Bearer` header, if there is exactly one such header.
fn bearer(headers: &dyn Headers) -> Option<&[u8]> {
    token(single(headers, "authorization")?)
}

/// The token in the value of such a header.
fn token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::super::headers::List;
    use super::*;

    #[test]
    fn only_a_bearer_token_is_a_try() {
        let tokens = Tokens::new("read_token", &["0123456789abcdef".to_owned()]).unwrap();
        let check = |values: &[&str]| {
            let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            tokens.check(&List(&headers))
        };
        assert_eq!(check(&["Bearer 0123456789abcdef"]), Check::Right);
        assert_eq!(check(&["bearer 0123456789abcdef"]), Check::Right);
        for tried in [
            &["Bearer 0123456789abcdeX"][..],
            &["BEARER x"],
            &["Basic eDp5", "Bearer 0123456789abcdef"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert_eq!(check(tried), Check::Wrong, "{tried:?}");
        }
        for other in [&[][..], &[""], &["Bearer"], &["Bearer "], &["Basic eDp5"], &["0123456789abcdef"]] {
            assert_eq!(check(other), Check::Missing, "{other:?}");
        }
    }
}
