//! A chunk: the unit of decoding, a run of whole records of one page and where it stands there.

use super::layout::Layout;
use super::reader::Fault;
use super::walk::Walk;
use crate::model::DeclaredForm;

/// A run of whole records of one page.
#[derive(Debug)]
pub struct Chunk {
    pub(super) content: Content,
    /// Where its bytes begin in the decompressed body of the page.
    pub(super) offset: u64,
    /// Whether it is all that the page holds.
    pub(super) is_whole_page: bool,
}

#[derive(Debug)]
pub(super) enum Content {
    Records {
        bytes: Vec<u8>,
        /// Up to here the bytes are decoded already.
        start: usize,
        place: Place,
        end: ChunkEnd,
    },
    /// A record that was larger than a record may be, so that it was not kept.
    Oversize { size: u64, sha256: String },
    /// The page is lost here.
    Lost(Box<Fault>),
}

/// Where the first byte of a chunk stands.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// At the beginning of a page that tells its layout only now.
    Unknown(DeclaredForm),
    /// At the beginning of a page with this layout.
    Begin(Layout),
    /// Before a line.
    Lines,
    /// On the way to a record.
    Walk(Walk),
}

/// What follows a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkEnd {
    /// Another record.
    Record,
    /// Nothing; the end of the page may be proven.
    Page { is_proven: bool },
    /// Nothing that matters: the text is broken in this chunk.
    Broken,
}

/// A chunk of records without its bytes.
#[derive(Debug)]
pub(super) struct ChunkBegin {
    start: usize,
    place: Place,
    end: ChunkEnd,
    offset: u64,
    is_whole_page: bool,
}

impl ChunkBegin {
    /// The chunk of these bytes.
    pub(super) fn of(self, bytes: Vec<u8>) -> Chunk {
        let Self { start, place, end, offset, is_whole_page } = self;
        Chunk { content: Content::Records { bytes, start, place, end }, offset, is_whole_page }
    }
}

impl ChunkEnd {
    pub(super) fn is_last(self) -> bool {
        self != Self::Record
    }
}

impl Chunk {
    /// A page whose whole body is there.
    pub fn whole(body: Vec<u8>, form: DeclaredForm, end_proven: bool) -> Self {
        let end = ChunkEnd::Page { is_proven: end_proven };
        let content = Content::Records { bytes: body, start: 0, place: Place::Unknown(form), end };
        Self { content, offset: 0, is_whole_page: true }
    }

    /// What is needed to decode it once more, but its bytes; `None` if it holds no records.
    pub(super) fn begin(&self) -> Option<ChunkBegin> {
        let Content::Records { start, place, end, .. } = &self.content else { return None };
        let (offset, is_whole_page) = (self.offset, self.is_whole_page);
        Some(ChunkBegin { start: *start, place: place.clone(), end: *end, offset, is_whole_page })
    }

    /// Gives its bytes back, so that they can be decoded once more.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self.content {
            Content::Records { bytes, .. } => bytes,
            Content::Oversize { .. } | Content::Lost(_) => Vec::new(),
        }
    }

    /// Its bytes; none of a record that was too large to be kept.
    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Records { bytes, .. } => bytes,
            Content::Oversize { .. } | Content::Lost(_) => &[],
        }
    }

    /// Bytes of memory that it holds.
    pub fn capacity(&self) -> usize {
        match &self.content {
            Content::Records { bytes, .. } => bytes.capacity(),
            Content::Oversize { .. } | Content::Lost(_) => 0,
        }
    }

    /// Whether it is the first of its page.
    pub fn is_first(&self) -> bool {
        self.offset == 0
    }

    /// Bytes that are left to decode.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Records { bytes, start, .. } => bytes.len() - start,
            Content::Oversize { .. } | Content::Lost(_) => 0,
        }
    }

    /// Whether it is all that the page holds.
    pub fn is_whole_page(&self) -> bool {
        self.is_whole_page
    }

    /// Whether no byte is left to decode.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
