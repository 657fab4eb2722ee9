//! Days and instants: `--as-of`, `{date:...}`, HTTP dates, `started_at`. The only chrono import.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

/// A calendar day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(NaiveDate);

impl Day {
    /// Today in UTC.
    pub fn today() -> Self {
        Self(Utc::now().date_naive())
    }

    /// Reads `2026-01-31`.
    pub fn parse(text: &str) -> Option<Self> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(Self)
    }
}

/// Now, as RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.000Z`.
pub fn now_rfc3339() -> String {
    DateTime::<Utc>::from(std::time::SystemTime::now()).to_rfc3339_opts(SecondsFormat::Millis, true)
}
