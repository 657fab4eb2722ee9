//! Bytes that a reservation has paid for before they are kept.

use crate::budget::{PageTooLarge, Reservation};

/// Least growth: small pages take one or two steps.
const GROWTH_BYTES_MIN: usize = 64 << 10;
/// Most growth beyond what is needed, so that a large page does not hold half of its size in vain.
const GROWTH_BYTES_MAX: usize = 4 << 20;

/// A growing body; its whole capacity is paid for.
#[derive(Debug, Default)]
pub(super) struct PaidBytes {
    bytes: Vec<u8>,
}

impl PaidBytes {
    /// Makes room for `additional` bytes, and some more as long as the body is expected to go on.
    ///
    /// May wait until the page is at the head of the line.
    pub(super) async fn make_room(
        &mut self,
        additional: usize,
        expected_len: Option<usize>,
        reservation: &mut Reservation,
    ) -> Result<(), PageTooLarge> {
        let capacity = self.bytes.capacity();
        let needed = self.bytes.len().saturating_add(additional);
        if needed <= capacity {
            return Ok(());
        }
        let growth = (self.bytes.len() / 2).clamp(GROWTH_BYTES_MIN, GROWTH_BYTES_MAX);
        let ahead = self.bytes.len().saturating_add(growth);
        // Content-Length is the sender's word: it saves copies, but only bytes that come are paid for
        // in earnest.
        let wanted = match expected_len {
            Some(expected) => expected.min(ahead.max(GROWTH_BYTES_MAX)).max(needed),
            None => ahead.max(needed),
        };
        let granted = match reservation.grow((wanted - capacity) as u64).await {
            Ok(()) => wanted,
            // The room ahead is a luxury; a page that just fits must not fail for it.
            Err(_) if wanted > needed => {
                reservation.grow((needed - capacity) as u64).await?;
                needed
            }
            Err(error) => return Err(error),
        };
        self.bytes.reserve_exact(granted - self.bytes.len());
        Ok(())
    }

    /// Adds bytes for which there is room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        debug_assert!(self.bytes.capacity() - self.bytes.len() >= bytes.len(), "room was made before");
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The body, without the room that was not used.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.shrink_to_fit();
        self.bytes
    }

    /// Lends the vector to code that can't wait; it must not outgrow its capacity.
    pub(super) fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Takes the vector back.
    pub(super) fn give_back(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::ByteBudget;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn page_that_just_fits_does_not_fail_for_the_room_ahead() {
        let mut reservation = ByteBudget::new(2 * MIB as u64).reserve(0).await;
        let mut body = PaidBytes::default();
        for _ in 0..16 {
            body.make_room(64 << 10, None, &mut reservation).await.unwrap();
            body.push(&vec![b' '; 64 << 10]);
        }
        assert_eq!(body.len(), MIB);
        assert!(body.make_room(1, None, &mut reservation).await.is_err());
        assert_eq!(body.finish().len(), MIB);
    }

    #[tokio::test]
    async fn content_length_is_not_paid_in_advance_beyond_the_growth() {
        let mut reservation = ByteBudget::new(64 * MIB as u64).reserve(0).await;
        let mut body = PaidBytes::default();
        body.make_room(1, Some(1 << 40), &mut reservation).await.unwrap();
        assert_eq!(body.lend().capacity(), GROWTH_BYTES_MAX);
        let mut body = PaidBytes::default();
        body.make_room(10, Some(1000), &mut reservation).await.unwrap();
        assert_eq!(body.lend().capacity(), 1000);
    }
}
