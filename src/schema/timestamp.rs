//! Strings that are timestamps, and the spelling by which each can be given back as it was.
//!
//! A column is a timestamp column only while one [`TimestampForms`] spells all of its values. Nothing
//! here rounds: more than six digits, another offset or a leap second is text.

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS_FROM_MARCH_0: i64 = 719_468;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// The spellings that all values so far share, as a set.
///
/// Per suffix (`Z`, `+00:00`): always n digits (n = 0..=6); n digits, or none where they are zero
/// (n = 1..=6); trailing zeros trimmed. Sets shrink by intersection, which is commutative and
/// associative; the empty set means text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimestampForms(u32);

const ALWAYS: u32 = 0;
const OR_NONE: u32 = 6;
const TRIMMED: u32 = 13;
const FORM_COUNT: u32 = 14;

impl TimestampForms {
    /// No spelling: not a timestamp.
    pub const NONE: Self = Self(0);

    /// Whether no spelling is shared.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The spellings in both sets.
    #[must_use]
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The spellings that fit a fraction of `digit_count` digits worth `micros`.
    fn of_fraction(digit_count: u32, micros: i64, last_digit_is_zero: bool, is_offset: bool) -> Self {
        let mut forms = 1 << (ALWAYS + digit_count);
        if digit_count == 0 {
            forms |= ((1 << 6) - 1) << (OR_NONE + 1);
            forms |= 1 << TRIMMED;
        } else if micros != 0 {
            forms |= 1 << (OR_NONE + digit_count);
            if !last_digit_is_zero {
                forms |= 1 << TRIMMED;
            }
        }
        Self(if is_offset { forms << FORM_COUNT } else { forms })
    }
}

/// Reads an RFC 3339 timestamp: microseconds since 1970 in UTC, and the spellings that give `text` back.
///
/// `None` for anything that a timestamp column can't give back: no `T`, an offset other than `Z` or
/// `+00:00`, more than six digits, a leap second, a day that no calendar has.
pub fn read_timestamp(text: &[u8]) -> Option<(i64, TimestampForms)> {
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
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            digits
        }
        _ => return None,
    };
    let micros =
        (0..6).fold(0, |sum, place| sum * 10 + i64::from(digits.get(place).map_or(0, |digit| digit - b'0')));
    let days = days_from_epoch(year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let forms =
        TimestampForms::of_fraction(digits.len() as u32, micros, digits.last() == Some(&b'0'), is_offset);
    Some((seconds * MICROS_PER_SECOND + micros, forms))
}

/// Gives timestamps of one column back as the text that they were read from.
#[derive(Debug, Clone, Copy)]
pub struct TimestampText {
    form: u32,
    suffix: &'static str,
}

impl TimestampText {
    /// The spelling of a column with these forms. All forms of the set spell all of its values alike.
    pub fn new(forms: TimestampForms) -> Self {
        let form = forms.0.trailing_zeros().min(2 * FORM_COUNT - 1);
        let suffix = if form < FORM_COUNT { "Z" } else { "+00:00" };
        Self { form: form % FORM_COUNT, suffix }
    }

    /// Appends the text of `micros` since 1970.
    pub fn write(self, micros: i64, out: &mut Vec<u8>) {
        use std::io::Write as _;

        let seconds = micros.div_euclid(MICROS_PER_SECOND);
        let fraction = micros.rem_euclid(MICROS_PER_SECOND);
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            .expect("writing to a Vec does not fail");
        let digits = format!("{fraction:06}");
        let digits = match self.form {
            TRIMMED => digits.trim_end_matches('0'),
            form if form > OR_NONE && fraction == 0 => "",
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

    fn spelled(micros: i64, forms: TimestampForms) -> String {
        let mut out = Vec::new();
        TimestampText::new(forms).write(micros, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_instants_have_their_known_microseconds() {
        let read = |text: &str| read_timestamp(text.as_bytes()).map(|(micros, _)| micros);
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2000-02-29T12:34:56.789Z"), Some(951_827_696_789_000));
        assert_eq!(read("1969-12-31T23:59:59.999999+00:00"), Some(-1));
        assert_eq!(read("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        assert_eq!(read("9999-12-31T23:59:59Z"), Some(253_402_300_799_000_000));
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
            "2026-01-01T00:00:00.1234567Z",
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
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_column_with_a_shared_form_is_given_back_as_it_was(
            values in prop::collection::vec((-62_135_596_800_i64..253_402_300_800, 0_u32..1_000_000), 1..6),
            style in 0_u32..FORM_COUNT,
            offset in any::<bool>(),
        ) {
            let form = TimestampForms(1 << (style + if offset { FORM_COUNT } else { 0 }));
            let digit_count = match style { TRIMMED => 6, form if form > OR_NONE => form - OR_NONE, form => form };
            let step = 10_i64.pow(6 - digit_count);
            let texts: Vec<(i64, String)> = values
                .iter()
                .map(|(seconds, micros)| seconds * MICROS_PER_SECOND + i64::from(*micros) / step * step)
                .map(|micros| (micros, spelled(micros, form)))
                .collect();
            let mut forms: Option<TimestampForms> = None;
            for (micros, text) in &texts {
                let (read, of_value) = read_timestamp(text.as_bytes()).unwrap();
                prop_assert_eq!(read, *micros);
                forms = Some(forms.map_or(of_value, |forms| forms.both(of_value)));
            }
            let forms = forms.unwrap();
            prop_assert!(!forms.is_empty());
            for (micros, text) in &texts {
                prop_assert_eq!(&spelled(*micros, forms), text);
            }
        }
    }
}
