//! The byte budget: how many bytes of pages may be in memory at once.
//!
//! Half of the budget is shared by all pages; the other half is a lane for the one page that the writer
//! waits for. Every page reserves, in page order and before it is asked for, what pages have needed so far,
//! and grows as its bytes come. A page that can't grow in the shared half waits until it is at the head of the
//! line, where the lane is its own: whatever the others hold, the head always goes on, so the line can't lock
//! up. What is more than the whole lane counts as the whole lane: one record may be that large, and is bounded
//! elsewhere. Nothing here knows what the bytes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// The least that a page reserves: the buffers of its connection and of a small body.
const PAGE_BYTES_MIN: u64 = 64 << 10;
/// What the first pages reserve, before any has told what pages need.
const PAGE_BYTES_FIRST: u64 = 1 << 20;
/// The semaphores count in KiB, so that their 32-bit permits reach 4 TiB.
const UNIT_BYTES: u64 = 1 << 10;

/// Counts the bytes of all pages in flight.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    shared: Arc<Semaphore>,
    shared_units: u32,
    lane: Arc<Semaphore>,
    lane_units: u32,
    /// Units that a page needs, as a moving average.
    usual_units: Arc<AtomicU32>,
    head: watch::Sender<u64>,
}

impl ByteBudget {
    /// A budget of `memory_bytes` for all pages together.
    pub fn new(memory_bytes: u64) -> Self {
        let lane_units = units(memory_bytes / 2).max(1);
        let shared_units = units(memory_bytes - memory_bytes / 2).max(1);
        Self {
            shared: Arc::new(Semaphore::new(shared_units as usize)),
            shared_units,
            lane: Arc::new(Semaphore::new(lane_units as usize)),
            lane_units,
            usual_units: Arc::new(AtomicU32::new(units(PAGE_BYTES_FIRST).min(shared_units))),
            head: watch::Sender::new(0),
        }
    }

    /// Bytes that the pages behind the head share.
    pub fn shared_bytes(&self) -> u64 {
        u64::from(self.shared_units) * UNIT_BYTES
    }

    /// Waits for what the page with this ordinal will usually need. Called in page order, holding no more than a permit for a request, which the pages before never wait for.
    pub async fn reserve(&self, ordinal: u64) -> Reservation {
        let wanted = self.usual_units.load(Ordering::Relaxed);
        let permit = Arc::clone(&self.shared)
            .acquire_many_owned(wanted)
            .await
            .expect("the budget's semaphore is never closed");
        Reservation { budget: self.clone(), ordinal, shared: permit, lane: None, most_units: 0 }
    }

    /// What the page with this ordinal will usually need, or nothing where that is not there: for one that holds bytes of
    /// the budget already, and must not wait for itself.
    pub fn reserve_at_once(&self, ordinal: u64) -> Reservation {
        let wanted = self.usual_units.load(Ordering::Relaxed);
        let nothing = || Arc::clone(&self.shared).try_acquire_many_owned(0);
        let permit = Arc::clone(&self.shared).try_acquire_many_owned(wanted).or_else(|_| nothing());
        let shared = permit.expect("nothing can always be had");
        Reservation { budget: self.clone(), ordinal, shared, lane: None, most_units: 0 }
    }

    /// Takes `bytes` of the shared half, if it has them, for what need not be in memory.
    pub fn try_take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shared).try_acquire_many_owned(units(bytes)).ok()
    }

    /// Says that the writer now waits for the page with this ordinal, which may use the lane.
    pub fn advance_head(&self, ordinal: u64) {
        self.head.send_replace(ordinal);
    }

    /// Takes account of what a page needed: an eighth of the way from what was usual so far.
    fn learn(&self, needed: u32) {
        let least = units(PAGE_BYTES_MIN).min(self.shared_units);
        let usual = self.usual_units.load(Ordering::Relaxed);
        let learned = usual - usual.div_ceil(8) + needed.div_ceil(8);
        self.usual_units.store(learned.clamp(least, self.shared_units), Ordering::Relaxed);
    }
}

/// The bytes that one page has reserved; they return to the budget when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    ordinal: u64,
    shared: OwnedSemaphorePermit,
    lane: Option<OwnedSemaphorePermit>,
    /// The most units that were asked for.
    most_units: u32,
}

impl Reservation {
    /// Holds `bytes` at least, waiting for the head of the line when the shared half is full.
    pub async fn grow_to(&mut self, bytes: u64) {
        if !self.try_grow_to(bytes) {
            self.reach_head().await;
            self.grow_in_the_lane(units(bytes)).await;
        }
    }

    /// Holds `bytes` at least, if the shared half has them.
    pub fn try_grow_to(&mut self, bytes: u64) -> bool {
        self.most_units = self.most_units.max(units(bytes));
        let missing = units(bytes).saturating_sub(self.held_units());
        match Arc::clone(&self.budget.shared).try_acquire_many_owned(missing) {
            Ok(permit) => {
                self.shared.merge(permit);
                true
            }
            Err(_) => false,
        }
    }

    /// Gives back all but `bytes`. A page never holds more after this than before.
    pub fn shrink_to(&mut self, bytes: u64) {
        let mut surplus = self.held_units().saturating_sub(units(bytes)) as usize;
        if let Some(lane) = &mut self.lane {
            let returned = surplus.min(lane.num_permits());
            drop(lane.split(returned));
            surplus -= returned;
        }
        let returned = surplus.min(self.shared.num_permits());
        drop(self.shared.split(returned));
    }

    /// Parts with all but `bytes` of what is held: for a chunk that goes its own way.
    pub fn split_all_but(&mut self, bytes: u64) -> Self {
        let held = self.shared.num_permits();
        let parted = held.saturating_sub(units(bytes) as usize);
        let shared = self.shared.split(parted).expect("no more than there are");
        Self {
            budget: self.budget.clone(),
            ordinal: self.ordinal,
            shared,
            lane: self.lane.take(),
            most_units: 0,
        }
    }

    /// Says that the page is over: the next ones reserve more like what it needed.
    pub fn learn(&self) {
        self.budget.learn(self.most_units);
    }

    /// Waits until the writer waits for this page.
    pub async fn reach_head(&self) {
        let mut head = self.budget.head.subscribe();
        let ordinal = self.ordinal;
        head.wait_for(|head| *head >= ordinal).await.expect("the budget holds the sender");
    }

    async fn grow_in_the_lane(&mut self, wanted: u32) {
        let lane_held = self.lane.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u32;
        // More than the lane has can't be had: waiting for it would be for ever.
        let missing = wanted.saturating_sub(self.held_units()).min(self.budget.lane_units - lane_held);
        let permit = Arc::clone(&self.budget.lane)
            .acquire_many_owned(missing)
            .await
            .expect("the budget's semaphore is never closed");
        match &mut self.lane {
            Some(lane) => lane.merge(permit),
            None => self.lane = Some(permit),
        }
    }

    fn held_units(&self) -> u32 {
        let lane = self.lane.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        (self.shared.num_permits() + lane) as u32
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MIB: u64 = 1 << 20;

    async fn waits(future: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_secs(1), future).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn head_of_the_line_goes_on_when_the_others_hold_all() {
        let budget = ByteBudget::new(8 * MIB);
        let mut head = budget.reserve(0).await;
        let mut second = budget.reserve(1).await;
        second.grow_to(3 * MIB).await;
        head.grow_to(4 * MIB).await;

        let mut third = std::pin::pin!(budget.reserve(2));
        assert!(waits(async { drop(third.as_mut().await) }).await, "the shared half is full");
        drop(head);
        third.await;
    }

    #[tokio::test(start_paused = true)]
    async fn page_that_can_not_grow_waits_until_it_is_at_the_head() {
        let budget = ByteBudget::new(8 * MIB);
        let mut first = budget.reserve(0).await;
        let mut second = budget.reserve(1).await;
        first.grow_to(3 * MIB).await;
        assert!(waits(second.grow_to(2 * MIB)).await);
        budget.advance_head(1);
        second.grow_to(2 * MIB).await;
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_the_lane_counts_as_the_whole_lane() {
        let budget = ByteBudget::new(8 * MIB);
        let mut head = budget.reserve(0).await;
        head.grow_to(100 * MIB).await;
        let mut chunk = head.split_all_but(0);
        budget.shared.forget_permits(usize::MAX);
        assert!(waits(head.grow_to(MIB)).await, "the chunk holds the whole lane");
        chunk.shrink_to(0);
        head.grow_to(100 * MIB).await;
    }

    #[tokio::test]
    async fn everything_returns_when_reservations_are_dropped() {
        let budget = ByteBudget::new(8 * MIB);
        let (shared, lane) = (budget.shared.available_permits(), budget.lane.available_permits());
        let mut reservation = budget.reserve(0).await;
        reservation.grow_to(4 * MIB).await;
        reservation.shrink_to(MIB);
        assert_eq!(budget.shared.available_permits() + 1024, shared);
        drop(reservation.split_all_but(0));
        drop(reservation);
        assert_eq!((budget.shared.available_permits(), budget.lane.available_permits()), (shared, lane));
    }

    #[tokio::test]
    async fn pages_reserve_what_pages_have_needed() {
        let budget = ByteBudget::new(64 * MIB);
        for needed in [64 << 10, 8 * MIB] {
            for ordinal in 0..100 {
                let mut page = budget.reserve(ordinal).await;
                page.grow_to(needed).await;
                page.learn();
            }
            let reserved = u64::from(budget.reserve(100).await.held_units()) * UNIT_BYTES;
            assert!(
                reserved > needed * 9 / 10 && reserved < needed * 11 / 10 + 16384,
                "{reserved} of {needed}"
            );
        }
    }
}
