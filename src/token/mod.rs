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
//! 3. The lock's value is the time after which it counts as dead, six seconds ahead. A holder that needs longer writes it again
//!    before that. Whoever finds it dead, because the winner was killed, overwrites it: the one whose write becomes the version
//!    right after the dead one has the turn, and for all others the lock lives again. Right before it asks, the winner checks
//!    that its lock still lives: Lambda may have frozen it since it was written.
//! 4. **Too busy**: Parameter Store takes 3 writes and 40 reads a second from a whole account. Whoever is refused waits, and looks
//!    whether somebody has the lock before it writes again. So of a hundred environments that start together most write nothing,
//!    and the winner can. No environment reads more than twice a second or ten times for an expiry (`pacer.rs`): the ten are spread
//!    over half of the time that the invocation has left.
//!
//! Each version of the token, and each claim of its lock, has at most one winner while the lock lives. `model.rs` goes through the
//! orders in which several environments can take these steps, with answers that fail, are lost or come late, and environments that
//! are frozen and killed; `simulation/` plays up to two hundred of them under the store's quotas. When the rules cannot hold:
//!
//! - Nobody waits past half of the time that the invocation has left. Whoever has met a lock that lives gives up then: its records
//!   are kept, and a hundred requests at once would be worse. Whoever has met nobody, in a store that refuses every read or write
//!   for seconds or cannot do it (denied, not reached), asks for itself. A store that does not answer costs one time-out a renewal.
//! - Times are those of the store's clock (`clock.rs`), and a lock that was seen once dies by one's own. A time more than an hour
//!   ahead is not believed.
//! - A read that does not see a write yet leads to a lock that exists, or to a claim that comes second, and to another look. The
//!   30 seconds for which a deleted name cannot be created again do no harm: a deleted lock is of a version that is gone. Where the
//!   operator deletes the token's parameter, its versions start again, and locks of its former life are found dead.
//!
//! # Failures
//!
//! After an endpoint that gives no token, or a token that the API refuses from its issue on, nobody asks again before a pause that
//! doubles from 5 s to 5 min (`cool_down.rs`). This environment remembers it, and writes its end into the lock: a time further ahead
//! than that of a holder at work tells the others not to wait. Meanwhile a token that lives is used, whatever the API said of it,
//! and the store is looked at now and then: another's token, or credentials that have changed, end the pause. After it, one
//! attempt decides, until a token is good.
//!
//! A token that the API refuses within 5 s of its issue is not given up: the one before serves while it lives, else the same one
//! again after a second ([`Tokens::instead_of`]).
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
//! The token is written while the first delivery with it is under way ([`Tokens::kept_beside`]); a store that is slower than that
//! is given little more time, and tried again some seconds later. One that is too busy is given more ([`Tokens::hand_over`]):
//! others wait.

mod assertion;
mod bearer;
mod clock;
mod cool_down;
mod endpoint;
mod key;
mod memory;
#[cfg(test)]
mod model;
mod pacer;
mod renewal;
mod renewing;
#[cfg(test)]
mod simulation;
mod store;
mod value;

use std::cell::{RefCell, RefMut};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use http::Uri;
use thiserror::Error;
use tracing::warn;

pub use self::bearer::Bearer;
pub(crate) use self::clock::now;
pub use self::endpoint::{Endpoint, EndpointError};
pub use self::store::{Action, Credentials, Found, Parameters, Store, StoreError};
pub use self::value::Token;

use self::memory::Memory;
use crate::client::{Identity, IdentityError};
use crate::counts::Counts;
use crate::retry::Deadline;

/// Shortest time between two tries to renew a token early, in seconds.
const MIN_EARLY_PAUSE: i64 = 5;

/// Time between two tries to write a token to a store that is slow or busy, in seconds.
const WRITE_PAUSE: i64 = 5;

/// Writes of a token that a busy store has refused after which it is not tried again.
const MAX_WRITES: usize = 16;

/// Longest pause between two of those: two thirds of a lock's life hold several.
const LONGEST_WRITE_PAUSE: Duration = Duration::from_millis(800);

/// How long an answer waits for the write of a token that a busy store has refused: others wait for it, too.
const HAND_OVER: Duration = Duration::from_secs(5);

/// How long a token that was refused when it was young rests.
const SECOND: Duration = Duration::from_secs(1);

/// How much longer than a request with a new token its write to the store may take.
const KEEP_GRACE: Duration = Duration::from_secs(1);

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The credentials cannot be obtained.
    #[error("there are no credentials: {0}")]
    NoCredentials(NoCredentials),
    /// The endpoint gave none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The API refuses the one that it gave.
    #[error("the API refuses a token that was just renewed")]
    Refused,
    /// The API refuses the static key, and there is no other in its parameter.
    #[error(
        "the API refuses the key: put another one into CREDENTIALS_PARAMETER, which is read again at most once a minute"
    )]
    KeyRefused,
    /// The API wants a secret.
    #[error("the API wants a token or a key, and AUTH is none")]
    Unauthorized,
    /// After a failure, nobody asks for a while.
    #[error("no token is asked for within the next {seconds} s: {reason}")]
    CoolDown {
        /// How long, in seconds.
        seconds: u64,
        /// What the failure was.
        reason: String,
    },
    /// Another environment is asking, and was not done in time.
    #[error("another environment renews the token, and it has not come in time")]
    Elsewhere,
    /// Another batch is still renewing it at the deadline.
    #[error("no time left for a token")]
    Deadline,
}

/// How the client authenticates at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAuthStyle {
    /// HTTP Basic, RFC 6749 §2.3.1.
    Basic,
    /// The same without the form encoding of name and password.
    BasicPlain,
    /// `client_id` and `client_secret` in the form body.
    Post,
    /// The whole request as a JSON object.
    Json,
    /// A JSON Web Token that the client signs, RFC 7523 §2.2, in the form body.
    PrivateKeyJwt,
}

/// How tokens are obtained from an OAuth 2.0 token endpoint.
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    /// `TOKEN_URL`: the token endpoint.
    pub url: Uri,
    /// `TOKEN_PARAMETER`: the `SecureString` that caches the token.
    pub parameter: String,
    /// `TOKEN_AUTH_STYLE`.
    pub auth_style: TokenAuthStyle,
    /// `TOKEN_SCOPE`.
    pub scope: Option<String>,
    /// `TOKEN_AUDIENCE`.
    pub audience: Option<String>,
    /// `TOKEN_REQUEST_PARAMETERS`: further parameters of the request, names and values.
    pub parameters: Vec<(String, String)>,
    /// `TOKEN_DEFAULT_TTL_SECONDS`: the lifetime of a token that does not tell its own.
    pub default_ttl: Duration,
}

/// Why there are no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoCredentials {
    /// The store did not tell.
    #[error(transparent)]
    Store(StoreError),
    /// There is no static key in the parameter.
    #[error("the parameter of CREDENTIALS_PARAMETER is missing or is neither {{\"key\":\"…\"}} nor the bare key")]
    Key,
    /// The client's certificate is not known.
    #[error("the parameter of CLIENT_CERTIFICATE_PARAMETER {0}")]
    Certificate(IdentityError),
    /// The parameter does not exist, or holds something else than a client with this.
    #[error(
        "the parameter of CREDENTIALS_PARAMETER is missing or is not {{\"client_id\":\"…\",\"{0}\":\"…\"}}, \
         as TOKEN_AUTH_STYLE wants it"
    )]
    Value(&'static str),
}

/// The source of tokens of one environment.
#[derive(Debug)]
pub struct Tokens {
    store: Store,
    /// Where tokens are asked for; `None` with a static key, or none.
    endpoint: Option<Endpoint>,
    /// The certificate of the client, which is read with the token; `None` where there is to be none.
    identity: Option<Arc<Identity>>,
    /// Longest wait for one operation of the store.
    store_timeout: Duration,
    /// This environment's place in the spread of early renewals, 0 to 1.
    spread: f64,
    /// What the times in memory count from.
    born: Instant,
    memory: RefCell<Memory>,
    /// Held by whoever renews.
    turn: tokio::sync::Mutex<()>,
    /// Held by whoever writes.
    writing: tokio::sync::Mutex<()>,
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

/// What to do about a token that the API has refused.
enum Refusal {
    /// Send this one instead.
    Other(Bearer),
    /// Send the one in memory, after a second.
    Wait,
    /// It is a failure; the lock of this version of the token is to say so until this time, in epoch seconds.
    Failure(Option<(i64, i64)>),
    /// Look for another.
    Renew,
}

impl Tokens {
    /// Starts with an empty memory.
    #[must_use]
    pub fn new(
        store: Store,
        endpoint: Option<Endpoint>,
        identity: Option<Arc<Identity>>,
        store_timeout: Duration,
        spread: f64,
    ) -> Self {
        Self {
            store,
            endpoint,
            identity,
            store_timeout,
            spread,
            born: Instant::now(),
            memory: RefCell::default(),
            turn: tokio::sync::Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Returns a token that lives: at once where there is one, else from the store or the endpoint.
    ///
    /// # Errors
    /// If none can be obtained before the deadline.
    pub async fn bearer(&self, deadline: Deadline) -> Result<Bearer, TokenError> {
        match self.held(Need::Any) {
            Some(bearer) => Ok(bearer),
            None if self.endpoint.is_none() => self.key(None, deadline).await,
            None => self.obtain(Need::Any, deadline).await,
        }
    }

    /// Returns whether there is a token in memory that lives.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held(Need::Any).is_some()
    }

    /// Returns in how many seconds the token expires; `None` for a key.
    #[must_use]
    pub fn expires_in(&self, bearer: &Bearer) -> Option<i64> {
        self.endpoint.as_ref()?;
        Some(bearer.token().expires_at.saturating_sub(self.store.clock().seconds()))
    }

    /// Returns for each parameter that is set whether it is there, by a read of the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn found(&self, deadline: Deadline) -> Result<Vec<(String, bool)>, StoreError> {
        self.memory().counts.token_store_reads += 1;
        let time = deadline.allows(self.store_timeout, Instant::now()).unwrap_or_default();
        let found = tokio::time::timeout(time, self.store.found()).await;
        let late = StoreError::Unreachable { action: Action::Get, reason: "no answer in time" };
        found.unwrap_or(Err(late)).inspect_err(|_| self.memory().counts.token_store_failures += 1)
    }

    /// Returns whether the parameter of this name is made here: the token's.
    #[must_use]
    pub fn makes(&self, name: &str) -> bool {
        self.store.is_token(name)
    }

    /// Has what is kept beside the token and wanted before a delivery: the client's certificate, which is there then, and the
    /// further formats, which it returns; none if their parameter is missing. They are read with the first token, in one request.
    ///
    /// # Errors
    /// If there is no certificate, or the store could not be read. Where it could, and there is no token, that is a matter of the
    /// deliveries.
    pub async fn beside(&self, deadline: Deadline) -> Result<Option<Arc<str>>, TokenError> {
        let is_complete = || self.has_certificate() && (self.memory().formats.is_some() || !self.store.has_formats());
        if !is_complete() {
            let comes_with_token = self.endpoint.is_some() || self.store.has_credentials();
            let error = if comes_with_token && self.held(Need::Any).is_none() {
                self.bearer(deadline).await.err()
            } else {
                // It was missing when the token was read, or there is no token to read.
                let read = self.read_parameters(deadline).await;
                read.err().map(|error| TokenError::NoCredentials(NoCredentials::Store(error)))
            };
            let certificate =
                || self.without_certificate().map(NoCredentials::Certificate).map(TokenError::NoCredentials);
            if let Some(error) = error.filter(|_| !is_complete()).or_else(certificate) {
                return Err(error);
            }
        }
        Ok(self.memory().formats.clone())
    }

    /// Returns whether the client can present its certificate, where it is to have one.
    fn has_certificate(&self) -> bool {
        self.identity.as_ref().is_none_or(|identity| identity.is_known())
    }

    /// Returns why it cannot.
    fn without_certificate(&self) -> Option<IdentityError> {
        (!self.has_certificate()).then(|| self.memory().no_certificate.unwrap_or(IdentityError::Missing))
    }

    /// Forgets the formats, which are of no use: they are read again.
    pub fn forget_formats(&self) {
        self.memory().formats = None;
    }

    /// Returns what to send after the API has answered 401 to this token, or a 403 of which [`may_have_died`](Self::may_have_died)
    /// says so.
    ///
    /// That is the token that another batch, or another environment, has renewed meanwhile. For one that is less than 5 s old and
    /// was never accepted it is the token before while that lives, else the same one again, after a second in which this waits. Else
    /// it is a new one.
    ///
    /// Whoever asks until this fails, or the API accepts, makes few requests: each token is asked for once, and is young for 5 s.
    ///
    /// # Errors
    /// If a new token was refused too, a cool-down is on, or none can be obtained before the deadline.
    pub async fn instead_of(&self, refused: &Bearer, deadline: Deadline) -> Result<Bearer, TokenError> {
        if self.endpoint.is_none() {
            return self.key(Some(refused), deadline).await;
        }
        match self.refused(refused) {
            Refusal::Other(bearer) => return Ok(bearer),
            Refusal::Wait => {
                let then = deadline.after(SECOND, Instant::now()).ok_or(TokenError::Refused)?;
                tokio::time::sleep_until(then.into()).await;
                if let Some(bearer) = self.held(Need::Any) {
                    return Ok(bearer);
                }
            }
            Refusal::Failure(lock) => {
                self.memory().counts.token_failures += 1;
                if let Some((version, dead_at)) = lock {
                    self.tell(version, dead_at, deadline).await;
                }
                return Err(TokenError::Refused);
            }
            Refusal::Renew => {}
        }
        self.obtain(Need::Another(refused), deadline).await
    }

    /// Returns whether a 403 may mean that this token has died: it was accepted before, or is older than a minute. What was sent with
    /// it by then may ask so, too; what is sent later finds it [suspected](Bearer::is_suspected).
    pub fn may_have_died(&self, bearer: &Bearer) -> bool {
        match self.endpoint {
            Some(_) => bearer.may_have_died(self.store.clock().seconds()),
            // A key may have been replaced at any time.
            None => self.store.has_credentials(),
        }
    }

    /// Enters that the API has accepted this token: it is proven, and a cool-down that refusals have begun is over.
    pub fn accepted(&self, bearer: &Bearer) {
        let (now, clock) = (self.now(), self.store.clock().seconds());
        let mut memory = self.memory();
        if memory.accept(bearer, now) {
            // The lock is to be found dead when this token comes to its end.
            memory.untold = memory.version.map(|version| (version, clock));
        }
    }

    /// Returns whether the token lives and it is time to renew it.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let clock = self.store.clock().seconds();
        let memory = self.memory();
        let token = memory.token.as_ref().map(Bearer::token);
        self.endpoint.is_some()
            && clock >= memory.next_early
            && memory.resting(self.now()).is_none()
            && token.is_some_and(|token| token.lives(clock) && token.is_due(clock, self.spread))
    }

    /// Renews the token while it still lives, unless another environment does. Whoever delivers goes on with the one that is there.
    pub async fn renew_early(&self, deadline: Deadline) {
        let Ok(turn) = self.turn.try_lock() else { return };
        if !self.is_due() {
            return;
        }
        self.put_early_off();
        if let Err(error) = self.renew(Need::Early, deadline).await {
            warn!(reason = %error, "the token could not be renewed early: it stays in use");
        }
        drop(turn);
        self.keep(deadline).await;
    }

    /// Waits for a request with the token, and meanwhile writes a new one for the other environments.
    pub async fn kept_beside<T>(&self, request: impl Future<Output = T>, deadline: Deadline) -> T {
        match select(pin!(request), Box::pin(self.keep(deadline))).await {
            Either::Left((answer, keep)) => {
                tokio::time::timeout(KEEP_GRACE, keep).await.ok();
                answer
            }
            Either::Right(((), request)) => request.await,
        }
    }

    /// Writes the token for the other environments if it was made here and that is still to be done, and removes the lock that
    /// nobody can want any more. What is dropped on the way is done later.
    async fn keep(&self, deadline: Deadline) {
        let Ok(_writing) = self.writing.try_lock() else { return };
        let untold = self.memory().untold.take();
        if let Some((version, dead_at)) = untold {
            self.tell(version, dead_at, deadline).await;
        }
        let now = self.store.clock().seconds();
        let bearer = match &mut *self.memory() {
            Memory { unwritten: Some(bearer), next_write, .. } if now >= *next_write => {
                // Whoever gives this try up leaves the next to a later delivery.
                *next_write = now + WRITE_PAUSE;
                bearer.clone()
            }
            _ => return,
        };
        self.write(&bearer, deadline).await;
    }

    /// Goes on, for a while, to write a token that the store was too busy to take beside the deliveries. The other environments
    /// wait for it, and this one may not be invoked again before they have given up.
    pub async fn hand_over(&self, deadline: Deadline) {
        let Ok(_writing) = self.writing.try_lock() else { return };
        let bearer = match &*self.memory() {
            Memory { unwritten: Some(bearer), is_crowded: true, is_awaited: true, .. } => bearer.clone(),
            _ => return,
        };
        self.write(&bearer, deadline.or_after(HAND_OVER, Instant::now())).await;
    }

    /// Returns what was counted since the last call.
    #[must_use]
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut self.memory().counts)
    }

    fn memory(&self) -> RefMut<'_, Memory> {
        self.memory.borrow_mut()
    }

    /// The time that memory counts in.
    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    /// The token in memory, if there is one to send that is not the one that was refused.
    fn held(&self, need: Need<'_>) -> Option<Bearer> {
        let held = self.memory().bearer(self.store.clock().seconds(), self.now())?;
        let was_refused = matches!(need, Need::Another(refused) if *refused == held);
        (!was_refused).then_some(held)
    }

    /// Enters that the API has refused a token, and tells what to do about it.
    fn refused(&self, refused: &Bearer) -> Refusal {
        let (now, clock) = (self.now(), self.store.clock().seconds());
        refused.refuse(clock);
        let mut memory = self.memory();
        let Some(held) = memory.token.clone().filter(|held| held.token().lives(clock)) else { return Refusal::Renew };
        let is_young = held.is_young(clock) && !held.is_proven();
        if held != *refused {
            memory.before.take_if(|before| before == refused);
            return if is_young && held.is_refused() { Refusal::Wait } else { Refusal::Other(held) };
        }
        // A failure, or still young, it serves as long as it lives.
        let before = memory.before(clock).cloned();
        if is_young {
            return before.map_or(Refusal::Wait, Refusal::Other);
        }
        if memory.resting(now).is_none() && (before.is_some() || refused.has_failed(clock)) {
            let length = memory.fail(&TokenError::Refused, None, true, now);
            let lock = memory.version.map(|version| (version, clock + length));
            if before.is_none() {
                return Refusal::Failure(lock);
            }
            memory.untold = lock;
        }
        before.map_or(Refusal::Renew, Refusal::Other)
    }

    /// Lets the next early renewal come after half of the time that the token has left.
    fn put_early_off(&self) {
        let now = self.store.clock().seconds();
        let mut memory = self.memory();
        let left = memory.token.as_ref().map_or(0, |held| held.token().expires_at.saturating_sub(now));
        memory.next_early = now.saturating_add((left / 2).max(MIN_EARLY_PAUSE));
    }
}
