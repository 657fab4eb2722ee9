//! What a run that is stopped leaves to the next one.

use std::path::PathBuf;
use std::time::Duration;

/// What a run keeps of its work, and takes up of an earlier one's.
#[derive(Debug, Clone)]
pub struct StateConfig {
    /// The folder that what is done is kept in; beside the output, and gone after a complete run, when `None`.
    pub folder: Option<PathBuf>,
    /// Whether what an earlier run had done is thrown away.
    pub is_fresh: bool,
    /// Whether only the pages are asked for that failed in the last complete run of the folder.
    pub retries_failed: bool,
    /// How often what is done is made to last: a run that is killed loses as much.
    pub checkpoint: Duration,
    /// How old the work may be that is taken up: what was fetched yesterday must not mix with what is fetched today.
    pub resume_within: Duration,
    /// How long another run on the same output is waited for; not at all when `None`.
    pub lock_wait: Option<Duration>,
    /// When the run stops, wherever it is.
    pub deadline: Option<Duration>,
    /// Pages that are fetched before it stops.
    pub pages_max: Option<u64>,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            folder: None,
            is_fresh: false,
            retries_failed: false,
            checkpoint: Duration::from_secs(30),
            resume_within: Duration::from_secs(12 * 60 * 60),
            lock_wait: None,
            deadline: None,
            pages_max: None,
        }
    }
}
