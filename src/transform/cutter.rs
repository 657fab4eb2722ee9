//! Cuts a page into chunks at the borders of its records, while its bytes arrive.
//!
//! Where it cuts depends on the bytes of the page alone, never on how they arrive: a chunk ends at the last
//! border within [`TransformConfig::chunk_bytes`], or else at the first one behind. Lines are cut without
//! looking into them. In any other layout every record is passed once, to find its end; whether it is right is
//! for the decoder to say.

use std::sync::Arc;

use super::chunk::{Chunk, ChunkEnd, Content, Place};
use super::layout::{BYTE_ORDER_MARK, Layout, layout_of, layout_of_oversize};
use super::oversize::{OversizeRecord, RecordEnd, ValueEnd};
use super::reader::{Fault, FaultKind, Reader};
use super::walk::Walk;
use crate::config::TransformConfig;
use crate::model::{DeclaredForm, Received, RunningTrace};

/// Bytes that are waited for at least before another look for a border.
const STEP_BYTES_MIN: usize = 16 << 10;

/// The page from which chunks are cut.
#[derive(Debug)]
pub struct Cutter {
    config: Arc<TransformConfig>,
    form: DeclaredForm,
    /// What has arrived and is not cut off yet.
    buffer: Vec<u8>,
    /// Where the buffer begins in the body.
    offset: u64,
    /// Where the first byte of the buffer stands.
    place: Place,
    scan: Scan,
    /// From this length of the buffer on, a look for a border is worth while.
    wanted_bytes: usize,
    trace: RunningTrace,
    is_over: bool,
}

/// What is known of the borders in the buffer.
#[derive(Debug)]
enum Scan {
    Unknown,
    Lines,
    Walk {
        walk: Walk,
        /// Where the walk stands.
        position: usize,
        /// The last border within the chunk.
        border: Option<(usize, Walk)>,
    },
    Oversize {
        record: OversizeRecord,
        /// Where it begins in the body.
        start: u64,
        /// The walk, standing before the record; `None` among lines.
        walk: Option<Walk>,
    },
}

/// What a look for a border found.
enum Found {
    /// A chunk ends here; what follows is at this place.
    Border(usize, Place),
    /// Not enough bytes yet.
    Nothing,
    /// The first record of the buffer is larger than a record may be.
    Oversize(RecordEnd, Option<Walk>),
    /// The text is broken: the decoder will say where.
    Broken,
    /// There is no record for longer than a record may be.
    Lost(Box<Fault>),
}

impl Cutter {
    /// A page of which nothing has arrived.
    pub fn new(config: &Arc<TransformConfig>, form: DeclaredForm) -> Self {
        Self {
            config: Arc::clone(config),
            form,
            buffer: Vec::new(),
            offset: 0,
            place: Place::Unknown(form),
            scan: Scan::Unknown,
            wanted_bytes: config.chunk_bytes + 1,
            trace: RunningTrace::default(),
            is_over: false,
        }
    }

    /// What the sender said of the page's form.
    pub fn form(&self) -> DeclaredForm {
        self.form
    }

    /// Where the next bytes of the page are appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// How many bytes more it takes until [`Self::cut`] is worth while.
    pub fn bytes_wanted(&self) -> usize {
        self.wanted_bytes.saturating_sub(self.buffer.len())
    }

    /// Whether no chunk was cut off yet.
    pub fn is_at_start(&self) -> bool {
        self.offset == 0
    }

    /// The next chunk, if enough has arrived. `end_proven` is there once all has arrived; then the last chunk
    /// comes, and after it none.
    pub fn cut(&mut self, end_proven: Option<bool>) -> Option<Chunk> {
        let is_all = end_proven.is_some();
        let end = end_proven.map_or(ChunkEnd::Record, |is_proven| ChunkEnd::Page { is_proven });
        loop {
            if self.is_over {
                return None;
            }
            if let Scan::Oversize { .. } = self.scan {
                return self.pass_oversize(end);
            }
            if self.buffer.len() <= self.config.chunk_bytes {
                self.wanted_bytes = self.config.chunk_bytes + 1;
                return is_all.then(|| self.cut_rest(end));
            }
            match self.find_border(is_all) {
                Found::Border(border, next) => return Some(self.cut_at(border, next)),
                Found::Oversize(record_end, walk) => {
                    let (record, start) = (OversizeRecord::new(record_end), self.offset);
                    self.scan = Scan::Oversize { record, start, walk };
                }
                Found::Lost(fault) => return Some(self.lost(fault, self.offset)),
                Found::Broken => return Some(self.cut_rest(ChunkEnd::Page { is_proven: false })),
                Found::Nothing if is_all => return Some(self.cut_rest(end)),
                Found::Nothing => {
                    // In proportion, so that a large record is not looked at time and again.
                    self.wanted_bytes = self.buffer.len() + (self.buffer.len() / 4).max(STEP_BYTES_MIN);
                    return None;
                }
            }
        }
    }

    /// The trace of a page that will not be finished; `None` if nothing arrived.
    pub fn into_trace(mut self) -> Option<Received> {
        self.trace.update(&self.buffer);
        let received = self.trace.finish();
        (received.size > 0).then_some(received)
    }

    fn find_border(&mut self, is_all: bool) -> Found {
        if let Scan::Unknown = self.scan {
            let layout = layout_of(&self.buffer, is_all, self.form, self.config.records.as_ref());
            let layout = match layout {
                Ok(Some(layout)) => layout,
                Ok(None) if self.buffer.len() as u64 > self.config.record_bytes_max => {
                    layout_of_oversize(self.form)
                }
                Ok(None) => return Found::Nothing,
                Err(_) => return Found::Broken,
            };
            self.scan = match &layout {
                Layout::Nothing => return Found::Broken,
                Layout::Lines => Scan::Lines,
                Layout::Walked(layout) => {
                    let position =
                        if self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
                    Scan::Walk { walk: Walk::new(layout.clone()), position, border: None }
                }
            };
            self.place = Place::Begin(layout);
        }
        let Self { scan, buffer, config, .. } = self;
        match scan {
            Scan::Lines => find_line(buffer, config),
            Scan::Walk { walk, position, border } => {
                find_record(buffer, config, walk, position, border, is_all)
            }
            Scan::Unknown | Scan::Oversize { .. } => {
                unreachable!("the layout is known and no record is passed")
            }
        }
    }

    /// Cuts off the buffer up to `border`; the rest begins at `next`.
    fn cut_at(&mut self, border: usize, next: Place) -> Chunk {
        let rest = self.buffer[border..].to_vec();
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(border);
        if let Scan::Walk { position, .. } = &mut self.scan {
            *position -= border;
        }
        self.chunk(bytes, next, ChunkEnd::Record)
    }

    /// Cuts off all that has arrived, as the last chunk.
    fn cut_rest(&mut self, end: ChunkEnd) -> Chunk {
        self.is_over = true;
        let bytes = std::mem::take(&mut self.buffer);
        self.chunk(bytes, Place::Unknown(self.form), end)
    }

    fn chunk(&mut self, bytes: Vec<u8>, next: Place, end: ChunkEnd) -> Chunk {
        let is_whole_page = self.offset == 0 && end.is_last();
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let trace = (!is_whole_page).then(|| {
            self.trace.update(&bytes);
            self.trace.clone()
        });
        self.wanted_bytes = self.config.chunk_bytes + 1;
        let place = std::mem::replace(&mut self.place, next);
        Chunk { content: Content::Records { bytes, start: 0, place, end }, offset, trace }
    }

    /// Takes what has arrived of a record that is too large to be kept; the chunk that tells of it once it is
    /// over.
    fn pass_oversize(&mut self, end: ChunkEnd) -> Option<Chunk> {
        let Scan::Oversize { record, start, walk } = &mut self.scan else {
            unreachable!("the caller has looked")
        };
        let start = *start;
        let (length, is_over) = match record.take(&self.buffer) {
            Ok(taken) => taken,
            Err(fault) => return Some(self.lost(fault, start)),
        };
        self.trace.update(&self.buffer[..length]);
        self.buffer.drain(..length);
        self.offset += length as u64;
        self.wanted_bytes = self.config.chunk_bytes + 1;
        if !is_over && !end.is_last() {
            return None;
        }
        // A record of its own may be unfinished where the end of the page is proven.
        let is_record = is_over
            || end == (ChunkEnd::Page { is_proven: true }) && walk.as_ref().is_none_or(Walk::is_of_documents);
        if !is_record {
            let fault = record.unexpected_end();
            return Some(self.lost(fault, start));
        }
        let next = walk.take().map_or(Scan::Lines, |mut walk| {
            walk.pass_record();
            self.place = Place::Walk(walk.clone());
            Scan::Walk { walk, position: 0, border: None }
        });
        let Scan::Oversize { record, .. } = std::mem::replace(&mut self.scan, next) else {
            unreachable!("it was one above")
        };
        let (size, sha256) = record.finish();
        Some(Chunk {
            content: Content::Oversize { size, sha256 },
            offset: start,
            trace: Some(self.trace.clone()),
        })
    }

    /// The chunk that fails the page, at a fault whose position is counted from `start` in the body.
    fn lost(&mut self, fault: Box<Fault>, start: u64) -> Chunk {
        self.is_over = true;
        self.trace.update(&self.buffer);
        self.buffer.clear();
        Chunk { content: Content::Lost(fault), offset: start, trace: Some(self.trace.clone()) }
    }
}

fn find_line(buffer: &[u8], config: &TransformConfig) -> Found {
    let (within, behind) = buffer.split_at(config.chunk_bytes);
    let newline = memchr::memrchr(b'\n', within)
        .or_else(|| memchr::memchr(b'\n', behind).map(|length| within.len() + length));
    let blank = buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    match newline {
        Some(newline) => Found::Border(newline + 1, Place::Lines),
        None if blank == buffer.len() => Found::Border(blank, Place::Lines),
        None if (buffer.len() - blank) as u64 > config.record_bytes_max => match blank {
            0 => Found::Oversize(RecordEnd::Newline, None),
            _ => Found::Border(blank, Place::Lines),
        },
        None => Found::Nothing,
    }
}

fn find_record(
    buffer: &[u8],
    config: &TransformConfig,
    walk: &mut Walk,
    position: &mut usize,
    border: &mut Option<(usize, Walk)>,
    is_all: bool,
) -> Found {
    let mut reader = Reader::at(buffer, *position);
    let border_or = |border: &mut Option<(usize, Walk)>, otherwise: Found| {
        border.take().map_or(otherwise, |(border, walk)| Found::Border(border, Place::Walk(walk)))
    };
    loop {
        let mut ahead = walk.clone();
        match ahead.lead_to_record(&mut reader, true) {
            Ok(true) => {}
            Err(fault) if fault.kind != FaultKind::UnexpectedEnd || is_all => {
                return border_or(border, Found::Broken);
            }
            _ if is_all || (buffer.len() - *position) as u64 <= config.record_bytes_max => {
                return border_or(border, Found::Nothing);
            }
            _ => {
                let most = config.record_bytes_max;
                let reason = format!("expected a record within {most} bytes (--max-record-bytes), got none");
                let fault = Fault::new(FaultKind::Value, *position, reason);
                return border_or(border, Found::Lost(fault));
            }
        }
        let start = reader.position();
        (*walk, *position) = (ahead, start);
        if start > config.chunk_bytes {
            let (border, walk) = border.take().unwrap_or_else(|| (start, walk.clone()));
            return Found::Border(border, Place::Walk(walk));
        }
        if start > 0 {
            *border = Some((start, walk.clone()));
        }
        match reader.skip_value() {
            // The end of a number is only known by what follows it.
            Ok(()) if is_all || reader.rest_bytes() > 0 => {
                walk.pass_record();
                *position = reader.position();
            }
            Err(fault) if fault.kind != FaultKind::UnexpectedEnd => return border_or(border, Found::Broken),
            // The next border, if there is one, is behind the chunk.
            _ if border.is_some() => return border_or(border, Found::Nothing),
            _ if (buffer.len() - start) as u64 > config.record_bytes_max => {
                let end = RecordEnd::Value(ValueEnd::new());
                return Found::Oversize(end, Some(walk.clone()));
            }
            _ => return Found::Nothing,
        }
    }
}
