"""Bytes with gaps for a number, plain and as gzip: made once, numbered as fast as memory is copied.

In the compressed form each gap is a stored block of its own, and what stands around it refers to nothing beyond its
text. The checksum is linear over the digits, so that of a numbered text is a few look-ups.
"""

import functools
import struct
import threading
import zlib

#: The header of a gzip member without name and time.
GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
#: An empty last block, behind which the trailer comes.
GZIP_LAST_BLOCK = b"\x03\x00"
GZIP_TRAILER_BYTES = 8
WINDOW_BYTES = 32 << 10
LEVEL = 6
#: What is shorter is compressed with the codes that every reader knows.
TABLE_BYTES_MIN = 4 << 10
#: What is longer is sent piece by piece instead of being put together first.
JOINED_BYTES_MAX = 4 << 20

#: A hundred requests that begin at once make a block once.
_LOCK = threading.RLock()


def made_once(make):
    """Caches what `make` makes, and makes it in one thread alone."""
    cached = functools.cache(make)

    @functools.wraps(make)
    def locked(*args):
        with _LOCK:
            return cached(*args)

    return locked


class Text:
    """Pieces of bytes, and between each two of them a gap for the same number."""

    def __init__(self, pieces, gap_bytes=0, is_repeated=False):
        self.pieces, self.gap_bytes = tuple(pieces), gap_bytes
        #: Whether all pieces but the ends are the same and short, so that they compress into one.
        self.is_repeated = is_repeated
        self.length = sum(map(len, self.pieces)) + (len(self.pieces) - 1) * gap_bytes

    def followed_by(self, end):
        """The same text with `end` behind it."""
        return Text((*self.pieces[:-1], self.pieces[-1] + end), self.gap_bytes, self.is_repeated)

    def segments(self, number):
        """The bytes with this number, in one piece if they are not too many."""
        if self.length <= JOINED_BYTES_MAX:
            yield number.join(self.pieces)
            return
        yield self.pieces[0]
        for piece in self.pieces[1:]:
            yield number
            yield piece

    def gzip(self):
        """The compressed form."""
        # Read without the lock: a form that is there stays.
        if "_gzip" not in self.__dict__:
            with _LOCK:
                if "_gzip" not in self.__dict__:
                    self._gzip = Compressed(self)
        return self._gzip


class Compressed:
    """A text as whole blocks of deflate that end at a byte, and its checksum."""

    def __init__(self, text):
        self.text_bytes = text.length
        self.pieces = tuple(_compressed_pieces(text))
        self.length = sum(map(len, self.pieces)) + (len(self.pieces) - 1) * text.gap_bytes
        zero = b"0" * text.gap_bytes
        self._of_zeros = zlib.crc32(zero.join(text.pieces))
        self._of_digits = []
        for place in range(text.gap_bytes):
            numbers = (zero[:place] + b"%d" % digit + zero[place + 1 :] for digit in range(10))
            self._of_digits.append([zlib.crc32(number.join(text.pieces)) ^ self._of_zeros for number in numbers])
        self._shift = _shift_by(text.length)

    def bytes_with(self, number):
        """The compressed bytes with this number."""
        return number.join(self.pieces)

    def checksum_after(self, checksum, number):
        """The CRC-32 of what `checksum` is of, with this text behind it."""
        low, second, third, high = self._shift
        shifted = (
            low[checksum & 0xFF] ^ second[checksum >> 8 & 0xFF] ^ third[checksum >> 16 & 0xFF] ^ high[checksum >> 24]
        )
        own = self._of_zeros
        for place, digit in enumerate(number):
            own ^= self._of_digits[place][digit - 0x30]
        return shifted ^ own


def gzip_trailer(checksum, length):
    """The end of a gzip member."""
    return struct.pack("<II", checksum, length & 0xFFFFFFFF)


def _compressed_pieces(text):
    # Bytes that no record holds and each another one: a byte of a gap can then come from another gap alone, and
    # changes with the number as that one does.
    mark = bytes(range(0x0E, 0x0E + text.gap_bytes))
    head = b"\x00" + struct.pack("<HH", len(mark), len(mark) ^ 0xFFFF)
    if text.is_repeated:
        # A gap of its own for each record would cost more than the record.
        rest = mark.join(text.pieces[1:])
        pieces = [_deflated(text.pieces[0], b"") + head, _deflated(rest, text.pieces[0] + mark)]
    else:
        history, pieces = b"", []
        for piece in text.pieces:
            pieces.append(_deflated(piece, history) + head)
            history = (history + piece + mark)[-WINDOW_BYTES:]
        pieces[-1] = pieces[-1][: -len(head)]
    # Two numbers that share no digit: what should change with the number and does not is seen here.
    for number in (b"1234567890"[: len(mark)], b"9876543211"[: len(mark)]):
        found = zlib.decompressobj(-zlib.MAX_WBITS).decompress(number.join(pieces) + GZIP_LAST_BLOCK)
        if found != number.join(text.pieces):
            raise AssertionError("a compressed text is not what it should be once it is numbered")
    return pieces


def _deflated(plain, history):
    options = {"zdict": history} if history else {}
    # A table of codes for each record would take longer to read than the record.
    options["strategy"] = zlib.Z_FIXED if len(plain) < TABLE_BYTES_MIN else zlib.Z_DEFAULT_STRATEGY
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, **options)
    return stream.compress(plain) + stream.flush(zlib.Z_SYNC_FLUSH)


def _shift_by(length):
    """What a checksum becomes when so many bytes follow it, for each value of each of its four bytes."""
    zeros = bytes(length)
    of_zeros = zlib.crc32(zeros)
    bits = [zlib.crc32(zeros, 1 << bit) ^ of_zeros for bit in range(32)]
    tables = []
    for start in range(0, 32, 8):
        table = [0]
        for bit in bits[start : start + 8]:
            table += [known ^ bit for known in table]
        tables.append(table)
    return tables
