"""The records that the harness sends: for each kind one block, made once, with a gap where a number goes in.

A block is some records whose ids differ in their last digits only, so that the whole block is numbered by putting
one prefix into all gaps. That is a copy of memory, so a server in Python is faster than what it tests. Every id has
ten digits: each block of a kind is as long as every other, and the place of a byte is arithmetic.
"""

import dataclasses
import json
import random

from .text import Text, made_once

#: The id of the first record of a run; ids have as many digits as this one.
FIRST_ID = 1_000_000_000
ID_DIGITS = len(str(FIRST_ID))
#: Stands in a text where the first digits of an id go in; no record holds it otherwise.
GAP = "@"

MIB = 1 << 20
#: One less than the columns that an output may have, for `id` is one too.
WIDE_COLUMN_COUNT = 4_999
SPARSE_FIELD_COUNT = 20
BIG_RECORD_BYTES = 50_000_000


@dataclasses.dataclass(frozen=True)
class Kind:
    """One block of records."""

    name: str
    #: The block, and the block with a separator behind it. Without gaps where there are no ids.
    text: Text
    text_and_separator: Text
    #: How many ids a block uses up: a power of ten, or 0 where there are none.
    span: int
    #: Where each record begins in the block, rejected ones too.
    starts: tuple[int, ...]
    #: The id of each row, counted from the first id of the block.
    row_ids: tuple[int, ...]
    #: The values of each row but for `id`, as JSON has them.
    rows: tuple[dict, ...]
    #: Of each rejected record: its index in the block, and its text with gaps.
    rejects: tuple[tuple[int, bytes], ...]
    #: Rows that are read back at once.
    batch_rows: int

    def prefix(self, first):
        """What goes into the gaps of the block whose first id is `first`, counted from FIRST_ID."""
        if self.span == 0:
            return b""
        if first % self.span:
            raise ValueError(f"{self.name}: a block begins at a multiple of {self.span}, not at {first}")
        return b"%d" % ((FIRST_ID + first) // self.span)

    def offset_of(self, record, needle):
        """Where `needle` stands in the record of this index, counted from the begin of the block."""
        return self.prefix(0).join(self.text.pieces).index(needle, self.starts[record])


def _block(name, texts, span, separator, batch_rows=65_536):
    """A block of `texts`, each with its row's values, or None where the record is to be rejected."""
    joined, starts, row_ids, rows, rejects, offset = [], [], [], [], [], 0
    gap_bytes = ID_DIGITS - len(str(span)) + 1
    for index, (text, values) in enumerate(texts):
        raw = text.encode()
        if values is None:
            rejects.append((index, raw))
        else:
            row_ids.append(index if span > 1 else 0)
            rows.append(values)
        joined.append(raw)
        starts.append(offset)
        offset += len(raw) + raw.count(GAP.encode()) * (gap_bytes - len(GAP)) + len(separator)
    text = Text(separator.join(joined).split(GAP.encode()), gap_bytes, is_repeated=name == "repeats")
    texts = text, text.followed_by(separator)
    return Kind(name, *texts, span, tuple(starts), tuple(row_ids), tuple(rows), tuple(rejects), batch_rows)


def _flat_record(index, **changes):
    """A log line of some 370 bytes with 16 values, escapes and characters of all lengths; text and values."""
    source = random.Random(f"flat {index}")
    seconds, milliseconds = divmod(index * 137, 1000)
    letter = source.choice(["ä", "λ", "漢", "🦀"])
    at = f"2026-03-02T08:{seconds // 60:02d}:{seconds % 60:02d}.{milliseconds:03d}Z"
    fields = {
        "at": f'"{at}"',
        "host": f'"web-{source.randrange(12)}.example.net"',
        "path": f'"/api/orders/{source.randrange(10_000)}/items?page={index % 40}&size=50"',
        "status": str(source.choice([200, 200, 200, 204, 304, 404, 500])),
        "message": f'"caf\\u00e9 \\ud83d\\ude00 \\"{letter}\\" \\\\ \\n {source.random()}"',
        "client": f'{{"name":"Zoë {index}","port":{source.choice([443, 8080])},"tags":["a","b"]}}',
        "values": "[" + ",".join(f"{source.uniform(1, 99):.2f}" for _ in range(16)) + "]",
    }
    fields.update(changes)
    members = ",".join(f'"{name}":{value}' for name, value in fields.items())
    return f'{{"id":{GAP}{index:03d},{members}}}', {name: json.loads(value) for name, value in fields.items()}


def _flat(name, separator, change=lambda index: {}):
    return _block(name, [_flat_record(index, **change(index)) for index in range(1000)], 1000, separator)


def _mixed(separator):
    """One of a thousand is rejected, so that a failed page which shows anything is seen at once."""
    texts = [_flat_record(index) for index in range(1000)]
    texts[500] = (_flat_record(500, values="7")[0], None)
    return _block("mixed", texts, 1000, separator)


def _string(separator):
    """A record of 50 MB, nearly all of it one string that does not compress."""
    source = random.Random("string")
    part = "".join(source.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", k=100_000))
    text = part * (BIG_RECORD_BYTES // len(part))
    return _block("string", [(f'{{"id":{GAP},"text":"{text}"}}', {"text": text})], 1, separator, 1)


def _numbers(separator):
    """A record of 50 MB, nearly all of it one list of five million numbers which is no field of `--values`."""
    source = random.Random("numbers")
    part = [f"{source.uniform(1000, 9999):.4f}" for _ in range(5_000)]
    times = BIG_RECORD_BYTES // 10 // len(part)
    text = ",".join(part * times)
    samples = [float(number) for number in part] * times
    return _block("numbers", [(f'{{"id":{GAP},"samples":[{text}]}}', {"samples": samples})], 1, separator, 1)


def _wide_field(column, salt):
    """A member of a record with thousands of columns: an integer, a double, a string or a boolean."""
    number = column * 31 + salt * 7
    value = (str(number), f"{number}.5", f'"v{number % 97}"', "true" if number % 3 else "false")[column % 4]
    return f"c{column:04d}", value


def _wide_record(index, columns):
    fields = dict(_wide_field(column, index) for column in columns)
    members = ",".join(f'"{name}":{value}' for name, value in fields.items())
    return members, {name: json.loads(value) for name, value in fields.items()}


def _dense(separator):
    """Every record has all of the 5,000 fields."""
    texts = []
    for index in range(10):
        members, values = _wide_record(index, range(1, WIDE_COLUMN_COUNT + 1))
        texts.append((f'{{"id":{GAP}{index},{members}}}', values))
    return _block("dense", texts, 10, separator, 100)


def _sparse(separator):
    """Every record has 20 of the 5,000 fields; 250 records have them all."""
    texts = []
    for index in range(1000):
        numbers = range(index * SPARSE_FIELD_COUNT, (index + 1) * SPARSE_FIELD_COUNT)
        members, values = _wide_record(index, [1 + number % WIDE_COLUMN_COUNT for number in numbers])
        texts.append((f'{{"id":{GAP}{index:03d},{members}}}', values))
    return _block("sparse", texts, 1000, separator, 4_000)


def _spaces(separator):
    """A record that is nearly all spaces, in a string: a thousand times smaller when compressed."""
    text = " " * MIB
    return _block("spaces", [(f'{{"id":{GAP},"text":"{text}"}}', {"text": text})], 1, separator, 16)


def _repeats(separator):
    """Ten thousand times the same record; its id counts blocks. Two hundred times smaller when compressed."""
    text, values = "the same again " * 12, [1.5, 2.5, 4.0, 8.0]
    record = f'{{"id":{GAP},"text":"{text}","values":{json.dumps(values, separators=(",", ":"))}}}'
    return _block("repeats", [(record, {"text": text, "values": values})] * 10_000, 1, separator)


def _loose(name, text):
    """Bytes between records, or a part of one: no separator behind them."""
    return Kind(name, Text([text]), Text([text]), 0, (), (), (), (), 65_536)


def _giant_end(separator):
    """The end of a record that is larger than any record may be; its begin and its middle stand before it."""
    text = Text([b'"}'])
    return Kind("giant-end", text, text.followed_by(separator), 0, (0,), (), (), ((0, b""),), 65_536)


_KINDS = {
    "flat": lambda separator: _flat("flat", separator),
    "mixed": _mixed,
    # Columns that change within a page: a new one, an integer that becomes a double, then text.
    "late": lambda separator: _flat("late", separator, lambda index: {"late": f'{{"a":{index}}}'}),
    "double": lambda separator: _flat("double", separator, lambda index: {"status": f"{index}.25"}),
    "text": lambda separator: _flat("text", separator, lambda index: {"status": '"n/a"'}),
    "string": _string,
    "numbers": _numbers,
    "dense": _dense,
    "sparse": _sparse,
    "spaces": _spaces,
    "repeats": _repeats,
    "blank": lambda _: _loose("blank", b" " * (MIB - 1) + b"\n"),
    "letters": lambda _: _loose("letters", b"abcdefghijklmno " * (MIB // 16)),
    "records-begin": lambda _: _loose("records-begin", b'","Records":['),
    "giant-begin": lambda _: _loose("giant-begin", b'{"id":5,"text":"'),
    "giant-end": _giant_end,
}


@made_once
def kind(name, separator):
    """The block of this kind with `separator` between its records."""
    return _KINDS[name](separator)
