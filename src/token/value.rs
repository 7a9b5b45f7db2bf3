//! A bearer token and its lifetime, and the form in which Parameter Store keeps it.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest time before its expiry at which a token is renewed, in seconds.
const MAX_EARLY_SECONDS: i64 = 60;

/// A bearer token. Times are in seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What is sent behind `Bearer `.
    pub access_token: Secret,
    /// When it was issued.
    pub issued_at: i64,
    /// When it ceases to be valid.
    pub expires_at: i64,
}

/// The parameter's value.
#[derive(Deserialize)]
struct Stored {
    access_token: Secret,
    token_type: String,
    issued_at: i64,
    expires_at: i64,
}

#[derive(Serialize)]
struct Storing<'a> {
    access_token: &'a str,
    token_type: &'a str,
    issued_at: i64,
    expires_at: i64,
}

impl Token {
    /// Reads the value of the parameter; `None` if it is anything but a token.
    #[must_use]
    pub fn from_parameter(value: &str) -> Option<Self> {
        let Stored { access_token, token_type, issued_at, expires_at } = serde_json::from_str(value).ok()?;
        let is_token = token_type.trim().eq_ignore_ascii_case("bearer") && is_header_text(access_token.expose());
        is_token.then_some(Self { access_token, issued_at, expires_at })
    }

    /// Writes the value of the parameter.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn to_parameter(&self) -> serde_json::Result<Zeroizing<String>> {
        let storing = Storing {
            access_token: self.access_token.expose(),
            token_type: "Bearer",
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        };
        serde_json::to_string(&storing).map(Zeroizing::new)
    }

    /// Returns whether the token is still valid.
    #[must_use]
    pub fn lives(&self, now: i64) -> bool {
        now < self.expires_at
    }

    /// Returns whether it is time to renew the token: by `spread` (0 to 1) up to 60 s and up to a tenth of its lifetime before it
    /// expires, so that of many environments one is first and the others find its token.
    #[must_use]
    pub fn is_due(&self, now: i64, spread: f64) -> bool {
        let lifetime = self.expires_at.saturating_sub(self.issued_at).max(0);
        let early = (lifetime / 10).min(MAX_EARLY_SECONDS);
        #[expect(clippy::cast_possible_truncation, reason = "at most 60")]
        let early = (early as f64 * spread.clamp(0.0, 1.0)).round() as i64;
        now >= self.expires_at.saturating_sub(early)
    }
}

/// Returns whether a text can stand in an `Authorization` header: visible ASCII.
pub(super) fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(issued_at: i64, expires_at: i64) -> Token {
        Token { access_token: Secret::new("t".to_owned()), issued_at, expires_at }
    }

    #[test]
    fn a_token_is_kept_as_json_and_read_back() {
        let kept = token(1_795_283_940, 1_795_287_540).to_parameter().expect("JSON");
        let expected = r#"{"access_token":"t","token_type":"Bearer","issued_at":1795283940,"expires_at":1795287540}"#;
        assert_eq!(kept.as_str(), expected);
        assert_eq!(Token::from_parameter(&kept), Some(token(1_795_283_940, 1_795_287_540)));
    }

    #[test]
    fn anything_else_is_no_token() {
        for value in [
            "",
            "placeholder",
            "{}",
            "null",
            r#"{"access_token":"t","token_type":"Bearer"}"#,
            r#"{"access_token":"","token_type":"Bearer","issued_at":1,"expires_at":2}"#,
            r#"{"access_token":"a b","token_type":"Bearer","issued_at":1,"expires_at":2}"#,
            r#"{"access_token":"t","token_type":"mac","issued_at":1,"expires_at":2}"#,
            r#"{"access_token":"t","token_type":"JWT","issued_at":1,"expires_at":2}"#,
            r#"{"access_token":"t","token_type":"Bearer","issued_at":1,"expires_at":"soon"}"#,
        ] {
            assert_eq!(Token::from_parameter(value), None, "{value}");
        }
    }

    #[test]
    fn a_token_lives_until_it_expires() {
        assert!(token(0, 100).lives(99));
        assert!(!token(0, 100).lives(100));
    }

    #[test]
    fn renewal_is_early_by_a_tenth_of_the_lifetime_and_at_most_a_minute() {
        let first_due = |token: &Token, spread| (0..=token.expires_at).find(|now| token.is_due(*now, spread));
        assert_eq!(first_due(&token(0, 3600), 1.0), Some(3540));
        assert_eq!(first_due(&token(0, 3600), 0.5), Some(3570));
        assert_eq!(first_due(&token(0, 100), 1.0), Some(90));
        assert_eq!(first_due(&token(0, 100), 0.0), Some(100));
        assert_eq!(first_due(&token(0, 5), 1.0), Some(5));
        assert!(token(100, 0).is_due(0, 1.0));
    }
}
