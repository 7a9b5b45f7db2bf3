//! The bearer token: memory, then Parameter Store, then the token endpoint, with one request for each expiry.
//!
//! A token request for each delivery would be slow, costly and rate-limited, so a token is used for as long as it lives. Every
//! environment of the function holds it in memory; Parameter Store hands it from one environment to the others.
//!
//! # One renewal for each expiry
//!
//! Within an environment, batches that need a token wait for one renewal (a mutex). Between environments there is no
//! compare-and-swap to build on, but two things that `PutParameter` does are atomic: without `Overwrite` it creates a name exactly
//! once, and with it every write gets a version of its own. Whoever wants to replace version *v* of the token reads the store,
//! and if nothing there is of use creates the parameter `<TOKEN_PARAMETER>.lock.<v>`:
//!
//! 1. **Created**: the turn is ours. Ask the endpoint, use the token, write it as version *v + 1*, and delete the lock of
//!    *v − 1*, so that none pile up. The lock of *v* stays: it needs no release, for nobody replaces *v* again.
//! 2. **Exists**: the turn is another's. Look at the store until a new version appears, and use that.
//! 3. The lock's value is the time after which it counts as dead, six seconds ahead. Whoever finds it dead, because the winner was
//!    killed or got no token, overwrites it: the one whose write becomes the version right after the dead one has the turn, and
//!    for all others the lock lives again. So an endpoint that comes back from an outage is not met by all environments at once.
//! 4. **Too busy**: Parameter Store takes 3 writes a second from a whole account. Look first whether somebody has the lock, and only
//!    if nobody has try again. So of twenty environments that start together most write nothing, and the winner can.
//!
//! Each version of the token, and each claim of its lock, has at most one winner while the lock lives; `model.rs` goes through the
//! orders in which several environments can take these steps, with answers that fail, are lost or come late, and environments that
//! are killed. What is left when the rules cannot hold is a further request, never a lost delivery:
//!
//! - Nobody waits past half of the time that the invocation has left, nor for a store that cannot do it (denied, not
//!   reached): then the environment asks for itself. A store that does not answer costs one time-out a renewal.
//! - Clocks that differ by some seconds make a lock die so much earlier or later for some. A time that is further ahead
//!   than a lock made now would have is not believed.
//! - A read that does not see a write yet leads to a lock that exists, or to a claim that comes second, and to another look. The
//!   30 seconds for which a deleted name cannot be created again do no harm: a deleted lock is of a version that is gone. Where the
//!   operator deletes the token's parameter, its versions start again, and locks of its former life are found dead.
//!
//! # Early renewal
//!
//! A token that lives is never waited for. When it comes near its end (a tenth of its lifetime, 60 s at most, spread over the
//! environments), the first delivery of an invocation is accompanied by a renewal under the same rules, except that it leaves
//! where it would have to wait: the lock's holder writes the token that the next look finds. One that is still under way when the
//! invocation has nothing else to do is given a short grace and then dropped, because Lambda freezes what runs on: the
//! request is lost, and at worst its lock has to die before another makes it. The next try comes after half of the rest of
//! the token's life, so an endpoint that hangs costs few requests and few graces.
//!
//! The token is written while the first delivery with it is under way ([`Tokens::keep`]); a store that is slower than that is given
//! little more time, and tried again some seconds later.

mod endpoint;
#[cfg(test)]
mod model;
mod renewal;
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
pub use self::store::{Action, Credentials, Found, Store, StoreError};
pub use self::value::Token;

use self::endpoint::epoch_seconds;
use self::renewal::{Event, Lock, Now, Renewal, Sight, Step};
use crate::retry::{self, Deadline};

/// Shortest time between two tries to renew a token early, in seconds.
const MIN_EARLY_PAUSE: i64 = 5;

/// Time between two tries to write a token to a store that is slow or busy, in seconds.
const WRITE_PAUSE: i64 = 5;

/// Writes of a token that a busy store has refused after which it is not tried again.
const MAX_WRITES: usize = 6;

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

    fn is_same(&self, token: &Token) -> bool {
        self.0.token.access_token == token.access_token
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
    /// The token, while it was made here and is not in the store.
    unwritten: Option<Bearer>,
    credentials: Option<Arc<Credentials>>,
    /// The last renewal that failed: it failed for all who waited for it.
    failure: Option<(Instant, TokenError)>,
    /// No early renewal before this time, in epoch seconds.
    next_early: i64,
    /// No write of the token before this time, in epoch seconds.
    next_write: i64,
    /// The lock that this environment made last: the token's version, and the time after which it counts as dead.
    lock: Option<(i64, i64)>,
    /// What the store could not do since the last renewal that was needed: each is warned of once.
    warned: Vec<StoreError>,
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
    /// Held by whoever writes.
    writing: tokio::sync::Mutex<()>,
    counters: Counters,
}

/// Why a token is wanted.
#[derive(Debug, Clone, Copy)]
enum Need<'a> {
    /// There is none that lives.
    Any,
    /// The API has refused this one.
    Another(&'a Bearer),
    /// The one that lives is to be renewed.
    Early,
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
            writing: tokio::sync::Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Returns a token that lives: at once where there is one, else from the store or the endpoint.
    ///
    /// # Errors
    /// If there is none to be had before the deadline.
    pub async fn bearer(&self, deadline: Deadline) -> Result<Bearer, TokenError> {
        match self.held(Need::Any) {
            Some(bearer) => Ok(bearer),
            None => self.obtain(Need::Any, deadline).await,
        }
    }

    /// Returns another token than one that the API has refused: what another batch, or another environment, has renewed
    /// meanwhile, else a new one.
    ///
    /// # Errors
    /// If there is none to be had before the deadline.
    pub async fn instead_of(&self, refused: &Bearer, deadline: Deadline) -> Result<Bearer, TokenError> {
        match self.held(Need::Another(refused)) {
            Some(bearer) => Ok(bearer),
            None => self.obtain(Need::Another(refused), deadline).await,
        }
    }

    /// Returns whether the token lives and it is time to renew it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let now = epoch_seconds();
        let memory = self.memory();
        let token = memory.token.as_ref().map(|bearer| &bearer.0.token);
        now >= memory.next_early && token.is_some_and(|token| token.lives(now) && token.is_due(now, self.spread))
    }

    /// Renews the token while it still lives, unless another environment does. Whoever delivers goes on with the one that is there.
    pub async fn renew_early(&self, deadline: Deadline) {
        let Ok(turn) = self.turn.try_lock() else { return };
        if !self.is_due() {
            return;
        }
        self.put_early_off();
        if let Err(error) = self.renew(Need::Early, deadline).await {
            warn!(reason = %error, "the token could not be renewed early: it is used on");
        }
        drop(turn);
        self.keep(deadline).await;
    }

    /// Writes the token for the other environments if it was made here and that is still to be done, and removes the lock that
    /// nobody can want any more.
    ///
    /// The token is in use already: this belongs beside a delivery, not before it. What is dropped on the way is done later.
    pub async fn keep(&self, deadline: Deadline) {
        let Ok(_writing) = self.writing.try_lock() else { return };
        let now = epoch_seconds();
        let bearer = match &mut *self.memory() {
            Memory { unwritten: Some(bearer), next_write, .. } if now >= *next_write => {
                // Whoever gives this try up leaves the next to a later delivery.
                *next_write = now + WRITE_PAUSE;
                bearer.clone()
            }
            _ => return,
        };
        for attempt in 1..=MAX_WRITES {
            if deadline.allows(self.store_timeout, Instant::now()).is_none() {
                // The next invocation does it.
                return;
            }
            match self.ask(Action::Put, deadline, self.store.write(&bearer.0.token)).await {
                Ok(version) => {
                    if version >= 2 {
                        self.ask(Action::Delete, deadline, self.store.unlock(version - 2)).await.ok();
                    }
                    break;
                }
                Err(StoreError::Busy { .. }) => {
                    let pause = retry::pause(attempt, fastrand::f64());
                    let Some(then) = deadline.after(pause, Instant::now()) else { return };
                    tokio::time::sleep_until(then.into()).await;
                }
                Err(_) => break,
            }
        }
        let mut memory = self.memory();
        // Meanwhile another may have been made.
        memory.unwritten.take_if(|unwritten| *unwritten == bearer);
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
    fn held(&self, need: Need<'_>) -> Option<Bearer> {
        let held = self.memory().token.clone()?;
        let was_refused = matches!(need, Need::Another(refused) if refused.is_same(&held.0.token));
        (held.0.token.lives(epoch_seconds()) && !was_refused).then_some(held)
    }

    /// Lets the next early renewal come after half of the time that the token has left.
    fn put_early_off(&self) {
        let now = epoch_seconds();
        let mut memory = self.memory();
        let left = memory.token.as_ref().map_or(0, |held| held.0.token.expires_at.saturating_sub(now));
        memory.next_early = now.saturating_add((left / 2).max(MIN_EARLY_PAUSE));
    }

    async fn obtain(&self, need: Need<'_>, deadline: Deadline) -> Result<Bearer, TokenError> {
        let start = Instant::now();
        let turn = tokio::time::timeout_at(deadline.instant().into(), self.turn.lock()).await;
        let _turn = turn.map_err(|_| TokenError::Deadline)?;
        // Whoever had the turn meanwhile has renewed, or failed to, for all who waited.
        if let Some(bearer) = self.held(need) {
            return Ok(bearer);
        }
        if let Some((_, error)) = self.memory().failure.as_ref().filter(|(when, _)| *when >= start) {
            return Err(error.clone());
        }
        self.memory().warned.clear();
        // Only an early renewal is left to others.
        let outcome = self.renew(need, deadline).await.and_then(|bearer| bearer.ok_or(TokenError::Deadline));
        self.memory().failure = outcome.as_ref().err().map(|error| (Instant::now(), error.clone()));
        outcome
    }

    /// Renews the token, step by step; none if that is left to another environment. The caller holds the turn.
    async fn renew(&self, need: Need<'_>, deadline: Deadline) -> Result<Option<Bearer>, TokenError> {
        let start = Instant::now();
        let (mut renewal, mut step) = Renewal::start(matches!(need, Need::Early));
        let mut pauses = 0;
        let mut found = None;
        let mut refusal = None;
        loop {
            let patience = self.patience(start, deadline);
            let outcome = match step {
                Step::Read => self.read(patience).await.map(|read| self.sight(read, None, need, &mut found)),
                Step::Look { version } => {
                    self.look(version, patience).await.map(|(seen, lock)| self.sight(seen, lock, need, &mut found))
                }
                // The renewal for which it was made has failed: the turn is still ours.
                Step::Lock { version, .. } if self.holds_lock(version) => Ok(Event::Written(1)),
                Step::Lock { version, dead_at } => {
                    let written = self.ask(Action::Put, patience, self.store.lock(version, dead_at)).await;
                    self.remember_lock(version, dead_at, written.as_ref().ok() == Some(&1));
                    written.map(Event::Written)
                }
                Step::Claim { version, dead_at } => {
                    self.ask(Action::Put, patience, self.store.claim(version, dead_at)).await.map(Event::Written)
                }
                Step::Pause => {
                    let pause = renewal::pause(pauses, fastrand::f64());
                    pauses += 1;
                    // One that does not fit is left out: it is the last look.
                    if let Some(then) = patience.after(pause, Instant::now()) {
                        tokio::time::sleep_until(then.into()).await;
                    }
                    Ok(Event::Paused)
                }
                Step::Use => return Ok(found.map(|token| self.remember(token, false))),
                Step::Leave => return Ok(None),
                Step::Ask => break,
            };
            let event = match outcome {
                Ok(Event::Paused) => Event::Paused,
                Ok(event) => {
                    refusal = None;
                    event
                }
                Err(error) => self.event(refusal.insert(error)),
            };
            if matches!(event, Event::Saw(Sight { fresh: false, .. })) && self.memory().credentials.is_none() {
                // Nobody has any: there is nothing to take a turn for.
                break;
            }
            let patient = Instant::now() < patience.instant();
            step = renewal.next(event, Now { seconds: epoch_seconds(), patient });
        }
        let is_reached = !matches!(refusal, Some(StoreError::Unreachable { .. }));
        let token = self.request(need, refusal, deadline).await.inspect_err(|_| {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
        })?;
        let bearer = self.remember(token, true);
        self.memory().unwritten = is_reached.then(|| bearer.clone());
        Ok(Some(bearer))
    }

    /// Returns whether the lock of this version was made here and lives.
    fn holds_lock(&self, version: i64) -> bool {
        self.memory().lock.is_some_and(|(locked, dead_at)| locked == version && epoch_seconds() <= dead_at)
    }

    fn remember_lock(&self, version: i64, dead_at: i64, is_ours: bool) {
        self.memory().lock = is_ours.then_some((version, dead_at));
    }

    /// Until when the store, and other environments, may take: half of the time, since a token request and a delivery are to
    /// follow; all of it while there is nothing to make a request with.
    fn patience(&self, start: Instant, deadline: Deadline) -> Deadline {
        let left = deadline.instant().saturating_duration_since(start);
        if self.memory().credentials.is_some() { Deadline::at(start + left / 2) } else { deadline }
    }

    /// What a look at the store means for this renewal; a token that is of use is put aside.
    fn sight(&self, seen: Found, lock: Option<Lock>, need: Need<'_>, found: &mut Option<Token>) -> Event {
        *found = seen.token.filter(|token| self.is_of_use(token, need));
        Event::Saw(Sight { version: seen.version, fresh: found.is_some(), lock })
    }

    /// Returns whether the store's token does: it lives, was not refused, and outlives the one that is to be renewed early.
    fn is_of_use(&self, token: &Token, need: Need<'_>) -> bool {
        token.lives(epoch_seconds())
            && match need {
                Need::Any => true,
                Need::Another(refused) => !refused.is_same(token),
                Need::Early => {
                    self.memory().token.as_ref().is_none_or(|held| held.0.token.expires_at < token.expires_at)
                }
            }
    }

    fn event(&self, error: &StoreError) -> Event {
        match error {
            StoreError::Exists => Event::Exists,
            StoreError::Busy { .. } => Event::Busy,
            // Without credentials there is nothing to go on with.
            StoreError::Unreachable { .. } if self.memory().credentials.is_none() => Event::Busy,
            _ => Event::Failed,
        }
    }

    fn remember(&self, token: Token, made_here: bool) -> Bearer {
        let bearer = Bearer(Arc::new(Held { token, made_here }));
        let mut memory = self.memory();
        memory.token = Some(bearer.clone());
        memory.unwritten = None;
        memory.next_write = 0;
        memory.next_early = 0;
        bearer
    }

    /// Waits for an operation of the store, no longer than one answer may take; a failure is counted, and warned of once.
    async fn ask<T>(
        &self,
        action: Action,
        deadline: Deadline,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let timed_out = StoreError::Unreachable { action, reason: "no answer in time" };
        let Some(timeout) = deadline.allows(self.store_timeout, Instant::now()) else { return Err(timed_out) };
        let outcome = tokio::time::timeout(timeout, operation).await.unwrap_or(Err(timed_out));
        if let Err(error) = &outcome
            && *error != StoreError::Exists
        {
            self.counters.store_failures.fetch_add(1, Ordering::Relaxed);
            let mut memory = self.memory();
            if !memory.warned.contains(error) {
                warn!(reason = %error, "Parameter Store: going on without it");
                memory.warned.push(error.clone());
            }
        }
        outcome
    }

    /// Reads token and credentials; the credentials are remembered.
    async fn read(&self, deadline: Deadline) -> Result<Found, StoreError> {
        self.counters.store_reads.fetch_add(1, Ordering::Relaxed);
        let mut found = self.ask(Action::Get, deadline, self.store.read()).await?;
        if found.version > 0 && found.token.is_none() {
            warn!("the value of TOKEN_PARAMETER is no token: it is replaced");
        }
        let mut memory = self.memory();
        match found.credentials.take() {
            Some(credentials) => memory.credentials = Some(Arc::new(credentials)),
            None if memory.credentials.is_some() => {
                warn!("CREDENTIALS_PARAMETER is missing or holds no credentials: those in memory are used on");
            }
            None => {}
        }
        Ok(found)
    }

    async fn look(&self, version: i64, deadline: Deadline) -> Result<(Found, Option<Lock>), StoreError> {
        self.counters.store_reads.fetch_add(1, Ordering::Relaxed);
        self.ask(Action::Get, deadline, self.store.look(version)).await
    }

    /// Asks the endpoint; credentials that it refuses are read once more, since the operator may have changed them.
    async fn request(
        &self,
        need: Need<'_>,
        unread: Option<StoreError>,
        deadline: Deadline,
    ) -> Result<Token, TokenError> {
        let Some(credentials) = self.memory().credentials.clone() else {
            return Err(TokenError::NoCredentials(unread.map_or(NoCredentials::Value, NoCredentials::Store)));
        };
        let outcome = self.request_with(&credentials, need, deadline).await;
        if outcome != Err(EndpointError::InvalidClient) {
            return Ok(outcome?);
        }
        self.read(deadline).await.ok();
        let fresh = self.memory().credentials.clone().filter(|fresh| *fresh != credentials);
        match fresh {
            Some(fresh) => {
                info!("the credentials have changed: asking for a token with the new ones");
                Ok(self.request_with(&fresh, need, deadline).await?)
            }
            None => Err(EndpointError::InvalidClient.into()),
        }
    }

    async fn request_with(
        &self,
        credentials: &Credentials,
        need: Need<'_>,
        deadline: Deadline,
    ) -> Result<Token, EndpointError> {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        match need {
            // While there is a token that lives, nothing is urgent.
            Need::Early => self.endpoint.request_once(credentials, deadline).await,
            Need::Any | Need::Another(_) => self.endpoint.request(credentials, deadline).await,
        }
    }
}
