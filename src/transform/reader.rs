//! Reads JSON tokens from bytes (RFC 8259), strictly, and says where and why it stops.
//!
//! Pure and without allocation but for strings with escapes. Nothing here knows what a record is; the
//! caller decides which faults lose the end of a record (syntax) and which are only wrong inside.

mod number;

use std::borrow::Cow;

use crate::pointer;

pub(super) use number::Number;

/// Deepest nesting that a record may have; an object or array at this depth is refused.
const DEPTH_MAX: u32 = 128;

/// Reads tokens one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// What is wrong with the bytes at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// Where, counted from the start of the bytes that are read.
    pub(super) position: usize,
    /// JSON Pointer from the record to the value that is wrong.
    pub(super) pointer: String,
    pub(super) reason: String,
}

/// What a fault means for the bytes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The text is no JSON here; where the value ends can't be told.
    Syntax,
    /// The text ended inside a value.
    UnexpectedEnd,
    /// The value is JSON, but not one that a record may hold.
    Value,
    /// The record is right, but with it the columns are more than an output may have.
    ColumnsLimit,
    /// The record is right, but would make the columns of its batch too large.
    BatchFull,
    /// The record is right, but takes more memory than there is room for.
    TooLarge,
    /// The record is right, but does not fit the schema that it is held to.
    Misfit,
    /// As [`Self::Misfit`], and the schema is frozen: the run fails.
    SchemaBroken,
}

impl Fault {
    #[cold]
    pub(super) fn new(kind: FaultKind, position: usize, reason: impl Into<String>) -> Box<Self> {
        Box::new(Self { kind, position, pointer: String::new(), reason: reason.into() })
    }

    /// Puts the key or index that leads to the fault before its pointer.
    #[cold]
    pub(super) fn below(mut self: Box<Self>, token: &str) -> Box<Self> {
        self.pointer.insert_str(0, &pointer::show([token]));
        self
    }
}

pub(super) type Read<T> = Result<T, Box<Fault>>;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// How many bytes are left.
    pub(super) fn rest_bytes(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// The next byte without taking it.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    #[inline]
    pub(super) fn bump(&mut self) {
        self.position += 1;
    }

    #[inline]
    pub(super) fn skip_whitespace(&mut self) {
        // Compact JSON has none: one look decides.
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.position += 1;
        }
    }

    /// The next byte behind white space, without taking it.
    #[inline]
    pub(super) fn peek_token(&mut self) -> Option<u8> {
        self.skip_whitespace();
        self.peek()
    }

    /// Takes the opening bracket or brace that is next, and `close` too if nothing stands between.
    /// Returns whether there is a first element.
    #[inline]
    pub(super) fn enter(&mut self, close: u8) -> bool {
        self.bump();
        let is_empty = self.peek_token() == Some(close);
        self.position += usize::from(is_empty);
        !is_empty
    }

    /// Takes what stands behind an element. Returns whether another one follows.
    ///
    /// # Errors
    /// It is neither a comma nor `close`.
    #[inline]
    pub(super) fn goes_on(&mut self, close: u8) -> Read<bool> {
        match self.peek_token() {
            Some(b',') => {
                self.bump();
                self.skip_whitespace();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.bump();
                Ok(false)
            }
            _ => Err(self.expected(if close == b']' { "`,` or `]`" } else { "`,` or `}`" })),
        }
    }

    /// # Errors
    /// Something else than white space is left.
    pub(super) fn expect_end(&mut self) -> Read<()> {
        match self.peek_token() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the record")),
        }
    }

    /// The bytes from a position up to where the reader stands.
    pub(super) fn taken_since(&self, position: usize) -> &'a [u8] {
        &self.bytes[position..self.position]
    }

    /// Takes `byte` if it is next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.position += usize::from(is_next);
        is_next
    }

    /// Takes `text` if the bytes go on with it.
    #[inline]
    pub(super) fn take_bytes(&mut self, text: &[u8]) -> bool {
        let is_next = self.bytes[self.position..].starts_with(text);
        if is_next {
            self.position += text.len();
        }
        is_next
    }

    /// Takes `"KEY"` whole, for a key that holds nothing that JSON would escape.
    #[inline]
    pub(super) fn take_plain_key(&mut self, key: &[u8]) -> bool {
        let rest = &self.bytes[self.position..];
        let is_next = rest.len() > key.len() + 1
            && rest[0] == b'"'
            && rest[key.len() + 1] == b'"'
            && are_same(&rest[1..=key.len()], key);
        if is_next {
            self.position += key.len() + 2;
        }
        is_next
    }

    /// Refuses an object or array that would stand at `depth`, counted from the record, which is at 1.
    #[inline]
    pub(super) fn check_depth(&self, depth: u32) -> Read<()> {
        if depth < DEPTH_MAX {
            return Ok(());
        }
        let reason = format!("expected fewer than {DEPTH_MAX} levels of nesting, got more");
        Err(Fault::new(FaultKind::Value, self.position, reason))
    }

    /// The fault of finding something else than `expected` here.
    #[cold]
    pub(super) fn expected(&self, expected: &str) -> Box<Fault> {
        match self.peek() {
            Some(byte) => Fault::new(
                FaultKind::Syntax,
                self.position,
                format!("expected {expected}, got {}", shown_byte(byte)),
            ),
            None => Fault::new(
                FaultKind::UnexpectedEnd,
                self.position,
                format!("expected {expected}, got the end of the text"),
            ),
        }
    }

    /// Takes `true`, `false` or `null`, whose first byte is next.
    pub(super) fn literal(&mut self, text: &'static str) -> Read<()> {
        if self.take_bytes(text.as_bytes()) {
            return Ok(());
        }
        let rest = &self.bytes[self.position..];
        let common = rest.iter().zip(text.as_bytes()).take_while(|(found, wanted)| found == wanted).count();
        self.position += common;
        Err(self.expected(&format!("`{text}`")))
    }

    /// Takes a string, whose opening quote is next: borrowed unless it has escapes.
    ///
    /// The bytes are assumed to be UTF-8; a caller that does not know checks them before.
    #[inline]
    pub(super) fn string(&mut self) -> Read<Cow<'a, [u8]>> {
        let start = self.position + 1;
        let end = self.end_of_plain(start);
        if self.bytes.get(end) == Some(&b'"') {
            self.position = end + 1;
            return Ok(Cow::Borrowed(&self.bytes[start..end]));
        }
        let mut text = Vec::new();
        self.string_rest(start, end, &mut text)?;
        Ok(Cow::Owned(text))
    }

    /// Takes a string, whose opening quote is next, and appends its text to `out`.
    #[inline]
    pub(super) fn string_into(&mut self, out: &mut Vec<u8>) -> Read<()> {
        let start = self.position + 1;
        let end = self.end_of_plain(start);
        if self.bytes.get(end) == Some(&b'"') {
            out.extend_from_slice(&self.bytes[start..end]);
            self.position = end + 1;
            return Ok(());
        }
        self.string_rest(start, end, out)
    }

    fn string_rest(&mut self, mut start: usize, mut end: usize, out: &mut Vec<u8>) -> Read<()> {
        loop {
            out.extend_from_slice(&self.bytes[start..end]);
            self.position = end;
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(out)?,
                Some(_) => {
                    return Err(self.expected("a character of a string (control characters are escaped)"));
                }
                None => return Err(self.expected("the closing quote of a string")),
            }
            start = self.position;
            end = self.end_of_plain(start);
        }
    }

    /// Position of the first byte from `start` that is a quote, a backslash or a control character.
    #[inline]
    fn end_of_plain(&self, start: usize) -> usize {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = 0x8080_8080_8080_8080;
        // Classic "has a zero byte" arithmetic (Hacker's Delight, 6-1), eight bytes at a time. It may
        // report a byte too many only above a true hit, so the lowest hit is always right.
        let has_less_than = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGHS;
        let mut position = start;
        while let Some((word, _)) = self.bytes.get(position..).and_then(|rest| rest.split_first_chunk::<8>())
        {
            let word = u64::from_le_bytes(*word);
            let quote = has_less_than(word ^ (ONES * u64::from(b'"')), 1);
            let backslash = has_less_than(word ^ (ONES * u64::from(b'\\')), 1);
            let hits = quote | backslash | has_less_than(word, 0x20);
            if hits != 0 {
                return position + (hits.trailing_zeros() / 8) as usize;
            }
            position += 8;
        }
        let rest = &self.bytes[position.min(self.bytes.len())..];
        let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        position + plain.unwrap_or(rest.len())
    }

    /// Takes an escape, whose backslash is next.
    fn escape(&mut self, out: &mut Vec<u8>) -> Read<()> {
        let start = self.position;
        self.position += 1;
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.position += 1;
                let character = self.unicode_escape(start)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.expected("one of \" \\ / b f n r t u behind a backslash")),
        };
        self.position += 1;
        out.push(plain);
        Ok(())
    }

    fn unicode_escape(&mut self, start: usize) -> Read<char> {
        let lone =
            || Fault::new(FaultKind::Value, start, "expected a character, got half of a surrogate pair");
        let first = self.four_hex_digits()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.take_bytes(b"\\u") {
                    return Err(lone());
                }
                match self.four_hex_digits()? {
                    second @ 0xdc00..=0xdfff => 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => return Err(lone()),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(lone)
    }

    fn four_hex_digits(&mut self) -> Read<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.expected("a hexadecimal digit")) };
            code = code << 4 | digit;
            self.position += 1;
        }
        Ok(code)
    }

    /// Takes a whole value without looking at what it means: checks its syntax, at any depth.
    pub(super) fn skip_value(&mut self) -> Read<()> {
        self.skip_value_with(|_, _| Ok(()))
    }

    /// As [`Self::skip_value`], for a value inside a record that stands at `depth` if it is an object or array.
    pub(super) fn skip_value_at(&mut self, depth: u32) -> Read<()> {
        self.skip_value_with(|reader, levels| reader.check_depth(depth.saturating_add(levels as u32)))
    }

    /// Calls `enter` before each object or array, with how many are open around it.
    fn skip_value_with(&mut self, enter: impl Fn(&Self, usize) -> Read<()>) -> Read<()> {
        // One entry per open object or array: whether it is an object.
        let mut open: Vec<bool> = Vec::new();
        loop {
            let first_byte = self.peek_token();
            if matches!(first_byte, Some(b'{' | b'[')) {
                enter(self, open.len())?;
            }
            match first_byte {
                Some(b'{') => {
                    self.position += 1;
                    if self.peek_token() == Some(b'}') {
                        self.position += 1;
                    } else {
                        open.push(true);
                        self.skip_key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.position += 1;
                    if self.peek_token() == Some(b']') {
                        self.position += 1;
                    } else {
                        open.push(false);
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            loop {
                let Some(is_object) = open.last().copied() else { return Ok(()) };
                match (self.peek_token(), is_object) {
                    (Some(b','), true) => {
                        self.position += 1;
                        self.skip_whitespace();
                        self.skip_key()?;
                        break;
                    }
                    (Some(b','), false) => {
                        self.position += 1;
                        break;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.position += 1;
                        open.pop();
                    }
                    (_, true) => return Err(self.expected("`,` or `}`")),
                    (_, false) => return Err(self.expected("`,` or `]`")),
                }
            }
        }
    }

    fn skip_scalar(&mut self) -> Read<()> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'-' | b'0'..=b'9') => self.scan_number().map(|_| ()),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn skip_key(&mut self) -> Read<()> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        self.skip_string()?;
        self.take_colon()
    }

    /// Takes a key and its colon; returns the key, and the token that it was read from.
    ///
    /// # Errors
    /// Something else stands here.
    #[inline]
    pub(super) fn key(&mut self) -> Read<(Cow<'a, [u8]>, &'a [u8])> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in quotes"));
        }
        let start = self.position;
        let key = self.string()?;
        let token = self.taken_since(start);
        self.take_colon()?;
        Ok((key, token))
    }

    #[inline]
    pub(super) fn take_colon(&mut self) -> Read<()> {
        if self.take(b':') {
            return Ok(());
        }
        self.skip_whitespace();
        if self.take(b':') { Ok(()) } else { Err(self.expected("`:`")) }
    }

    fn skip_string(&mut self) -> Read<()> {
        let mut start = self.position + 1;
        loop {
            self.position = self.end_of_plain(start);
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.position += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 1,
                        Some(b'u') => {
                            self.position += 1;
                            self.four_hex_digits()?;
                        }
                        _ => return Err(self.expected("one of \" \\ / b f n r t u behind a backslash")),
                    }
                    start = self.position;
                }
                Some(_) => {
                    return Err(self.expected("a character of a string (control characters are escaped)"));
                }
                None => return Err(self.expected("the closing quote of a string")),
            }
        }
    }
}

fn shown_byte(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { format!("byte 0x{byte:02x}") }
}

/// What a value is called in a message, by its first byte.
pub(super) fn kind_of_value(first_byte: Option<u8>) -> &'static str {
    match first_byte {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't') => "true",
        Some(b'f') => "false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => "something that is no JSON",
        None => "the end of the text",
    }
}
/// Whether two texts of one length are the same. Keys are short: a call of `memcmp` would be most of the work.
#[inline]
fn are_same(left: &[u8], right: &[u8]) -> bool {
    fn ends<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((text.first_chunk()?, text.last_chunk()?))
    }
    match left.len() {
        // Both ends overlap where the text is shorter than both together.
        8..=16 => ends::<8>(left) == ends::<8>(right),
        4..=7 => ends::<4>(left) == ends::<4>(right),
        _ => left == right,
    }
}
