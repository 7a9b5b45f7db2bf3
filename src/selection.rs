//! Which events are delivered: all, but those that an operator excludes and the successes that a sample leaves out.
//!
//! ```text
//! EXCLUDE            path=/health*            access events whose whole value fits are not delivered
//! SAMPLE_SUCCESSES   10                       of those with a status below 400, one in ten is
//! ```

use std::num::NonZeroU64;

use ring::digest::{SHA256, digest};

use crate::access_log::AccessLog;
use crate::head::Head;
use crate::wildcard::Wildcard;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered, for so many.
    Leaves(NonZeroU64),
    /// It is not wanted.
    Excluded,
    /// Another one stands for it.
    SampledOut,
}

/// Which events are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    exclude: Vec<Rule>,
    /// One success in so many.
    every: NonZeroU64,
    /// Successes at least this slow, in milliseconds, are always delivered.
    slow: Option<u64>,
}

/// `path=/health*`: a variable, and what its whole value looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    variable: Box<str>,
    pattern: Wildcard,
}

impl Default for Selection {
    /// All of them.
    fn default() -> Self {
        Self { exclude: Vec::new(), every: NonZeroU64::MIN, slow: None }
    }
}

impl Selection {
    /// Takes the settings. `None` if a rule has no `=`, or no variable before it.
    #[must_use]
    pub fn new(exclude: &str, every: NonZeroU64, slow: Option<u64>) -> Option<Self> {
        let rules = exclude.lines().map(str::trim).filter(|line| !line.is_empty()).map(Rule::read);
        Some(Self { exclude: rules.collect::<Option<_>>()?, every, slow })
    }

    /// Says what becomes of an access event: the same whenever it comes.
    #[must_use]
    pub fn of(&self, head: &Head<'_>, log: &AccessLog<'_>) -> Fate {
        if self.exclude.iter().any(|rule| log.variable(&rule.variable).is_some_and(|value| rule.pattern.fits(&value))) {
            return Fate::Excluded;
        }
        if self.every == NonZeroU64::MIN {
            return Fate::Leaves(NonZeroU64::MIN);
        }
        let number = |variable| log.variable(variable).and_then(|value| value.parse::<u64>().ok());
        let is_success = number("status").is_some_and(|status| status < 400);
        let is_slow = self.slow.is_some_and(|slow| number("responseLatency").is_some_and(|latency| latency >= slow));
        if !is_success || is_slow {
            return Fate::Leaves(NonZeroU64::MIN);
        }
        // Every event has an id of its own, and nearly every one that of its request.
        let id = log.variable("requestId").or_else(|| log.variable("extendedRequestId"));
        let id = id.as_deref().unwrap_or(&head.id);
        let hash = digest(&SHA256, id.as_bytes());
        let (first, _) = hash.as_ref().split_first_chunk::<8>().expect("a digest has 32 bytes");
        if u64::from_be_bytes(*first) % self.every == 0 { Fate::Leaves(self.every) } else { Fate::SampledOut }
    }
}

impl Rule {
    fn read(line: &str) -> Option<Self> {
        let (variable, pattern) = line.split_once('=')?;
        let variable = variable.trim();
        let variable = variable.strip_prefix("$context.").unwrap_or(variable);
        if variable.is_empty() || pattern.is_empty() {
            return None;
        }
        Some(Self { variable: variable.into(), pattern: Wildcard::new(pattern) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::Formats;

    fn of(selection: &Selection, line: &str) -> Fate {
        let formats =
            Formats::compile("$context.requestId $context.status $context.responseLatency $context.path").unwrap();
        selection.of(&Head::default(), &formats.parse(line).unwrap())
    }

    fn every(every: u64) -> NonZeroU64 {
        NonZeroU64::new(every).unwrap()
    }

    #[test]
    fn a_value_that_brings_its_own_quotes_is_compared_without_them() {
        let formats = Formats::compile("$context.requestId $context.error.messageString").unwrap();
        let selection = Selection::new("error.messageString=Forbidden", every(1), None).unwrap();
        let fate = |line: &str| selection.of(&Head::default(), &formats.parse(line).unwrap());
        assert_eq!((fate("r \"Forbidden\""), fate("r \"Other\"")), (Fate::Excluded, Fate::Leaves(every(1))));
    }

    #[test]
    fn a_missing_value_is_never_excluded() {
        let selection = Selection::new("path=*\n\n identity.userAgent=ELB-*", every(1), None).unwrap();
        assert_eq!(of(&selection, "r 200 5 /a"), Fate::Excluded);
        assert_eq!(of(&selection, "r 200 5 -"), Fate::Leaves(every(1)));
        for malformed in ["path", "=x", "path=", "path=/a\nx"] {
            assert_eq!(Selection::new(malformed, every(1), None), None, "{malformed}");
        }
    }

    #[test]
    fn of_successes_one_in_so_many_leaves_for_all_of_them() {
        let selection = Selection::new("", every(4), Some(100)).unwrap();
        let fates: Vec<Fate> = (0..4000).map(|number| of(&selection, &format!("r-{number} 200 5 /a"))).collect();
        let left = fates.iter().filter(|fate| **fate == Fate::Leaves(every(4))).count();
        assert!((900..1100).contains(&left), "{left}");
        assert!(fates.iter().all(|fate| *fate != Fate::Leaves(every(1))));
        for kept in ["r-1 400 5 /a", "r-1 - 5 /a", "r-1 200 100 /a"] {
            assert_eq!(of(&selection, kept), Fate::Leaves(every(1)), "{kept}");
        }
    }
}
