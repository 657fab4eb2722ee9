//! A page's place in the line, which it has from when it is asked for, and may lose as long as it has no answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::budget::Reservation;
use crate::fetch::Waiting;

/// What the task of a page and the line have in common.
#[derive(Debug)]
pub(super) struct Ticket {
    state: Mutex<State>,
    /// How the page is getting on while it has no answer.
    pub(super) waiting: Arc<Waiting>,
    wants_in: Notify,
    is_let_in: Notify,
    /// Pages of the run that are inside.
    inside_count: Arc<AtomicUsize>,
    /// Leave to have files open, until the page is written.
    _open: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum State {
    /// In the line, without an answer.
    Outside(Reservation),
    /// In the line, with what its memory is paid from in the hands of its task.
    Inside,
    /// Not in the line: others go first.
    PutOff,
}

impl Ticket {
    pub(super) fn new(
        turn: u64,
        reservation: Reservation,
        open: Option<OwnedSemaphorePermit>,
        inside_count: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            _open: open,
            state: Mutex::new(State::Outside(reservation)),
            waiting: Arc::new(Waiting::new(turn)),
            wants_in: Notify::new(),
            is_let_in: Notify::new(),
            inside_count,
        }
    }

    /// Says that the page has an answer, or will have none: waits for its place in the line, if it has lost it.
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn enter(&self) -> Reservation {
        loop {
            if let Some(reservation) = self.go_inside() {
                return reservation;
            }
            self.wants_in.notify_one();
            self.is_let_in.notified().await;
        }
    }

    fn go_inside(&self) -> Option<Reservation> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Inside) {
            State::Outside(reservation) => {
                self.inside_count.fetch_add(1, Ordering::Relaxed);
                Some(reservation)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Says that the page has no answer any more: its attempt failed.
    pub(super) fn step_out(&self, reservation: Reservation) {
        self.leave(State::Outside(reservation));
    }

    /// Whether the page is in the line without an answer.
    pub(super) fn is_outside(&self) -> bool {
        matches!(*self.state(), State::Outside(_))
    }

    /// Takes the page out of the line and gives back what it reserved, if it has no answer. Returns whether it has none.
    pub(super) fn put_off(&self) -> bool {
        let mut state = self.state();
        let is_outside = matches!(*state, State::Outside(_));
        if is_outside {
            *state = State::PutOff;
        }
        is_outside
    }

    /// Waits until the page, which was put off, wants into the line again.
    pub(super) async fn wants_in(&self) {
        self.wants_in.notified().await;
    }

    /// Lets the page into the line again, at its end.
    pub(super) fn let_in(&self, reservation: Reservation) {
        *self.state() = State::Outside(reservation);
        self.is_let_in.notify_one();
    }

    fn leave(&self, state: State) {
        if let State::Inside = self.replace(state) {
            self.inside_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn replace(&self, state: State) -> State {
        std::mem::replace(&mut *self.state(), state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave(State::PutOff);
    }
}
