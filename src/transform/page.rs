//! A page as records: which shape its body has, where each record begins and ends, what is refused.
//!
//! A fault inside a record rejects that record. A fault that loses the boundary between records fails
//! the page, and then none of its records counts.

use std::sync::Arc;

use super::decode::{Decoder, Tail};
use super::reader::{Fault, FaultKind, Reader, kind_of_value};
use crate::config::{FeatureConfig, TransformConfig};
use crate::model::{DeclaredForm, FieldFeatures, Page, PageBatch, PageFault, Reject};
use crate::pointer;
use crate::schema::Kinds;

/// Most bytes of a body: the offsets of text columns are 32 bits wide and text may grow when it is widened.
const BODY_BYTES_MAX: usize = 512 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes a complete page into columns, features and rejects.
///
/// # Errors
/// The body is no JSON of a known shape, or the boundary between its records is lost.
pub fn transform(page: &Page, config: &TransformConfig) -> Result<PageBatch, PageFault> {
    let mut records = Records::new(page, &config.features);
    let mut reader = Reader::at(&page.body, 0);
    reader.take_bytes(BYTE_ORDER_MARK);
    let first_byte = reader.peek_token();
    let outcome = match first_byte {
        _ if page.form == DeclaredForm::NoContent => Ok(()),
        _ if page.body.len() > BODY_BYTES_MAX => Err(Fault::new(
            FaultKind::Value,
            BODY_BYTES_MAX,
            format!(
                "expected a page of at most {BODY_BYTES_MAX} bytes, got {}; split the page",
                page.body.len()
            ),
        )),
        None if page.form == DeclaredForm::Ndjson => Ok(()),
        None => Err(reader.expected("JSON")),
        Some(_) if config.records.is_some() => {
            let pointer = config.records.as_deref().unwrap_or_default();
            records.take_envelopes(&mut reader, pointer)
        }
        Some(b'[') => records.take_array_alone(&mut reader),
        Some(b'{') => match layout_of_objects(&page.body, reader.position(), page.form) {
            Layout::Lines => records.take_lines(reader.position()),
            Layout::Documents => records.take_documents(&mut reader),
        },
        Some(_) if page.form == DeclaredForm::Ndjson => records.take_lines(reader.position()),
        Some(_) => {
            let reason = format!("expected a page of JSON records, got {}", kind_of_value(first_byte));
            Err(Fault::new(FaultKind::Syntax, reader.position(), reason))
        }
    };
    let outcome = outcome
        .and_then(|()| records.check_utf8_up_to(page.body.len()))
        .and_then(|()| records.decoder.check_limits(page.body.len()));
    match outcome {
        Ok(()) => Ok(records.finish(first_byte == Some(b'{') && config.records.is_none())),
        // The writer refuses the batch by its columns, with their names.
        Err(_) if records.decoder.has_too_many_columns() => Ok(records.finish(false)),
        Err(fault) => {
            let place = if records.index > 0 { format!("record {}: ", records.index) } else { String::new() };
            let reason = format!("{place}{}", located(&fault));
            Err(PageFault::in_body(reason, fault.position as u64, &page.body))
        }
    }
}

fn located(fault: &Fault) -> String {
    if fault.pointer.is_empty() {
        fault.reason.clone()
    } else {
        format!("{}: {}", fault.pointer, fault.reason)
    }
}

/// How objects stand in a body that begins with one.
enum Layout {
    /// One record a line.
    Lines,
    /// One document, or several behind each other, over as many lines as they like.
    Documents,
}

fn layout_of_objects(body: &[u8], start: usize, form: DeclaredForm) -> Layout {
    let line_end = memchr::memchr(b'\n', &body[start..]).map_or(body.len(), |length| start + length);
    let mut line = Reader::new(&body[start..line_end]);
    let next_line_begins = Reader::at(body, line_end).peek_token();
    let next_is_object_or_end = matches!(next_line_begins, None | Some(b'{'));
    let is_lines = match line.skip_value() {
        Ok(()) => match line.peek_token() {
            None => true,
            Some(b'{') => false,
            Some(_) => next_is_object_or_end,
        },
        Err(fault) if fault.kind == FaultKind::UnexpectedEnd => {
            form == DeclaredForm::Ndjson && next_is_object_or_end
        }
        Err(_) => next_is_object_or_end,
    };
    if is_lines { Layout::Lines } else { Layout::Documents }
}

/// The records of one page, as they are taken from its body.
struct Records<'a> {
    body: &'a [u8],
    body_is_utf8: bool,
    end_proven: bool,
    decoder: Decoder,
    rejects: Vec<Reject>,
    /// Index of the record that is next.
    index: u64,
    /// Up to here the bytes outside records are known to be UTF-8.
    utf8_checked_to: usize,
}

type Taken = Result<(), Box<Fault>>;

impl<'a> Records<'a> {
    fn new(page: &'a Page, features: &Arc<FeatureConfig>) -> Self {
        Self {
            body: &page.body,
            body_is_utf8: simdutf8::basic::from_utf8(&page.body).is_ok(),
            end_proven: page.end_proven,
            decoder: Decoder::new(features),
            rejects: Vec::new(),
            index: 0,
            utf8_checked_to: 0,
        }
    }

    fn take_array_alone(&mut self, reader: &mut Reader<'a>) -> Taken {
        self.take_array(reader)?;
        match reader.peek_token() {
            None => Ok(()),
            Some(_) => Err(reader.expected("the end of the page behind its array")),
        }
    }

    /// Takes the array that is next, each element a record.
    fn take_array(&mut self, reader: &mut Reader<'a>) -> Taken {
        let mut goes_on = reader.enter(b']');
        while goes_on {
            self.take_record(reader)?;
            goes_on = reader.goes_on(b']')?;
        }
        Ok(())
    }

    /// Takes documents behind each other up to the end of the body.
    fn take_documents(&mut self, reader: &mut Reader<'a>) -> Taken {
        while reader.peek_token().is_some() {
            let start = reader.position();
            match self.take_record(reader) {
                Err(fault) if fault.kind == FaultKind::UnexpectedEnd && self.end_proven => {
                    self.reject(start, self.body.trim_ascii_end().len(), *fault);
                    return Ok(());
                }
                taken => taken?,
            }
        }
        Ok(())
    }

    /// Takes one record a line, from `start` to the end of the body.
    fn take_lines(&mut self, start: usize) -> Taken {
        let mut line_start = start;
        while line_start < self.body.len() {
            let rest = &self.body[line_start..];
            let newline = memchr::memchr(b'\n', rest);
            let line = &rest[..newline.unwrap_or(rest.len())];
            self.take_line(line, line_start, newline.is_some())?;
            line_start += line.len() + 1;
        }
        // Every byte was a record's, or white space.
        self.utf8_checked_to = self.body.len();
        Ok(())
    }

    fn take_line(&mut self, line: &'a [u8], line_start: usize, is_terminated: bool) -> Taken {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let Some(indent) = line.iter().position(|byte| !is_space(byte)) else { return Ok(()) };
        let end = line.iter().rposition(|byte| !is_space(byte)).map_or(indent, |last| last + 1);
        let record = &line[indent..end];
        let start = line_start + indent;
        let taken = match self.check_utf8(record) {
            Ok(()) => self.decoder.take_record(&mut Reader::new(record), Tail::Nothing),
            Err(fault) => Err(fault),
        };
        match taken {
            Ok(()) => self.index += 1,
            Err(fault) if fault.kind == FaultKind::ColumnsLimit => {
                self.index += 1;
                return Err(fault);
            }
            Err(mut fault) if !is_terminated && !self.end_proven => {
                fault.position += start;
                fault
                    .reason
                    .push_str("; the page ended in this line and nothing proves that it was complete");
                return Err(fault);
            }
            Err(mut fault) => {
                fault.position += start;
                self.reject(start, line_start + end, *fault);
            }
        }
        Ok(())
    }

    /// Takes the record that is next and stands in a larger text.
    fn take_record(&mut self, reader: &mut Reader<'a>) -> Taken {
        let start = reader.clone();
        let first = reader.position();
        let taken = if self.body_is_utf8 {
            self.decoder.take_record(reader, Tail::Any)
        } else {
            self.check_utf8_up_to(first)?;
            reader.skip_value()?;
            self.utf8_checked_to = reader.position();
            self.check_utf8(&self.body[first..reader.position()]).and_then(|()| {
                *reader = start.clone();
                self.decoder.take_record(reader, Tail::Any)
            })
        };
        match taken {
            Ok(()) => {
                self.index += 1;
                Ok(())
            }
            Err(fault) if fault.kind == FaultKind::ColumnsLimit => {
                self.index += 1;
                Err(fault)
            }
            Err(fault) if fault.kind == FaultKind::Value => {
                *reader = start;
                reader.skip_value()?;
                self.reject(first, reader.position(), *fault);
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    /// Checks the bytes between the last record and `end`, which are outside records.
    fn check_utf8_up_to(&mut self, end: usize) -> Taken {
        let start = self.utf8_checked_to;
        self.utf8_checked_to = end;
        self.check_utf8(&self.body[start..end]).map_err(|mut fault| {
            fault.position += start;
            fault
        })
    }

    fn check_utf8(&self, record: &[u8]) -> Taken {
        if self.body_is_utf8 {
            return Ok(());
        }
        match std::str::from_utf8(record) {
            Ok(_) => Ok(()),
            Err(error) => {
                let position = error.valid_up_to();
                let reason = format!("expected UTF-8, got byte 0x{:02x}", record[position]);
                Err(Fault::new(FaultKind::Value, position, reason))
            }
        }
    }

    fn reject(&mut self, start: usize, end: usize, mut fault: Fault) {
        if fault.kind != FaultKind::Value {
            fault.reason = format!("{} at byte {} of the record", fault.reason, fault.position - start);
        }
        self.rejects.push(Reject {
            record: self.index,
            byte_offset: start as u64,
            pointer: fault.pointer,
            reason: fault.reason,
            raw: self.body[start..end].to_vec(),
        });
        self.index += 1;
    }

    /// Takes the records behind `pointer` of every document up to the end of the body.
    fn take_envelopes(&mut self, reader: &mut Reader<'a>, pointer: &[String]) -> Taken {
        while reader.peek_token().is_some() {
            let start = reader.position();
            if !self.take_behind(reader, pointer)? {
                let shown = pointer::show(pointer.iter().map(String::as_str));
                let reason = format!("--records {shown} finds nothing in the page");
                return Err(Fault::new(FaultKind::Value, start, reason));
            }
        }
        Ok(())
    }

    /// Takes the value that is next: the records behind `pointer`, everything else skipped.
    /// Returns whether the pointer found something.
    fn take_behind(&mut self, reader: &mut Reader<'a>, pointer: &[String]) -> Result<bool, Box<Fault>> {
        let first_byte = reader.peek_token();
        let Some((token, rest)) = pointer.split_first() else {
            match first_byte {
                Some(b'[') => self.take_array(reader)?,
                Some(b'{') => self.take_record(reader)?,
                Some(b'n') => reader.literal("null")?,
                _ => return Err(reader.expected("an array of records where --records points")),
            }
            return Ok(true);
        };
        match first_byte {
            Some(b'{') => self.take_member(reader, token, rest),
            Some(b'[') => self.take_element(reader, token, rest),
            _ => {
                reader.skip_value()?;
                Ok(false)
            }
        }
    }

    fn take_member(
        &mut self,
        reader: &mut Reader<'a>,
        token: &str,
        rest: &[String],
    ) -> Result<bool, Box<Fault>> {
        let mut is_found = false;
        let mut goes_on = reader.enter(b'}');
        while goes_on {
            if reader.peek_token() != Some(b'"') {
                return Err(reader.expected("a key in quotes"));
            }
            let position = reader.position();
            let is_wanted = *reader.string()? == *token.as_bytes();
            reader.take_colon()?;
            if is_wanted && is_found {
                // The last one would win, but the first one's records are taken already.
                let reason = format!("expected `{token}` once where --records points, got it twice");
                return Err(Fault::new(FaultKind::Value, position, reason));
            }
            if is_wanted {
                is_found = self.take_behind(reader, rest)?;
            } else {
                reader.skip_value()?;
            }
            goes_on = reader.goes_on(b'}')?;
        }
        Ok(is_found)
    }

    fn take_element(
        &mut self,
        reader: &mut Reader<'a>,
        token: &str,
        rest: &[String],
    ) -> Result<bool, Box<Fault>> {
        let mut is_found = false;
        let mut goes_on = reader.enter(b']');
        let mut index = 0_usize;
        while goes_on {
            if token == index.to_string() {
                is_found = self.take_behind(reader, rest)?;
            } else {
                reader.skip_value()?;
            }
            index += 1;
            goes_on = reader.goes_on(b']')?;
        }
        Ok(is_found)
    }

    fn finish(self, may_hint: bool) -> PageBatch {
        let row_count = self.decoder.record_count();
        let (records, values, duplicate_key_count) = self.decoder.into_parts();
        let (columns, shape) = records.freeze_records();
        let mut overflow_count = 0;
        let features = values
            .into_columns()
            .into_iter()
            .map(|(columns, is_seen)| {
                overflow_count += columns.overflow_count();
                let finished =
                    is_seen.then(|| columns.finish().into_iter().map(|(_, array)| array).collect());
                FieldFeatures { is_seen, columns: finished.unwrap_or_default() }
            })
            .collect();
        let is_one_record = row_count == 1 && self.rejects.is_empty();
        let mut arrays_of_objects = shape.fields.iter().filter(|(_, field)| {
            field.element.as_ref().is_some_and(|element| element.kinds.has(Kinds::OBJECT))
        });
        let records_hint = match (arrays_of_objects.next(), arrays_of_objects.next()) {
            (Some((name, _)), None) if is_one_record && may_hint => Some(pointer::show([name.as_ref()])),
            _ => None,
        };
        PageBatch {
            record_count: self.index,
            row_count,
            shape,
            columns,
            features,
            rejects: self.rejects,
            duplicate_key_count,
            overflow_count,
            records_hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: String) -> Page {
        Page { body: body.into(), form: DeclaredForm::Ndjson, end_proven: true }
    }

    #[test]
    fn page_whose_columns_would_fill_the_memory_fails_instead() {
        // 1.4 MB as text: a thousand columns, and then half a million rows of nothing.
        let keys: Vec<_> = (0..1000).map(|key| format!("\"k{key}\":1")).collect();
        let body = format!("{{{}}}\n{}", keys.join(","), "{}\n".repeat(500_000));
        let fault = transform(&page(body), &TransformConfig::default()).unwrap_err();
        assert!(fault.reason.contains("in 1000 columns"), "{}", fault.reason);
    }

    #[test]
    fn page_with_too_many_columns_goes_to_the_writer_that_names_them() {
        let lines: Vec<_> = (0..9000).map(|key| format!("{{\"k{key}\":1}}")).collect();
        let batch = transform(&page(lines.join("\n")), &TransformConfig::default()).unwrap();
        assert_eq!(batch.record_count, batch.row_count as u64);
        assert!(batch.shape.fields.len() > crate::schema::LEAF_COLUMNS_MAX);
        assert!(batch.row_count < 6000, "it stops once the limit is passed");
    }
}
