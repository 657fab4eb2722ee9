//! Numbers: exact where 64 bits or a double hold them, refused where a double overflows.

use super::{Fault, FaultKind, Read, Reader};
use crate::schema::DOUBLE_INTEGER_MAX;

/// A number, as narrow as it can be without loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::transform) enum Number<'a> {
    /// An integer of 64 bits.
    Int(i64),
    /// A number with a fraction or an exponent, or `-0`.
    Double(f64),
    /// The digits of an integer beyond 64 bits.
    Huge(&'a str),
}

/// Powers of ten that doubles hold exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
/// Digits that a `u64` holds whatever they are.
const MANTISSA_DIGITS_MAX: usize = 19;

#[derive(Debug)]
pub(super) struct ScannedNumber {
    start: usize,
    is_negative: bool,
    is_integer: bool,
    /// The digits of integer and fraction; right while `digit_count` is at most [`MANTISSA_DIGITS_MAX`].
    mantissa: u64,
    digit_count: usize,
    /// Power of ten that the mantissa is multiplied with.
    exponent: i64,
}

impl<'a> Reader<'a> {
    /// Takes a number, whose first byte (`-` or a digit) is next.
    #[inline]
    pub(in crate::transform) fn number(&mut self) -> Read<Number<'a>> {
        let scanned = self.scan_number()?;
        if scanned.is_integer {
            return Ok(self.integer(&scanned));
        }
        if scanned.digit_count <= MANTISSA_DIGITS_MAX
            && let Some(value) = nearest_double(scanned.mantissa, scanned.exponent)
        {
            return Ok(Number::Double(if scanned.is_negative { -value } else { value }));
        }
        let value: f64 = self.token(&scanned).parse().expect("the token is a JSON number");
        if value.is_infinite() {
            return Err(Fault::new(
                FaultKind::Value,
                scanned.start,
                "expected a number that a double holds, got one beyond 1.8e308",
            ));
        }
        Ok(Number::Double(value))
    }

    fn token(&self, scanned: &ScannedNumber) -> &'a str {
        let token = &self.bytes[scanned.start..self.position];
        std::str::from_utf8(token).expect("a JSON number is ASCII")
    }

    fn integer(&self, scanned: &ScannedNumber) -> Number<'a> {
        if scanned.digit_count <= 18 {
            let value = scanned.mantissa as i64;
            return match (scanned.is_negative, value) {
                (true, 0) => Number::Double(-0.0),
                (true, value) => Number::Int(-value),
                (false, value) => Number::Int(value),
            };
        }
        let token = self.token(scanned);
        token.parse().map_or(Number::Huge(token), Number::Int)
    }

    // A call for each number of a page costs a hundredth of all instructions.
    #[inline(always)]
    pub(super) fn scan_number(&mut self) -> Read<ScannedNumber> {
        let start = self.position;
        let is_negative = self.take(b'-');
        let digits_start = self.position;
        let mut mantissa = 0_u64;
        self.take_digits(&mut mantissa);
        let integer_digit_count = self.position - digits_start;
        if integer_digit_count == 0 {
            return Err(self.expected("a digit"));
        }
        if integer_digit_count > 1 && self.bytes[digits_start] == b'0' {
            self.position = digits_start + 1;
            return Err(self.expected("no digit behind a leading zero"));
        }
        let mut exponent = 0_i64;
        let mut is_integer = true;
        let mut digit_count = integer_digit_count;
        if self.take(b'.') {
            is_integer = false;
            let fraction_start = self.position;
            self.take_digits(&mut mantissa);
            let fraction_digit_count = self.position - fraction_start;
            if fraction_digit_count == 0 {
                return Err(self.expected("a digit behind the decimal point"));
            }
            digit_count += fraction_digit_count;
            exponent -= fraction_digit_count as i64;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_integer = false;
            self.position += 1;
            exponent = exponent.saturating_add(self.take_exponent()?);
        }
        Ok(ScannedNumber { start, is_negative, is_integer, mantissa, digit_count, exponent })
    }

    /// Takes digits and appends them to `mantissa`, which wraps when there are more than it holds.
    #[inline]
    fn take_digits(&mut self, mantissa: &mut u64) {
        let rest = &self.bytes[self.position..];
        let mut taken = 0;
        while let Some(value) = rest[taken..].first_chunk::<8>().and_then(eight_digits) {
            *mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(value);
            taken += 8;
        }
        while let Some(digit) =
            rest.get(taken).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            taken += 1;
        }
        self.position += taken;
    }

    fn take_exponent(&mut self) -> Read<i64> {
        let is_negative = match self.peek() {
            Some(b'-') => {
                self.position += 1;
                true
            }
            Some(b'+') => {
                self.position += 1;
                false
            }
            _ => false,
        };
        let start = self.position;
        let mut exponent = 0_i64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            exponent = exponent.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
            self.position += 1;
        }
        if self.position == start {
            return Err(self.expected("a digit in the exponent"));
        }
        Ok(if is_negative { -exponent } else { exponent })
    }
}

/// The double nearest to `mantissa` times ten to the `exponent`, where that is quick to prove: most
/// numbers of logs. `None` is no judgement; the caller takes the long way.
#[inline]
fn nearest_double(mantissa: u64, exponent: i64) -> Option<f64> {
    let power = usize::try_from(exponent.unsigned_abs()).ok()?;
    if mantissa <= DOUBLE_INTEGER_MAX {
        // Both are exact, so one rounding is all there is (Clinger, "How to read floating point numbers
        // accurately", 1990).
        let power = EXACT_POWERS.get(power)?;
        let mantissa = mantissa as f64;
        return Some(if exponent < 0 { mantissa / power } else { mantissa * power });
    }
    if exponent >= 0 {
        return None;
    }
    let Reciprocal { significand, shift } = *RECIPROCALS.get(power)?;
    // The reciprocal is cut, not rounded, so the true product lies between `low` and `high`, neither
    // included (the idea of Eisel and Lemire, "Number parsing at a gigabyte per second", 2021).
    let zeros = mantissa.leading_zeros();
    let normalized = mantissa << zeros;
    let low = u128::from(normalized) * u128::from(significand);
    let high = low + u128::from(normalized);
    let is_wide = low >> 127 == 1;
    let dropped = if is_wide { 128 - 53 } else { 127 - 53 };
    let half = 1_u128 << (dropped - 1);
    let rounded = (low.checked_add(half)? >> dropped) as u64;
    // Just below `high`, a half rounds down.
    let rounded_high = (high.checked_add(half - 1)? >> dropped) as u64;
    if rounded != rounded_high {
        return None;
    }
    // mantissa / 10^power = product * 2^-(zeros + shift + power), and the product was cut by `dropped`.
    let binary_exponent = dropped - i64::from(zeros) - shift - power as i64;
    let scale = f64::from_bits(((1023 + binary_exponent) as u64) << 52);
    // 53 bits times a power of two far from the ends of the range: exact.
    Some(rounded as f64 * scale)
}

/// 5^-n as `significand * 2^-shift`, the significand cut to 64 bits.
#[derive(Clone, Copy)]
struct Reciprocal {
    significand: u64,
    shift: i64,
}

/// Reciprocals of 5^0 to 5^27, the powers of five that 64 bits hold. The first is never used.
const RECIPROCALS: [Reciprocal; 28] = {
    let mut table = [Reciprocal { significand: 0, shift: 0 }; 28];
    let mut power = 1_u64;
    let mut n = 1;
    while n < table.len() {
        power *= 5;
        let shift = 63 + (64 - power.leading_zeros());
        table[n] =
            Reciprocal { significand: ((1_u128 << shift) / power as u128) as u64, shift: shift as i64 };
        n += 1;
    }
    table
};

/// The value of eight ASCII digits, or `None` if one of them is none: all eight at once in one word
/// (Lemire, "Quickly parsing eight digits", 2018).
#[inline]
fn eight_digits(bytes: &[u8; 8]) -> Option<u64> {
    const HIGH_NIBBLES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let word = u64::from_le_bytes(*bytes);
    // A digit is 0x30..=0x39: its high nibble is 3, and still is when 6 is added.
    let sixes = word.wrapping_add(0x0606_0606_0606_0606);
    if word & HIGH_NIBBLES != ZEROS || sixes & HIGH_NIBBLES != ZEROS {
        return None;
    }
    let digits = word - ZEROS;
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn quick_doubles_are_the_nearest_ones(mantissa in any::<u64>(), bits in 0_u32..64, exponent in -30_i64..25) {
            let mantissa = mantissa >> bits;
            if let Some(value) = nearest_double(mantissa, exponent) {
                let exact: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
                prop_assert_eq!(value.to_bits(), exact.to_bits());
            }
        }
    }

    #[test]
    fn halves_between_doubles_are_left_to_the_long_way_or_right() {
        // Products around the middle of two doubles, where one unit decides.
        for n in 1..28_i64 {
            for step in 0..2000_u64 {
                let mantissa = (1 << 63) + (step << 10) + (1 << 10) - 1 + step % 3;
                if let Some(value) = nearest_double(mantissa, -n) {
                    let exact: f64 = format!("{mantissa}e-{n}").parse().unwrap();
                    assert_eq!(value.to_bits(), exact.to_bits(), "{mantissa}e-{n}");
                }
            }
        }
    }

    #[test]
    fn usual_numbers_take_the_quick_way() {
        let quick = (0..10_000_u64)
            .filter(|step| nearest_double(58_278_800_590_335_514 + step * 7_919_000_003, -15).is_some())
            .count();
        assert!(quick > 9_900, "{quick} of 10,000");
    }
}
