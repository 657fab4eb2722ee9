//! Strings that are timestamps, and the spelling by which each can be given back as it was.
//!
//! A column is a timestamp column only while one [`TimestampForms`] spells all of its values. Nothing
//! here rounds: more than nine digits, another offset or a leap second is text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, TimestampNanosecondArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use serde::{Deserialize, Serialize};

/// The time zone of timestamp columns, as Arrow spells it.
const UTC: &str = "UTC";
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS_FROM_MARCH_0: i64 = 719_468;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_MICRO: i64 = 1_000;
/// Digits of a fraction at most.
const DIGITS_MAX: usize = 9;
/// Digits that microseconds hold.
const DIGITS_OF_MICROS: usize = 6;

/// The spellings that all values so far share, and the units that hold all of them, as a set.
///
/// Per suffix (`Z`, `+00:00`): always n digits (n = 0..=9); n digits, or none where they are zero
/// (n = 1..=9); trailing zeros trimmed. Microseconds hold up to 6 digits, nanoseconds the years 1678 to 2261.
/// Sets shrink by intersection, which is commutative and associative; where no spelling or no unit is left, the
/// column is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TimestampForms(u64);

const ALWAYS: u32 = 0;
const OR_NONE: u32 = 9;
const TRIMMED: u32 = 19;
const FORM_COUNT: u32 = 20;
const SPELLINGS: u64 = (1 << (2 * FORM_COUNT)) - 1;
const MICROS: u64 = 1 << (2 * FORM_COUNT);
const NANOS: u64 = MICROS << 1;

impl TimestampForms {
    /// No spelling: not a timestamp.
    pub const NONE: Self = Self(0);

    /// Every spelling: what is known of a column of this unit before its first value.
    pub(super) const fn any(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Nanosecond => Self(SPELLINGS | NANOS),
            _ => Self(SPELLINGS | MICROS | NANOS),
        }
    }

    /// Whether there are timestamps, and a column of this unit holds all of them.
    pub const fn fit(self, unit: TimeUnit) -> bool {
        let flag = if matches!(unit, TimeUnit::Nanosecond) { NANOS } else { MICROS };
        !self.is_empty() && self.0 & flag != 0
    }

    /// Whether no spelling is shared, or no unit holds all values.
    pub const fn is_empty(self) -> bool {
        self.0 & SPELLINGS == 0 || self.0 & !SPELLINGS == 0
    }

    /// The unit of the column: nanoseconds once there are more than six digits.
    pub const fn unit(self) -> TimeUnit {
        if self.0 & MICROS != 0 { TimeUnit::Microsecond } else { TimeUnit::Nanosecond }
    }

    /// The Arrow type of the column.
    pub fn data_type(self) -> DataType {
        DataType::Timestamp(self.unit(), Some(UTC.into()))
    }

    /// The spellings in both sets.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The spellings that fit a fraction of these digits worth `nanos`.
    fn of_fraction(digits: &[u8], nanos: u32, is_offset: bool) -> u64 {
        let digit_count = digits.len() as u32;
        let mut forms = 1 << (ALWAYS + digit_count);
        if digit_count == 0 {
            forms |= ((1 << DIGITS_MAX) - 1) << (OR_NONE + 1);
            forms |= 1 << TRIMMED;
        } else if nanos != 0 {
            forms |= 1 << (OR_NONE + digit_count);
            if digits.last() != Some(&b'0') {
                forms |= 1 << TRIMMED;
            }
        }
        if is_offset { forms << FORM_COUNT } else { forms }
    }
}

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    /// Seconds since 1970.
    seconds: i64,
    /// Nanoseconds behind the second.
    nanos: u32,
}

impl Instant {
    /// The moment as a number of microseconds or nanoseconds since 1970, which the unit is known to hold.
    #[inline]
    pub fn in_unit(self, unit: TimeUnit) -> i64 {
        match unit {
            TimeUnit::Nanosecond => self.seconds * NANOS_PER_SECOND + i64::from(self.nanos),
            _ => {
                self.seconds * (NANOS_PER_SECOND / NANOS_PER_MICRO) + i64::from(self.nanos) / NANOS_PER_MICRO
            }
        }
    }

    fn of(value: i64, unit: TimeUnit) -> Self {
        let per_second = match unit {
            TimeUnit::Nanosecond => NANOS_PER_SECOND,
            _ => NANOS_PER_SECOND / NANOS_PER_MICRO,
        };
        let nanos = value.rem_euclid(per_second) * (NANOS_PER_SECOND / per_second);
        Self { seconds: value.div_euclid(per_second), nanos: nanos as u32 }
    }

    fn fits_nanos(self) -> bool {
        // The last second is not filled by any unit, so it is left out.
        self.seconds.unsigned_abs() < i64::MAX as u64 / NANOS_PER_SECOND as u64
    }
}

/// Reads an RFC 3339 timestamp: when it is, and the spellings and units that give `text` back.
///
/// `None` for anything that a timestamp column can't give back: no `T`, an offset other than `Z` or
/// `+00:00`, more than nine digits, a leap second, a day that no calendar has.
pub fn read_timestamp(text: &[u8]) -> Option<(Instant, TimestampForms)> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let separators = [head[4], head[7], head[10], head[13], head[16]];
    if separators != *b"--T::" {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        head[range]
            .iter()
            .try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Year 0 is none in the calendars of most readers.
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, is_offset) = match tail {
        [fraction @ .., b'Z'] => (fraction, false),
        [fraction @ .., b'+', b'0', b'0', b':', b'0', b'0'] => (fraction, true),
        _ => return None,
    };
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..]
            if (1..=DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) =>
        {
            digits
        }
        _ => return None,
    };
    let nanos = (0..DIGITS_MAX)
        .fold(0, |sum, place| sum * 10 + digits.get(place).map_or(0, |digit| u32::from(digit - b'0')));
    let days = days_from_epoch(year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let instant = Instant { seconds, nanos };
    let mut forms = TimestampForms::of_fraction(digits, nanos, is_offset);
    if digits.len() <= DIGITS_OF_MICROS {
        forms |= MICROS;
    }
    if instant.fits_nanos() {
        forms |= NANOS;
    }
    Some((instant, TimestampForms(forms))).filter(|(_, forms)| !forms.is_empty())
}

/// A timestamp column of these numbers.
pub(crate) fn timestamp_array(
    values: ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
    forms: TimestampForms,
) -> ArrayRef {
    match forms.unit() {
        TimeUnit::Nanosecond => {
            Arc::new(TimestampNanosecondArray::new(values, nulls).with_data_type(forms.data_type()))
        }
        _ => Arc::new(TimestampMicrosecondArray::new(values, nulls).with_data_type(forms.data_type())),
    }
}

/// The numbers of a timestamp column, in its unit.
pub(crate) fn timestamp_values(array: &dyn Array) -> &ScalarBuffer<i64> {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().values()
        }
        _ => array.as_primitive::<TimestampMicrosecondType>().values(),
    }
}

/// A timestamp column with the unit of a column with these forms, which holds all of its values.
pub(super) fn in_unit_of(array: &ArrayRef, to: TimestampForms) -> ArrayRef {
    match (array.data_type(), to.unit()) {
        (DataType::Timestamp(TimeUnit::Microsecond, _), TimeUnit::Nanosecond) => {
            // What stands in place of a null may be anything.
            let nanos = timestamp_values(array).iter().map(|micros| micros.wrapping_mul(NANOS_PER_MICRO));
            timestamp_array(nanos.collect::<Vec<_>>().into(), array.nulls().cloned(), to)
        }
        _ => Arc::clone(array),
    }
}

/// Gives timestamps of one column back as the text that they were read from.
#[derive(Debug, Clone, Copy)]
pub struct TimestampText {
    form: u32,
    unit: TimeUnit,
    suffix: &'static str,
}

impl TimestampText {
    /// The spelling of a column with these forms. All forms of the set spell all of its values alike.
    pub fn new(forms: TimestampForms) -> Self {
        let form = forms.0.trailing_zeros().min(2 * FORM_COUNT - 1);
        let suffix = if form < FORM_COUNT { "Z" } else { "+00:00" };
        Self { form: form % FORM_COUNT, unit: forms.unit(), suffix }
    }

    /// Appends the text of `value`, a number in the unit of the column since 1970.
    pub fn write(self, value: i64, out: &mut Vec<u8>) {
        use std::io::Write as _;

        let Instant { seconds, nanos } = Instant::of(value, self.unit);
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            .expect("writing to a Vec does not fail");
        let digits = format!("{nanos:09}");
        let digits = match self.form {
            TRIMMED => digits.trim_end_matches('0'),
            form if form > OR_NONE && nanos == 0 => "",
            form if form > OR_NONE => &digits[..(form - OR_NONE) as usize],
            form => &digits[..form as usize],
        };
        if !digits.is_empty() {
            out.push(b'.');
            out.extend_from_slice(digits.as_bytes());
        }
        out.extend_from_slice(self.suffix.as_bytes());
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - EPOCH_DAYS_FROM_MARCH_0
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant, `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS_FROM_MARCH_0;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(value: i64, forms: TimestampForms) -> String {
        let mut out = Vec::new();
        TimestampText::new(forms).write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_instants_have_their_known_microseconds() {
        let read = |text: &str| {
            read_timestamp(text.as_bytes()).map(|(instant, forms)| instant.in_unit(forms.unit()))
        };
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2000-02-29T12:34:56.789Z"), Some(951_827_696_789_000));
        assert_eq!(read("1969-12-31T23:59:59.999999+00:00"), Some(-1));
        assert_eq!(read("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        assert_eq!(read("9999-12-31T23:59:59Z"), Some(253_402_300_799_000_000));
        assert_eq!(read("2000-02-29T12:34:56.7890123Z"), Some(951_827_696_789_012_300));
        assert_eq!(read("1969-12-31T23:59:59.999999999+00:00"), Some(-1));
        assert_eq!(read("2262-04-11T23:47:15.999999999Z"), Some(9_223_372_035_999_999_999));
        assert_eq!(read("1677-09-21T00:12:45.000000000Z"), Some(-9_223_372_035_000_000_000));
    }

    #[test]
    fn what_can_not_be_given_back_is_no_timestamp() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01 00:00:00Z",
            "0000-12-31T00:00:00Z",
            "2026-01-01t00:00:00Z",
            "2026-01-01T00:00:00z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00-00:00",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01T00:00:60Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2262-04-11T23:47:17.000000000Z",
            "0001-01-01T00:00:00.0000000Z",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:0\u{661}Z",
        ] {
            assert_eq!(read_timestamp(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn columns_of_one_spelling_share_a_form_and_others_do_not() {
        let share = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| read_timestamp(text.as_bytes()).unwrap().1)
                .reduce(TimestampForms::both)
                .is_some_and(|forms| !forms.is_empty())
        };
        assert!(share(&["2026-01-01T00:00:00.120Z", "2026-01-01T00:00:00.000Z"]));
        assert!(share(&["2026-01-01T00:00:00.120000Z", "2026-01-01T00:00:00Z"]));
        assert!(share(&["2026-01-01T00:00:00.12Z", "2026-01-01T00:00:00.123Z", "2026-01-01T00:00:00Z"]));
        assert!(!share(&["2026-01-01T00:00:00.120Z", "2026-01-01T00:00:00.12Z"]));
        assert!(!share(&["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00Z"]));
        assert!(!share(&["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"]));
        assert!(share(&["2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.12Z"]));
        assert!(!share(&["2026-01-01T00:00:00.123456789Z", "9999-12-31T00:00:00.12Z"]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_column_with_a_shared_form_is_given_back_as_it_was(
            values in prop::collection::vec((-9_223_372_035_i64..9_223_372_036, 0_u32..1_000_000_000), 1..6),
            style in 0_u32..FORM_COUNT,
            offset in any::<bool>(),
        ) {
            let form = TimestampForms(1 << (style + if offset { FORM_COUNT } else { 0 }) | NANOS);
            let digit_count = match style { TRIMMED => 9, form if form > OR_NONE => form - OR_NONE, form => form };
            let step = 10_i64.pow(9 - digit_count);
            let texts: Vec<(i64, String)> = values
                .iter()
                .map(|(seconds, nanos)| seconds * NANOS_PER_SECOND + i64::from(*nanos) / step * step)
                .map(|nanos| (nanos, spelled(nanos, form)))
                .collect();
            let mut forms: Option<TimestampForms> = None;
            for (nanos, text) in &texts {
                let (read, of_value) = read_timestamp(text.as_bytes()).unwrap();
                prop_assert_eq!(read, Instant::of(*nanos, TimeUnit::Nanosecond));
                forms = Some(forms.map_or(of_value, |forms| forms.both(of_value)));
            }
            let forms = forms.unwrap();
            prop_assert!(!forms.is_empty());
            for (nanos, text) in &texts {
                let value = Instant::of(*nanos, TimeUnit::Nanosecond).in_unit(forms.unit());
                prop_assert_eq!(&spelled(value, forms), text);
            }
        }
    }
}
