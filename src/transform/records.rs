//! A chunk as records: each one taken into columns, or refused.
//!
//! A fault inside a record rejects that record. A fault that loses the boundary between records fails
//! the page, and then none of its records counts.

mod hand_over;

use ahash::RandomState;

use super::beside::Lookout;
use super::chunk::{Chunk, ChunkEnd, Content, Place};
use super::conform::fits;
use super::decode::{BATCH_BYTES_MAX, Decoder, Room, Tail};
use super::error_object::{name_instead, refuse};
use super::filter::Filter;
use super::filtered::Filtered;
use super::layout::{BYTE_ORDER_MARK, Layout, is_blank_in_line, layout_of, trim_blank_end};
use super::reader::{Fault, FaultKind, Reader};
use super::redact::redacted;
use super::walk::{Next, Walk};
use crate::config::{RejectsRaw, TransformConfig};
use crate::model::{
    Around, FieldFeatures, Loss, PageBatch, PageFault, RawRecord, Received, RecordsDigest, Reject,
};
use crate::pointer;
use crate::schema::{DeclaredSchema, Kinds, SchemaContract};

/// A batch of a chunk's records.
#[derive(Debug)]
pub struct Decoded {
    /// The records; their indexes are counted from the beginning of what was decoded.
    pub batch: PageBatch,
    /// What is left of the chunk, where its columns would have grown too large for one batch.
    pub rest: Option<Chunk>,
    /// The buffer of the chunk, where nothing is left of it.
    pub spent: Vec<u8>,
}

impl Decoded {
    /// Tells whether there was no room for what the chunk becomes.
    pub fn is_empty(&self) -> bool {
        self.batch.record_count == 0 && self.rest.is_some()
    }
}

/// The page fails in this chunk, or the run does.
#[derive(Debug)]
pub struct ChunkFault {
    /// Whether it is a record that breaks the schema, which is frozen.
    breaks_schema: bool,
    reason: String,
    /// Records before the fault, in what was decoded.
    record_count: u64,
    byte_offset: u64,
    /// The trace of the page, where the chunk is all of it.
    received: Option<Received>,
    /// What stands in the page, where it is an object in which there is no place of records.
    lack: Option<Box<Around>>,
}

impl ChunkFault {
    /// Whether the run fails: the page is as it should be, but not its record for a frozen schema.
    pub fn breaks_schema(&self) -> bool {
        self.breaks_schema
    }

    /// What stands in the page, if it is an object without a place of records. Whether that is a fault is for its chain
    /// to say.
    pub fn take_lack(&mut self) -> Option<Around> {
        self.lack.take().map(|around| *around)
    }

    /// The fault of the page, in which so many records stand before this chunk.
    pub fn in_page(self, records_before: u64) -> PageFault {
        let record = records_before + self.record_count;
        let is_told = record > 0 || self.breaks_schema;
        let place = if is_told { format!("record {record}: ") } else { String::new() };
        PageFault {
            reason: format!("{place}{}", self.reason),
            byte_offset: Some(self.byte_offset),
            received: self.received,
            answered: true,
            http_status: None,
            attempt_count: 0,
        }
    }
}

/// Decodes a chunk into columns, features and rejects, with all the room that one record may have. A filter that is
/// configured is compiled for this chunk alone.
///
/// # Errors
/// The page is no JSON of a known shape, or the boundary between its records is lost.
///
/// # Panics
/// The filter can't be compiled.
pub fn decode(chunk: Chunk, config: &TransformConfig) -> Result<Decoded, ChunkFault> {
    let filter = config.jq.as_deref().map(|source| Filter::compile(source).expect("the filter was checked"));
    decode_within(config.record_memory_bytes, chunk, config, filter.as_ref())
}

/// As [`decode`], through the filter of the configuration that is compiled already, into columns of at most
/// `room_bytes`. Where they would take more, nothing is decoded, and what is left is the whole chunk: so batches are the
/// same, whatever room there is.
///
/// # Errors
/// As those of [`decode`].
pub fn decode_within(
    room_bytes: usize,
    chunk: Chunk,
    config: &TransformConfig,
    filter: Option<&Filter>,
) -> Result<Decoded, ChunkFault> {
    let most_bytes = config.record_memory_bytes;
    let room = Room { bytes: room_bytes.min(most_bytes), is_last: room_bytes >= most_bytes };
    let Some(again) = chunk.begin() else { return decode_held_to(None, room, chunk, config, filter) };
    let decoded = decode_held_to(None, room, chunk, config, filter)?;
    if decoded.is_empty() {
        return Ok(decoded);
    }
    // What is wrong with a record is judged with what does not fit: so neither depends on the records around it.
    let misfit = config.fixed_schema().filter(|schema| {
        !(decoded.batch.rejects.is_empty() && fits(&decoded.batch, schema, config.schema_contract))
    });
    let Some(schema) = misfit else { return Ok(decoded) };
    let Decoded { batch, rest, spent } = decoded;
    drop(batch);
    let bytes = rest.map_or(spent, Chunk::into_bytes);
    decode_held_to(Some(schema), room, again.of(bytes), config, filter)
}

fn decode_held_to(
    schema: Option<&DeclaredSchema>,
    room: Room,
    chunk: Chunk,
    config: &TransformConfig,
    filter: Option<&Filter>,
) -> Result<Decoded, ChunkFault> {
    let Chunk { content, offset, is_whole_page } = chunk;
    let fault_in = |body: &[u8], fault: &Fault, record_count: u64| ChunkFault {
        breaks_schema: fault.kind == FaultKind::SchemaBroken,
        reason: located(fault),
        record_count,
        byte_offset: offset.wrapping_add(fault.position as u64),
        received: is_whole_page.then(|| Received::of(body)),
        lack: None,
    };
    let (bytes, start, place, end) = match content {
        Content::Lost(fault) => return Err(fault_in(&[], &fault, 0)),
        Content::Oversize { size, sha256 } => {
            let mut records = Records::new((&[], 0, offset, ChunkEnd::Record), room, config, schema, filter);
            records.reject_oversize(0, RawRecord::Digest { size, sha256 });
            return Ok(Decoded { batch: records.finish(false), rest: None, spent: Vec::new() });
        }
        Content::Records { bytes, start, place, end } => (bytes, start, place, end),
    };
    let mut records = Records::new((&bytes, start, offset, end), room, config, schema, filter);
    let again = (start, place.clone());
    let taken = records.take(start, place, config);
    if records.has_no_room(&taken) {
        let content = Content::Records { bytes, start: again.0, place: again.1, end };
        let rest = Some(Chunk { content, offset, is_whole_page });
        let nothing = Records::new((&[], 0, offset, end), room, config, schema, None);
        return Ok(Decoded { batch: nothing.finish(false), rest, spent: Vec::new() });
    }
    let stopped = match taken {
        Ok(None) if end == ChunkEnd::Broken => panic!("the cutter found broken what the decoder takes"),
        Ok(stopped) => stopped,
        // The writer refuses the batch by its columns, with their names.
        Err(_) if records.decoder.has_too_many_columns() => None,
        Err(fault) => {
            let record_count = records.index;
            let is_lack = records.lacks_records && is_whole_page && record_count == 0;
            let lack = is_lack.then(|| Box::new(std::mem::take(&mut records.lookout.around)));
            return Err(ChunkFault { lack, ..fault_in(&bytes, &fault, record_count) });
        }
    };
    // Whether the page may be one object around its records, which `--records` would find.
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let may_be_around = is_whole_page
        && start == 0
        && stopped.is_none()
        && config.records.is_none()
        && Reader::new(text).peek_token() == Some(b'{');
    if may_be_around && records.index == 1 {
        records.lookout.look_at_document(text);
    }
    // What is found is the name of a column, which is the key of a field.
    let may_hint = may_be_around && config.projection.rename.is_empty();
    let batch = records.finish(may_hint);
    Ok(match stopped {
        None => Decoded { batch, rest: None, spent: bytes },
        Some((start, place)) => {
            let content = Content::Records { bytes, start, place, end };
            Decoded { batch, rest: Some(Chunk { content, offset, is_whole_page }), spent: Vec::new() }
        }
    })
}

/// Whether a text is a whole JSON value and nothing else.
fn is_one_value(text: &[u8]) -> bool {
    let mut reader = Reader::new(text);
    reader.skip_value().and_then(|()| reader.expect_end()).is_ok()
}

fn located(fault: &Fault) -> String {
    if fault.pointer.is_empty() {
        fault.reason.clone()
    } else {
        format!("{}: {}", fault.pointer, fault.reason)
    }
}

/// The records of one chunk, as they are taken from its bytes.
struct Records<'a> {
    bytes: &'a [u8],
    /// Where the bytes begin in the body of the page.
    offset: u64,
    end: ChunkEnd,
    bytes_are_utf8: bool,
    record_bytes_max: usize,
    room: Room,
    decoder: Decoder<'a>,
    /// What each record is held to.
    schema: Option<&'a DeclaredSchema>,
    contract: SchemaContract,
    filtered: Option<Filtered<'a>>,
    rejects_raw: RejectsRaw,
    rejects: Vec<Reject>,
    /// Bytes of memory that they hold.
    reject_bytes: usize,
    lookout: Lookout<'a>,
    /// What tells the records apart, where something stands around them and pages follow each other.
    digest: RecordsDigest,
    /// The same for all pages of a run, whatever they hold.
    record_hashes: RandomState,
    /// Whether there is nothing but an object without a place of records.
    lacks_records: bool,
    /// Tells whether the text that they stand in has an end of its own.
    is_self_contained: bool,
    /// Index of the record that is next.
    index: u64,
    /// Up to here the bytes outside records are known to be UTF-8.
    utf8_checked_to: usize,
}

type Taken = Result<(), Box<Fault>>;
/// Where it was stopped, if the batch became too large: what is next stands at this place.
type TakenUpTo = Result<Option<(usize, Place)>, Box<Fault>>;

impl<'a> Records<'a> {
    fn new(
        (bytes, start, offset, end): (&'a [u8], usize, u64, ChunkEnd),
        room: Room,
        config: &'a TransformConfig,
        schema: Option<&'a DeclaredSchema>,
        filter: Option<&'a Filter>,
    ) -> Self {
        let record_bytes_max = usize::try_from(config.record_bytes_max).unwrap_or(usize::MAX);
        let rejects_raw = match config.rejects_raw {
            // What is hidden are fields of results: which of the record they came from, a filter does not tell.
            RejectsRaw::Redacted if filter.is_some() => RejectsRaw::None,
            rejects_raw => rejects_raw,
        };
        Self {
            bytes,
            offset,
            end,
            bytes_are_utf8: simdutf8::basic::from_utf8(&bytes[start..]).is_ok(),
            record_bytes_max,
            decoder: Decoder::new(config, room),
            room,
            schema,
            contract: config.schema_contract,
            filtered: filter.map(|filter| Filtered::new(filter, (record_bytes_max, room), rejects_raw)),
            rejects_raw,
            rejects: Vec::new(),
            reject_bytes: 0,
            lookout: Lookout::new(&config.looked_at),
            digest: RecordsDigest::default(),
            record_hashes: RandomState::with_seeds(1, 2, 3, 4),
            lacks_records: false,
            is_self_contained: false,
            index: 0,
            utf8_checked_to: start,
        }
    }

    fn take(&mut self, start: usize, place: Place, config: &TransformConfig) -> TakenUpTo {
        let is_whole_page = self.offset == 0 && self.end.is_last();
        let layout = match place {
            Place::Begin(layout) => layout,
            Place::Unknown(form) => {
                if is_whole_page {
                    // Before its record is taken: one that breaks a frozen schema would end the run.
                    refuse(self.bytes, form, config)?;
                }
                let layout = layout_of(self.bytes, true, form, config.records.as_ref())?;
                layout.expect("the layout of a whole page is known")
            }
            Place::Lines => return self.take_lines(start),
            Place::Walk(walk) => return self.take_walked(start, walk),
        };
        let has_mark = self.offset == 0 && self.bytes.starts_with(BYTE_ORDER_MARK);
        let start = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
        match layout {
            Layout::Nothing => Ok(None),
            Layout::Lines => self.take_lines(start),
            Layout::Walked(layout) => {
                let taken = self.take_walked(start, Walk::new(layout));
                let has_no_record = is_whole_page && self.index == 0;
                if has_no_record { name_instead(taken, self.bytes, config) } else { taken }
            }
        }
    }

    /// Takes the records that `walk` leads to, from `start` on.
    fn take_walked(&mut self, start: usize, mut walk: Walk) -> TakenUpTo {
        self.is_self_contained = !walk.is_of_documents();
        let mut reader = Reader::at(self.bytes, start);
        loop {
            let led = walk.lead(&mut reader, self.end.is_last());
            match led.inspect_err(|_| self.look_for_lack(&walk, &mut reader))? {
                Next::Record => {}
                Next::Foreign => {
                    let start = reader.position();
                    reader.skip_value()?;
                    let keys: Vec<_> = walk.keys().collect();
                    self.lookout.look(&keys, reader.taken_since(start));
                    walk.pass()?;
                    continue;
                }
                Next::End => break,
            }
            if self.is_full() {
                return Ok(Some((reader.position(), Place::Walk(walk))));
            }
            let start = reader.position();
            match self.take_record(&mut reader) {
                Err(fault)
                    if fault.kind == FaultKind::UnexpectedEnd
                        && walk.is_of_documents()
                        && self.page_may_be_cut() =>
                {
                    let end = trim_blank_end(self.bytes).len();
                    if end - start > self.record_bytes_max {
                        self.reject_oversize(start, RawRecord::digest_of(&self.bytes[start..end]));
                    } else {
                        self.reject(start, end, *fault);
                    }
                    return Ok(None);
                }
                Err(fault) if fault.kind == FaultKind::BatchFull => {
                    return Ok(Some((start, Place::Walk(walk))));
                }
                taken => taken?,
            }
            if walk.is_of_envelopes() && self.lookout.is_on() {
                self.digest.push(self.record_hashes.hash_one(reader.taken_since(start)));
            }
            walk.pass()?;
        }
        self.check_utf8_up_to(self.bytes.len())?;
        Ok(None)
    }

    /// Sees whether the fault of a page is that it is an object in which there is no place of records.
    #[cold]
    fn look_for_lack(&mut self, walk: &Walk, reader: &mut Reader<'a>) {
        let text = self.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(self.bytes);
        self.lacks_records = walk.has_found_nothing()
            && self.bytes_are_utf8
            && reader.peek_token().is_none()
            && Reader::new(text).peek_token() == Some(b'{');
    }

    /// Tells whether the records take more room than there is, and more may be had.
    fn has_no_room(&self, taken: &TakenUpTo) -> bool {
        let is_too_large = match taken {
            Err(fault) => fault.kind == FaultKind::TooLarge,
            Ok(_) => self.decoder.column_bytes() > self.room.bytes,
        };
        is_too_large && !self.room.is_last
    }

    /// Whether the batch should take no record more.
    fn is_full(&mut self) -> bool {
        self.reject_bytes >= BATCH_BYTES_MAX || self.decoder.is_full()
    }

    /// Whether the page may end inside a record of its own and be complete all the same.
    fn page_may_be_cut(&self) -> bool {
        self.end == ChunkEnd::Page { is_proven: true }
    }

    /// Takes one record a line, from `start` on.
    fn take_lines(&mut self, start: usize) -> TakenUpTo {
        let mut line_start = start;
        while line_start < self.bytes.len() {
            if self.is_full() {
                return Ok(Some((line_start, Place::Lines)));
            }
            let rest = &self.bytes[line_start..];
            let newline = memchr::memchr(b'\n', rest);
            let line = &rest[..newline.unwrap_or(rest.len())];
            match self.take_line(line, line_start, newline.is_some()) {
                Err(fault) if fault.kind == FaultKind::BatchFull => {
                    return Ok(Some((line_start, Place::Lines)));
                }
                taken => taken?,
            }
            line_start += line.len() + 1;
        }
        // Every byte was a record's, or white space.
        Ok(None)
    }

    fn take_line(&mut self, line: &'a [u8], line_start: usize, is_terminated: bool) -> Taken {
        let Some(indent) = line.iter().position(|byte| !is_blank_in_line(*byte)) else { return Ok(()) };
        let end = line.iter().rposition(|byte| !is_blank_in_line(*byte)).map_or(indent, |last| last + 1);
        let record = &line[indent..end];
        let start = line_start + indent;
        if record.len() > self.record_bytes_max
            && (is_terminated || self.page_may_be_cut() || is_one_value(record))
        {
            self.reject_oversize(start, RawRecord::digest_of(record));
            return Ok(());
        }
        let taken = match self.check_utf8(record) {
            Ok(()) => self.hand_over(&mut Reader::new(record), start, Tail::Nothing),
            Err(fault) => Err(fault),
        };
        match taken {
            Ok(()) => self.index += 1,
            Err(fault)
                if matches!(fault.kind, FaultKind::BatchFull | FaultKind::SchemaBroken)
                    || fault.kind == FaultKind::TooLarge && !self.room.is_last =>
            {
                return Err(fault);
            }
            Err(fault) if fault.kind == FaultKind::ColumnsLimit => {
                self.index += 1;
                return Err(fault);
            }
            Err(mut fault)
                if fault.kind != FaultKind::Misfit && !is_terminated && !self.page_may_be_cut() =>
            {
                self.hide_value(&mut fault);
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
        if self.bytes.len() > self.record_bytes_max {
            self.check_utf8_up_to(first)?;
            reader.skip_value()?;
            let record = &self.bytes[first..reader.position()];
            if record.len() > self.record_bytes_max {
                self.utf8_checked_to = reader.position();
                self.reject_oversize(first, RawRecord::digest_of(record));
                return Ok(());
            }
            *reader = start.clone();
        }
        let taken = if self.bytes_are_utf8 {
            self.hand_over(reader, first, Tail::Any)
        } else {
            self.check_utf8_up_to(first)?;
            reader.skip_value()?;
            self.utf8_checked_to = reader.position();
            self.check_utf8(&self.bytes[first..reader.position()]).and_then(|()| {
                *reader = start.clone();
                self.hand_over(reader, first, Tail::Any)
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
            Err(fault)
                if matches!(fault.kind, FaultKind::Value | FaultKind::Misfit)
                    || self.is_refused_for_its_size(&fault) =>
            {
                *reader = start;
                reader.skip_value()?;
                self.reject(first, reader.position(), *fault);
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    fn is_refused_for_its_size(&self, fault: &Fault) -> bool {
        fault.kind == FaultKind::TooLarge && self.room.is_last
    }

    /// Checks the bytes between the last record and `end`, which are outside records.
    fn check_utf8_up_to(&mut self, end: usize) -> Taken {
        let start = self.utf8_checked_to;
        self.utf8_checked_to = end;
        self.check_utf8(&self.bytes[start..end]).map_err(|mut fault| {
            fault.position += start;
            fault
        })
    }

    fn check_utf8(&self, record: &[u8]) -> Taken {
        if self.bytes_are_utf8 {
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
        if fault.kind == FaultKind::TooLarge {
            let (most, size) = (self.room.bytes, end - start);
            fault.reason = format!(
                "expected a record that takes at most {most} bytes of memory, got one of {size} bytes of text that \
                 takes more; raise --memory"
            );
        } else if !matches!(fault.kind, FaultKind::Value | FaultKind::Misfit) {
            fault.reason = format!("{} at byte {} of the record", fault.reason, fault.position - start);
        }
        let record = &self.bytes[start..end];
        let shown = match self.rejects_raw {
            RejectsRaw::Full => Some(RawRecord::Bytes(record.to_vec())),
            RejectsRaw::Redacted => redacted(record, self.decoder.marks()),
            RejectsRaw::None => None,
        };
        self.hide_value(&mut fault);
        let raw = shown.unwrap_or(RawRecord::Hidden { size: record.len() as u64 });
        self.push_reject(start, fault.pointer, fault.reason, raw);
    }

    /// Takes out of a fault what must not be seen: the value that was found, and the keys that lead on from there.
    fn hide_value(&self, fault: &mut Fault) {
        let keys = pointer::parse(&fault.pointer).unwrap_or_default();
        let hidden_at = match self.rejects_raw {
            RejectsRaw::Full => None,
            RejectsRaw::Redacted => self.decoder.marks().hidden_at(&keys),
            RejectsRaw::None => Some(0),
        };
        let Some(depth) = hidden_at else { return };
        fault.pointer = pointer::show(keys[..depth].iter().map(String::as_str));
        let found = fault.reason.find(", got ").unwrap_or(fault.reason.len());
        fault.reason.truncate(found);
    }

    #[cold]
    fn reject_oversize(&mut self, start: usize, raw: RawRecord) {
        let most = self.record_bytes_max;
        let reason =
            format!("expected a record of at most {most} bytes (--max-record-bytes), got {}", raw.size());
        self.push_reject(start, String::new(), reason, raw);
    }

    fn push_reject(&mut self, start: usize, pointer: String, reason: String, raw: RawRecord) {
        self.push_loss(Loss::Record, start, pointer, reason, raw);
        self.index += 1;
    }

    fn push_loss(&mut self, loss: Loss, start: usize, pointer: String, reason: String, raw: RawRecord) {
        let byte_offset = self.offset + start as u64;
        let reject = Reject { loss, record: self.index, byte_offset, pointer, reason, raw };
        self.reject_bytes += reject.memory_bytes();
        self.rejects.push(reject);
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
        let is_one_record = row_count == 1 && self.index == 1;
        let mut arrays_of_objects = shape.fields.iter().filter(|(_, field)| {
            field.element.as_ref().is_some_and(|element| element.kinds.has(Kinds::OBJECT))
        });
        let array_of_objects = match (&self.filtered, arrays_of_objects.next(), arrays_of_objects.next()) {
            (Some(filtered), ..) => filtered.array_of_objects.as_deref(),
            (None, Some((name, _)), None) => Some(name.as_ref()),
            _ => None,
        };
        let records_hint =
            array_of_objects.filter(|_| is_one_record && may_hint).map(|name| pointer::show([name]));
        let (kept_count, filtered_count, filtered_key_count) = match &self.filtered {
            Some(filtered) => (filtered.kept_count, filtered.filtered_count, filtered.duplicate_key_count),
            None => (row_count as u64, 0, 0),
        };
        PageBatch {
            record_count: self.index,
            kept_count,
            filtered_count,
            row_count,
            records_of_rows: self.filtered.map(|filtered| filtered.records_of_rows),
            shape,
            columns,
            features,
            provenance: Vec::new(),
            rejects: self.rejects,
            duplicate_key_count: duplicate_key_count + filtered_key_count,
            overflow_count,
            records_hint,
            around: self.lookout.around,
            is_self_contained: self.is_self_contained,
            records: self.digest,
            digest: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeclaredForm;
    use crate::schema::LEAF_COLUMNS_MAX;

    /// Decodes a page of lines, batch by batch.
    fn batches(body: String) -> Vec<PageBatch> {
        batches_of(body, &TransformConfig::default())
    }

    fn batches_of(body: String, config: &TransformConfig) -> Vec<PageBatch> {
        let mut next = Some(Chunk::whole(body.into(), DeclaredForm::Ndjson, true));
        let mut batches = Vec::new();
        while let Some(chunk) = next.take() {
            let decoded = decode(chunk, config).unwrap();
            batches.push(decoded.batch);
            next = decoded.rest;
        }
        batches
    }

    #[test]
    fn columns_that_would_fill_the_memory_are_cut_into_batches() {
        // 1.4 MB as text: a thousand columns, and then half a million rows of nothing.
        let keys: Vec<_> = (0..1000).map(|key| format!("\"k{key}\":1")).collect();
        let wide = format!("{{{}}}\n", keys.join(","));
        for body in [wide.clone() + &"{}\n".repeat(500_000), "{}\n".repeat(500_000) + &wide] {
            let batches = batches(body);
            assert_eq!(batches.iter().map(|batch| batch.row_count).sum::<usize>(), 500_001);
            for batch in batches {
                assert!(batch.memory_bytes() < 9 << 20, "{} rows", batch.row_count);
            }
        }
    }

    /// Decodes a page of lines through a filter, batch by batch.
    fn filtered_batches(body: String, filter: &str) -> Vec<PageBatch> {
        let config = TransformConfig { jq: Some(filter.into()), ..TransformConfig::default() };
        batches_of(body, &config)
    }

    /// A record with a list of so many objects, each of which has one of 60 keys.
    fn alternating(count: usize) -> String {
        let objects: Vec<_> = (0..count).map(|place| format!("{{\"k{:02}\":1}}", place % 60)).collect();
        format!("{{\"id\":1,\"list\":[{}]}}", objects.join(","))
    }

    /// Records that are small as text and not as columns, of every kind.
    fn growing_records() -> Vec<String> {
        let deep = "[".repeat(20) + "1" + &"]".repeat(20);
        let wide: Vec<_> = (0..60).map(|key| format!("\"k{key}\":1")).collect();
        vec![
            alternating(60_000),
            format!("{{\"list\":[{{{}}}{}]}}", wide.join(","), ",{}".repeat(30_000)),
            format!("{{\"list\":[{}]}}", vec![deep; 60_000].join(",")),
            format!("{{\"list\":[{}]}}", vec!["[1]"; 600_000].join(",")),
            format!("{{\"list\":[{}]}}", vec!["{}"; 600_000].join(",")),
            format!("{{\"values\":[{}]}}", vec!["1"; 600_000].join(",")),
        ]
    }

    fn config_with_room(record_memory_bytes: usize) -> TransformConfig {
        TransformConfig { record_memory_bytes, ..TransformConfig::default() }
    }

    #[test]
    fn record_that_takes_more_memory_than_it_may_is_refused_alone() {
        for record in growing_records() {
            let body = format!("{{\"id\":1}}\n{record}\n{{\"id\":2}}\n");
            let batches = batches_of(body.clone(), &config_with_room(2 << 20));
            let rejects: Vec<_> = batches.iter().flat_map(|batch| &batch.rejects).collect();
            let rows: usize = batches.iter().map(|batch| batch.row_count).sum();
            assert_eq!((rejects.len(), rows), (1, 2), "{}", &record[..40]);
            let reason = &rejects[0].reason;
            assert!(reason.contains(&format!("got one of {} bytes of text", record.len())), "{reason}");
            assert_eq!(rejects[0].raw, RawRecord::Bytes(record.clone().into_bytes()));
            assert!(!rejects[0].pointer.is_empty(), "{reason}");
            // With room enough it is a record as any other.
            let batches = batches_of(body, &config_with_room(1 << 30));
            assert_eq!(batches.iter().map(|batch| batch.row_count).sum::<usize>(), 3, "{}", &record[..40]);
        }
    }

    #[test]
    fn chunk_that_takes_more_than_there_is_room_for_is_left_as_it_was() {
        let config = config_with_room(1 << 30);
        for record in growing_records() {
            let body = format!("{{\"id\":1}}\n{record}\n").into_bytes();
            let chunk = Chunk::whole(body.clone(), DeclaredForm::Ndjson, true);
            let decoded = decode_within(1 << 20, chunk, &config, None).unwrap();
            assert!(decoded.is_empty() && decoded.batch.rejects.is_empty(), "{}", &record[..40]);
            let rest = decoded.rest.expect("all of it");
            assert_eq!(rest.bytes(), body);
            let decoded = decode_within(usize::MAX, rest, &config, None).unwrap();
            let rows = decoded.batch.row_count
                + decoded.rest.map_or(0, |rest| decode(rest, &config).unwrap().batch.row_count);
            assert_eq!(rows, 2, "{}", &record[..40]);
        }
    }

    #[test]
    fn batches_are_the_same_whatever_room_there_is() {
        let small: String =
            (0..2_000).map(|id| format!("{{\"id\":{id},\"list\":[{{\"a\":1}},{{}}]}}\n")).collect();
        let body =
            small.clone() + &alternating(20_000) + "\n" + &small + &alternating(15_000) + "\n" + &small;
        let sizes = |room: usize| -> Vec<_> {
            batches_of(body.clone(), &config_with_room(room)).iter().map(|batch| batch.row_count).collect()
        };
        let expected = sizes(1 << 30);
        assert!(expected.len() > 1, "{expected:?}");
        for room in [18 << 20, 32 << 20, 100 << 20] {
            assert_eq!(sizes(room), expected, "{room}");
        }
    }

    #[test]
    fn filter_reads_no_record_that_takes_more_memory_than_it_may() {
        let config = TransformConfig { jq: Some(".".into()), ..config_with_room(2 << 20) };
        let batches = batches_of(alternating(60_000) + "\n{\"id\":2}\n", &config);
        let rejects: Vec<_> = batches.iter().flat_map(|batch| &batch.rejects).collect();
        assert_eq!((rejects.len(), batches.iter().map(|batch| batch.row_count).sum::<usize>()), (1, 1));
        assert!(rejects[0].reason.contains("raise --memory"), "{}", rejects[0].reason);
    }

    #[test]
    fn results_of_one_record_are_never_in_two_batches() {
        let objects =
            "{a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1,l:1,m:1,n:1,o:1,p:1,q:1,r:1,s:1,t:1,u:1,v:1}";
        // Rows that get the columns of objects behind them, of their own record and of the next.
        let filter = format!("(range(.rows) | {{i: .}}), (range(.objects) | {{o: {objects}}})");
        let own = filtered_batches("{\"rows\":60000,\"objects\":1}\n".repeat(3), &filter);
        assert_eq!(own.iter().map(|batch| batch.row_count).collect::<Vec<_>>(), [60_001; 3]);
        let next = "{\"rows\":60000,\"objects\":0}\n{\"rows\":0,\"objects\":2}\n";
        let next = filtered_batches(next.to_owned(), &filter);
        assert_eq!(next.iter().map(|batch| batch.row_count).collect::<Vec<_>>(), [60_000, 2]);
        for batch in own.iter().chain(&next) {
            assert_eq!(batch.records_of_rows, Some(vec![0; batch.row_count]));
            assert_eq!((batch.record_count, batch.kept_count, batch.rejects.len()), (1, 1, 0));
        }
    }

    #[test]
    fn results_fill_batches_as_records_do() {
        let lines: Vec<_> = (0..40).map(|id| format!("{{\"id\":{id}}}")).collect();
        let filter = "range(3000) as $i | {id, $i, (\"k\\(.id)\"): {a: 1, b: 2, c: 3, d: 4}}";
        let batches = filtered_batches(lines.join("\n"), filter);
        assert!(batches.len() > 1);
        assert_eq!(batches.iter().map(|batch| batch.record_count).sum::<u64>(), 40);
        for batch in batches {
            let records = (0..batch.record_count).flat_map(|record| vec![record; 3000]);
            assert_eq!(batch.records_of_rows, Some(records.collect()));
            assert_eq!(batch.row_count as u64, 3000 * batch.record_count);
        }
    }

    #[test]
    fn rejects_that_would_fill_the_memory_are_cut_into_batches() {
        let batches = batches("1\n".repeat(500_000));
        assert_eq!(batches.iter().map(|batch| batch.rejects.len()).sum::<usize>(), 500_000);
        assert!(batches.iter().all(|batch| batch.memory_bytes() < 9 << 20));
    }

    #[test]
    fn page_with_too_many_columns_goes_to_the_writer_that_names_them() {
        let lines: Vec<_> = (0..9000).map(|key| format!("{{\"k{key}\":1}}")).collect();
        let batches = batches(lines.join("\n"));
        let columns = batches.iter().map(|batch| batch.shape.fields.len()).max();
        assert!(columns.is_some_and(|count| count > 1000), "{columns:?} of {LEAF_COLUMNS_MAX}");
        assert!(batches.iter().all(|batch| batch.record_count == batch.row_count as u64));
    }

    #[test]
    fn reason_of_a_page_that_ends_in_a_line_hides_what_must_not_be_seen() {
        let body = b"{\"values\":[\"SECRET\"]}".to_vec();
        let config = TransformConfig { rejects_raw: RejectsRaw::None, ..TransformConfig::default() };
        let fault = decode(Chunk::whole(body, DeclaredForm::Ndjson, false), &config).unwrap_err();
        assert!(!fault.reason.contains("SECRET"), "{}", fault.reason);
        assert!(fault.reason.contains("expected a number"), "{}", fault.reason);
    }
}
