//! Carries out what a renewal decides: the waits, the requests to the store and to the endpoint, and what is remembered of them.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, LocalBoxFuture, select};
use tracing::{info, warn};

use super::cool_down;
use super::endpoint::{Endpoint, Issued};
use super::renewal::{Event, Hold, Known, LOCK_SECONDS, Now, Renewal, Sight, Step};
use super::{
    Action, Bearer, Credentials, EndpointError, LONGEST_WRITE_PAUSE, MAX_WRITES, Need, NoCredentials, StoreError,
    Token, TokenError, Tokens,
};
use crate::retry::{self, Deadline};

/// Longest wait for a look at whether a cool-down has ended early.
const MAX_WAIT_FOR_LOOK: Duration = Duration::from_secs(1);

/// Least time that a request to the store is given, also the last one: without an answer, nobody knows who has the lock.
const LEAST: Duration = Duration::from_secs(1);

/// What is kept of the time for a token, so that the others can be told that there is none.
const TO_TELL: Duration = Duration::from_millis(500);

/// How often it is tried to tell them in a store that is too busy.
const MAX_TELLS: usize = 4;

/// How long before its death a lock is written again.
const BEFORE_DEATH: Duration = Duration::from_secs((LOCK_SECONDS / 2).unsigned_abs());

/// Pause before a lock is written again that the store was too busy for.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

impl Tokens {
    /// Waits for the turn and renews the token, unless whoever had the turn meanwhile has, or a cool-down is on.
    pub(super) async fn obtain(&self, need: Need<'_>, deadline: Deadline) -> Result<Bearer, TokenError> {
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
        // Only an early renewal is left to others.
        let outcome = match self.cooled_down(deadline).await {
            Ok(()) => self.renew(need, deadline).await.and_then(|bearer| bearer.ok_or(TokenError::Elsewhere)),
            Err(error) => Err(error),
        };
        self.memory().failure = outcome.as_ref().err().map(|error| (Instant::now(), error.clone()));
        outcome
    }

    /// Returns when a renewal may begin: at once, or in a cool-down when the store may be looked at for its early end.
    async fn cooled_down(&self, deadline: Deadline) -> Result<(), TokenError> {
        let now = self.now();
        let (on, next) = {
            let mut memory = self.memory();
            let Some(on) = memory.cool_down(now) else {
                if memory.failing.is_none() {
                    memory.warned.clear();
                }
                return Ok(());
            };
            (on, memory.next_look(now))
        };
        let wait =
            next.map(|next| next.saturating_sub(now)).filter(|wait| *wait <= MAX_WAIT_FOR_LOOK).ok_or(on.clone())?;
        let then = deadline.after(wait, Instant::now()).ok_or(on)?;
        tokio::time::sleep_until(then.into()).await;
        Ok(())
    }

    /// Renews the token, step by step; none if that is left to another environment. The caller holds the turn.
    pub(super) async fn renew(&self, need: Need<'_>, deadline: Deadline) -> Result<Option<Bearer>, TokenError> {
        // Half of the time, since a token request and a delivery are to follow.
        let start = Instant::now();
        let patience = Deadline::at(start + deadline.instant().saturating_duration_since(start) / 2);
        let known = {
            let memory = self.memory();
            let rest = memory.resting(self.now());
            let rest_lock = rest.and_then(|failing| failing.lock);
            Known { version: memory.version, mine: memory.mine, rest: rest.map(|failing| failing.until), rest_lock }
        };
        let (mut renewal, mut step) = Renewal::start(matches!(need, Need::Early), known, self.moment(patience));
        let (mut found, mut refusal) = (None, None);
        let (mut pauses, mut is_busy) = (0, false);
        loop {
            let outcome = match step {
                Step::Look { version } => {
                    let looked = self.look(version, need, patience, deadline, &mut found).await;
                    is_busy = matches!(looked, Err(StoreError::Busy { .. }));
                    looked
                }
                Step::Lock { version, dead_at } => self
                    .ask(Action::Put, at_least(patience, deadline), Box::pin(self.store.lock(version, dead_at)))
                    .await
                    .map(Event::Written),
                Step::Claim { version, dead_at } => self
                    .ask(Action::Put, at_least(patience, deadline), Box::pin(self.store.claim(version, dead_at)))
                    .await
                    .map(Event::Written),
                Step::Pause => {
                    self.pause(pauses, is_busy, patience).await;
                    pauses += 1;
                    Ok(Event::Paused)
                }
                Step::Use => return found.map(|token| self.remember(token, false)).transpose(),
                Step::Leave => return Ok(None),
                Step::Rest(until) => {
                    let now = self.now();
                    let mut memory = self.memory();
                    memory.rest(until, now);
                    return Err(memory.cool_down(now).unwrap_or(TokenError::Elsewhere));
                }
                Step::GiveUp => return Err(self.without_credentials(refusal).unwrap_or(TokenError::Elsewhere)),
                Step::Ask(hold) => match self.issue(need, hold, refusal.as_ref(), deadline).await? {
                    Some(bearer) => return Ok(Some(bearer)),
                    None => Ok(Event::Lapsed),
                },
            };
            let event = match outcome {
                Ok(event) => {
                    if event != Event::Paused {
                        refusal = None;
                    }
                    event
                }
                Err(error) => self.event(refusal.insert(error)),
            };
            if matches!(event, Event::Saw(Sight { fresh: false, .. }))
                && let Some(error) = self.without_credentials(None)
            {
                // Nobody has any: there is nothing to take a turn for.
                return Err(self.failed(error, None, None, deadline).await);
            }
            step = renewal.next(event, self.moment(patience));
        }
    }

    /// This moment, as a renewal takes it.
    fn moment(&self, patience: Deadline) -> Now {
        let at = self.now();
        let memory = self.memory();
        Now {
            at,
            clock: self.store.clock().milliseconds(),
            patience: patience.instant().saturating_duration_since(self.born),
            reads: memory.pacer.left(at),
            able: memory.credentials.is_some(),
        }
    }

    pub(super) async fn pause(&self, number: u32, is_busy: bool, patience: Deadline) {
        let (now, until) = (self.now(), patience.instant().saturating_duration_since(self.born));
        let pause = self.memory().pacer.pause(number, is_busy, now, until, fastrand::f64());
        tokio::time::sleep(pause).await;
    }

    fn endpoint(&self) -> &Endpoint {
        self.endpoint.as_ref().expect("tokens are renewed of an endpoint only")
    }

    /// Returns whether these are credentials that the endpoint can be asked with: beside a certificate that is to be presented.
    fn takes(&self, credentials: &Credentials) -> bool {
        self.has_certificate() && self.endpoint.as_ref().is_some_and(|endpoint| endpoint.takes(credentials))
    }

    /// Waits until the store may be read, and enters that it is. `false` if no reads are left.
    async fn may_read(&self) -> bool {
        let now = self.now();
        let wait = self.memory().pacer.next(now).saturating_sub(now);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let now = self.now();
        let mut memory = self.memory();
        let may = memory.pacer.take(now);
        memory.counts.token_store_reads += usize::from(may);
        may
    }

    /// Looks at the store, and remembers the credentials; a token that is of use is put aside.
    pub(super) async fn look(
        &self,
        version: Option<i64>,
        need: Need<'_>,
        patience: Deadline,
        deadline: Deadline,
        found: &mut Option<Token>,
    ) -> Result<Event, StoreError> {
        if !self.may_read().await {
            // None are left, which the next decision takes into account.
            return Ok(Event::Busy);
        }
        let until = at_least(patience, deadline);
        let (seen, lock) = self.ask(Action::Get, until, Box::pin(self.store.look(version))).await?;
        *found = seen.token.clone().filter(|token| self.is_of_use(token, need));
        if seen.version > 0 && seen.token.is_none() {
            warn!("the value of TOKEN_PARAMETER is not a token: it is replaced");
        }
        let resting = self.memory().resting(self.now()).is_some();
        let mut memory = self.memory();
        memory.version = Some(seen.version);
        if let Some(identity) = &self.identity {
            memory.no_certificate = identity.take(seen.certificate.as_ref()).err();
        }
        if let Some(formats) = seen.formats {
            memory.formats = Some(formats.into());
        }
        if seen.key.is_some() {
            memory.key = seen.key;
        }
        let rotated = match seen.credentials.filter(|credentials| self.takes(credentials)) {
            // Written after the cool-down was, where that is only known from the lock.
            Some(credentials) => {
                let rotated = memory.is_rotated(&credentials) || !resting && seen.are_newer;
                memory.credentials = Some(Arc::new(credentials));
                rotated
            }
            None if memory.credentials.is_some() => {
                warn!("CREDENTIALS_PARAMETER is missing or holds no credentials: those in memory stay in use");
                false
            }
            None => false,
        };
        if let Some(lock) = &lock {
            memory.said = cool_down::said_by(lock);
            memory.lock = Some(lock.version);
        }
        Ok(Event::Saw(Sight { version: seen.version, fresh: found.is_some(), rotated, lock }))
    }

    /// Returns whether the store's token does: it lives, was not refused, and outlives the one that is to be renewed early.
    fn is_of_use(&self, token: &Token, need: Need<'_>) -> bool {
        token.lives(self.store.clock().seconds())
            && match need {
                Need::Any => true,
                Need::Another(refused) => !refused.is_same(token),
                Need::Early => {
                    let memory = self.memory();
                    memory.token.as_ref().is_none_or(|held| held.token().expires_at < token.expires_at)
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

    /// Takes a token into use; one that is in memory already keeps what is known of it.
    fn remember(&self, token: Token, made_here: bool) -> Result<Bearer, TokenError> {
        let clock = self.store.clock().seconds();
        let held = self.memory().token.clone().filter(|held| held.is_same(&token));
        let bearer = match held {
            Some(held) => held,
            None => Bearer::new(token, made_here)?,
        };
        self.memory().remember(&bearer, clock);
        Ok(bearer)
    }

    /// Asks the endpoint under a lock, or without one where that is not to be had; none if the lock has died before.
    async fn issue(
        &self,
        need: Need<'_>,
        hold: Option<Hold>,
        refusal: Option<&StoreError>,
        deadline: Deadline,
    ) -> Result<Option<Bearer>, TokenError> {
        self.memory().mine = hold;
        let hold = Cell::new(hold);
        let left = deadline.instant().saturating_duration_since(Instant::now());
        let kept = if left > TO_TELL * 4 { TO_TELL } else { Duration::ZERO };
        let until = deadline.instant().checked_sub(kept).map_or(deadline, Deadline::at);
        match self.request(need, &hold, refusal, until).await {
            Ok(None) => Ok(None),
            Ok(Some(Issued { token, is_odd })) => {
                let bearer = self.remember(token, true)?;
                let mut memory = self.memory();
                if is_odd && !std::mem::replace(&mut memory.warned_of_type, true) {
                    warn!("the token endpoint's token_type is not Bearer: the token is used as a bearer token");
                }
                // A store that did not answer is not waited for again.
                let is_reached = !matches!(refusal, Some(StoreError::Unreachable { .. }));
                memory.unwritten = is_reached.then(|| bearer.clone());
                memory.is_awaited = hold.get().is_some();
                Ok(Some(bearer))
            }
            Err(error @ TokenError::Deadline) => Err(error),
            Err(error) => {
                let retry_after = if let TokenError::Endpoint(error) = &error { error.retry_after() } else { None };
                Err(self.failed(error, retry_after, hold.get(), deadline).await)
            }
        }
    }

    /// Enters that there is no token, and tells the others where the turn was ours.
    async fn failed(
        &self,
        error: TokenError,
        retry_after: Option<Duration>,
        hold: Option<Hold>,
        deadline: Deadline,
    ) -> TokenError {
        let now = self.now();
        self.memory().counts.token_failures += 1;
        let length = self.memory().fail(&error, retry_after, false, now);
        if let Some(Hold { version, .. }) = hold {
            self.tell(version, self.store.clock().seconds() + length, deadline).await;
        }
        error
    }

    /// Writes into the lock of a version until when nobody is to ask.
    pub(super) async fn tell(&self, version: i64, dead_at: i64, deadline: Deadline) {
        for _ in 0..MAX_TELLS {
            match self.ask(Action::Put, deadline, Box::pin(self.store.claim(version, dead_at))).await {
                Err(StoreError::Busy { .. }) => {}
                Ok(lock) => {
                    if let Some(failing) = &mut self.memory().failing {
                        failing.lock = Some(lock);
                    }
                    return;
                }
                // Whoever cannot be told finds the lock dead, and learns for itself.
                Err(_) => return,
            }
            let Some(then) = deadline.after(LOCK_PAUSE.mul_f64(0.5 + fastrand::f64()), Instant::now()) else { return };
            tokio::time::sleep_until(then.into()).await;
        }
    }

    fn without_credentials(&self, refusal: Option<StoreError>) -> Option<TokenError> {
        let has_none = self.memory().credentials.is_none();
        let missing = || {
            let certificate = self.without_certificate();
            certificate.map_or_else(|| NoCredentials::Value(self.endpoint().wants()), NoCredentials::Certificate)
        };
        has_none.then(|| TokenError::NoCredentials(refusal.map_or_else(missing, NoCredentials::Store)))
    }

    /// Asks the endpoint until it gives a token or refuses. Credentials that it refuses are read once more, since the operator may
    /// have changed them. None if the lock has died meanwhile.
    async fn request(
        &self,
        need: Need<'_>,
        hold: &Cell<Option<Hold>>,
        refusal: Option<&StoreError>,
        deadline: Deadline,
    ) -> Result<Option<Issued>, TokenError> {
        // While there is a token that lives, nothing is urgent; after a failure, one attempt tells whether it is over.
        let is_single = matches!(need, Need::Early) || self.memory().failing.is_some();
        let attempts = if is_single { 1 } else { self.endpoint().attempts() };
        let mut attempt = 1;
        let mut is_reread = false;
        loop {
            if let Some(error) = self.without_credentials(refusal.cloned()) {
                return Err(error);
            }
            let Some(credentials) = self.memory().credentials.clone() else { return Err(TokenError::Deadline) };
            if deadline.allows(Duration::MAX, Instant::now()).is_none() {
                return Err(TokenError::Deadline);
            }
            // The last thing before the request: the process may have been frozen for longer than the lock lives.
            if hold.get().is_some_and(|hold| !hold.lives(self.moment(deadline))) {
                return Ok(None);
            }
            self.memory().counts.token_requests += 1;
            let request = Box::pin(self.endpoint().request(&credentials, self.store.clock(), deadline));
            let error = match self.while_holding(hold, deadline, request).await {
                Ok(issued) => return Ok(Some(issued)),
                Err(EndpointError::InvalidClient) if !is_reread => {
                    is_reread = true;
                    if !self.while_holding(hold, deadline, self.have_changed(&credentials, deadline)).await {
                        return Err(EndpointError::InvalidClient.into());
                    }
                    info!("the credentials have changed: asking for a token with the new ones");
                    continue;
                }
                Err(error) if error.is_transient() && attempt < attempts => error,
                Err(error) => return Err(error.into()),
            };
            let pause = error.retry_after().unwrap_or_else(|| retry::pause(attempt, fastrand::f64()));
            let Some(then) = deadline.after(pause, Instant::now()) else { return Err(error.into()) };
            self.while_holding(hold, deadline, tokio::time::sleep_until(then.into())).await;
            attempt += 1;
        }
    }

    /// Reads the credentials again, and returns whether they are others now.
    async fn have_changed(&self, refused: &Credentials, deadline: Deadline) -> bool {
        if !self.may_read().await {
            return false;
        }
        // What the store cannot do is warned of.
        let Ok((seen, _)) = self.ask(Action::Get, deadline, Box::pin(self.store.look(None))).await else {
            return false;
        };
        let fresh = seen.credentials.filter(|fresh| self.takes(fresh) && fresh != refused);
        let Some(fresh) = fresh else { return false };
        self.memory().credentials = Some(Arc::new(fresh));
        true
    }

    /// Does something that may outlast the lock, and writes the lock again before it dies.
    async fn while_holding<T>(
        &self,
        hold: &Cell<Option<Hold>>,
        deadline: Deadline,
        work: impl Future<Output = T>,
    ) -> T {
        match select(pin!(work), pin!(self.hold_on(hold, deadline))).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    /// Writes the lock again, whenever it is near its death, for as long as it is ours.
    async fn hold_on(&self, hold: &Cell<Option<Hold>>, deadline: Deadline) -> Infallible {
        while let Some(mine) = hold.get() {
            let due = self.born + mine.until.saturating_sub(BEFORE_DEATH);
            tokio::time::sleep_until(due.into()).await;
            let now = self.moment(deadline);
            if !mine.lives(now) {
                break;
            }
            let dead_at = now.dead_at();
            match self.ask(Action::Put, deadline, Box::pin(self.store.claim(mine.version, dead_at))).await {
                Ok(lock) if lock == mine.lock + 1 => {
                    hold.set(Some(Hold::new(mine.version, lock, dead_at, now)));
                    self.memory().mine = hold.get();
                }
                Err(StoreError::Busy { .. }) => tokio::time::sleep(LOCK_PAUSE).await,
                // Another has claimed it, or the store does not do it.
                Ok(_) | Err(_) => break,
            }
        }
        pending().await
    }

    /// Writes the token for the others, as long as the store is merely too busy for it.
    pub(super) async fn write(&self, bearer: &Bearer, deadline: Deadline) {
        for attempt in 2..MAX_WRITES + 2 {
            if deadline.allows(self.store_timeout, Instant::now()).is_none() {
                // The next invocation does it.
                return;
            }
            match self.ask(Action::Put, deadline, Box::pin(self.store.write(bearer.token()))).await {
                Ok(version) => {
                    self.wrote(bearer, version);
                    if version >= 2 {
                        // What stays is one small parameter, and is warned of.
                        self.ask(Action::Delete, deadline, Box::pin(self.store.unlock(version - 2))).await.ok();
                    }
                    break;
                }
                Err(StoreError::Busy { .. }) => {
                    self.memory().is_crowded = true;
                    let pause = retry::pause(attempt, fastrand::f64()).min(LONGEST_WRITE_PAUSE);
                    let Some(then) = deadline.after(pause, Instant::now()) else { return };
                    tokio::time::sleep_until(then.into()).await;
                }
                Err(_) => break,
            }
        }
        // Meanwhile another may have been made.
        self.memory().unwritten.take_if(|unwritten| unwritten == bearer);
    }

    /// Enters the version that a token has become in the store.
    fn wrote(&self, bearer: &Bearer, version: i64) {
        let mut memory = self.memory();
        if memory.token.as_ref() == Some(bearer) {
            memory.version = Some(version);
        }
    }

    /// Waits for an operation of the store, no longer than one answer may take; a failure is counted, and warned of once.
    async fn ask<T>(
        &self,
        action: Action,
        deadline: Deadline,
        // Boxed: the SDK's futures are large, and their types too deep for a caller that is itself deep.
        operation: LocalBoxFuture<'_, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let timed_out = StoreError::Unreachable { action, reason: "no answer in time" };
        let Some(timeout) = deadline.allows(self.store_timeout, Instant::now()) else { return Err(timed_out) };
        let outcome = tokio::time::timeout(timeout, operation).await.unwrap_or(Err(timed_out));
        if let Err(error) = &outcome
            && *error != StoreError::Exists
        {
            let mut memory = self.memory();
            memory.counts.token_store_failures += 1;
            if !memory.warned.contains(error) {
                warn!(reason = %error, "Parameter Store: going on without it");
                memory.warned.push(error.clone());
            }
        }
        outcome
    }
}

/// Until when a request to the store may take that begins now: no later than others are waited for, but for the least that it takes.
fn at_least(patience: Deadline, deadline: Deadline) -> Deadline {
    Deadline::at(patience.instant().max(Instant::now() + LEAST).min(deadline.instant()))
}
