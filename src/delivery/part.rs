//! Part of a batch: which of its events go into one body, in their order.

use std::ops::Range;

/// Events of a batch that are to be sent as one body.
pub(super) struct Part {
    pub(super) ranges: Vec<Range<usize>>,
    /// Which attempt the next one is for these events.
    pub(super) attempt: usize,
}

impl Part {
    /// All events of a batch of so many.
    pub(super) fn whole(events: usize) -> Self {
        let whole = 0..events;
        Self { ranges: vec![whole], attempt: 1 }
    }

    /// Takes the events of another part for which `is` holds, by their position in it.
    pub(super) fn of(&self, attempt: usize, is: impl Fn(usize) -> bool) -> Self {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (_, event) in self.events().enumerate().filter(|(at, _)| is(*at)) {
            match ranges.last_mut() {
                Some(last) if last.end == event => last.end += 1,
                _ => ranges.push(event..event + 1),
            }
        }
        Self { ranges, attempt }
    }

    pub(super) fn events(&self) -> impl Iterator<Item = usize> {
        self.ranges.iter().cloned().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.iter().map(Range::len).sum()
    }

    /// Puts both halves of a part of several events on top.
    pub(super) fn halve(&self, parts: &mut Vec<Self>) {
        let middle = self.len() / 2;
        parts.push(self.of(self.attempt, |at| at >= middle));
        parts.push(self.of(self.attempt, |at| at < middle));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_halved_and_divided_by_position() {
        let part = Part::whole(7).of(2, |at| at != 1 && at != 4);
        assert_eq!((part.ranges.as_slice(), part.attempt, part.len()), ([0..1, 2..4, 5..7].as_slice(), 2, 5));
        let mut halves = Vec::new();
        part.halve(&mut halves);
        let ranges: Vec<_> = halves.iter().rev().map(|half| half.ranges.clone()).collect();
        assert_eq!(ranges, [vec![0..1, 2..3], vec![3..4, 5..7]]);
        assert_eq!(part.of(1, |_| false).len(), 0);
    }
}
