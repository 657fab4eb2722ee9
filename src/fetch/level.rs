//! How many requests one host takes at once, found out by asking: the level.
//!
//! Additive increase and multiplicative decrease (Chiu and Jain 1989), with what later work taught congestion
//! control. It begins by doubling each round trip (slow start). It is cut once in a round trip, however many requests
//! were refused. It remembers where it was refused and holds just below, and tries that again ever more seldom (CUBIC's
//! plateau, RFC 9438). Latency counts by the fastest answer of a round trip against the fastest ever (TCP Vegas):
//! requests that queue delay all answers, while noise and slow pages leave the fastest alone.
//!
//! Pure: answers and times in, a number out.

use std::time::Duration;

use tokio::time::Instant;

/// Where it begins: what a browser opens to a few hosts, and enough that doubling reaches 128 in three round trips.
const LEVEL_START: usize = 16;
/// A vague sign (a timeout, a 503 that does not say until when) never lowers it below: it may be one bad machine
/// behind a balancer, and would slow down all the others.
const LEVEL_MIN_VAGUE: usize = LEVEL_START / 2;
/// What is left of it after the first refusal, which doubling ran into, and after a later one.
const CUT_FIRST: f64 = 0.5;
const CUT_LATER: f64 = 0.75;
/// What is left of it after a round trip in which all answers were slow.
const CUT_SLOW: f64 = 0.9;
/// The fastest answer of a round trip is slow when it takes longer than twice what is usual, and this: less is noise.
const SLOW_MIN: Duration = Duration::from_millis(10);
/// What is usual moves up by such a part of the difference, in case the pages have become slower by themselves: so
/// slowly that a queue of our making does not become usual.
const USUAL_DIVISOR: u32 = 1024;
/// Fewer answers do not tell of a round trip.
const ROUND_ANSWERS_MIN: u32 = 8;
/// Round trips until it is tried again where it was refused: at first, and at last.
const HOLD_ROUNDS_MIN: u32 = 16;
const HOLD_ROUNDS_MAX: u32 = 256;

/// How many requests may be in flight to a host.
#[derive(Debug)]
pub(super) struct Level {
    size: f64,
    size_max: usize,
    is_fixed: bool,
    is_doubling: bool,
    /// The most that a whole round trip was at without any sign.
    proven: usize,
    /// The least that was refused lately.
    refused_at: Option<usize>,
    /// Round trips just below that: so far, and until it is tried again.
    held_rounds: u32,
    hold_rounds: u32,
    /// And not before.
    hold_until: Option<Instant>,
    /// When it was cut; requests sent before tell of the time before.
    cut_at: Option<Instant>,
    /// The fastest answer of a usual round trip.
    usual: Option<Duration>,
    round: Round,
}

/// What happened since the beginning of a round trip.
#[derive(Debug)]
struct Round {
    began: Instant,
    /// The level at its beginning, and at that of the round trip before.
    size: usize,
    size_before: usize,
    answer_count: u32,
    /// The most that were in flight in this round trip, and in the one before.
    peak: usize,
    peak_before: usize,
    fastest: Duration,
}

/// Why a level is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// The host says that it is too much.
    Refusal,
    /// It may be too much.
    Vague,
}

impl Level {
    /// A level that finds itself, up to `size_max`.
    pub(super) fn adaptive(size_max: usize) -> Self {
        let size = LEVEL_START.min(size_max);
        Self {
            size: size as f64,
            size_max,
            is_fixed: false,
            is_doubling: true,
            proven: 0,
            refused_at: None,
            held_rounds: 0,
            hold_rounds: HOLD_ROUNDS_MIN,
            hold_until: None,
            cut_at: None,
            usual: None,
            round: Round::new(Instant::now(), size),
        }
    }

    /// A level that stays.
    pub(super) fn fixed(size: usize) -> Self {
        Self { size: size as f64, is_fixed: true, ..Self::adaptive(size) }
    }

    /// Requests that may be in flight; one at least.
    pub(super) fn size(&self) -> usize {
        self.size as usize
    }

    /// Takes account of a request that is sent, the last of so many in flight.
    pub(super) fn sent(&mut self, in_flight: usize) {
        self.round.peak = self.round.peak.max(in_flight);
    }

    /// Takes account of a good answer, `latency` after its request was sent.
    pub(super) fn answered(&mut self, sent_at: Instant, latency: Duration) {
        if self.is_fixed {
            return;
        }
        self.round.answer_count += 1;
        self.round.fastest = self.round.fastest.min(latency);
        self.grow();
        if sent_at >= self.round.began && self.round.answer_count >= ROUND_ANSWERS_MIN.min(self.size() as u32)
        {
            self.end_round();
        }
    }

    /// Takes account of a request that was too much, and of the pause that it brought.
    pub(super) fn refused(&mut self, sent_at: Instant, sign: Sign, pause: Duration) {
        if self.is_fixed || self.cut_at.is_some_and(|cut_at| sent_at <= cut_at) {
            return;
        }
        let least = if sign == Sign::Vague { LEVEL_MIN_VAGUE as f64 } else { 1.0 };
        let refused_at = self.size().min(self.round.used()).max(1);
        let cut = if self.is_doubling { CUT_FIRST } else { CUT_LATER };
        self.size = (refused_at as f64 * cut).max(least).min(self.size);
        self.proven = if refused_at > self.proven { self.proven } else { self.size() };
        if self.refused_at.replace(refused_at).is_some() {
            self.hold_rounds = (self.hold_rounds * 2).min(HOLD_ROUNDS_MAX);
        }
        self.held_rounds = 0;
        // One more at once gains one part in so many: it takes that many pauses to earn the next one.
        self.hold_until = u32::try_from(2 * refused_at).ok().map(|count| Instant::now() + pause * count);
        self.is_doubling = false;
        self.cut_at = Some(Instant::now());
    }

    fn grow(&mut self) {
        let is_known_ground = self.is_doubling || self.size() < self.proven;
        let step = if is_known_ground { 1.0 } else { 1.0 / self.size };
        // A level that is not used is not known to be possible. While it doubles, its requests follow its answers.
        let used = if is_known_ground { 2 * self.round.used() } else { self.round.used() };
        if self.size() > used {
            return;
        }
        let ceiling = match self.refused_at {
            Some(refused_at) => self.size.max(refused_at as f64 - 1.0),
            None => self.size_max as f64,
        };
        self.size = (self.size + step).min(ceiling).min(self.size_max as f64);
    }

    fn end_round(&mut self) {
        let Round { began, size, size_before, peak, fastest, .. } = self.round;
        let was_cut = self.cut_at.is_some_and(|cut_at| cut_at >= began);
        if self.is_slow(fastest) {
            // Queues cost time but no request, so below where it began nothing is gained.
            self.size = (self.size * CUT_SLOW).max(LEVEL_START as f64).min(self.size);
            self.proven = self.proven.min(self.size());
            self.is_doubling = false;
        } else if !was_cut && self.round.used() >= size {
            // The last requests of the round trip before have been answered as well, but not all of this one's.
            let size = size.min(size_before);
            self.proven = self.proven.max(size);
            self.try_again(size);
        }
        let next = Round::new(Instant::now(), self.size());
        self.round = Round { size_before: size, peak_before: peak, ..next };
    }

    /// After a round trip at `size` without a sign: is it time to try what was refused, or has that gone well?
    fn try_again(&mut self, size: usize) {
        let Some(refused_at) = self.refused_at else { return };
        if size >= refused_at {
            // Nothing is known any more of what is too much.
            self.refused_at = None;
            self.hold_rounds = HOLD_ROUNDS_MIN;
            self.is_doubling = true;
        } else if size + 1 == refused_at {
            self.held_rounds += 1;
            let is_early = self.hold_until.is_some_and(|until| until > Instant::now());
            if self.held_rounds >= self.hold_rounds && !is_early {
                self.held_rounds = 0;
                self.size = refused_at as f64;
            }
        }
    }

    fn is_slow(&mut self, fastest: Duration) -> bool {
        let usual = self.usual.get_or_insert(fastest);
        let is_slow = fastest > *usual * 2 + SLOW_MIN;
        *usual = fastest.min(*usual + fastest.saturating_sub(*usual) / USUAL_DIVISOR);
        is_slow
    }
}

impl Round {
    fn new(began: Instant, size: usize) -> Self {
        Self { began, size, size_before: 0, answer_count: 0, peak: 0, peak_before: 0, fastest: Duration::MAX }
    }

    /// The most that were in flight lately.
    fn used(&self) -> usize {
        self.peak.max(self.peak_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round trip in which as many requests as may be are in flight, each of them answered after this time.
    async fn round_trip(level: &mut Level, latency: Duration) {
        let sent_at = Instant::now();
        (1..=level.size()).for_each(|in_flight| level.sent(in_flight));
        tokio::time::advance(latency).await;
        (0..level.size()).for_each(|_| level.answered(sent_at, latency));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_beginning_does_not_hide_a_queue() {
        let mut level = Level::adaptive(128);
        round_trip(&mut level, Duration::from_millis(300)).await;
        for _ in 0..5 {
            round_trip(&mut level, Duration::from_millis(20)).await;
        }
        assert_eq!(level.size(), 128);
        for _ in 0..50 {
            round_trip(&mut level, Duration::from_millis(90)).await;
        }
        assert_eq!(level.size(), LEVEL_START, "a queue never lowers it below where it begins");
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_that_costs_a_pause_is_not_soon_risked_again() {
        for (pause, least, most) in [(Duration::ZERO, 0, 5), (Duration::from_secs(1), 40, 50)] {
            let mut level = Level::adaptive(20);
            for _ in 0..5 {
                round_trip(&mut level, Duration::from_millis(50)).await;
            }
            level.refused(Instant::now(), Sign::Refusal, pause);
            let began = Instant::now();
            while level.size() < 20 {
                round_trip(&mut level, Duration::from_millis(50)).await;
            }
            let seconds = began.elapsed().as_secs();
            assert!((least..=most).contains(&seconds), "{seconds} s after a pause of {pause:?}");
        }
    }
}
