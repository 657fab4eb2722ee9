//! The byte budget: how many bytes of pages may be in memory at once.
//!
//! Half of the budget is shared by all pages; the other half is a lane for the one page that the
//! writer waits for. Every page reserves a floor in page order before it is asked for and grows as
//! bytes arrive. A page that can't grow in the shared half waits until it is at the head of the line,
//! where the lane is its own: whatever the others hold, the head always goes on, so the line can't
//! lock up. A page that outgrows even the lane is refused. Nothing here knows what the bytes are.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Bytes that a page reserves before it is asked for: most log pages fit without growing.
const PAGE_FLOOR_BYTES: u64 = 256 << 10;
/// The semaphores count in KiB, so that their 32-bit permits reach 4 TiB.
const UNIT_BYTES: u64 = 1 << 10;

/// Counts the bytes of all pages in flight.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    shared: Arc<Semaphore>,
    lane: Arc<Semaphore>,
    lane_bytes: u64,
    head: watch::Sender<u64>,
}

/// The page needs more bytes than one page may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the page needs more than {page_bytes_max} bytes of memory, which is half of --memory; raise --memory"
)]
pub struct PageTooLarge {
    /// The most bytes that one page may hold.
    pub page_bytes_max: u64,
}

impl ByteBudget {
    /// A budget of `memory_bytes` for all pages together.
    pub fn new(memory_bytes: u64) -> Self {
        let lane_bytes = (memory_bytes / 2).max(UNIT_BYTES);
        let shared_bytes = (memory_bytes - memory_bytes / 2).max(PAGE_FLOOR_BYTES);
        Self {
            shared: Arc::new(Semaphore::new(units(shared_bytes) as usize)),
            lane: Arc::new(Semaphore::new(units(lane_bytes) as usize)),
            lane_bytes,
            head: watch::Sender::new(0),
        }
    }

    /// Waits for the floor of the page with this ordinal. Called in page order, holding nothing.
    pub async fn reserve(&self, ordinal: u64) -> Reservation {
        let permit = Arc::clone(&self.shared)
            .acquire_many_owned(units(PAGE_FLOOR_BYTES))
            .await
            .expect("the budget's semaphore is never closed");
        Reservation { budget: self.clone(), ordinal, shared: permit, lane: None, used_bytes: 0 }
    }

    /// Says that the writer now waits for the page with this ordinal, which may use the lane.
    pub fn advance_head(&self, ordinal: u64) {
        self.head.send_replace(ordinal);
    }
}

/// The bytes that one page has reserved; they return to the budget when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: ByteBudget,
    ordinal: u64,
    shared: OwnedSemaphorePermit,
    lane: Option<OwnedSemaphorePermit>,
    used_bytes: u64,
}

impl Reservation {
    /// Reserves `bytes` more, waiting for the head of the line when the shared half is full.
    ///
    /// # Errors
    /// The page needs more than one page may hold.
    pub async fn grow(&mut self, bytes: u64) -> Result<(), PageTooLarge> {
        let used_bytes = self.used_bytes.saturating_add(bytes);
        let page_bytes_max = self.budget.lane_bytes;
        if used_bytes > page_bytes_max {
            return Err(PageTooLarge { page_bytes_max });
        }
        let missing = units(used_bytes).saturating_sub(self.held_units());
        if missing > 0 {
            match Arc::clone(&self.budget.shared).try_acquire_many_owned(missing) {
                Ok(permit) => self.shared.merge(permit),
                Err(_) => self.grow_in_the_lane(missing).await,
            }
        }
        self.used_bytes = used_bytes;
        Ok(())
    }

    /// Gives back all but `bytes`. A page never holds more after this than before.
    pub fn shrink_to(&mut self, bytes: u64) {
        self.used_bytes = self.used_bytes.min(bytes);
        let mut surplus = self.held_units().saturating_sub(units(self.used_bytes)) as usize;
        if let Some(lane) = &mut self.lane {
            let returned = surplus.min(lane.num_permits());
            drop(lane.split(returned));
            surplus -= returned;
        }
        let returned = surplus.min(self.shared.num_permits());
        drop(self.shared.split(returned));
    }

    async fn grow_in_the_lane(&mut self, missing: u32) {
        let mut head = self.budget.head.subscribe();
        let ordinal = self.ordinal;
        head.wait_for(|head| *head >= ordinal).await.expect("the budget holds the sender");
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

    #[tokio::test]
    async fn page_larger_than_half_of_the_budget_is_refused() {
        let budget = ByteBudget::new(64 * MIB);
        let mut reservation = budget.reserve(0).await;
        assert_eq!(reservation.grow(32 * MIB).await, Ok(()));
        assert_eq!(reservation.grow(1).await, Err(PageTooLarge { page_bytes_max: 32 * MIB }));
    }

    #[tokio::test(start_paused = true)]
    async fn head_of_the_line_goes_on_when_the_others_hold_all() {
        let budget = ByteBudget::new(8 * MIB);
        let mut head = budget.reserve(0).await;
        let mut second = budget.reserve(1).await;
        second.grow(4 * MIB - PAGE_FLOOR_BYTES).await.unwrap();
        head.grow(4 * MIB).await.unwrap();

        let mut third = std::pin::pin!(budget.reserve(2));
        let waits = tokio::time::timeout(Duration::from_secs(1), third.as_mut()).await;
        assert!(waits.is_err(), "the shared half is full");
        drop(head);
        budget.advance_head(1);
        drop(second);
        third.await;
    }

    #[tokio::test(start_paused = true)]
    async fn page_that_can_not_grow_waits_until_it_is_at_the_head() {
        let budget = ByteBudget::new(8 * MIB);
        let mut first = budget.reserve(0).await;
        first.grow(4 * MIB - PAGE_FLOOR_BYTES).await.unwrap();
        let mut second = budget.reserve(1).await;
        assert!(tokio::time::timeout(Duration::from_secs(1), second.grow(MIB)).await.is_err());
        budget.advance_head(1);
        second.grow(MIB).await.unwrap();
    }

    #[tokio::test]
    async fn everything_returns_when_reservations_are_dropped() {
        let budget = ByteBudget::new(8 * MIB);
        let (shared, lane) = (budget.shared.available_permits(), budget.lane.available_permits());
        let mut reservation = budget.reserve(0).await;
        reservation.grow(4 * MIB).await.unwrap();
        reservation.shrink_to(MIB);
        assert_eq!(budget.shared.available_permits() + 1024, shared);
        drop(reservation);
        assert_eq!((budget.shared.available_permits(), budget.lane.available_permits()), (shared, lane));
    }
}
