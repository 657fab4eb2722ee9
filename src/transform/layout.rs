//! How records stand in a page, told from its first bytes.

use std::sync::Arc;

use super::error_object::{declared_fault, documents_are_records};
use super::reader::{Fault, FaultKind, Read, Reader, kind_of_value};
use super::walk::WalkedLayout;
use crate::model::DeclaredForm;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// White space that does not end a line.
pub(super) fn is_blank_in_line(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The bytes without the white space at their end, as JSON has it: a form feed is none.
pub(super) fn trim_blank_end(bytes: &[u8]) -> &[u8] {
    let is_ink = |byte: &u8| *byte != b'\n' && !is_blank_in_line(*byte);
    &bytes[..bytes.iter().rposition(is_ink).map_or(0, |last| last + 1)]
}

/// How records stand in a page.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    /// No record at all.
    Nothing,
    /// One record a line.
    Lines,
    /// Records in a text of their own.
    Walked(WalkedLayout),
}

/// The layout of a page that begins with `head`, or `None` if that can't be told before more is there.
///
/// # Errors
/// The page is no JSON of a known shape.
pub(super) fn layout_of(
    head: &[u8],
    is_whole: bool,
    form: DeclaredForm,
    records: Option<&Arc<[String]>>,
) -> Read<Option<Layout>> {
    let mut reader = Reader::new(head);
    reader.take_bytes(BYTE_ORDER_MARK);
    let first_byte = reader.peek_token();
    let layout = match (first_byte, records) {
        _ if form == DeclaredForm::NoContent => Layout::Nothing,
        _ if form == DeclaredForm::Records => Layout::Lines,
        _ if !is_whole && BYTE_ORDER_MARK.starts_with(head) => return Ok(None),
        (None, _) if !is_whole => return Ok(None),
        (None, _) if form == DeclaredForm::Ndjson => Layout::Nothing,
        (None, _) => return Err(reader.expected("JSON")),
        _ if form == DeclaredForm::ErrorReport && !documents_are_records(records) => {
            return Err(declared_fault());
        }
        (Some(_), Some(tokens)) => Layout::Walked(WalkedLayout::Envelopes(Arc::clone(tokens))),
        (Some(b'['), None) => Layout::Walked(WalkedLayout::Array),
        (Some(b'{'), None) => return Ok(layout_of_objects(head, is_whole, reader.position(), form)),
        (Some(_), None) if form == DeclaredForm::Ndjson => Layout::Lines,
        (Some(_), None) => {
            let reason = format!("expected a page of JSON records, got {}", kind_of_value(first_byte));
            return Err(Fault::new(FaultKind::Syntax, reader.position(), reason));
        }
    };
    Ok(Some(layout))
}

/// The layout that is assumed where a first record is so large that it can't be looked at whole.
pub(super) fn layout_of_oversize(form: DeclaredForm) -> Layout {
    match form {
        DeclaredForm::Ndjson | DeclaredForm::Records => Layout::Lines,
        DeclaredForm::Unknown | DeclaredForm::NoContent | DeclaredForm::ErrorReport => {
            Layout::Walked(WalkedLayout::Documents)
        }
    }
}

fn layout_of_objects(head: &[u8], is_whole: bool, start: usize, form: DeclaredForm) -> Option<Layout> {
    let newline = memchr::memchr(b'\n', &head[start..]).map(|length| start + length);
    let line_end = newline.unwrap_or(head.len());
    let mut line = Reader::new(&head[start..line_end]);
    let next_line_begins = Reader::at(head, line_end).peek_token();
    let is_line_known = is_whole || newline.is_some();
    let is_next_known = is_whole || next_line_begins.is_some();
    let next_is_object_or_end = matches!(next_line_begins, None | Some(b'{'));
    let by_the_next_line = is_next_known.then_some(next_is_object_or_end);
    let is_lines = match line.skip_value() {
        Ok(()) => match line.peek_token() {
            None if is_line_known => Some(true),
            None => None,
            Some(b'{') => Some(false),
            Some(_) => by_the_next_line,
        },
        Err(fault) if fault.kind == FaultKind::UnexpectedEnd => match form {
            _ if !is_line_known => None,
            DeclaredForm::Ndjson | DeclaredForm::Records => by_the_next_line,
            DeclaredForm::Unknown | DeclaredForm::NoContent | DeclaredForm::ErrorReport => Some(false),
        },
        Err(_) => by_the_next_line,
    };
    is_lines.map(|is_lines| if is_lines { Layout::Lines } else { Layout::Walked(WalkedLayout::Documents) })
}
