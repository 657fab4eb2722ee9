"""JSON by the grammar of RFC 8259, and pages taken apart into records: the rules of 'Pages, records, rejects' over
plain bytes.

Nothing is decoded here but what a verdict needs; `model` says what an accepted record must become.
"""

import os.path
import re

from model import Rejected, parse_record

#: Levels of nesting from which on a record is refused, counted from the record.
DEPTH_REFUSED = 128
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*')
_PART_OF_ESCAPE = re.compile(rb"(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
#: A number or the beginning of one; it is whole if it ends in a digit.
_NUMBER = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?[0-9]*)?)?")
_LITERALS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_CLOSE = {b"{": b"}", b"[": b"]"}


class Broken(Exception):
    """No JSON goes on with the byte at `position`; at the end of the text, it ends too early."""

    def __init__(self, text, position):
        super().__init__(position)
        self.position, self.is_unfinished = position, position >= len(text)


class Record:
    """The bytes of a record, where they begin in the page, and its verdict: `text` is None if it is refused."""

    def __init__(self, raw, offset, depth, are_values_read):
        self.raw, self.offset, self.text = raw, offset, None
        if not raw.startswith(b"{") or depth is None or depth >= DEPTH_REFUSED:
            return
        try:
            text = raw.decode()
            if are_values_read:
                parse_record(text)
            self.text = text
        except (UnicodeDecodeError, Rejected):
            pass


def records_of_page(body, are_lines_declared=False, are_values_read=True):
    """The records of a page whose end is proven; `Broken` says that and where it fails.

    `are_values_read` is for pages of which the one field that is hostile is left out.
    """

    def record(start, end, depth):
        return Record(body[start:end], start, depth, are_values_read)

    begin = len(BYTE_ORDER_MARK) if body.startswith(BYTE_ORDER_MARK) else 0
    start = _behind_space(body, begin)
    first_byte = body[start : start + 1]
    if first_byte == b"[":
        return _records_of_array(body, start, record)
    if not first_byte and are_lines_declared:
        return []
    if first_byte == b"{" and not _is_of_lines(body, start, are_lines_declared):
        return _records_of_documents(body, start, record)
    if first_byte == b"{" or are_lines_declared:
        return _records_of_lines(body, begin, record)
    raise Broken(body, start)


def _records_of_array(body, start, record):
    records = []
    place = _behind_space(body, start + 1)
    while records or body[place : place + 1] != b"]":
        end, depth = end_of_value(body, place)
        records.append(record(place, end, depth))
        place = _behind_space(body, end)
        if body[place : place + 1] != b",":
            break
        place = _behind_space(body, place + 1)
    behind = _behind_space(body, _behind(body, place, b"]"))
    if behind < len(body):
        raise Broken(body, behind)
    return records


def _is_of_lines(body, start, are_lines_declared):
    """The first line is a whole document, or breaks where an object or nothing follows it."""
    line = body[start:].partition(b"\n")[0]
    next_byte = body[_behind_space(body, start + len(line)) :][:1]
    is_followed_by_an_object = next_byte in (b"", b"{")
    try:
        end, _ = end_of_value(line, 0)
    except Broken as broken:
        return is_followed_by_an_object and (are_lines_declared or not broken.is_unfinished)
    behind = line[_behind_space(line, end) :][:1]
    return not behind or (behind != b"{" and is_followed_by_an_object)


def _records_of_documents(body, start, record):
    records = []
    while start < len(body):
        try:
            end, depth = end_of_value(body, start)
        except Broken as broken:
            if not broken.is_unfinished:
                raise
            end, depth = len(body.rstrip(b" \t\r\n")), None
        records.append(record(start, end, depth))
        start = _behind_space(body, end)
    return records


def _records_of_lines(body, start, record):
    records = []
    for line in body[start:].split(b"\n"):
        ink = line.strip(b" \t\r")
        place = start + line.find(ink)
        start += len(line) + 1
        if not ink:
            continue
        try:
            end, depth = end_of_value(ink, 0)
        except Broken:
            end, depth = None, None
        records.append(record(place, place + len(ink), depth if end == len(ink) else None))
    return records


def end_of_value(text, start):
    """Where the value ends that begins at `start`, and how deep it is; `Broken` if none does."""
    depth_max, open_brackets = 0, []
    place = start
    while True:
        first_byte = text[place : place + 1]
        if first_byte in _CLOSE:
            open_brackets.append(first_byte)
            depth_max = max(depth_max, len(open_brackets))
            place = _behind_space(text, place + 1)
            if text[place : place + 1] != _CLOSE[first_byte]:
                place = _behind_key(text, place) if first_byte == b"{" else place
                continue
        else:
            place = _behind_scalar(text, place)
        # A value is over, or an empty object or array is about to be.
        while open_brackets:
            place = _behind_space(text, place)
            if text[place : place + 1] == b",":
                place = _behind_space(text, place + 1)
                place = _behind_key(text, place) if open_brackets[-1] == b"{" else place
                break
            place = _behind(text, place, _CLOSE[open_brackets.pop()])
        else:
            return place, depth_max


def _behind_key(text, place):
    place = _behind_space(text, _behind_string(text, place))
    return _behind_space(text, _behind(text, place, b":"))


def _behind_scalar(text, place):
    first_byte = text[place : place + 1]
    if first_byte == b'"':
        return _behind_string(text, place)
    if first_byte in _LITERALS:
        literal = _LITERALS[first_byte]
        end = place + len(os.path.commonprefix([literal, text[place : place + len(literal)]]))
        is_whole = end == place + len(literal)
    else:
        end = _NUMBER.match(text, place).end()
        is_whole = text[place:end][-1:].isdigit()
    if not is_whole:
        raise Broken(text, end)
    return end


def _behind_string(text, place):
    match = _STRING.match(text, place)
    if not match:
        raise Broken(text, place)
    end = match.end()
    if text[end : end + 1] != b'"':
        raise Broken(text, _PART_OF_ESCAPE.match(text, end).end())
    return end + 1


def _behind(text, place, byte):
    if text[place : place + 1] != byte:
        raise Broken(text, place)
    return place + 1


def _behind_space(text, place):
    return _SPACE.match(text, place).end()
