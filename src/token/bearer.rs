//! A token in use: what is sent, and how the API has taken it so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderValue;

use super::endpoint::EndpointError;
use super::value::Token;

/// How long a token is young, in seconds: the API may not know it yet, or its clock may be behind the issuer's.
pub(super) const YOUNG_SECONDS: i64 = 5;

/// From which age on a 403 may mean that a token has died, in seconds.
const OLD_SECONDS: i64 = 60;

/// A token, to be sent. Clones are the same token.
#[derive(Debug, Clone)]
pub struct Bearer(Arc<Held>);

/// A token in memory.
#[derive(Debug)]
struct Held {
    token: Token,
    /// Whether this environment asked for it, rather than found it in the store.
    made_here: bool,
    /// Whether the API has accepted it.
    proven: AtomicBool,
    /// Whether the API has refused it since.
    refused: AtomicBool,
    /// Whether the first that the API said of it, when it was young, was a refusal.
    refused_young: AtomicBool,
    /// Whether its refusal was taken for a failure.
    failed: AtomicBool,
    /// Whether a 403 was taken for its death.
    suspected: AtomicBool,
}

impl PartialEq for Bearer {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(&other.0.token)
    }
}

impl Eq for Bearer {}

impl Bearer {
    /// Takes a token into use.
    ///
    /// # Errors
    /// If it cannot stand in a header.
    pub(super) fn new(token: Token, made_here: bool) -> Result<Self, EndpointError> {
        if HeaderValue::from_str(token.access_token.expose()).is_err() {
            return Err(EndpointError::Malformed("it has no access_token that can stand in a header"));
        }
        Ok(Self(Arc::new(Held {
            token,
            made_here,
            proven: false.into(),
            refused: false.into(),
            refused_young: false.into(),
            failed: false.into(),
            suspected: false.into(),
        })))
    }

    /// Returns the token or the key itself, for where it has to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.token.access_token.expose()
    }

    pub(super) fn token(&self) -> &Token {
        &self.0.token
    }

    pub(super) fn is_same(&self, token: &Token) -> bool {
        self.0.token.access_token == token.access_token
    }

    /// Returns whether the API has accepted it.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.0.proven.load(Ordering::Relaxed)
    }

    /// Returns whether the last that the API said of it was a refusal.
    pub(super) fn is_refused(&self) -> bool {
        self.0.refused.load(Ordering::Relaxed)
    }

    pub(super) fn is_young(&self, now: i64) -> bool {
        now.saturating_sub(self.0.token.issued_at) < YOUNG_SECONDS
    }

    /// Enters that the API has accepted it.
    pub(super) fn accept(&self) {
        self.0.proven.store(true, Ordering::Relaxed);
        self.0.refused.store(false, Ordering::Relaxed);
    }

    /// Enters that the API has refused it.
    pub(super) fn refuse(&self, now: i64) {
        if self.is_young(now) && !self.is_proven() {
            self.0.refused_young.store(true, Ordering::Relaxed);
        }
        self.0.refused.store(true, Ordering::Relaxed);
    }

    /// Returns, once, whether it was never good for anything: that is a failure of whoever issued it, or of the API, and no matter
    /// of a further token.
    pub(super) fn has_failed(&self, now: i64) -> bool {
        let is_recent = self.0.made_here && now.saturating_sub(self.0.token.issued_at) < OLD_SECONDS;
        let is_failure = !self.is_proven() && (is_recent || self.0.refused_young.load(Ordering::Relaxed));
        is_failure && !self.0.failed.swap(true, Ordering::Relaxed)
    }

    /// Returns whether a 403 was taken for its death before. A 403 to what is sent from then on has another cause.
    #[must_use]
    pub fn is_suspected(&self) -> bool {
        self.0.suspected.load(Ordering::Relaxed)
    }

    /// Returns whether a 403 may mean that it has died: it was accepted before, or is no longer new. It is suspected from then on.
    pub(super) fn may_have_died(&self, now: i64) -> bool {
        let is_old = now.saturating_sub(self.0.token.issued_at) > OLD_SECONDS;
        let may = self.is_proven() || is_old;
        if may {
            self.0.suspected.store(true, Ordering::Relaxed);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn bearer(made_here: bool) -> Bearer {
        let token = Token { access_token: Secret::new("t".to_owned()), issued_at: 1000, expires_at: 4600 };
        Bearer::new(token, made_here).expect("header text")
    }

    #[test]
    fn the_header_is_sensitive_and_a_token_that_is_no_header_text_makes_none() {
        assert_eq!(bearer(true).expose(), "t");
        let token = Token { access_token: Secret::new("a\nb".to_owned()), issued_at: 0, expires_at: 1 };
        assert!(Bearer::new(token, true).is_err());
        assert!(!format!("{:?}", bearer(true)).contains("Bearer t"));
    }

    #[test]
    fn a_token_that_was_never_good_fails_once() {
        let made = bearer(true);
        made.refuse(1001);
        assert_eq!([made.has_failed(1006), made.has_failed(1006)], [true, false]);
        let found = bearer(false);
        found.refuse(1004);
        assert!(found.has_failed(2000));
    }

    #[test]
    fn a_token_that_was_good_or_is_anothers_and_old_has_not_failed() {
        let proven = bearer(true);
        proven.accept();
        proven.refuse(1001);
        assert!(!proven.has_failed(1006));
        let found = bearer(false);
        found.refuse(1005);
        assert!(!found.has_failed(1006));
        let old = bearer(true);
        old.refuse(1060);
        assert!(!old.has_failed(1060));
    }

    #[test]
    fn a_403_may_be_the_death_of_a_token_that_was_accepted_or_is_older_than_a_minute() {
        let new = bearer(true);
        assert!(!new.may_have_died(1060) && !new.is_suspected());
        assert!(new.may_have_died(1061) && new.is_suspected());
        let proven = bearer(false);
        proven.accept();
        assert!(proven.may_have_died(1000) && proven.is_suspected());
    }
}
