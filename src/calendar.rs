//! Days and instants: `--as-of`, `{date:...}`, HTTP dates, `started_at`. The only chrono import.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

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

    /// Writes the day as the strftime `pattern` says: `%Y/%m/%d` gives `2026/01/31`.
    ///
    /// `None` when the pattern is unknown or asks for what a day does not have, such as an hour.
    pub fn format(&self, pattern: &str) -> Option<String> {
        let items: Vec<Item<'_>> = StrftimeItems::new(pattern).collect();
        if items.contains(&Item::Error) {
            return None;
        }
        let mut text = String::new();
        // chrono reports an hour asked of a day only while it writes, and `to_string` would panic.
        write!(text, "{}", self.0.format_with_items(items.iter())).ok()?;
        Some(text)
    }
}

/// Reads an HTTP date in any of the three forms of RFC 9110, section 5.6.7.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// let date = etl::calendar::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT");
/// assert_eq!(date, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)));
/// ```
pub fn parse_http_date(text: &str) -> Option<SystemTime> {
    const IMF_FIXDATE: &str = "%a, %d %b %Y %H:%M:%S GMT";
    const RFC_850: &str = "%A, %d-%b-%y %H:%M:%S GMT";
    const ASCTIME: &str = "%a %b %e %H:%M:%S %Y";
    [IMF_FIXDATE, RFC_850, ASCTIME]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text.trim(), form).ok())
        .map(|instant| SystemTime::from(instant.and_utc()))
}

/// Now, as RFC 3339 in UTC with milliseconds: `2026-01-31T23:59:59.000Z`.
pub fn now_rfc3339() -> String {
    DateTime::<Utc>::from(std::time::SystemTime::now()).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds that an instant may lie ahead and count as now: clocks are corrected by some, and two machines differ by as much.
const CLOCK_STEP_SECONDS_MAX: i64 = 300;

/// Time from an RFC 3339 instant until now; `None` if it can't be read, or lies so far ahead that the clock was set back
/// since.
pub fn time_since(instant: &str) -> Option<Duration> {
    let instant = DateTime::parse_from_rfc3339(instant).ok()?;
    age_at(Utc::now(), instant.into())
}

fn age_at(now: DateTime<Utc>, instant: DateTime<Utc>) -> Option<Duration> {
    let age = now.signed_duration_since(instant);
    let is_ahead = age < -chrono::TimeDelta::seconds(CLOCK_STEP_SECONDS_MAX);
    (!is_ahead).then(|| age.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instant_that_lies_ahead_has_no_age() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        let age = |instant: &str| age_at(at("2026-03-02T12:00:00Z"), at(instant));
        assert_eq!(age("2026-03-02T11:59:00Z"), Some(Duration::from_secs(60)));
        assert_eq!(age("2026-03-02T12:00:00Z"), Some(Duration::ZERO));
        assert_eq!(age("2026-03-02T12:04:59Z"), Some(Duration::ZERO));
        assert_eq!(age("2026-03-02T12:05:01Z"), None);
        assert_eq!(age("2026-03-03T12:00:00Z"), None);
    }

    #[test]
    fn day_is_written_as_the_pattern_says() {
        let day = Day::parse("2026-01-31").unwrap();
        assert_eq!(day.format("%Y-%m-%d").as_deref(), Some("2026-01-31"));
        assert_eq!(day.format("%Y/%j/x").as_deref(), Some("2026/031/x"));
    }

    #[test]
    fn pattern_that_a_day_can_not_fill_is_none_and_not_a_panic() {
        let day = Day::parse("2026-01-31").unwrap();
        for pattern in ["%H", "%Y-%", "%Q", "%s", "%+", "%Z"] {
            assert_eq!(day.format(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn all_three_forms_of_an_http_date_are_read() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(parse_http_date(text), Some(expected), "{text}");
        }
        for text in ["", "120", "Sun, 06 Nov 1994", "Mon, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in ".{0,12}") {
            Day::today().format(&pattern);
            Day::today().format(&format!("%{pattern}"));
        }

        #[test]
        fn no_http_date_panics(text in ".{0,40}") {
            parse_http_date(&text);
        }
    }
}
