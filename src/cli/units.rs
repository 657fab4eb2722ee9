//! Sizes, times, counts and shares, as they are typed.

use std::ops::RangeInclusive;
use std::time::Duration;

use etl::config::{Limit, Rate};

/// More requests in a second than that are no limit, and fewer than one a day no pace.
const RATE_INTERVAL: RangeInclusive<f64> = 1e-6..=86_400.0;

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 500ms, 10s, 5m or 1h".to_owned();
    let (number, unit) = split_unit(text);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or_else(wrong)
}

pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as 64MiB, 8GiB or 500MB".to_owned();
    let (number, unit) = split_unit(text);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = number * factor as f64;
    if bytes >= 1.0 && bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// A size as it could be typed.
pub(super) fn show_bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(factor, _)| bytes >= *factor && bytes.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes} bytes"),
    }
}

/// A number and the unit behind it.
fn split_unit(text: &str) -> (&str, &str) {
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

pub(super) fn parse_count(text: &str, most: usize) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("expected a number from 1 to {most}"))
}

pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong =
        || "expected a number of requests in a second, a minute or an hour, such as 100/s, 600/m or 1000/h";
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong().to_owned()),
    };
    let interval = seconds / number;
    if !RATE_INTERVAL.contains(&interval) {
        return Err("expected a rate from one request a day to a million a second".to_owned());
    }
    Ok(Rate { interval: Duration::from_secs_f64(interval) })
}

pub(super) fn parse_limit(text: &str) -> Result<Limit, String> {
    let wrong = || "expected a count such as 10, or a share such as 0.5%".to_owned();
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.trim().parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
            percent.map(Limit::Percent).ok_or_else(wrong)
        }
        None => text.parse().map(Limit::Count).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_with_their_units() {
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("1.5g"), Ok(3 << 29));
        assert_eq!(parse_bytes("500MB"), Ok(500_000_000));
        assert!(parse_bytes("0").is_err());
        assert!(parse_bytes("-1").is_err());
        assert!(parse_bytes("many").is_err());
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert!(parse_duration("0").is_err());
        assert!(parse_duration("5 years").is_err());
    }

    #[test]
    fn rates_are_read_as_the_time_from_one_request_to_the_next() {
        for (text, millis) in [("100/s", 10), ("600/m", 100), ("0.5/s", 2000), ("360 / h", 10_000)] {
            assert_eq!(parse_rate(text), Ok(Rate { interval: Duration::from_millis(millis) }), "{text}");
        }
        for wrong in ["100", "/s", "0/s", "-1/s", "nan/s", "10/day", "1e9/s", "0.01/h"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
