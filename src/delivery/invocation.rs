//! What the batches of one invocation know of each other: the deadline, how the API fares, and the counts.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::DeliveryError;
use super::health::{Health, Memory};
use crate::counts::Counts;
use crate::retry::Deadline;
use crate::token::{Bearer, TokenError};

/// One invocation.
#[derive(Debug)]
pub struct Invocation {
    deadline: Deadline,
    /// What was remembered when it started.
    pub(super) before: Memory,
    pub(super) health: Cell<Health>,
    /// Why no batch can have a token any more.
    no_token: RefCell<Option<DeliveryError>>,
    counts: Cell<Counts>,
    /// The status of the last answer.
    pub(super) last_status: Cell<Option<u16>>,
    /// Why the first events that were not delivered were not.
    pub(super) first_failure: RefCell<Option<String>>,
    /// Failures that were logged one by one.
    pub(super) failures_logged: Cell<usize>,
    /// Attempts after the first that were logged one by one.
    pub(super) retries_logged: Cell<usize>,
}

impl Invocation {
    pub(super) fn start(deadline: Deadline, memory: Memory) -> Self {
        Self {
            deadline,
            before: memory,
            health: Cell::new(Health::start(memory, Instant::now())),
            no_token: RefCell::default(),
            counts: Cell::default(),
            last_status: Cell::default(),
            first_failure: RefCell::default(),
            failures_logged: Cell::new(0),
            retries_logged: Cell::new(0),
        }
    }

    /// Returns when the invocation must be ready to answer.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns whether there is no time left to deliver anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.deadline.allows(Duration::MAX, Instant::now()).is_none()
    }

    /// Returns how many of at most `limit` batches may be under way now.
    #[must_use]
    pub fn concurrency(&self, limit: usize) -> usize {
        if self.health.get().is_probing() { 1 } else { limit }
    }

    /// Returns what was met so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// Returns the status of the last answer, if there was one.
    #[must_use]
    pub fn last_status(&self) -> Option<u16> {
        self.last_status.get()
    }

    /// Returns why the first events that were not delivered were not.
    #[must_use]
    pub fn first_failure(&self) -> Option<String> {
        self.first_failure.borrow().clone()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// Enters something about the API.
    pub(super) fn note(&self, change: impl FnOnce(&mut Health)) {
        let mut health = self.health.get();
        change(&mut health);
        self.health.set(health);
    }

    /// Returns why no further request is to be made, if so.
    pub(super) fn is_open(&self) -> Result<(), DeliveryError> {
        match self.no_token.borrow().clone() {
            Some(error) => Err(error),
            None if self.health.get().is_open() => Ok(()),
            None => Err(DeliveryError::Down),
        }
    }

    pub(super) fn token(&self, token: Result<Bearer, TokenError>) -> Result<Bearer, DeliveryError> {
        token.map_err(|error| self.without_token(DeliveryError::Token(error)))
    }

    /// Lets the batches behind this one fail for the same reason.
    fn without_token(&self, error: DeliveryError) -> DeliveryError {
        self.no_token.borrow_mut().get_or_insert(error).clone()
    }
}
