//! Whole, cut, damaged and padded streams of every coding.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

/// [`text`] by the reference encoder (`brotli -q 11`); the decoder has no encoder beside it.
const BROTLI_BODY: &[u8] = b"\
    \x1f\x31\x05\x40\x9c\x05\xee\xde\x2d\x8e\x16\x7e\x9f\xd3\xae\x22\x50\xa5\xed\x99\x31\x9d\xf2\xd5\
    \x85\xcb\xaf\x0c\xa5\xd1\xa4\x8e\x42\x5f\x8a\x74\x91\xf1\xff\xff\xdc\xd3\x96\xf7\x8e\x8d\xc2\xdd\
    \x36\xa3\x92\x85\x96\x84\x9f\xbd\x2e\x60\x36\x9e\xbf\x33\xf5\x3e\x0b\xff\xf2\xab\x97\xdf\xbc\x9f\
    \xfa\xab\x0b\x16\x87\xc5\xf2\xb8\x5c\x9d\x56\xeb\xf3\x7a\x73\xd9\x6c\x5f\x6f\xef\xdc\xec\xec\xde\
    \xee\xee\xdd\xed\x3d\x70\xdc\x0f\x3c\xe1\xaf\x6f\x0f\x34\x30\x42\x94\x10\xce\x98\x14\x42\xd7\x34\
    \xd3\x30\x6c\xcb\x72\xdd\xde\x3b\xeb\xc5\xfa\x60\x81\x00\x60\x84\x28\x21\x9c\x31\x29\x84\xae\x69\
    \xa6\x61\xd8\x96\xe5\xba\xbd\x77\xd5\x4b\xf5\xa1\x02\x01\xc0\x08\x51\x42\x38\x63\x52\x08\x5d\xd3\
    \x4c\xc3\xb0\x2d\xcb\x75\x5f\x07";

fn text() -> Vec<u8> {
    (0..40).flat_map(|n| format!("{{\"id\":{n},\"values\":[{n},2.5,-{n}e3]}}\n").into_bytes()).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// Decompresses an input that comes in pieces, into an output that has room for so many bytes more at a time.
fn run(coding: Coding, input: &[u8], piece_bytes: usize, room: usize) -> Result<Vec<u8>, DecompressError> {
    let mut layers = Layers::default();
    layers.add(coding);
    let mut output = Vec::new();
    let mut pieces = input.chunks(piece_bytes);
    loop {
        let len_max = output.len() + room;
        match layers.step(&mut output, len_max)? {
            Filled::Full => {}
            Filled::Unpaid => layers.pay(),
            Filled::End => return Ok(output),
            Filled::Hungry => match pieces.next() {
                Some(piece) => layers.feed(Bytes::copy_from_slice(piece)),
                None => layers.end(),
            },
        }
    }
}

fn whole(coding: Coding, input: &[u8]) -> Result<Vec<u8>, DecompressError> {
    let at_once = run(coding, input, input.len().max(1), 1 << 20);
    for (piece_bytes, room) in [(1, 100), (3, 1 << 20), (1000, 7)] {
        if input.len() < 2000 {
            assert_eq!(run(coding, input, piece_bytes, room), at_once, "{piece_bytes} {room}");
        }
    }
    at_once
}

fn samples() -> Vec<(Coding, Vec<u8>, Vec<u8>)> {
    vec![
        (Coding::Gzip, gzip(&text()), text()),
        (Coding::Zstd, zstd(&text()), text()),
        (Coding::Deflate, zlib(&text()), text()),
        (Coding::Deflate, raw_deflate(&text()), text()),
        (Coding::Brotli, BROTLI_BODY.to_vec(), text()),
    ]
}

#[test]
fn whole_stream_is_read_to_its_end() {
    for (coding, compressed, text) in samples() {
        assert_eq!(whole(coding, &compressed), Ok(text), "{coding:?}");
    }
}

#[test]
fn stream_cut_at_any_byte_is_never_complete() {
    for (coding, compressed, _) in samples() {
        for len in 0..compressed.len() {
            let cut = whole(coding, &compressed[..len]);
            assert_eq!(cut, Err(DecompressError::Cut(coding.name())), "{coding:?} cut to {len}");
        }
    }
}

#[test]
fn trailing_bytes_are_a_fault() {
    for (coding, mut compressed, _) in samples() {
        for garbage in [&b"x"[..], b"{}", b"\0\0\x01"] {
            let len = compressed.len();
            compressed.extend_from_slice(garbage);
            let error = whole(coding, &compressed).unwrap_err();
            assert_eq!(error, DecompressError::Trailing(coding.name()), "{coding:?} {garbage:?}");
            compressed.truncate(len);
        }
    }
}

#[test]
fn gzip_alone_may_be_padded_with_zeros() {
    for (coding, mut compressed, text) in samples() {
        compressed.extend_from_slice(&[0; 512]);
        let read = whole(coding, &compressed);
        if coding == Coding::Gzip {
            assert_eq!(read, Ok(text));
        } else {
            assert_eq!(read, Err(DecompressError::Trailing(coding.name())));
        }
    }
}

#[test]
fn members_and_frames_are_read_one_after_the_other() {
    let twice = |compressed: Vec<u8>| [compressed.clone(), compressed].concat();
    let expected = [text(), text()].concat();
    assert_eq!(whole(Coding::Gzip, &twice(gzip(&text()))), Ok(expected.clone()));
    assert_eq!(whole(Coding::Zstd, &twice(zstd(&text()))), Ok(expected));
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7], zstd(&text()).as_slice()].concat();
    assert_eq!(whole(Coding::Zstd, &skippable), Ok(text()));
    let followed = [zstd(&text()).as_slice(), &skippable].concat();
    assert_eq!(whole(Coding::Zstd, &followed), Ok([text(), text()].concat()));
}

#[test]
fn second_member_that_is_cut_is_never_complete() {
    for (coding, one) in [(Coding::Gzip, gzip(&text())), (Coding::Zstd, zstd(&text()))] {
        let two = [one.clone(), one.clone()].concat();
        for len in one.len() + 1..two.len() {
            let cut = whole(coding, &two[..len]);
            assert_eq!(cut, Err(DecompressError::Cut(coding.name())), "{coding:?} cut to {len}");
        }
    }
}

#[test]
fn flipped_bit_is_found_by_the_checksum() {
    let compressed = gzip(&text());
    for position in [compressed.len() - 1, compressed.len() - 5, compressed.len() / 2] {
        let mut damaged = compressed.clone();
        damaged[position] ^= 1;
        assert!(whole(Coding::Gzip, &damaged).is_err(), "{position}");
    }
}

#[test]
fn output_of_many_steps_is_whole() {
    let text: Vec<u8> = (0..2_000_000_u32).flat_map(|n| format!("{n},").into_bytes()).collect();
    for (coding, compressed) in [
        (Coding::Gzip, gzip(&text)),
        (Coding::Zstd, zstd(&text)),
        (Coding::Deflate, raw_deflate(&text)),
        (Coding::Deflate, zlib(&text)),
    ] {
        assert!(whole(coding, &compressed).as_ref() == Ok(&text), "{coding:?}");
    }
}

#[test]
fn codings_on_top_of_each_other_are_undone_in_turn() {
    for (outer, inner) in [(Coding::Gzip, Coding::Zstd), (Coding::Zstd, Coding::Gzip)] {
        let compress = |coding, text: &[u8]| if coding == Coding::Gzip { gzip(text) } else { zstd(text) };
        let text: Vec<u8> = text().repeat(100);
        let twice = compress(outer, &compress(inner, &text));
        for cut in [0, 1, 10] {
            let mut layers = Layers::default();
            layers.add(outer);
            layers.add(inner);
            layers.feed(Bytes::copy_from_slice(&twice[..twice.len() - cut]));
            layers.end();
            let mut output = Vec::new();
            let mut step = layers.step(&mut output, 1 << 20);
            while step == Ok(Filled::Unpaid) {
                layers.pay();
                step = layers.step(&mut output, 1 << 20);
            }
            assert_eq!(step.is_ok(), cut == 0, "{step:?}");
            assert!(cut > 0 || output == text);
        }
    }
}

#[test]
fn coding_is_recognised_by_its_magic_bytes_and_by_what_is_left_of_them() {
    for len in 1..12 {
        assert_eq!(Coding::of_magic(&gzip(b"{}")[..len]), Some(Coding::Gzip), "{len}");
        assert_eq!(Coding::of_magic(&zstd(b"{}")[..len]), Some(Coding::Zstd), "{len}");
    }
    for body in [&b""[..], b"{", b"[1]", b"(x", b"\x1fx"] {
        assert_eq!(Coding::of_magic(body), None, "{body:?}");
    }
}

#[test]
fn head_of_an_error_answer_is_readable_even_when_it_is_cut() {
    let compressed = Bytes::from(gzip(&text()));
    assert_eq!(head(Coding::Gzip, compressed.clone(), 10), text()[..10]);
    let cut = head(Coding::Gzip, compressed.slice(..compressed.len() / 2), 1 << 16);
    assert!(!cut.is_empty() && text().starts_with(&cut));
    assert_eq!(head(Coding::Gzip, Bytes::from_static(b"plain"), 10), b"");
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic_or_hang(coding in 0_usize..4, input in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let coding = [Coding::Gzip, Coding::Zstd, Coding::Brotli, Coding::Deflate][coding];
        head(coding, input.into(), 1 << 16);
    }
}

/// zstd with a window of 8 MiB and no word of how long the text is, as a server sends it that compresses a stream.
fn zstd_stream(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(ZSTD_WINDOW_LOG_MAX).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn decoder_is_made_once_its_window_is_paid_for() {
    for (coding, input, window_bytes) in [
        (Coding::Zstd, zstd_stream(&text()), 8 << 20),
        // A skippable frame first, which takes nothing.
        (Coding::Zstd, [b"\x50\x2a\x4d\x18\x01\0\0\0x", &zstd_stream(&text())[..]].concat(), 8 << 20),
        (Coding::Brotli, BROTLI_BODY.to_vec(), 1 << 24),
    ] {
        let mut layers = Layers::default();
        layers.add(coding);
        layers.feed(input.into());
        let (mut output, len_max) = (Vec::new(), text().len());
        let mut unpaid_bytes = 0;
        while layers.step(&mut output, len_max).unwrap() == Filled::Unpaid {
            assert_eq!(output, b"", "{coding:?}");
            assert!(layers.memory_bytes() > unpaid_bytes, "{coding:?} asks for what is paid");
            unpaid_bytes = layers.memory_bytes();
            assert_eq!(layers.step(&mut output, len_max), Ok(Filled::Unpaid), "{coding:?} does not wait");
            layers.pay();
        }
        assert!(
            (window_bytes..window_bytes + (1 << 20)).contains(&unpaid_bytes),
            "{coding:?}: {unpaid_bytes}"
        );
        assert_eq!(output, text(), "{coding:?}");
    }
}

#[test]
fn window_of_a_frame_that_tells_its_size_is_no_larger() {
    for size in [0, 1, 255, 256, 257, 65_535, 65_536, 70_000] {
        let frame = zstd::bulk::compress(&vec![b'7'; size], 3).unwrap();
        assert_eq!(zstd_window_bytes(&frame), Some(size as u64), "{frame:x?}");
        assert_eq!(zstd_window_bytes(&frame[..5]), None, "{frame:x?}");
    }
}

#[test]
fn window_of_brotli_is_that_of_its_first_bits() {
    // RFC 7932, 9.1, read from the right.
    for (bits, window_log) in
        [(0b0, 16), (0b000_0001, 17), (0b0011, 18), (0b1111, 24), (0b010_0001, 10), (0b111_0001, 15)]
    {
        assert_eq!(brotli_window_bytes(bits), 1 << window_log, "{bits:b}");
    }
}
