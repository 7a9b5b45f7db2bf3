//! What an environment remembers of tokens between invocations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::TokenError;
use super::bearer::Bearer;
use super::cool_down;
use super::pacer::Pacer;
use super::renewal::Hold;
use super::store::{Credentials, StoreError};
use crate::client::IdentityError;
use crate::counts::Counts;
use crate::secret::Secret;

/// Reads that are kept for what follows a cool-down: fewer left, and it is not looked for its early end.
const KEPT_READS: u8 = 3;

/// Shortest and longest time between two looks for a cool-down's early end.
const BETWEEN_LOOKS: [Duration; 2] = [Duration::from_millis(500), Duration::from_mins(1)];

/// What an environment remembers. Times are by its monotonic clock, from its start, where nothing else is said.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) token: Option<Bearer>,
    /// The token that it has replaced, until it has proven itself.
    pub(super) before: Option<Bearer>,
    /// The token, while it was made here and is not in the store.
    pub(super) unwritten: Option<Bearer>,
    /// The version of the token in the store when that was last known.
    pub(super) version: Option<i64>,
    pub(super) credentials: Option<Arc<Credentials>>,
    /// The static key that was read last.
    pub(super) key: Option<Secret>,
    /// When the parameter was last read again because the API has refused the key.
    pub(super) key_reread: Option<Duration>,
    /// Why the client has no certificate to present, when that was last looked for.
    pub(super) no_certificate: Option<IdentityError>,
    /// The further formats that are kept beside the token.
    pub(super) formats: Option<Arc<str>>,
    /// The last renewal that failed: it failed for all who waited for it.
    pub(super) failure: Option<(Instant, TokenError)>,
    /// Why tokens have failed since one was good.
    pub(super) failing: Option<Failing>,
    /// How long the cool-down was that the lock said when it was last seen, in seconds.
    pub(super) said: i64,
    /// The lock's own version when it was last seen or written.
    pub(super) lock: Option<i64>,
    /// The lock that this environment has made and not used.
    pub(super) mine: Option<Hold>,
    /// What the lock of a version is to say to the others, in epoch seconds, if that is still to be written.
    pub(super) untold: Option<(i64, i64)>,
    pub(super) pacer: Pacer,
    /// What was done since the last invocation was summed up.
    pub(super) counts: Counts,
    /// No early renewal before this time, in epoch seconds.
    pub(super) next_early: i64,
    /// No write of the token before this time, in epoch seconds.
    pub(super) next_write: i64,
    /// Whether the store was too busy for the last write of the token.
    pub(super) is_crowded: bool,
    /// Whether the token was asked for under a lock, so that others wait for it.
    pub(super) is_awaited: bool,
    /// What the store could not do since the last renewal that was needed: each is warned of once.
    pub(super) warned: Vec<StoreError>,
    /// Whether it was said that tokens are of an odd type.
    pub(super) warned_of_type: bool,
}

/// A series of failures.
#[derive(Debug)]
pub(super) struct Failing {
    /// When the first one came.
    since: Duration,
    /// Until when nobody asks.
    pub(super) until: Duration,
    /// How long the last cool-down is, in seconds.
    length: i64,
    /// What the last one was.
    reason: String,
    /// Whether it was the API that has refused a token.
    pub(super) of_refusal: bool,
    /// The own version of the lock that says the cool-down to the others.
    pub(super) lock: Option<i64>,
    /// The credentials that have failed.
    credentials: Option<Arc<Credentials>>,
}

impl Memory {
    /// The cool-down, if one is on.
    pub(super) fn resting(&self, now: Duration) -> Option<&Failing> {
        self.failing.as_ref().filter(|failing| now < failing.until)
    }

    /// Enters a failure, and returns for how many seconds nobody is to ask.
    pub(super) fn fail(
        &mut self,
        reason: &TokenError,
        retry_after: Option<Duration>,
        of_refusal: bool,
        now: Duration,
    ) -> i64 {
        let last = self.failing.as_ref().map_or(0, |failing| failing.length);
        let length = cool_down::after(last.max(self.said), retry_after);
        // What it was is said where the records are, or the early renewal.
        warn!(pause_s = length, "no token can be obtained: nobody asks for one before a pause");
        self.failing = Some(Failing {
            since: self.failing.as_ref().map_or(now, |failing| failing.since),
            until: now + Duration::from_secs(length.unsigned_abs()),
            length,
            reason: reason.to_string(),
            of_refusal,
            lock: None,
            credentials: self.credentials.clone(),
        });
        self.mine = None;
        length
    }

    /// Enters that the lock says a cool-down that ends then.
    pub(super) fn rest(&mut self, until: Duration, now: Duration) {
        if self.resting(now).is_some_and(|failing| until <= failing.until) {
            return;
        }
        self.failing = Some(Failing {
            since: self.failing.as_ref().map_or(now, |failing| failing.since),
            until,
            length: self.said,
            reason: "another environment has got none that is of use".to_owned(),
            of_refusal: false,
            lock: self.lock,
            credentials: self.credentials.clone(),
        });
    }

    /// The error that says that a cool-down is on.
    pub(super) fn cool_down(&self, now: Duration) -> Option<TokenError> {
        let Failing { until, reason, .. } = self.resting(now)?;
        let seconds = until.saturating_sub(now).as_secs() + 1;
        Some(TokenError::CoolDown { seconds, reason: reason.clone() })
    }

    /// Returns when the store may be looked at for the early end of a cool-down: another environment's token, or credentials that
    /// have changed. The longer tokens have failed, the more seldom.
    pub(super) fn next_look(&self, now: Duration) -> Option<Duration> {
        let failing = self.resting(now)?;
        let [shortest, longest] = BETWEEN_LOOKS;
        let next = self.pacer.last().map_or(now, |last| {
            let failing_for = last.saturating_sub(failing.since);
            last + failing_for.clamp(shortest, longest)
        });
        let next = next.max(self.pacer.next(now));
        (self.pacer.left(now) > KEPT_READS).then_some(next)
    }

    /// Returns whether these are other credentials than those that have failed.
    pub(super) fn is_rotated(&self, now: &Credentials) -> bool {
        self.failing.as_ref().is_some_and(|failing| failing.credentials.as_deref() != Some(now))
    }

    /// The token to send: the newest, but for one that the API has refused while that may pass or is no reason to ask for another.
    /// Then the one before serves, as long as it lives.
    pub(super) fn bearer(&self, clock: i64, now: Duration) -> Option<Bearer> {
        let newest = self.token.as_ref().filter(|held| held.token().lives(clock));
        let before = self.before(clock);
        let waits = |held: &&Bearer| held.is_refused() && (held.is_young(clock) || self.resting(now).is_some());
        match newest.filter(waits) {
            Some(held) => before.or(Some(held)),
            None => newest.or(before),
        }
        .cloned()
    }

    /// The token before, while it lives and was not refused.
    pub(super) fn before(&self, clock: i64) -> Option<&Bearer> {
        self.before.as_ref().filter(|held| held.token().lives(clock) && !held.is_refused())
    }

    /// Enters that the API has accepted a token. Returns whether that ends a cool-down that refusals have begun.
    pub(super) fn accept(&mut self, bearer: &Bearer, now: Duration) -> bool {
        let is_first = !bearer.is_proven();
        bearer.accept();
        if self.token.as_ref() != Some(bearer) {
            return false;
        }
        if is_first {
            // What was read for it was read; the next expiry is another.
            self.pacer.renew();
        }
        self.before = None;
        self.said = 0;
        let ends = self.resting(now).is_some_and(|failing| failing.of_refusal);
        self.failing = None;
        ends
    }

    /// Takes a token into use that replaces the one before.
    pub(super) fn remember(&mut self, bearer: &Bearer, clock: i64) {
        if self.token.as_ref() != Some(bearer) {
            self.before = self.token.take().filter(|held| held.token().lives(clock) && !held.is_refused());
            self.token = Some(bearer.clone());
        }
        // What the API makes of it is still to be seen.
        self.failing.take_if(|failing| !failing.of_refusal);
        self.unwritten = None;
        self.mine = None;
        self.is_crowded = false;
        self.next_write = 0;
        self.next_early = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::token::Token;
    use crate::token::endpoint::EndpointError;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn bearer(name: &str, issued_at: i64) -> Bearer {
        let token = Token { access_token: Secret::new(name.to_owned()), issued_at, expires_at: issued_at + 3600 };
        Bearer::new(token, true).expect("header text")
    }

    fn failed() -> TokenError {
        TokenError::Endpoint(EndpointError::InvalidClient)
    }

    #[test]
    fn cool_downs_double_until_a_token_is_good() {
        let mut memory = Memory::default();
        assert_eq!(memory.fail(&failed(), None, false, seconds(0)), 5);
        assert!(memory.resting(seconds(4)).is_some() && memory.resting(seconds(5)).is_none());
        assert_eq!(memory.fail(&failed(), None, false, seconds(5)), 10);
        memory.said = 40;
        assert_eq!(memory.fail(&failed(), None, true, seconds(15)), 80);
        memory.remember(&bearer("a", 0), 0);
        assert_eq!(memory.fail(&failed(), None, false, seconds(95)), 160);
        memory.remember(&bearer("b", 0), 0);
        memory.said = 0;
        assert_eq!(memory.fail(&failed(), None, false, seconds(300)), 5);
    }

    #[test]
    fn the_end_of_a_cool_down_is_looked_for_more_and_more_seldom() {
        let mut memory = Memory::default();
        assert_eq!(memory.next_look(seconds(0)), None);
        assert!(memory.pacer.take(seconds(0)));
        memory.fail(&failed(), Some(Duration::from_hours(1)), false, seconds(0));
        let mut looks = Vec::new();
        for now in (0..3600).map(seconds) {
            if memory.next_look(now).is_some_and(|next| next <= now) && memory.pacer.take(now) {
                looks.push(now.as_secs());
            }
        }
        assert_eq!(looks[..6], [1, 2, 4, 8, 16, 32]);
        assert!(looks.windows(2).skip(6).all(|two| two[1] - two[0] >= 60), "{looks:?}");
    }

    #[test]
    fn the_token_before_serves_while_the_new_one_is_refused() {
        let mut memory = Memory::default();
        let (old, new) = (bearer("old", 0), bearer("new", 1000));
        memory.remember(&old, 0);
        memory.remember(&new, 1000);
        let sent = |memory: &Memory, clock| memory.bearer(clock, seconds(0)).map(|bearer| bearer == new);
        assert_eq!(sent(&memory, 1000), Some(true));
        new.refuse(1001);
        assert_eq!((sent(&memory, 1001), sent(&memory, 1005)), (Some(false), Some(true)));
        memory.fail(&failed(), None, true, seconds(0));
        assert_eq!(sent(&memory, 1005), Some(false));
        assert_eq!(memory.bearer(1006, seconds(5)).as_ref(), Some(&new));
        // It has died meanwhile.
        assert_eq!(sent(&memory, 3600), Some(true));
        old.refuse(1010);
        assert_eq!(sent(&memory, 1010), Some(true));
    }

    #[test]
    fn a_token_that_was_refused_is_none_to_go_back_to() {
        let mut memory = Memory::default();
        let old = bearer("old", 0);
        memory.remember(&old, 0);
        old.refuse(500);
        memory.remember(&bearer("new", 500), 500);
        assert!(memory.before.is_none());
    }
}
