//! Passes a value that is too large to be kept: finds its end, hashes it, keeps none of it.
//!
//! It is a record, which is rejected whatever it holds, or one that no record is taken from. So only what tells
//! its end is checked: strings, brackets and what stands between values.

use super::layout::trim_blank_end;
use super::reader::{Fault, FaultKind, Read};
use crate::digest::RunningDigest;

/// Deepest nesting that is followed: a stack of one byte a level stays small beside the record.
const DEPTH_MAX: usize = 1 << 22;

/// How the end of a value is told.
#[derive(Debug)]
pub(super) enum ValueEnd {
    /// By a newline.
    Newline,
    /// By its last bracket, brace, quote or digit.
    Structure(Structure),
}

impl ValueEnd {
    /// The end of a value that stands in a larger text.
    pub(super) fn value() -> Self {
        Self::Structure(Structure { open: Vec::new(), expected: Expected::Value })
    }
}

/// A value of which bytes have come and gone.
#[derive(Debug)]
pub(super) struct OversizeValue {
    end: ValueEnd,
    size: u64,
    digest: RunningDigest,
    /// Size and digest up to the last byte that is not blank: what stands behind is none of the line's record.
    trimmed: (u64, RunningDigest),
}

impl OversizeValue {
    pub(super) fn new(end: ValueEnd) -> Self {
        Self { end, size: 0, digest: RunningDigest::default(), trimmed: Default::default() }
    }

    /// Takes the next bytes of the page. Returns how many of them belong to the value, and whether it ends
    /// behind them.
    ///
    /// # Errors
    /// The text is no JSON. The position is counted from the beginning of the value.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Read<(usize, bool)> {
        let (length, is_end) = match &mut self.end {
            ValueEnd::Newline => match memchr::memchr(b'\n', bytes) {
                Some(length) => (length, true),
                None => (bytes.len(), false),
            },
            ValueEnd::Structure(structure) => {
                structure.find(bytes).map_err(|(at, expected)| self.syntax_fault(bytes, at, expected))?
            }
        };
        let taken = &bytes[..length];
        let inked = trim_blank_end(taken).len();
        self.digest.update(&taken[..inked]);
        if inked > 0 {
            self.trimmed = (self.size + inked as u64, self.digest.clone());
        }
        self.digest.update(&taken[inked..]);
        self.size += length as u64;
        Ok((length, is_end))
    }

    /// Its size and SHA-256, without blank bytes at its end.
    pub(super) fn finish(self) -> (u64, String) {
        let (size, digest) = self.trimmed;
        (size, digest.finish_hex())
    }

    /// The fault of a page that ends in this value.
    pub(super) fn unexpected_end(&self) -> Box<Fault> {
        let reason = "expected the rest of a value, got the end of the page";
        Fault::new(FaultKind::UnexpectedEnd, self.size as usize, reason)
    }

    fn syntax_fault(&self, bytes: &[u8], at: usize, expected: &str) -> Box<Fault> {
        let reason = format!("expected {expected}, got byte 0x{:02x}", bytes[at]);
        Fault::new(FaultKind::Syntax, self.size as usize + at, reason)
    }
}

/// Finds the end of a JSON value in bytes that come in pieces.
#[derive(Debug)]
pub(super) struct Structure {
    /// One entry per open object or array: whether it is an object.
    open: Vec<bool>,
    expected: Expected,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Value,
    FirstElement,
    FirstKey,
    Key,
    Colon,
    /// A comma or the end of the innermost object or array.
    Separator,
    /// More of a string that may be a key; after a backslash any byte.
    String {
        is_key: bool,
        is_escaped: bool,
    },
    /// More of a number or literal.
    Scalar,
}

type Stop = (usize, &'static str);

impl Structure {
    /// How many bytes belong to the value, and whether it ends behind them.
    fn find(&mut self, bytes: &[u8]) -> Result<(usize, bool), Stop> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            at += 1;
            let is_space = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
            let is_value_over = match self.expected {
                Expected::String { is_key, is_escaped: true } => {
                    self.expected = Expected::String { is_key, is_escaped: false };
                    false
                }
                Expected::String { is_key, is_escaped: false } => match byte {
                    b'\\' => {
                        self.expected = Expected::String { is_key, is_escaped: true };
                        false
                    }
                    b'"' if is_key => {
                        self.expected = Expected::Colon;
                        false
                    }
                    b'"' => true,
                    _ => {
                        // Most bytes of a large record are in strings.
                        let rest = &bytes[at..];
                        at += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                        false
                    }
                },
                Expected::Scalar if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.') => {
                    false
                }
                Expected::Scalar => {
                    at -= 1;
                    true
                }
                _ if is_space => false,
                Expected::FirstElement if byte == b']' => {
                    self.open.pop();
                    true
                }
                Expected::Value | Expected::FirstElement => {
                    self.begin_value(byte, at)?;
                    false
                }
                Expected::FirstKey if byte == b'}' => {
                    self.open.pop();
                    true
                }
                Expected::FirstKey | Expected::Key if byte == b'"' => {
                    self.expected = Expected::String { is_key: true, is_escaped: false };
                    false
                }
                Expected::FirstKey | Expected::Key => return Err((at - 1, "a key in quotes")),
                Expected::Colon if byte == b':' => {
                    self.expected = Expected::Value;
                    false
                }
                Expected::Colon => return Err((at - 1, "`:`")),
                Expected::Separator => self.separate(byte, at)?,
            };
            if is_value_over {
                if self.open.is_empty() {
                    return Ok((at, true));
                }
                self.expected = Expected::Separator;
            }
        }
        Ok((at, false))
    }

    fn begin_value(&mut self, byte: u8, at: usize) -> Result<(), Stop> {
        self.expected = match byte {
            b'"' => Expected::String { is_key: false, is_escaped: false },
            b'{' | b'[' if self.open.len() == DEPTH_MAX => return Err((at - 1, "fewer levels of nesting")),
            b'{' => {
                self.open.push(true);
                Expected::FirstKey
            }
            b'[' => {
                self.open.push(false);
                Expected::FirstElement
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Expected::Scalar,
            _ => return Err((at - 1, "a value")),
        };
        Ok(())
    }

    /// Takes what stands behind a value. Returns whether it ends the object or array around it.
    fn separate(&mut self, byte: u8, at: usize) -> Result<bool, Stop> {
        let is_object = self.open.last().copied().unwrap_or_default();
        match (byte, is_object) {
            (b',', true) => self.expected = Expected::Key,
            (b',', false) => self.expected = Expected::Value,
            (b'}', true) | (b']', false) => {
                self.open.pop();
                return Ok(true);
            }
            (_, true) => return Err((at - 1, "`,` or `}`")),
            (_, false) => return Err((at - 1, "`,` or `]`")),
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(text: &[u8], piece_bytes: usize) -> Option<usize> {
        let mut value = OversizeValue::new(ValueEnd::value());
        let mut total = 0;
        for piece in text.chunks(piece_bytes) {
            let (length, is_end) = value.take(piece).ok()?;
            total += length;
            if is_end {
                return Some(total);
            }
        }
        None
    }

    #[test]
    fn end_of_a_value_is_found_however_its_bytes_are_cut() {
        let values = [
            r#"{"a":[1,{"b":"}]\"\\"},[]],"c":{} , "d" : -1.5e+3}"#,
            r#"[[],{},"\\",null,true]"#,
            r#""x\"y""#,
            "12.5",
            "false",
        ];
        for value in values {
            for piece_bytes in 1..value.len() + 2 {
                let text = format!("{value},{{\"next\":1}}");
                assert_eq!(end_of(text.as_bytes(), piece_bytes), Some(value.len()), "{value} {piece_bytes}");
            }
        }
    }

    #[test]
    fn only_white_space_of_json_behind_a_line_is_none_of_it() {
        for (line, size) in [("{} \t\r", 2), ("{}\u{c}", 3), ("{}\u{c} ", 3)] {
            for piece_bytes in 1..=line.len() {
                let mut value = OversizeValue::new(ValueEnd::Newline);
                for piece in line.as_bytes().chunks(piece_bytes) {
                    value.take(piece).unwrap();
                }
                let expected = crate::digest::sha256_hex(&line.as_bytes()[..size]);
                assert_eq!(value.finish(), (size as u64, expected), "{line:?} {piece_bytes}");
            }
        }
    }

    #[test]
    fn broken_structure_is_refused() {
        for text in ["{]", "[}", "{1:2}", "{\"a\" 1}", "[1 2]", "{\"a\":1,}", "[,]", "}"] {
            assert_eq!(end_of(text.as_bytes(), 1), None, "{text}");
        }
        assert_eq!(end_of("[".repeat(DEPTH_MAX + 1).as_bytes(), 1 << 20), None);
    }
}
