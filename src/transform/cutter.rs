//! Cuts a page into chunks at the borders of its records, while its bytes arrive.
//!
//! Where it cuts depends on the bytes of the page alone, never on how they arrive: a chunk ends at the last
//! border within [`TransformConfig::chunk_bytes`], or else at the first one behind. Lines are cut without
//! looking into them. In any other layout every record is passed once, to find its end; whether it is right is
//! for the decoder to say.

use std::sync::Arc;

use super::chunk::{Chunk, ChunkEnd, Content, Place};
use super::layout::{BYTE_ORDER_MARK, Layout, is_blank_in_line, layout_of, layout_of_oversize};
use super::oversize::{OversizeValue, ValueEnd};
use super::reader::{Fault, FaultKind, Reader};
use super::walk::{Next, Walk};
use crate::config::TransformConfig;
use crate::model::DeclaredForm;

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
    /// From this length of the buffer on, a look for a border is worthwhile.
    wanted_bytes: usize,
    /// Takes what is left of the buffer when a chunk is cut off.
    spare: Vec<u8>,
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
        value: OversizeValue,
        /// Where it begins in the body.
        start: u64,
        /// The walk, standing before the value; `None` among lines.
        walk: Option<Walk>,
    },
}

/// What a look for a border found.
enum Found {
    /// A chunk ends here; what follows is at this place.
    Border(usize, Place),
    /// Not enough bytes yet.
    Nothing,
    /// The buffer begins with a value that is larger than a record may be.
    Oversize(ValueEnd, Option<Walk>),
    /// The text is broken: the decoder will say where.
    Broken,
    /// No value ends or begins for longer than a record may be.
    Lost(Box<Fault>),
}

/// What became of a value that is too large to be kept.
enum Passed {
    /// Not all of it has arrived.
    Nothing,
    /// It was a record, or broke the page: the chunk that tells of it.
    Chunk(Box<Chunk>),
    /// It was none, and is over.
    Foreign,
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
            spare: Vec::new(),
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

    /// How many bytes more it takes until [`Self::cut`] is worthwhile.
    pub fn bytes_wanted(&self) -> usize {
        self.wanted_bytes.saturating_sub(self.buffer.len())
    }

    /// Whether no chunk was cut off yet.
    pub fn is_at_start(&self) -> bool {
        self.offset == 0
    }

    /// Whether the last chunk was cut off; what else arrives is of no interest.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The next chunk, if enough has arrived. `end_proven` is there once all has arrived; then the last chunk
    /// comes, and after it none.
    pub fn cut(&mut self, end_proven: Option<bool>) -> Option<Chunk> {
        let is_all = end_proven.is_some();
        let end = end_proven.map_or(ChunkEnd::Record, |is_proven| ChunkEnd::Page { is_proven });
        loop {
            // Looked at at fixed lengths, so that what is found does not depend on how the bytes arrive.
            if self.is_over || !is_all && self.buffer.len() < self.wanted_bytes {
                return None;
            }
            if let Scan::Oversize { .. } = self.scan {
                match self.pass_oversize(end) {
                    Passed::Chunk(chunk) => return Some(*chunk),
                    Passed::Foreign => continue,
                    Passed::Nothing => return None,
                }
            }
            if self.buffer.len() <= self.config.chunk_bytes {
                self.wanted_bytes = self.config.chunk_bytes + 1;
                return is_all.then(|| self.cut_rest(end));
            }
            match self.find_border(is_all) {
                Found::Border(border, next) => return Some(self.cut_at(border, next)),
                Found::Oversize(value_end, walk) => {
                    let (value, start) = (OversizeValue::new(value_end), self.offset);
                    self.scan = Scan::Oversize { value, start, walk };
                }
                Found::Lost(fault) => return Some(self.lost(fault, self.offset)),
                Found::Broken => return Some(self.cut_rest(ChunkEnd::Broken)),
                Found::Nothing if is_all => return Some(self.cut_rest(end)),
                Found::Nothing => {
                    // In proportion, so that a large record is not looked at time and again.
                    self.wanted_bytes = self.buffer.len() + (self.buffer.len() / 4).max(STEP_BYTES_MIN);
                    return None;
                }
            }
        }
    }

    /// Whether the next cut is a matter of microseconds: lines are not looked into.
    pub fn cuts_lines(&self) -> bool {
        matches!(self.scan, Scan::Lines)
    }

    /// Whether a chunk is about to be cut off and there is no buffer for what is left.
    pub fn wants_spare(&self) -> bool {
        self.bytes_wanted() == 0 && self.spare.capacity() == 0
    }

    /// Takes a buffer that is needed no more, to be used again.
    pub fn give_spare(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare = buffer;
    }

    fn find_border(&mut self, is_all: bool) -> Found {
        if let Scan::Unknown = self.scan {
            if self.buffer.starts_with(BYTE_ORDER_MARK) && self.offset == 0 {
                self.place = Place::Begin(Layout::Nothing);
                return Found::Border(BYTE_ORDER_MARK.len(), Place::Unknown(self.form));
            }
            if is_blank(&self.buffer) {
                self.place = Place::Begin(Layout::Nothing);
                return Found::Border(self.buffer.len(), Place::Unknown(self.form));
            }
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
                Layout::Nothing => return Found::Nothing,
                Layout::Lines => Scan::Lines,
                Layout::Walked(layout) => {
                    Scan::Walk { walk: Walk::new(layout.clone()), position: 0, border: None }
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
    fn cut_at(&mut self, border: usize, mut next: Place) -> Chunk {
        let mut rest = std::mem::take(&mut self.spare);
        rest.extend_from_slice(&self.buffer[border..]);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(border);
        if let Scan::Walk { walk, position, .. } = &mut self.scan {
            *position -= border;
            walk.rebase(border);
        }
        if let Place::Walk(walk) = &mut next {
            walk.rebase(border);
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
        self.wanted_bytes = self.config.chunk_bytes + 1;
        let place = std::mem::replace(&mut self.place, next);
        Chunk { content: Content::Records { bytes, start: 0, place, end }, offset, is_whole_page }
    }

    /// Takes what has arrived of a value that is too large to be kept.
    fn pass_oversize(&mut self, end: ChunkEnd) -> Passed {
        let Scan::Oversize { value, start, walk } = &mut self.scan else {
            unreachable!("the caller has looked")
        };
        let start = *start;
        let (length, is_over) = match value.take(&self.buffer) {
            Ok(taken) => taken,
            Err(fault) => return Passed::Chunk(Box::new(self.lost(fault, start))),
        };
        self.buffer.drain(..length);
        self.offset += length as u64;
        if let Some(walk) = walk {
            walk.rebase(length);
        }
        self.wanted_bytes = self.config.chunk_bytes + 1;
        if !is_over && !end.is_last() {
            return Passed::Nothing;
        }
        // A record of its own may be unfinished where the end of the page is proven.
        let is_whole = is_over
            || end == (ChunkEnd::Page { is_proven: true }) && walk.as_ref().is_none_or(Walk::is_of_documents);
        if !is_whole {
            let fault = value.unexpected_end();
            return Passed::Chunk(Box::new(self.lost(fault, start)));
        }
        let mut walk = walk.take();
        let is_foreign = walk.as_ref().is_some_and(Walk::is_before_foreign);
        if let Some(Err(fault)) = walk.as_mut().map(Walk::pass) {
            return Passed::Chunk(Box::new(self.lost(fault, self.offset)));
        }
        self.place = walk.clone().map_or(Place::Lines, Place::Walk);
        let next = walk.map_or(Scan::Lines, |walk| Scan::Walk { walk, position: 0, border: None });
        let Scan::Oversize { value, .. } = std::mem::replace(&mut self.scan, next) else {
            unreachable!("it was one above")
        };
        if is_foreign {
            return Passed::Foreign;
        }
        let (size, sha256) = value.finish();
        let content = Content::Oversize { size, sha256 };
        Passed::Chunk(Box::new(Chunk { content, offset: start, is_whole_page: false }))
    }

    /// The chunk that fails the page, at a fault whose position is counted from `start` in the body.
    fn lost(&mut self, fault: Box<Fault>, start: u64) -> Chunk {
        self.is_over = true;
        Chunk { content: Content::Lost(fault), offset: start, is_whole_page: false }
    }
}

fn find_line(buffer: &[u8], config: &TransformConfig) -> Found {
    let (within, behind) = buffer.split_at(config.chunk_bytes);
    if let Some(newline) = memchr::memrchr(b'\n', within) {
        return Found::Border(newline + 1, Place::Lines);
    }
    let newline = memchr::memchr(b'\n', behind).map(|length| within.len() + length);
    let line = &buffer[..newline.unwrap_or(buffer.len())];
    let blank = line.iter().take_while(|byte| is_blank_in_line(**byte)).count();
    let trailing = line[blank..].iter().rev().take_while(|byte| is_blank_in_line(**byte)).count();
    if (line.len() - blank - trailing) as u64 > config.record_bytes_max {
        return match blank {
            0 => Found::Oversize(ValueEnd::Newline, None),
            _ => Found::Border(blank, Place::Lines),
        };
    }
    match newline {
        Some(newline) => Found::Border(newline + 1, Place::Lines),
        None if blank == buffer.len() => Found::Border(blank, Place::Lines),
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
    let is_oversize = |start: usize, end: usize| (end - start) as u64 > config.record_bytes_max;
    loop {
        let mut ahead = walk.clone();
        match ahead.lead(&mut reader, true) {
            Ok(Next::Record | Next::Foreign) => {}
            Err(fault) if fault.kind != FaultKind::UnexpectedEnd || is_all => {
                return border_or(border, Found::Broken);
            }
            _ if is_all || !is_oversize(*position, buffer.len()) => return border_or(border, Found::Nothing),
            // Blank bytes behind all records so far: they need not be kept.
            Ok(Next::End) => {
                (*walk, *position) = (ahead, buffer.len());
                return border_or(border, Found::Border(buffer.len(), Place::Walk(walk.clone())));
            }
            _ if is_blank(&buffer[*position..]) => {
                *position = buffer.len();
                return border_or(border, Found::Border(buffer.len(), Place::Walk(walk.clone())));
            }
            _ => {
                let most = config.record_bytes_max;
                let reason = format!("expected a value within {most} bytes (--max-record-bytes), got none");
                return border_or(border, Found::Lost(Fault::new(FaultKind::Value, *position, reason)));
            }
        }
        let start = reader.position();
        if reader.rest_bytes() == 0 && !is_all && !is_oversize(*position, start) {
            // What comes next may end the array as well.
            return border_or(border, Found::Nothing);
        }
        (*walk, *position) = (ahead, start);
        if start > config.chunk_bytes {
            let (border, walk) = border.take().unwrap_or_else(|| (start, walk.clone()));
            return Found::Border(border, Place::Walk(walk));
        }
        if start > 0 {
            *border = Some((start, walk.clone()));
        }
        let skipped = reader.skip_value();
        // The end of a number is only known by what follows it.
        let is_whole = skipped.is_ok() && (is_all || reader.rest_bytes() > 0);
        let end = if is_whole { reader.position() } else { buffer.len() };
        match skipped {
            Err(fault) if fault.kind != FaultKind::UnexpectedEnd => return border_or(border, Found::Broken),
            // The next border, if there is one, is behind the chunk.
            _ if end > config.chunk_bytes && border.is_some() => return border_or(border, Found::Nothing),
            _ if end > config.chunk_bytes && is_oversize(start, end) => {
                return Found::Oversize(ValueEnd::value(), Some(walk.clone()));
            }
            _ if is_whole => {
                if walk.pass().is_err() {
                    return border_or(border, Found::Broken);
                }
                *position = end;
            }
            _ => return Found::Nothing,
        }
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RawRecord;
    use crate::transform::decode;

    /// Cuts a page that arrives in pieces; its rows and the sizes of its oversize records, or its fault.
    fn cut(body: &str, records: Option<&[&str]>, piece_bytes: usize) -> Result<(usize, Vec<u64>), String> {
        let records = records.map(|tokens| tokens.iter().map(|token| (*token).to_owned()).collect());
        let config =
            TransformConfig { records, chunk_bytes: 64, record_bytes_max: 256, ..Default::default() };
        let config = Arc::new(config);
        let mut cutter = Cutter::new(&config, DeclaredForm::Unknown);
        let mut chunks = Vec::new();
        let mut most_bytes = 0;
        for piece in body.as_bytes().chunks(piece_bytes) {
            cutter.buffer().extend_from_slice(piece);
            while cutter.bytes_wanted() == 0
                && let Some(chunk) = cutter.cut(None)
            {
                chunks.push(chunk);
            }
            most_bytes = most_bytes.max(cutter.buffer().len());
        }
        chunks.extend(std::iter::from_fn(|| cutter.cut(Some(true))));
        assert!(most_bytes < STEP_BYTES_MIN + 4000, "{most_bytes} bytes were held");
        let (mut row_count, mut sizes) = (0, Vec::new());
        for chunk in chunks {
            let batch = decode(chunk, &config).map_err(|fault| fault.in_page(0).reason)?.batch;
            row_count += batch.row_count;
            sizes.extend(batch.rejects.iter().map(|reject| match &reject.raw {
                RawRecord::Digest { size, .. } => *size,
                RawRecord::Bytes(_) | RawRecord::Redacted(_) | RawRecord::Hidden { .. } => {
                    panic!("{reject:?}")
                }
            }));
        }
        Ok((row_count, sizes))
    }

    #[test]
    fn record_beyond_the_limit_is_passed_in_every_layout() {
        let large = format!("{{\"a\":\"{}\"}}", "x,]}\\\"".repeat(9000));
        let size = large.len() as u64;
        for piece_bytes in [50, 3000, 1 << 20] {
            for (body, records) in [
                (format!("{{\"a\":1}}\n{large}\n{{\"a\":2}}\n"), None),
                (format!("[{{\"a\":1}},{large} , {{\"a\":2}}]"), None),
                (format!("{{\"a\":1}}{{\"a\":2}}\n{large}"), None),
                (format!("{{\"r\":[{{\"a\":1}},{{\"a\":2}},{large}]}}"), Some(&["r"][..])),
            ] {
                assert_eq!(cut(&body, records, piece_bytes), Ok((2, vec![size])), "{piece_bytes} {body:.30}");
            }
        }
    }

    #[test]
    fn what_stands_around_the_records_may_be_of_any_size() {
        let foreign = format!("[{}0]", "\"}]\",{\"r\":[{}]},".repeat(5000));
        let members = "\"m\":{},".repeat(9000);
        for body in [
            format!("{{\"f\":{foreign},\"r\":[{{\"a\":1}}],\"g\":{foreign}}}"),
            format!("{{{members}\"r\":[{{\"a\":1}}]}}"),
            format!("{{{members}\"f\":{foreign},{members}\"r\":[{{\"a\":1}}],{members}\"n\":0}}"),
        ] {
            assert_eq!(cut(&body, Some(&["r"]), 3000), Ok((1, vec![])), "{body:.30}");
            assert!(cut(&body, Some(&["none"]), 3000).unwrap_err().contains("finds nothing"));
            assert!(cut(&body[..body.len() - 1], Some(&["r"]), 3000).is_err());
        }
    }

    #[test]
    fn blank_bytes_of_any_number_are_not_kept() {
        let blank = " \r\n\t".repeat(30_000);
        let body = format!("{blank}{{\"a\":1}}\n{blank}{{\"a\":2}}{blank}");
        assert_eq!(cut(&body, None, 3000), Ok((2, vec![])));
        for body in [
            format!("{blank}[{blank}{{\"a\":1}},{blank}{{}}{blank}]{blank}"),
            format!("{blank}{{}}{blank}{{}}"),
        ] {
            assert_eq!(cut(&body, None, 3000), Ok((2, vec![])));
        }
    }
}
