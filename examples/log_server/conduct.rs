//! What a query asks of the server: how the page is sent, and what goes wrong on the way.

use std::time::Duration;

use crate::request::percent_decoded;

/// How long an answer may be held back; longer is a typing error.
const LATENCY_MS_MAX: u64 = 600_000;

/// The parameters of a query, validated. The table in `main.rs` says what each does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conduct {
    pub(crate) latency: Duration,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) is_chunked: bool,
    pub(crate) is_close_delimited: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) page_count: Option<u32>,
    pub(crate) at_once: Option<usize>,
    page: Option<u32>,
    times: Option<u64>,
    only_page: Option<u32>,
    pub(crate) fault: Fault,
}

/// What goes wrong; nothing by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fault {
    pub(crate) resets: bool,
    pub(crate) redirect: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<String>,
    pub(crate) cut: Option<usize>,
    pub(crate) stall: Option<usize>,
}

/// A Content-Encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
    Zstd,
}

impl Conduct {
    /// The parameters for every URL; here an unknown one is a typing error.
    pub(crate) fn of_command_line(query: &str) -> Result<Self, String> {
        let mut conduct = Self::default();
        for (key, value) in pairs(query) {
            if !conduct.set(key, value)? {
                return Err(format!("--faults: unknown parameter {key:?}"));
            }
        }
        Ok(conduct)
    }

    /// These parameters with those of a URL over them.
    pub(crate) fn with_query(&self, query: &str) -> Result<Self, String> {
        let mut conduct = self.clone();
        for (key, value) in pairs(query) {
            conduct.set(key, value)?;
        }
        Ok(conduct)
    }

    /// Which page of a chain is asked for, from 1.
    pub(crate) fn page(&self) -> u32 {
        self.page.unwrap_or(1)
    }

    /// What goes wrong at this attempt, counted from 1.
    pub(crate) fn fault_at(&self, attempt: u64) -> Fault {
        let is_due = self.times.is_none_or(|times| attempt <= times)
            && self.only_page.is_none_or(|page| page == self.page());
        if is_due { self.fault.clone() } else { Fault::default() }
    }

    /// Sets one parameter; returns whether there is one of that name.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let value = String::from_utf8(percent_decoded(value)).map_err(|_| format!("{key}: not UTF-8"))?;
        if value.chars().any(char::is_control) {
            return Err(format!("{key}: control characters can't stand in a header"));
        }
        let value = (!value.is_empty()).then_some(value.as_str());
        match key {
            "latency_ms" => {
                let latency_ms = number(key, value, 0..=LATENCY_MS_MAX)?.unwrap_or(0);
                self.latency = Duration::from_millis(latency_ms);
            }
            "encoding" => self.encoding = value.map(Encoding::from_name).transpose()?,
            "chunked" => self.is_chunked = switch(key, value)?,
            "close" => self.is_close_delimited = switch(key, value)?,
            "type" => self.content_type = value.map(str::to_owned),
            "pages" => self.page_count = number(key, value, 1..=u32::MAX)?,
            "at_once" => self.at_once = number(key, value, 1..=usize::MAX)?,
            "page" => self.page = number(key, value, 1..=u32::MAX)?,
            "times" => self.times = number(key, value, 0..=u64::MAX)?,
            "only_page" => self.only_page = number(key, value, 1..=u32::MAX)?,
            "reset" => self.fault.resets = switch(key, value)?,
            "redirect" => self.fault.redirect = value.map(str::to_owned),
            "status" => self.fault.status = number(key, value, 200..=599)?,
            "retry_after" => self.fault.retry_after = value.map(str::to_owned),
            "cut" => self.fault.cut = number(key, value, 0..=usize::MAX)?,
            "stall" => self.fault.stall = number(key, value, 0..=usize::MAX)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Encoding {
    fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => Err(format!("encoding: expected gzip, deflate or zstd, got {name:?}")),
        }
    }

    /// Its name in the Content-Encoding header.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }
}

/// The keys of a query and their values, still percent-encoded.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Debug>(
    key: &str,
    value: Option<&str>,
    allowed: std::ops::RangeInclusive<T>,
) -> Result<Option<T>, String> {
    let Some(value) = value else { return Ok(None) };
    match value.parse() {
        Ok(number) if allowed.contains(&number) => Ok(Some(number)),
        _ => Err(format!("{key}: expected a number in {allowed:?}, got {value:?}")),
    }
}

fn switch(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        Some("1") => Ok(true),
        None | Some("0") => Ok(false),
        Some(other) => Err(format!("{key}: expected 0 or 1, got {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_ends_after_its_times() {
        let conduct = Conduct::default().with_query("status=503&times=2&token=x").expect("a good query");
        let status_at = |attempt| conduct.fault_at(attempt).status;
        assert_eq!([status_at(1), status_at(2), status_at(3)], [Some(503), Some(503), None]);
    }

    #[test]
    fn a_query_wins_over_the_command_line_and_an_empty_value_takes_back() {
        let defaults = Conduct::of_command_line("status=500&cut=7").expect("good defaults");
        let conduct = defaults.with_query("status=429&cut=").expect("a good query");
        assert_eq!((conduct.fault.status, conduct.fault.cut), (Some(429), None));
    }

    #[test]
    fn a_fault_can_stand_on_one_page_of_a_chain() {
        let conduct = |query| Conduct::default().with_query(query).expect("a good query");
        assert_eq!(conduct("pages=3&status=500&only_page=2").fault_at(1).status, None);
        assert_eq!(conduct("pages=3&status=500&only_page=2&page=2").fault_at(1).status, Some(500));
    }

    #[test]
    fn senseless_values_are_refused() {
        for query in ["status=99", "cut=-1", "chunked=yes", "encoding=rot13", "redirect=/a%0d%0aX: y"] {
            assert!(Conduct::default().with_query(query).is_err(), "{query}");
        }
        assert!(Conduct::of_command_line("statsu=503").is_err());
    }
}
