//! Decompression of whole bodies, in steps. The only import of the three decompressors.
//!
//! Each step fills the room that the output has and returns, so that memory is reserved between the
//! steps. A body is complete when its stream reached its own end marker and nothing follows; the
//! decoders below would take a cut stream for one that waits for more, so the end is looked for here.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation as _, OutBuffer};

use super::paid::PaidBytes;
use crate::budget::{PageTooLarge, Reservation};
use crate::cpu::CpuPool;

/// Output of one call on the CPU pool: about 10 ms, so that small pages are not kept waiting.
const STEP_BYTES_MAX: usize = 4 << 20;
/// The first step's room: logs shrink to an eighth or less.
const EXPECTED_RATIO: usize = 8;
/// Largest zstd window, the default of its command line tool (128 MiB).
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// The window of gzip and deflate, 32 KiB.
const GZIP_WINDOW_LOG: u8 = 15;

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
    #[error("the page is larger than {0} bytes when decompressed (--max-page-bytes)")]
    TooLong(u64),
    #[error(transparent)]
    TooLarge(#[from] PageTooLarge),
    #[error("the page could not be decompressed: {0}")]
    Pool(String),
}

/// Decompresses all of `input`; the output is paid for by `reservation`, beside the input.
pub(super) async fn decompress(
    coding: Coding,
    input: Bytes,
    page_bytes_max: u64,
    reservation: &mut Reservation,
    pool: &CpuPool,
) -> Result<Vec<u8>, DecompressError> {
    // One byte more than allowed, so that a page of just the allowed size reaches its end marker.
    let room_max = usize::try_from(page_bytes_max).unwrap_or(usize::MAX).saturating_add(1);
    let mut output = PaidBytes::default();
    let mut room = input.len().saturating_mul(EXPECTED_RATIO).clamp(64 << 10, STEP_BYTES_MAX);
    let mut stream = Stream::new(coding, input);
    loop {
        output.make_room(room.min(room_max - output.len()), None, reservation).await?;
        let mut bytes = output.lend();
        let step = pool.run(move || {
            let end = stream.step(&mut bytes);
            (stream, bytes, end)
        });
        let (stream_back, bytes, end) =
            step.await.map_err(|error| DecompressError::Pool(error.one_line()))?;
        stream = stream_back;
        output.give_back(bytes);
        if output.len() as u64 > page_bytes_max {
            return Err(DecompressError::TooLong(page_bytes_max));
        }
        if end? == Step::End {
            return Ok(output.finish());
        }
        room = (output.len() / 2).clamp(64 << 10, STEP_BYTES_MAX);
    }
}

/// As much of the body as is whole, at most `len_max` bytes. For an error answer, which is only shown.
pub(super) fn head(coding: Coding, input: Bytes, len_max: usize) -> Vec<u8> {
    let mut output = Vec::with_capacity(len_max);
    // Cut at its head the stream has a fault in most cases; what came before it is what is wanted.
    let _ = Stream::new(coding, input).step(&mut output);
    output.truncate(len_max);
    output
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The output has no room left.
    Full,
    /// The end marker was reached and all input belongs to the stream.
    End,
}

/// What one call of a decoder did.
struct Progress {
    consumed: usize,
    is_end: bool,
}

struct Stream {
    coding: Coding,
    input: Bytes,
    position: usize,
    decoder: Option<Decoder>,
}

enum Decoder {
    Flate(Decompress),
    Zstd(ZstdDecoder<'static>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
}

impl Stream {
    fn new(coding: Coding, input: Bytes) -> Self {
        Self { coding, input, position: 0, decoder: None }
    }

    /// Decompresses until the output's capacity is used up, the stream is over or a fault is found.
    fn step(&mut self, output: &mut Vec<u8>) -> Result<Step, DecompressError> {
        let room_end = output.capacity();
        loop {
            let rest = &self.input[self.position..];
            let decoder = match &mut self.decoder {
                Some(decoder) => decoder,
                empty => empty.insert(Decoder::new(self.coding, rest)?),
            };
            let len_before = output.len();
            let progress = decoder
                .run(rest, output)
                .map_err(|reason| DecompressError::Damaged(self.coding.name(), reason))?;
            self.position += progress.consumed;
            if progress.is_end {
                if self.is_over()? {
                    return Ok(Step::End);
                }
                // The next gzip member or zstd frame.
                self.decoder = None;
            } else if output.len() == room_end {
                return Ok(Step::Full);
            } else if self.position == self.input.len() {
                return Err(DecompressError::Cut(self.coding.name()));
            } else if progress.consumed == 0 && output.len() == len_before {
                return Err(DecompressError::Damaged(
                    self.coding.name(),
                    "the decoder makes no progress".into(),
                ));
            }
        }
    }

    /// Whether nothing follows the end marker that was just reached.
    fn is_over(&self) -> Result<bool, DecompressError> {
        let rest = &self.input[self.position..];
        match self.coding {
            _ if rest.is_empty() => Ok(true),
            // Tapes and some writers pad gzip with zeros to the end of a block; gzip itself ignores them.
            Coding::Gzip if rest.iter().all(|byte| *byte == 0) => Ok(true),
            Coding::Gzip if rest[0] == GZIP_MAGIC[0] => Ok(false),
            Coding::Zstd if begins_like_a_zstd_frame(rest) => Ok(false),
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

    fn run(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<Progress, String> {
        match self {
            Self::Flate(decoder) => run_flate(decoder, input, output),
            Self::Zstd(decoder) => run_zstd(decoder, input, output),
            Self::Brotli(state) => run_brotli(state, input, output),
        }
    }
}

fn run_flate(decoder: &mut Decompress, input: &[u8], output: &mut Vec<u8>) -> Result<Progress, String> {
    let before = decoder.total_in();
    let status = decoder
        .decompress_vec(input, output, FlushDecompress::None)
        .map_err(|error| error.message().map_or_else(|| error.to_string(), ToOwned::to_owned))?;
    Ok(Progress { consumed: (decoder.total_in() - before) as usize, is_end: status == Status::StreamEnd })
}

fn run_zstd(
    decoder: &mut ZstdDecoder<'static>,
    input: &[u8],
    output: &mut Vec<u8>,
) -> Result<Progress, String> {
    let mut from = InBuffer::around(input);
    let position = output.len();
    let mut to = OutBuffer::around_pos(output, position);
    // 0 says that a frame ended and all of it is in the output.
    let hint = decoder.run(&mut from, &mut to).map_err(|error| error.to_string())?;
    Ok(Progress { consumed: from.pos(), is_end: hint == 0 })
}

fn run_brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    output: &mut Vec<u8>,
) -> Result<Progress, String> {
    let mut output_position = output.len();
    // The decoder wants initialised memory; zeros cost little beside its work.
    output.resize(output.capacity(), 0);
    let (mut input_left, mut input_position) = (input.len(), 0);
    let (mut output_left, mut total) = (output.len() - output_position, 0);
    let result = BrotliDecompressStream(
        &mut input_left,
        &mut input_position,
        input,
        &mut output_left,
        &mut output_position,
        output,
        &mut total,
        state,
    );
    output.truncate(output_position);
    match result {
        BrotliResult::ResultFailure => Err("it is no valid brotli".into()),
        result => {
            Ok(Progress { consumed: input_position, is_end: matches!(result, BrotliResult::ResultSuccess) })
        }
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
