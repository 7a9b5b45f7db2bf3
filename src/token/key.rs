//! A static key instead of tokens: read once, and again when the API refuses it, at most once a minute.

use std::time::{Duration, Instant};

use super::bearer::Bearer;
use super::renewal::Event;
use super::store::StoreError;
use super::value::Token;
use super::{Need, NoCredentials, TokenError, Tokens};
use crate::retry::Deadline;
use crate::secret::Secret;

/// Shortest time between two reads for a key that the API refuses.
const BETWEEN_REREADS: Duration = Duration::from_mins(1);

impl Tokens {
    /// Returns the key, or the one that is to be sent instead of one that was refused.
    ///
    /// # Errors
    /// If there is none before the deadline, or none but the one that was refused.
    pub(super) async fn key(&self, refused: Option<&Bearer>, deadline: Deadline) -> Result<Bearer, TokenError> {
        if !self.store.has_credentials() {
            return if refused.is_some() { Err(TokenError::Unauthorized) } else { lasting(Secret::default()) };
        }
        // Whoever waits here finds what another batch has read, or why it could not.
        let asked = Instant::now();
        let _turn = self.turn.lock().await;
        let failure = self.memory().failure.clone().filter(|(at, _)| *at >= asked);
        if let Some((_, error)) = failure {
            return Err(error);
        }
        let need = refused.map_or(Need::Any, Need::Another);
        if let Some(held) = self.held(need) {
            return Ok(held);
        }
        if refused.is_some() {
            let now = self.now();
            let last = self.memory().key_reread.replace(now);
            if let Some(last) = last.filter(|last| now < *last + BETWEEN_REREADS) {
                self.memory().key_reread = Some(last);
                return Err(TokenError::KeyRefused);
            }
        }
        let read = self
            .read_parameters(deadline)
            .await
            .map_err(|error| TokenError::NoCredentials(NoCredentials::Store(error)));
        let key = read.and_then(|()| self.memory().key.clone().ok_or(TokenError::NoCredentials(NoCredentials::Key)));
        if let Err(error) = &key {
            self.memory().failure = Some((Instant::now(), error.clone()));
        }
        let key = key?;
        let bearer = lasting(key)?;
        if refused == Some(&bearer) {
            return Err(TokenError::KeyRefused);
        }
        self.memory().token = Some(bearer.clone());
        Ok(bearer)
    }

    /// Reads the parameters. A store that is busy or not reached is waited for as long as half of the time allows, unless there
    /// is a key to go on with.
    ///
    /// # Errors
    /// If they could not be read.
    pub(super) async fn read_parameters(&self, deadline: Deadline) -> Result<(), StoreError> {
        let start = Instant::now();
        let patience = Deadline::at(start + deadline.instant().saturating_duration_since(start) / 2);
        let mut pauses = 0;
        loop {
            let error = match self.look(None, Need::Any, patience, deadline, &mut None).await {
                Ok(Event::Busy) => StoreError::Busy { code: "no reads left".to_owned() },
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if self.memory().key.is_some() {
                return Ok(());
            }
            let may_pass = matches!(error, StoreError::Busy { .. } | StoreError::Unreachable { .. });
            if !may_pass || patience.allows(Duration::MAX, Instant::now()).is_none() {
                return Err(error);
            }
            self.pause(pauses, true, patience).await;
            pauses += 1;
        }
    }
}

/// A key, as a token that lives for ever.
fn lasting(key: Secret) -> Result<Bearer, TokenError> {
    Ok(Bearer::new(Token { access_token: key, issued_at: 0, expires_at: i64::MAX }, false)?)
}
