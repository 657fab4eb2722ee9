//! The order of rows where pages were written as they came, and some came late.
//!
//! Rows are written once, where they come; what is kept here is where each run of pages that follow each other begins.
//! At the end the runs are put in order.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::model::Place;

/// What was written, run by run.
#[derive(Debug, Default)]
pub struct WrittenOrder {
    runs: Vec<Run>,
    /// The page that was written last, and the hindmost of all.
    last: Option<Place>,
    hindmost: Option<Place>,
    /// Chains of which pages are missing among those that were written.
    late: BTreeSet<u64>,
    /// Whether the last run goes on.
    is_open: bool,
    /// Runs that were given out.
    cut_count: usize,
    /// Runs of earlier processes. Pages of them that failed have been asked for again since.
    earlier_count: usize,
}

/// Pages that were written one behind the other, and between which no other belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    first: Place,
    last: Place,
    from: Written,
    /// Whether it is one page that failed.
    has_failed: bool,
}

/// How much is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Rows of the table.
    pub rows: u64,
    /// Bytes of the rejects file.
    pub reject_bytes: u64,
}

/// What was written, in the order in which it belongs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Runs by their numbers, from 0 as they were written.
    pub runs: Vec<usize>,
    /// Rows by their numbers, from 0 as they were written.
    pub rows: Vec<Range<u64>>,
    /// Bytes of the rejects file.
    pub reject_bytes: Vec<Range<u64>>,
}

impl WrittenOrder {
    /// Says that a page of this chain will be written later than some of those behind it.
    pub fn put_off(&mut self, ordinal: u64) {
        self.late.insert(ordinal);
    }

    /// Says that a page is written next, when so much is. Returns whether a run ended before it.
    pub fn begin_page(&mut self, place: Place, from: Written, has_failed: bool) -> bool {
        let last = self.last.filter(|last| Some(*last) == self.hindmost && self.is_next(*last, place));
        self.hindmost = self.hindmost.max(Some(place));
        self.last = Some(place).filter(|_| !has_failed);
        match self.runs.last_mut().filter(|_| last.is_some() && !has_failed) {
            Some(run) => {
                run.last = place;
                false
            }
            None => {
                self.runs.push(Run { first: place, last: place, from, has_failed });
                std::mem::replace(&mut self.is_open, true)
            }
        }
    }

    /// Ends the run that goes on, and gives the runs that began since it was called last.
    pub fn cut(&mut self) -> Vec<Run> {
        (self.last, self.is_open) = (None, false);
        let runs = self.runs[self.cut_count..].to_vec();
        self.cut_count = self.runs.len();
        runs
    }

    /// Goes on behind the runs of earlier processes.
    pub fn resume(&mut self, runs: Vec<Run>) {
        self.hindmost = runs.iter().map(|run| run.last).max();
        self.runs = runs;
        self.cut_count = self.runs.len();
        self.earlier_count = self.runs.len();
    }

    /// Whether no page that is written at another time belongs between the two.
    fn is_next(&self, last: Place, place: Place) -> bool {
        if place.page == last.page {
            last < place && self.late.range(last.ordinal + 1..place.ordinal).next().is_none()
        } else {
            last < place && self.late.is_empty()
        }
    }

    /// How it is put in order, once so much is written; `None` if it is.
    pub fn sequence(&self, end: Written) -> Option<Sequence> {
        let is_dropped = |run: usize| run < self.earlier_count && self.runs[run].has_failed;
        if self.runs.is_sorted_by_key(|run| run.first) && !(0..self.runs.len()).any(is_dropped) {
            return None;
        }
        let end_of = |run: usize| self.runs.get(run + 1).map_or(end, |next| next.from);
        let kept = (0..self.runs.len()).filter(|run| !is_dropped(*run));
        let mut sequence = Sequence { runs: kept.collect(), ..Sequence::default() };
        sequence.runs.sort_by_key(|run| self.runs[*run].first);
        for run in &sequence.runs {
            let (from, to) = (self.runs[*run].from, end_of(*run));
            push_range(&mut sequence.rows, from.rows..to.rows);
            push_range(&mut sequence.reject_bytes, from.reject_bytes..to.reject_bytes);
        }
        Some(sequence)
    }
}

fn push_range(ranges: &mut Vec<Range<u64>>, next: Range<u64>) {
    match ranges.last_mut() {
        _ if next.is_empty() => {}
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PageId;

    /// Writes pages, of two rows and ten bytes of rejects each, after some were put off.
    fn order(put_off: &[u64], written: &[(u32, u64)]) -> (WrittenOrder, Vec<Place>, Written) {
        let place = |(page, ordinal): &(u32, u64)| PageId { ordinal: *ordinal, line: 0, page: *page }.place();
        let mut order = WrittenOrder::default();
        put_off.iter().for_each(|ordinal| order.put_off(*ordinal));
        let places: Vec<_> = written.iter().map(place).collect();
        let mut from = Written::default();
        for place in &places {
            order.begin_page(*place, from, false);
            from = Written { rows: from.rows + 2, reject_bytes: from.reject_bytes + 10 };
        }
        (order, places, from)
    }

    #[test]
    fn pages_in_their_order_are_one_run() {
        let (order, _, end) = order(&[], &[(1, 0), (1, 1), (1, 5), (2, 0), (2, 5), (3, 5)]);
        assert_eq!(order.runs.len(), 1);
        assert_eq!(order.sequence(end), None);
    }

    #[test]
    fn late_page_is_put_where_it_was_put_off() {
        let (order, _, end) = order(&[1], &[(1, 0), (1, 2), (1, 3), (1, 1), (1, 4)]);
        let sequence = order.sequence(end).unwrap();
        assert_eq!(sequence.rows, [0..2, 6..8, 2..6, 8..10]);
        assert_eq!(sequence.reject_bytes, [0..10, 30..40, 10..30, 40..50]);
        assert_eq!(sequence.runs, [0, 2, 1, 3]);
    }

    /// Chains of which one falls behind for a while, and comes to its end last.
    #[test]
    fn whatever_comes_when_is_put_in_order() {
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..300 {
            let chains: Vec<u32> = (0..random.u64(1..6)).map(|_| random.u32(1..6)).collect();
            let late: Vec<u64> = (0..chains.len() as u64).filter(|_| random.u8(..) < 90).collect();
            let mut next = vec![1; chains.len()];
            let mut written = Vec::new();
            while written.len() < chains.iter().sum::<u32>() as usize {
                for (ordinal, page) in next.iter_mut().enumerate() {
                    let waits = late.contains(&(ordinal as u64)) && random.u8(..) < 170;
                    if *page <= chains[ordinal] && !waits {
                        written.push((*page, ordinal as u64));
                        *page += 1;
                    }
                }
            }
            let (order, places, end) = order(&late, &written);
            let rows: Vec<u64> = match order.sequence(end) {
                Some(sequence) => sequence.rows.into_iter().flatten().collect(),
                None => (0..end.rows).collect(),
            };
            let in_order: Vec<_> = rows.iter().step_by(2).map(|row| places[*row as usize / 2]).collect();
            assert!(in_order.is_sorted(), "{written:?}: {in_order:?}");
            assert_eq!(in_order.len(), places.len());
        }
    }
}
