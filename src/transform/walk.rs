//! The way to the records of a page that is not lines: an array, documents, or arrays behind `--records`.
//!
//! A walk stands somewhere in the text around the records and leads from one to the next, checking all
//! that it passes. It can be put aside before any record and taken up in the next chunk. It never looks
//! into a record.

use std::sync::Arc;

use super::reader::{Fault, FaultKind, Read, Reader};
use crate::pointer;

/// Where in the text around the records.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    layout: WalkedLayout,
    /// The objects and arrays that lead to the records, outermost first.
    levels: Vec<Level>,
    spot: Spot,
    /// The key, or the index, of the value of the innermost level that was met last.
    key: String,
    /// Whether it came to the end of a document in which the pointer finds nothing.
    has_found_nothing: bool,
    /// Where the document began, counted from the beginning of the chunk; one that began before wraps around.
    document_start: usize,
}

/// How records stand in a page that is not lines.
#[derive(Debug, Clone)]
pub(super) enum WalkedLayout {
    /// One array, each element a record.
    Array,
    /// Documents behind each other, each a record.
    Documents,
    /// Documents behind each other, the records where these reference tokens lead.
    Envelopes(Arc<[String]>),
}

/// What a walk was led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A record.
    Record,
    /// A value in which no record is.
    Foreign,
    /// The end of the bytes.
    End,
}

#[derive(Debug, Clone)]
struct Level {
    is_object: bool,
    /// Elements passed, in an array.
    index: usize,
    is_found: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// Between documents.
    Between,
    /// Before a value on the way, behind the levels.
    Value,
    /// Before a value in which the pointer finds nothing.
    Foreign,
    /// Before a member or element of the innermost level, or its end if it is the first.
    Member { is_first: bool },
    /// Behind a member or element of the innermost level.
    BehindMember,
    /// Before a record in the array of records, or its end if it is the first.
    Element { is_first: bool },
    /// Behind a record in the array of records.
    BehindElement,
    /// Before the only record that the pointer leads to.
    Single,
    /// Behind the array that is the whole page.
    BehindAll,
}

impl Walk {
    /// A walk that stands before the first document.
    pub(super) fn new(layout: WalkedLayout) -> Self {
        Self {
            layout,
            levels: Vec::new(),
            spot: Spot::Between,
            key: String::new(),
            has_found_nothing: false,
            document_start: 0,
        }
    }

    /// Whether the records are documents of their own, so that the end of the page may cut one.
    pub(super) fn is_of_documents(&self) -> bool {
        matches!(self.layout, WalkedLayout::Documents)
    }

    /// Whether it failed because the pointer finds nothing in the document that ended last.
    pub(super) fn has_found_nothing(&self) -> bool {
        self.has_found_nothing
    }

    /// Whether something stands around the records.
    pub(super) fn is_of_envelopes(&self) -> bool {
        matches!(self.layout, WalkedLayout::Envelopes(_))
    }

    /// Leads `reader` to the next record, or to a value that must be passed on the way. `is_last` says that no
    /// bytes follow those of the reader.
    ///
    /// # Errors
    /// The text around the records is no JSON, or the pointer finds nothing in a document.
    #[inline]
    pub(super) fn lead(&mut self, reader: &mut Reader<'_>, is_last: bool) -> Read<Next> {
        loop {
            // A chunk may end anywhere between values.
            if !is_last && reader.peek_token().is_none() {
                return Ok(Next::End);
            }
            match self.spot {
                Spot::BehindElement => {
                    if reader.goes_on(b']')? {
                        self.spot = Spot::Element { is_first: false };
                    } else {
                        self.end_array()?;
                    }
                }
                Spot::Element { is_first } => match reader.peek_token() {
                    Some(b']') if is_first => {
                        reader.bump();
                        self.end_array()?;
                    }
                    _ => return Ok(Next::Record),
                },
                Spot::Between => {
                    if reader.peek_token().is_none() {
                        return Ok(Next::End);
                    }
                    self.document_start = reader.position();
                    match self.layout {
                        WalkedLayout::Documents => return Ok(Next::Record),
                        WalkedLayout::Envelopes(_) => self.spot = Spot::Value,
                        WalkedLayout::Array => {
                            reader.bump();
                            self.spot = Spot::Element { is_first: true };
                        }
                    }
                }
                Spot::BehindAll => {
                    return match reader.peek_token() {
                        None => Ok(Next::End),
                        Some(_) => Err(reader.expected("the end of the page behind its array")),
                    };
                }
                Spot::Single => return Ok(Next::Record),
                Spot::Foreign => {
                    reader.skip_whitespace();
                    return Ok(Next::Foreign);
                }
                Spot::Value => self.pass_value(reader)?,
                Spot::Member { is_first } => self.pass_member(reader, is_first)?,
                Spot::BehindMember => {
                    let level = self.levels.last_mut().expect("a member stands in a level");
                    level.index += 1;
                    let close = if level.is_object { b'}' } else { b']' };
                    if reader.goes_on(close)? {
                        self.spot = Spot::Member { is_first: false };
                    } else {
                        self.end_level()?;
                    }
                }
            }
        }
    }

    /// Says that what [`Self::lead`] led to was passed.
    ///
    /// # Errors
    /// It was a whole document, and the pointer finds nothing in it.
    #[inline]
    pub(super) fn pass(&mut self) -> Read<()> {
        match self.spot {
            Spot::Element { .. } => self.spot = Spot::BehindElement,
            Spot::Single => self.end_value(true)?,
            Spot::Foreign => self.end_value(false)?,
            _ => {}
        }
        Ok(())
    }

    /// Says that so many bytes were cut off before those that are led through next.
    pub(super) fn rebase(&mut self, cut_bytes: usize) {
        self.document_start = self.document_start.wrapping_sub(cut_bytes);
    }

    /// The keys that lead to the value that the walk stands before, and which is no record.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let depth = self.levels.len();
        let above = self.tokens().iter().take(depth.saturating_sub(1)).map(String::as_str);
        above.chain((depth > 0).then_some(&*self.key))
    }

    /// Whether the value that the walk stands before is no record.
    pub(super) fn is_before_foreign(&self) -> bool {
        self.spot == Spot::Foreign
    }

    fn tokens(&self) -> &[String] {
        match &self.layout {
            WalkedLayout::Envelopes(tokens) => tokens,
            WalkedLayout::Array | WalkedLayout::Documents => &[],
        }
    }

    fn pass_value(&mut self, reader: &mut Reader<'_>) -> Read<()> {
        let first_byte = reader.peek_token();
        if self.levels.len() == self.tokens().len() {
            match first_byte {
                Some(b'[') => {
                    reader.bump();
                    self.spot = Spot::Element { is_first: true };
                }
                Some(b'{') => self.spot = Spot::Single,
                Some(b'n') => {
                    reader.literal("null")?;
                    self.end_value(true)?;
                }
                _ => return Err(reader.expected("an array of records where --records points")),
            }
            return Ok(());
        }
        match first_byte {
            Some(open @ (b'{' | b'[')) => {
                reader.bump();
                self.levels.push(Level { is_object: open == b'{', index: 0, is_found: false });
                self.spot = Spot::Member { is_first: true };
                Ok(())
            }
            Some(_) => {
                self.spot = Spot::Foreign;
                Ok(())
            }
            None => Err(reader.expected("a value")),
        }
    }

    fn pass_member(&mut self, reader: &mut Reader<'_>, is_first: bool) -> Read<()> {
        let depth = self.levels.len();
        let level = self.levels.last().expect("a member stands in a level");
        let (is_object, index, is_found) = (level.is_object, level.index, level.is_found);
        if is_first && reader.peek_token() == Some(if is_object { b'}' } else { b']' }) {
            reader.bump();
            return self.end_level();
        }
        let token = self.tokens()[depth - 1].clone();
        let is_wanted = if is_object {
            if reader.peek_token() != Some(b'"') {
                return Err(reader.expected("a key in quotes"));
            }
            let position = reader.position();
            let key = reader.string()?;
            let is_wanted = *key == *token.as_bytes();
            self.key = String::from_utf8_lossy(&key).into_owned();
            reader.take_colon()?;
            if is_wanted && is_found {
                // The last one would win, but the first one's records are taken already.
                let reason = format!("expected `{token}` once where --records points, got it twice");
                return Err(Fault::new(FaultKind::Value, position, reason));
            }
            is_wanted
        } else {
            self.key = index.to_string();
            self.key == token
        };
        self.spot = if is_wanted { Spot::Value } else { Spot::Foreign };
        Ok(())
    }

    fn end_array(&mut self) -> Read<()> {
        match self.layout {
            WalkedLayout::Envelopes(_) => self.end_value(true),
            WalkedLayout::Array | WalkedLayout::Documents => {
                self.spot = Spot::BehindAll;
                Ok(())
            }
        }
    }

    fn end_level(&mut self) -> Read<()> {
        let level = self.levels.pop().expect("a level ends");
        self.end_value(level.is_found)
    }

    /// A value on the way is passed; in it the pointer found something, or not.
    fn end_value(&mut self, is_found: bool) -> Read<()> {
        if let Some(level) = self.levels.last_mut() {
            level.is_found |= is_found;
            self.spot = Spot::BehindMember;
            return Ok(());
        }
        self.spot = Spot::Between;
        if is_found {
            return Ok(());
        }
        self.has_found_nothing = true;
        let shown = pointer::show(self.tokens().iter().map(String::as_str));
        let reason = format!("--records {shown} finds nothing in the page");
        Err(Fault::new(FaultKind::Value, self.document_start, reason))
    }
}
