//! Connections that lie idle, and those that are lent out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::poll_immediate;
use http::Uri;
use http::uri::{Authority, Scheme};

use super::connection::Connection;

/// How long a connection may lie idle and still be used. Lambda freezes the process between events, and whoever is in between
/// (a NAT gateway after 350 s, a load balancer after 60 s) forgets it meanwhile.
const IDLE: Duration = Duration::from_secs(50);

/// How long a connection may take to be ready again once its answer has come to its end: an instant, as a rule. Longer is waited
/// only where it matters that the request has left.
pub const SETTLING: Duration = Duration::from_millis(100);

/// Scheme, host and port: what a connection is to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin(Option<Scheme>, Option<Authority>);

impl Origin {
    pub(super) fn of(uri: &Uri) -> Self {
        Self(uri.scheme().cloned(), uri.authority().cloned())
    }
}

/// The connections that lie idle, the one that was used last on top.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<HashMap<Origin, Vec<(Connection, Instant)>>>);

impl Idle {
    /// Takes a connection that can still be used.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut is_fresh = false;
        while let Some((mut connection, since)) = self.pop(origin) {
            if since.elapsed() >= IDLE {
                continue;
            }
            if !std::mem::replace(&mut is_fresh, true) {
                // Whoever has closed one meanwhile is heard first.
                tokio::task::yield_now().await;
            }
            if poll_immediate(connection.is_ready()).await == Some(true) {
                return Some(connection);
            }
        }
        None
    }

    fn pop(&self, origin: &Origin) -> Option<(Connection, Instant)> {
        self.with(|idle| idle.get_mut(origin)?.pop())
    }

    fn put(&self, origin: Origin, connection: Connection) {
        self.with(|idle| idle.entry(origin).or_default().push((connection, Instant::now())));
    }

    /// Closes those to an origin.
    fn close(&self, origin: &Origin) {
        // Dropped when the lock is not held any more.
        drop(self.with(|idle| idle.remove(origin)));
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Origin, Vec<(Connection, Instant)>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection with a request on it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Connection,
    guard: Guard,
}

/// Closes the idle connections to a service when a request to it ends without an answer: what has silenced one connection may
/// have silenced all.
#[derive(Debug)]
struct Guard {
    origin: Origin,
    idle: Arc<Idle>,
    is_answered: bool,
}

impl Lease {
    pub(super) fn new(connection: Connection, origin: Origin, idle: Arc<Idle>) -> Self {
        Self { connection, guard: Guard { origin, idle, is_answered: false } }
    }

    /// The head of the answer has come.
    pub(super) fn answered(mut self) -> Self {
        self.guard.is_answered = true;
        self
    }

    /// Waits until the request has left, as long as `longest`; `false` if it has not, or never will.
    pub(super) async fn is_sent(&mut self, longest: Duration) -> bool {
        tokio::time::timeout(longest, self.connection.is_sent()).await == Ok(true)
    }

    /// The answer has come to its end, and the request has left: the connection may carry another one.
    pub(super) async fn give_back(mut self) {
        if tokio::time::timeout(SETTLING, self.connection.is_ready()).await == Ok(true) {
            self.guard.idle.put(self.guard.origin.clone(), self.connection);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_answered {
            self.idle.close(&self.origin);
        }
    }
}
