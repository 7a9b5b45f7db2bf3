//! The bearer token: memory, then Parameter Store, then the token endpoint, with one request for each expiry.
//!
//! A token request for each delivery would be slow, costly and rate-limited, so a token is used for as long as it lives. Every
//! environment of the function holds it in memory; Parameter Store hands it from one environment to the others.
//!
//! # One renewal for each expiry
//!
//! Within an environment, batches that need a token wait for one renewal (a mutex). Between environments there is no
//! compare-and-swap to build on, but `PutParameter` without `Overwrite` creates a name exactly once. So whoever wants to replace
//! version *v* of the token first creates the parameter `<TOKEN_PARAMETER>.lock.<v>`:
//!
//! 1. **Created**: the turn is ours. Ask the endpoint, use the token, write it as version *v + 1*, and delete the lock of
//!    *v − 1*, so that none pile up. The lock of *v* stays: it needs no release, for nobody replaces *v* again.
//! 2. **Exists**: the turn is another's. Read the store until a new version appears, and use that.
//! 3. The lock's value is the time after which it counts as dead, [`LOCK_SECONDS`] ahead. Whoever finds it dead, because the
//!    winner was killed or its request failed, goes on without it: asks, and writes whatever version comes of it. The waiting is
//!    spread at random, so that one of many goes on first and the others find its token.
//!
//! At most one environment creates a name, so at most one renews *v* while its lock lives; and nobody waits longer than the lock
//! lives, or than half of the time that the invocation has left. What the store cannot do (throttled, down, denied) costs a warning
//! and at worst a further request, never a delivery. The 30 seconds for which a deleted name cannot be created again do no harm:
//! a deleted lock is of a version that is gone. A read that does not see a write yet is followed by another.

mod endpoint;
mod store;
mod value;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use thiserror::Error;
use tracing::{info, warn};
use zeroize::Zeroizing;

pub use self::endpoint::{Endpoint, EndpointError};
pub use self::store::{Credentials, Found, Store, StoreError};
pub use self::value::Token;

use self::endpoint::epoch_seconds;
use crate::retry::Deadline;

/// How long a lock lives, in seconds: a token request takes one or two, and a winner that died must not hold the others up.
const LOCK_SECONDS: i64 = 5;

/// First pause between two looks for another environment's token; they grow by half.
const FIRST_LOOK: Duration = Duration::from_millis(200);

/// Pause after an early renewal that failed, in seconds: the token still lives.
const EARLY_RETRY_SECONDS: i64 = 10;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The credentials are not to be had.
    #[error("there are no credentials: {0}")]
    NoCredentials(NoCredentials),
    /// The endpoint gave none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Another batch is still renewing it at the deadline.
    #[error("no time left for a token")]
    Deadline,
}

/// Why there are no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoCredentials {
    /// The store did not tell.
    #[error(transparent)]
    Store(StoreError),
    /// The parameter does not exist, or holds something else.
    #[error(
        "the parameter of CREDENTIALS_PARAMETER is missing or is not {{\"client_id\":\"…\",\"client_secret\":\"…\"}}"
    )]
    Value,
}

/// A token, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer(Arc<Held>);

/// A token in memory.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    token: Token,
    /// Whether this environment asked for it, rather than found it in the store.
    made_here: bool,
}

impl Bearer {
    /// Returns whether this environment asked for the token, rather than found it in the store.
    #[must_use]
    pub fn is_made_here(&self) -> bool {
        self.0.made_here
    }

    /// Makes the value of the `Authorization` header, marked so that it is not shown.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.0.token.access_token.expose()));
        // Only a token that is header text is let in.
        let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

/// What was done for tokens, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Requests to the token endpoint that were begun.
    pub requests: usize,
    /// Renewals that failed.
    pub failures: usize,
    /// Reads of the store.
    pub store_reads: usize,
    /// Requests that the store refused or did not answer.
    pub store_failures: usize,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicUsize,
    failures: AtomicUsize,
    store_reads: AtomicUsize,
    store_failures: AtomicUsize,
}

/// What an environment remembers between invocations.
#[derive(Debug, Default)]
struct Memory {
    token: Option<Bearer>,
    credentials: Option<Arc<Credentials>>,
    /// The last renewal that failed: it failed for all who waited for it.
    failure: Option<(Instant, TokenError)>,
    /// No early renewal before this time, in epoch seconds.
    next_early: i64,
}

/// The source of tokens of one environment.
#[derive(Debug)]
pub struct Tokens {
    store: Store,
    endpoint: Endpoint,
    /// Longest wait for one operation of the store.
    store_timeout: Duration,
    /// This environment's place in the spread of early renewals, 0 to 1.
    spread: f64,
    memory: Mutex<Memory>,
    /// Held by whoever renews.
    turn: tokio::sync::Mutex<()>,
    counters: Counters,
}

/// Whose turn it is to replace a version.
enum Turn {
    /// This environment's.
    Ours,
    /// Another's, which has made this token.
    Theirs(Token),
}

impl Tokens {
    /// Starts with an empty memory.
    #[must_use]
    pub fn new(store: Store, endpoint: Endpoint, store_timeout: Duration, spread: f64) -> Self {
        Self {
            store,
            endpoint,
            store_timeout,
            spread,
            memory: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Returns a token that lives: at once where there is one, else from the store or the endpoint.
    ///
    /// # Errors
    /// If there is none to be had before the deadline.
    pub async fn bearer(&self, deadline: Deadline) -> Result<Bearer, TokenError> {
        match self.held(None) {
            Some(bearer) => Ok(bearer),
            None => self.obtain(None, deadline).await,
        }
    }

    /// Returns another token than one that the API has refused: what another batch, or another environment, has renewed
    /// meanwhile, else a new one.
    ///
    /// # Errors
    /// If there is none to be had before the deadline.
    pub async fn instead_of(&self, refused: &Bearer, deadline: Deadline) -> Result<Bearer, TokenError> {
        match self.held(Some(refused)) {
            Some(bearer) => Ok(bearer),
            None => self.obtain(Some(refused), deadline).await,
        }
    }

    /// Returns whether the token lives and it is time to renew it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let now = epoch_seconds();
        let memory = self.memory();
        now >= memory.next_early
            && memory
                .token
                .as_ref()
                .map(|bearer| &bearer.0.token)
                .is_some_and(|token| token.lives(now) && token.is_due(now, self.spread))
    }

    /// Renews the token while it still lives. Whoever delivers goes on with the one that is there.
    pub async fn renew_early(&self, deadline: Deadline) {
        let Ok(_turn) = self.turn.try_lock() else { return };
        if !self.is_due() {
            return;
        }
        self.memory().next_early = epoch_seconds() + EARLY_RETRY_SECONDS;
        if let Err(error) = self.renew(None, deadline).await {
            warn!(reason = %error, "the token could not be renewed early: it is used on");
        }
    }

    /// Returns what was counted since the last call.
    #[must_use]
    pub fn take_counts(&self) -> TokenCounts {
        let take = |counter: &AtomicUsize| counter.swap(0, Ordering::Relaxed);
        TokenCounts {
            requests: take(&self.counters.requests),
            failures: take(&self.counters.failures),
            store_reads: take(&self.counters.store_reads),
            store_failures: take(&self.counters.store_failures),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token in memory, if it lives and is not the one that was refused.
    fn held(&self, refused: Option<&Bearer>) -> Option<Bearer> {
        let held = self.memory().token.clone()?;
        let was_refused = refused.is_some_and(|refused| refused.0.token.access_token == held.0.token.access_token);
        (held.0.token.lives(epoch_seconds()) && !was_refused).then_some(held)
    }

    async fn obtain(&self, refused: Option<&Bearer>, deadline: Deadline) -> Result<Bearer, TokenError> {
        let start = Instant::now();
        let turn = tokio::time::timeout_at(deadline.instant().into(), self.turn.lock()).await;
        let _turn = turn.map_err(|_| TokenError::Deadline)?;
        // Whoever had the turn meanwhile has renewed, or failed to, for all who waited.
        if let Some(bearer) = self.held(refused) {
            return Ok(bearer);
        }
        if let Some((_, error)) = self.memory().failure.as_ref().filter(|(when, _)| *when >= start) {
            return Err(error.clone());
        }
        let outcome = self.renew(refused, deadline).await;
        self.memory().failure = outcome.as_ref().err().map(|error| (Instant::now(), error.clone()));
        outcome
    }

    /// Renews the token. The caller holds the turn.
    async fn renew(&self, refused: Option<&Bearer>, deadline: Deadline) -> Result<Bearer, TokenError> {
        let found = self.read(deadline).await;
        if let Ok(found) = &found
            && let Some(token) = self.fresh(found, refused)
        {
            return Ok(self.remember(token, false));
        }
        if let Ok(found) = &found
            && let Turn::Theirs(token) = self.take_turn(found.version, refused, deadline).await
        {
            return Ok(self.remember(token, false));
        }
        let token = self.request(found.err(), deadline).await.inspect_err(|_| {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
        })?;
        let bearer = self.remember(token, true);
        self.keep(&bearer.0.token, deadline).await;
        Ok(bearer)
    }

    /// The token that was found, if it is of use: it lives, is not the refused one, and is not itself due for renewal where it
    /// is the one in memory.
    fn fresh(&self, found: &Found, refused: Option<&Bearer>) -> Option<Token> {
        let now = epoch_seconds();
        let token = found.token.clone().filter(|token| token.lives(now))?;
        let is = |other: &Token| other.access_token == token.access_token;
        let was_refused = refused.is_some_and(|refused| is(&refused.0.token));
        let is_held = self.memory().token.as_ref().is_some_and(|held| is(&held.0.token));
        (!was_refused && !is_held).then_some(token)
    }

    fn remember(&self, token: Token, made_here: bool) -> Bearer {
        let bearer = Bearer(Arc::new(Held { token, made_here }));
        self.memory().token = Some(bearer.clone());
        bearer
    }

    /// Waits for an operation of the store, no longer than one answer may take; a failure is counted and warned of once.
    async fn ask<T>(
        &self,
        action: &'static str,
        deadline: Deadline,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let timed_out = StoreError::Unreachable { action, reason: "no answer in time" };
        let outcome = match deadline.allows(self.store_timeout, Instant::now()) {
            Some(timeout) => tokio::time::timeout(timeout, operation).await.unwrap_or(Err(timed_out)),
            None => Err(timed_out),
        };
        if let Err(error) = &outcome
            && *error != StoreError::Exists
        {
            self.counters.store_failures.fetch_add(1, Ordering::Relaxed);
            warn!(reason = %error, "Parameter Store: going on without it");
        }
        outcome
    }

    /// Reads token and credentials; the credentials are remembered.
    async fn read(&self, deadline: Deadline) -> Result<Found, StoreError> {
        self.counters.store_reads.fetch_add(1, Ordering::Relaxed);
        let mut found = self.ask("ssm:GetParameters", deadline, self.store.read()).await?;
        if let Some(credentials) = found.credentials.take() {
            self.memory().credentials = Some(Arc::new(credentials));
        }
        Ok(found)
    }

    /// Finds out whose turn it is to replace this version, and waits for the token if it is another's.
    async fn take_turn(&self, version: i64, refused: Option<&Bearer>, deadline: Deadline) -> Turn {
        let until = epoch_seconds() + LOCK_SECONDS;
        match self.ask("ssm:PutParameter", deadline, self.store.lock(version, until)).await {
            Ok(()) => return Turn::Ours,
            // Many who want to renew at once are throttled: most likely one of them has the turn.
            Err(StoreError::Exists | StoreError::Throttled { .. }) => {}
            Err(_) => return Turn::Ours,
        }
        let start = Instant::now();
        let left = deadline.instant().saturating_duration_since(start);
        let patience = Deadline::at(start + left / 2);
        let spread = Duration::from_secs_f64(self.spread);
        let mut dead_at = until;
        let mut look = FIRST_LOOK;
        loop {
            let Some(then) = patience.after(look.mul_f64(0.5 + 0.5 * fastrand::f64()), Instant::now()) else { break };
            tokio::time::sleep_until(then.into()).await;
            look = look.mul_f64(1.5).min(Duration::from_secs(1));
            self.counters.store_reads.fetch_add(1, Ordering::Relaxed);
            let Ok((found, lock)) = self.ask("ssm:GetParameters", deadline, self.store.look(version)).await else {
                continue;
            };
            if let Some(token) = self.fresh(&found, refused) {
                return Turn::Theirs(token);
            }
            // A lock that says a later time than one made now would is not believed.
            dead_at = lock.map_or(dead_at, |lock| lock.min(until));
            if found.version > version || dead_at <= epoch_seconds() {
                break;
            }
        }
        // Those who waited for a dead winner do not all go on at once: the first one's token is found by the others.
        if let Some(then) = patience.after(spread, Instant::now()) {
            tokio::time::sleep_until(then.into()).await;
            self.counters.store_reads.fetch_add(1, Ordering::Relaxed);
            if let Ok((found, _)) = self.ask("ssm:GetParameters", deadline, self.store.look(version)).await
                && let Some(token) = self.fresh(&found, refused)
            {
                return Turn::Theirs(token);
            }
        }
        Turn::Ours
    }

    /// Asks the endpoint; credentials that it refuses are read once more, since the operator may have changed them.
    async fn request(&self, unread: Option<StoreError>, deadline: Deadline) -> Result<Token, TokenError> {
        let Some(credentials) = self.memory().credentials.clone() else {
            return Err(TokenError::NoCredentials(unread.map_or(NoCredentials::Value, NoCredentials::Store)));
        };
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let outcome = self.endpoint.request(&credentials, deadline).await;
        if outcome != Err(EndpointError::InvalidClient) {
            return Ok(outcome?);
        }
        self.read(deadline).await.ok();
        match self.memory().credentials.clone().filter(|fresh| *fresh != credentials) {
            Some(fresh) => {
                info!("the credentials have changed: asking for a token with the new ones");
                self.counters.requests.fetch_add(1, Ordering::Relaxed);
                Ok(self.endpoint.request(&fresh, deadline).await?)
            }
            None => Err(EndpointError::InvalidClient.into()),
        }
    }

    /// Writes the token for the other environments, and removes the lock that nobody can want any more.
    async fn keep(&self, token: &Token, deadline: Deadline) {
        if let Ok(version) = self.ask("ssm:PutParameter", deadline, self.store.write(token)).await
            && version >= 2
        {
            self.ask("ssm:DeleteParameter", deadline, self.store.unlock(version - 2)).await.ok();
        }
    }
}
