//! Decompression in steps, while a body arrives. The only import of the three decompressors.
//!
//! Each step fills the room that it is given and returns, so that memory is reserved between the steps. A
//! body is complete when its stream reached its own end marker and nothing follows; the decoders below
//! would take a cut stream for one that waits for more, so the end is looked for here.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation as _, OutBuffer};

/// Room that a decoder is given at once: it has to be set to zero before, also where little comes.
const RUN_BYTES_MAX: usize = 64 << 10;
/// Bytes that pass from one coding to the next at once.
const BETWEEN_BYTES: usize = 64 << 10;
/// Bytes that tell what a stream begins with.
const MAGIC_BYTES: usize = 4;
/// Largest zstd window: 8 MiB, the most that RFC 9659 allows for a body.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// The window of gzip and deflate, 32 KiB.
const GZIP_WINDOW_LOG: u8 = 15;
/// What a decoder of gzip or deflate takes: its window and its tables. As much is not asked for.
const FLATE_BYTES: u64 = 64 << 10;
/// What a decoder of zstd takes beside its window: its tables and two blocks.
const ZSTD_BESIDE_BYTES: u64 = 512 << 10;
/// What a decoder of brotli takes beside its window: its tables.
const BROTLI_BESIDE_BYTES: u64 = 512 << 10;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
    Brotli,
    /// zlib, as RFC 9110 says, or raw deflate, as some servers send.
    Deflate,
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Deflate => "deflate",
        }
    }

    /// The coding that the first bytes tell. A body that ends within the magic bytes counts, so that a
    /// stream cut there is found out; neither begins like JSON.
    pub(super) fn of_magic(body: &[u8]) -> Option<Self> {
        let begins = |magic: &[u8]| {
            let len = body.len().min(magic.len());
            len > 0 && body[..len] == magic[..len]
        };
        if begins(&GZIP_MAGIC) {
            Some(Self::Gzip)
        } else if begins(&ZSTD_MAGIC) {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// Why a body could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DecompressError {
    #[error("the {0} stream ends before its end marker")]
    Cut(&'static str),
    #[error("the {0} stream is damaged: {1}")]
    Damaged(&'static str, String),
    #[error("the {0} stream is followed by other bytes")]
    Trailing(&'static str),
}

/// As much of the body as is whole, at most `len_max` bytes. For an error answer, which is only shown.
pub(super) fn head(coding: Coding, input: Bytes, len_max: usize) -> Vec<u8> {
    let mut output = Vec::with_capacity(len_max);
    let mut layers = Layers::default();
    layers.add(coding);
    layers.feed(input);
    // Cut at its head the stream has a fault in most cases; what came before it is what is wanted.
    while layers.step(&mut output, len_max) == Ok(Filled::Unpaid) {
        layers.pay();
    }
    output
}

/// What a step of decompression came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// The output has all that it has room for.
    Full,
    /// The input that was fed is used up.
    Hungry,
    /// The end markers were reached, and all input belongs to the streams.
    End,
    /// A decoder is to be made that takes more memory than was paid for: see [`Layers::memory_bytes`].
    Unpaid,
}

/// The codings of a body, the one that is undone first in front.
#[derive(Default)]
pub(super) struct Layers {
    layers: Vec<Layer>,
}

/// A stream and its input.
struct Layer {
    stream: Stream,
    input: Bytes,
    /// Whether no more input will come.
    is_fed: bool,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|layer| layer.stream.coding)).finish()
    }
}

impl Layers {
    pub(super) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Adds the coding that is undone last.
    pub(super) fn add(&mut self, coding: Coding) {
        let stream = Stream {
            coding,
            decoder: None,
            wanted_bytes: FLATE_BYTES,
            paid_bytes: FLATE_BYTES,
            is_padding: false,
            is_behind_end: false,
        };
        self.layers.push(Layer { stream, input: Bytes::new(), is_fed: false });
    }

    /// Bytes of memory that the decoders take, and that the one takes which is to be made next.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.stream.wanted_bytes.max(layer.stream.paid_bytes)).sum()
    }

    /// Says that all of [`Self::memory_bytes`] is paid for.
    pub(super) fn pay(&mut self) {
        for Layer { stream, .. } in &mut self.layers {
            stream.paid_bytes = stream.paid_bytes.max(stream.wanted_bytes);
        }
    }

    /// Adds the next bytes of the body, once the last ones are used up.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.layers[0].feed(bytes);
    }

    /// Adds bytes that were decompressed by the layers before the last one already.
    pub(super) fn feed_last(&mut self, bytes: Bytes) {
        self.layers.last_mut().expect("there is a layer").feed(bytes);
    }

    /// What was fed and is not used up.
    pub(super) fn input(&self) -> &[u8] {
        &self.layers[0].input
    }

    /// Says that no more bytes will come.
    pub(super) fn end(&mut self) {
        self.layers[0].is_fed = true;
    }

    /// Decompresses until `output` is `len_max` bytes long, more input is needed or the end is reached.
    pub(super) fn step(&mut self, output: &mut Vec<u8>, len_max: usize) -> Result<Filled, DecompressError> {
        step(&mut self.layers, output, len_max)
    }
}

impl Layer {
    fn feed(&mut self, bytes: Bytes) {
        self.input = if self.input.is_empty() {
            bytes
        } else {
            // A few bytes that were too few to tell what they begin.
            [&self.input[..], &bytes[..]].concat().into()
        };
    }
}

fn step(layers: &mut [Layer], output: &mut Vec<u8>, len_max: usize) -> Result<Filled, DecompressError> {
    let (layer, before) = layers.split_last_mut().expect("there is a layer");
    loop {
        let step_made = layer.stream.step(&mut layer.input, layer.is_fed, output, len_max)?;
        if step_made != Filled::Hungry || before.is_empty() {
            return Ok(step_made);
        }
        let mut between = Vec::with_capacity(BETWEEN_BYTES);
        let fed = step(before, &mut between, BETWEEN_BYTES)?;
        layer.is_fed = fed == Filled::End;
        if between.is_empty() && matches!(fed, Filled::Hungry | Filled::Unpaid) {
            return Ok(fed);
        }
        layer.feed(between.into());
    }
}

/// What one call of a decoder did.
struct Progress {
    consumed: usize,
    produced: usize,
    is_end: bool,
}

/// One coding being undone.
struct Stream {
    coding: Coding,
    decoder: Option<Decoder>,
    /// What the decoder takes, or the one that is to be made.
    wanted_bytes: u64,
    /// What decoders may take.
    paid_bytes: u64,
    /// Whether an end marker was reached, so that nothing need follow.
    is_behind_end: bool,
    /// Whether only zeros may follow.
    is_padding: bool,
}

enum Decoder {
    Flate(Decompress),
    Zstd(ZstdDecoder<'static>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
}

impl Stream {
    /// Decompresses until the output has `len_max` bytes, the input is used up, the stream is over or a fault is
    /// found.
    fn step(
        &mut self,
        input: &mut Bytes,
        is_fed: bool,
        output: &mut Vec<u8>,
        len_max: usize,
    ) -> Result<Filled, DecompressError> {
        loop {
            if self.decoder.is_none() {
                if input.is_empty() && is_fed {
                    let cut = DecompressError::Cut(self.coding.name());
                    return if self.is_behind_end { Ok(Filled::End) } else { Err(cut) };
                }
                if input.len() < MAGIC_BYTES && !is_fed {
                    return Ok(Filled::Hungry);
                }
                if self.is_behind_end && !self.goes_on(input)? {
                    input.clear();
                    continue;
                }
                match decoder_bytes(self.coding, input) {
                    Some(bytes) => self.wanted_bytes = bytes,
                    None if is_fed => return Err(DecompressError::Cut(self.coding.name())),
                    None => return Ok(Filled::Hungry),
                }
                if self.wanted_bytes > self.paid_bytes {
                    return Ok(Filled::Unpaid);
                }
                self.decoder = Some(Decoder::new(self.coding, input)?);
            }
            let decoder = self.decoder.as_mut().expect("it was just made");
            let len_before = output.len();
            let run_len_max = len_max.min(len_before + RUN_BYTES_MAX);
            let progress = decoder
                .run(input, output, run_len_max)
                .map_err(|reason| DecompressError::Damaged(self.coding.name(), reason))?;
            drop(input.split_to(progress.consumed));
            if progress.is_end {
                // The next gzip member or zstd frame, or nothing.
                self.decoder = None;
                self.is_behind_end = true;
            } else if output.len() == len_max {
                return Ok(Filled::Full);
            } else if output.len() == run_len_max {
                // There may be more in the decoder.
            } else if input.is_empty() {
                return if is_fed {
                    Err(DecompressError::Cut(self.coding.name()))
                } else {
                    Ok(Filled::Hungry)
                };
            } else if progress.consumed == 0 && output.len() == len_before {
                return Err(DecompressError::Damaged(
                    self.coding.name(),
                    "the decoder makes no progress".into(),
                ));
            }
        }
    }

    /// Whether what follows an end marker is another stream; else it is padding.
    fn goes_on(&mut self, rest: &[u8]) -> Result<bool, DecompressError> {
        let is_zero = || rest.iter().all(|byte| *byte == 0);
        match self.coding {
            // Tapes and some writers pad gzip with zeros to the end of a block; gzip itself ignores them.
            Coding::Gzip if is_zero() => {
                self.is_padding = true;
                Ok(false)
            }
            Coding::Gzip if rest[0] == GZIP_MAGIC[0] && !self.is_padding => Ok(true),
            Coding::Zstd if begins_like_a_zstd_frame(rest) => Ok(true),
            _ => Err(DecompressError::Trailing(self.coding.name())),
        }
    }
}

/// A frame, a skippable frame (0x184D2A50 to 0x184D2A5F), or as much of one as is left.
fn begins_like_a_zstd_frame(rest: &[u8]) -> bool {
    Coding::of_magic(rest) == Some(Coding::Zstd)
        || rest[0] & 0xf0 == 0x50
            && rest[1..].iter().zip([0x2a, 0x4d, 0x18]).all(|(byte, magic)| *byte == magic)
}

/// Bytes of memory that a decoder takes for the stream that begins with `input`; `None` if more of it must be seen.
fn decoder_bytes(coding: Coding, input: &[u8]) -> Option<u64> {
    match coding {
        Coding::Gzip | Coding::Deflate => Some(FLATE_BYTES),
        Coding::Zstd => Some(zstd_window_bytes(input)?.min(1 << ZSTD_WINDOW_LOG_MAX) + ZSTD_BESIDE_BYTES),
        Coding::Brotli => Some(brotli_window_bytes(*input.first()?) + BROTLI_BESIDE_BYTES),
    }
}

/// The window that the header of a zstd frame asks for (RFC 8878, 3.1.1.1).
fn zstd_window_bytes(input: &[u8]) -> Option<u64> {
    // A skippable frame, or none at all.
    let Some(header) = input.strip_prefix(&ZSTD_MAGIC) else { return Some(0) };
    let (descriptor, fields) = header.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = *fields.first()?;
        let base = 1 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary_id_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size_len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let content_size = fields.get(dictionary_id_len..dictionary_id_len + content_size_len)?;
    let number = content_size.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some(if content_size_len == 2 { number + 256 } else { number })
}

/// The window that the first byte of a brotli stream asks for (RFC 7932, 9.1).
fn brotli_window_bytes(first: u8) -> u64 {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, low) => 8 + low,
        (_, high, _) => 17 + high,
    };
    1 << bits
}

impl Decoder {
    fn new(coding: Coding, input: &[u8]) -> Result<Self, DecompressError> {
        Ok(match coding {
            Coding::Gzip => Self::Flate(Decompress::new_gzip(GZIP_WINDOW_LOG)),
            Coding::Deflate => Self::Flate(Decompress::new(has_zlib_header(input))),
            Coding::Zstd => {
                let broken =
                    |error: std::io::Error| DecompressError::Damaged(coding.name(), error.to_string());
                let mut decoder = ZstdDecoder::new().map_err(broken)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(broken)?;
                Self::Zstd(decoder)
            }
            // Strict: without the large windows (1 GiB) that RFC 7932 does not know.
            Coding::Brotli => Self::Brotli(Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ))),
        })
    }

    /// Appends to `output` until it has `len_max` bytes, or the input is used up.
    fn run(&mut self, input: &[u8], output: &mut Vec<u8>, len_max: usize) -> Result<Progress, String> {
        let start = output.len();
        // The decoders want initialised memory; zeros cost little beside their work.
        output.resize(len_max, 0);
        let room = &mut output[start..];
        let progress = match self {
            Self::Flate(decoder) => run_flate(decoder, input, room),
            Self::Zstd(decoder) => run_zstd(decoder, input, room),
            Self::Brotli(state) => run_brotli(state, input, room),
        };
        output.truncate(start + progress.as_ref().map_or(0, |progress| progress.produced));
        progress
    }
}

fn run_flate(decoder: &mut Decompress, input: &[u8], room: &mut [u8]) -> Result<Progress, String> {
    let (in_before, out_before) = (decoder.total_in(), decoder.total_out());
    let status = decoder
        .decompress(input, room, FlushDecompress::None)
        .map_err(|error| error.message().map_or_else(|| error.to_string(), ToOwned::to_owned))?;
    Ok(Progress {
        consumed: (decoder.total_in() - in_before) as usize,
        produced: (decoder.total_out() - out_before) as usize,
        is_end: status == Status::StreamEnd,
    })
}

fn run_zstd(decoder: &mut ZstdDecoder<'static>, input: &[u8], room: &mut [u8]) -> Result<Progress, String> {
    let mut from = InBuffer::around(input);
    let mut to = OutBuffer::around(room);
    // 0 says that a frame ended and all of it is in the output.
    let hint = decoder.run(&mut from, &mut to).map_err(|error| error.to_string())?;
    Ok(Progress { consumed: from.pos(), produced: to.pos(), is_end: hint == 0 })
}

fn run_brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    room: &mut [u8],
) -> Result<Progress, String> {
    let (mut input_left, mut consumed) = (input.len(), 0);
    let (mut room_left, mut produced, mut total) = (room.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut input_left,
        &mut consumed,
        input,
        &mut room_left,
        &mut produced,
        room,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => Err("it is no valid brotli".into()),
        result => Ok(Progress { consumed, produced, is_end: matches!(result, BrotliResult::ResultSuccess) }),
    }
}

/// RFC 1950: method 8, and the first two bytes are a multiple of 31. A raw stream that begins like
/// this is one that pads a stored block with ones, which no encoder does.
fn has_zlib_header(input: &[u8]) -> bool {
    match input {
        [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31),
        _ => false,
    }
}

#[cfg(test)]
#[path = "decompress_tests.rs"]
mod tests;
