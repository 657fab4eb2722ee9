//! One line of a URL list: text with `{1..2000}`, `{001..100}` and `{date:%Y-%m-%d}` in it.
//!
//! Pure. Any other brace is an error that names it: a `{id}` that was meant to be filled in by another
//! tool, sent as it stands, would ask two thousand times for the same missing page. A literal brace is
//! written `%7B` or `%7D`.

use std::ops::Range;

use crate::calendar::Day;

/// Most URLs from one line. A list that asks for more is a slip of the finger.
pub(super) const EXPANSION_COUNT_MAX: u64 = 10_000_000;
/// Digits of a bound in `{A..B}`; more can't be counted in 64 bits.
const BOUND_DIGITS_MAX: usize = 18;
/// How much of a wrong brace is repeated in the message.
const SHOWN_BRACE_CHARS_MAX: usize = 40;

/// A line that stands for one or more texts, in an order of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Count { first: u64, last: u64, width: usize },
}

impl Template {
    /// Reads a line; `{date:...}` becomes the text of `as_of` here.
    ///
    /// # Errors
    /// In words that complete `urls.txt:17: ...`.
    pub(super) fn parse(line: &str, as_of: Day) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = line;
        while let Some(open) = rest.find(['{', '}']) {
            push_text(&mut pieces, &rest[..open]);
            let brace = &rest[open..];
            let Some(close) = brace.find('}').filter(|close| *close > 0) else {
                return Err(no_expansion(brace));
            };
            let (expansion, behind) = brace.split_at(close + 1);
            match parse_expansion(&expansion[1..close], as_of) {
                Some(Piece::Text(text)) => push_text(&mut pieces, &text),
                Some(counted) => pieces.push(counted),
                None => return Err(no_expansion(expansion)),
            }
            rest = behind;
        }
        push_text(&mut pieces, rest);
        let count = pieces
            .iter()
            .try_fold(1_u64, |product, piece| product.checked_mul(piece.count()))
            .filter(|count| *count <= EXPANSION_COUNT_MAX)
            .ok_or_else(|| {
                format!("expected at most {EXPANSION_COUNT_MAX} URLs from one line, got more; split the line")
            })?;
        Ok(Self { pieces, count })
    }

    /// How many texts the line stands for; at least 1.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The text at `index`; the last expansion varies fastest.
    pub(super) fn text(&self, index: u64) -> String {
        let mut numbers = Vec::new();
        let mut left = index;
        for piece in self.pieces.iter().rev() {
            if let Piece::Count { first, last, width } = *piece {
                let steps = left % piece.count();
                left /= piece.count();
                let number = if first <= last { first + steps } else { first - steps };
                numbers.push(format!("{number:0width$}"));
            }
        }
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Count { .. } => text.push_str(&numbers.pop().expect("one number for each count")),
            }
        }
        text
    }

    /// The line itself with the dates in their places: what identifies it whenever it is read.
    pub(super) fn canonical(&self) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Count { first, last, width } => {
                    text.push_str(&format!("{{{first:0width$}..{last:0width$}}}"));
                }
            }
        }
        text
    }

    /// The indices whose texts must be looked at to know that all of them are URLs.
    ///
    /// Digits in a path or a query can't make a URL wrong; in a host or a port each may.
    pub(super) fn doubtful(&self) -> Range<u64> {
        let text_before_count = match self.pieces.first() {
            Some(Piece::Text(text)) => text.as_str(),
            _ => "",
        };
        let path_has_begun = match text_before_count.split_once("://") {
            Some((_, behind)) => behind.contains(['/', '?', '#']),
            None => !text_before_count.contains(':'),
        };
        if path_has_begun { 0..1 } else { 0..self.count }
    }
}

impl Piece {
    fn count(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Count { first, last, .. } => first.abs_diff(*last) + 1,
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => before.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

fn parse_expansion(inside: &str, as_of: Day) -> Option<Piece> {
    if let Some(pattern) = inside.strip_prefix("date:") {
        return as_of.format(pattern).filter(|text| !text.is_empty()).map(Piece::Text);
    }
    let (first, last) = inside.split_once("..")?;
    // As in bash: a leading zero on either side pads both to the longer one.
    let is_padded = [first, last].iter().any(|bound| bound.len() > 1 && bound.starts_with('0'));
    let width = if is_padded { first.len().max(last.len()) } else { 0 };
    Some(Piece::Count { first: parse_bound(first)?, last: parse_bound(last)?, width })
}

fn parse_bound(digits: &str) -> Option<u64> {
    let is_number = digits.len() <= BOUND_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

fn no_expansion(brace: &str) -> String {
    let mut shown: String = brace.chars().take(SHOWN_BRACE_CHARS_MAX).collect();
    if shown.len() < brace.len() {
        shown.push_str("...");
    }
    format!(
        "expected {{1..2000}}, {{001..100}} or {{date:%Y-%m-%d}}, got {shown}; \
         a brace that belongs to the URL is written %7B or %7D"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Template, String> {
        Template::parse(line, Day::parse("2026-01-31").unwrap())
    }

    fn texts(line: &str) -> Vec<String> {
        let template = parse(line).unwrap();
        (0..template.count()).map(|index| template.text(index)).collect()
    }

    #[test]
    fn line_without_braces_is_itself() {
        assert_eq!(texts("http://h/p?q=1"), ["http://h/p?q=1"]);
    }

    #[test]
    fn numbers_are_counted_and_padded_as_in_bash() {
        assert_eq!(texts("a{8..11}b"), ["a8b", "a9b", "a10b", "a11b"]);
        assert_eq!(texts("{08..10}"), ["08", "09", "10"]);
        assert_eq!(texts("{3..1}"), ["3", "2", "1"]);
        assert_eq!(texts("{0..1}"), ["0", "1"]);
        assert_eq!(texts("{1..002}"), ["001", "002"]);
    }

    #[test]
    fn product_varies_the_last_expansion_fastest() {
        assert_eq!(texts("{1..2}-{a}".replace("{a}", "{3..4}").as_str()), ["1-3", "1-4", "2-3", "2-4"]);
        assert_eq!(texts("{1..2}{1..2}"), ["11", "12", "21", "22"]);
    }

    #[test]
    fn date_is_that_of_the_run() {
        assert_eq!(texts("d={date:%Y-%m-%d}/{date:%j}/{1..2}"), ["d=2026-01-31/031/1", "d=2026-01-31/031/2"]);
        assert_eq!(parse("{date:%Y}/{01..02}").unwrap().canonical(), "2026/{01..02}");
    }

    #[test]
    fn brace_that_is_no_expansion_is_named() {
        for wrong in [
            "{id}",
            "{}",
            "{1..}",
            "{..2}",
            "{a..b}",
            "{-1..2}",
            "{1..2..3}",
            "{date:%H}",
            "{date:}",
            "{date:%}",
            "{",
            "}",
            "{1..2",
            "{+1..2}",
            "{1234567890123456789..2}",
        ] {
            let error = parse(&format!("http://h/{wrong}")).unwrap_err();
            assert!(error.contains(&format!("got {wrong};")), "{error}");
        }
    }

    #[test]
    fn more_urls_than_the_cap_are_refused() {
        assert_eq!(parse("{1..10000000}").unwrap().count(), EXPANSION_COUNT_MAX);
        for line in ["{0..10000000}", "{1..9999}{1..9999}", "{0..999999999999999999}{0..999999999999999999}"]
        {
            assert!(parse(line).unwrap_err().contains("at most 10000000 URLs"), "{line}");
        }
    }

    #[test]
    fn every_text_is_doubtful_only_before_the_path_begins() {
        assert_eq!(parse("http://h/{1..9}").unwrap().doubtful(), 0..1);
        assert_eq!(parse("http://h?{1..9}").unwrap().doubtful(), 0..1);
        assert_eq!(parse("logs/{1..9}.json").unwrap().doubtful(), 0..1);
        assert_eq!(parse("http://h{1..9}/").unwrap().doubtful(), 0..9);
        assert_eq!(parse("http:{1..9}/").unwrap().doubtful(), 0..9);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "[{}.:%a-z0-9]{0,30}") {
            if let Ok(template) = parse(&line) {
                template.text(template.count() - 1);
            }
        }

        #[test]
        fn every_pair_of_numbers_comes_once_and_in_order(
            first in 0_u64..30, last in 0_u64..30, low in 0_u64..20, more in 0_u64..9,
        ) {
            let up: Vec<u64> = if first <= last { (first..=last).collect() } else { (last..=first).rev().collect() };
            let expected: Vec<String> = up
                .iter()
                .flat_map(|a| (low..=low + more).map(move |b| format!("{a}x{b}")))
                .collect();
            let line = format!("{{{first}..{last}}}x{{{low}..{}}}", low + more);
            prop_assert_eq!(texts(&line), expected);
        }
    }
}
