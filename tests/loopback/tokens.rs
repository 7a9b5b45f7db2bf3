//! The bearer tokens that are valid now: the token endpoint adds them, the analytics API asks for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A set of bearer tokens. Clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<Mutex<BTreeMap<String, Validity>>>);

/// From when, and until when, a token is valid.
type Validity = (Instant, Option<Instant>);

impl Tokens {
    /// An empty set: every token is refused.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a token valid until it is revoked.
    pub fn allow(&self, token: impl Into<String>) {
        self.with(|tokens| tokens.insert(token.into(), (Instant::now(), None)));
    }

    /// Makes a token valid for a time.
    pub fn allow_for(&self, token: impl Into<String>, lifetime: Duration) {
        self.allow_after(Duration::ZERO, token, lifetime);
    }

    /// Makes a token valid for a time from now, but only after a part of it.
    pub fn allow_after(&self, delay: Duration, token: impl Into<String>, lifetime: Duration) {
        let now = Instant::now();
        self.with(|tokens| tokens.insert(token.into(), (now + delay, now.checked_add(lifetime))));
    }

    /// Makes a token invalid.
    pub fn revoke(&self, token: &str) {
        self.with(|tokens| tokens.remove(token));
    }

    /// Makes every token invalid.
    pub fn revoke_all(&self) {
        self.with(BTreeMap::clear);
    }

    /// Returns whether a token is valid now.
    #[must_use]
    pub fn allows(&self, token: &str) -> bool {
        let now = Instant::now();
        self.with(|tokens| {
            tokens.get(token).is_some_and(|(from, until)| *from <= now && until.is_none_or(|until| now < until))
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Validity>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_until_it_expires_or_is_revoked() {
        let tokens = Tokens::new();
        assert!(!tokens.allows("a"));
        tokens.allow("a");
        tokens.allow_for("b", Duration::ZERO);
        tokens.allow_for("c", Duration::from_mins(1));
        tokens.allow_after(Duration::from_secs(30), "d", Duration::from_mins(1));
        assert_eq!(["a", "b", "c", "d"].map(|token| tokens.allows(token)), [true, false, true, false]);
        tokens.revoke("a");
        assert!(!tokens.allows("a"));
    }
}
