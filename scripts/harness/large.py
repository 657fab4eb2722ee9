"""Records that are within `--max-record-bytes` and become many times their bytes: what their pages hold, and what may
come of them.

Such a record is either a row or a reject that says how much memory it may take; which of both depends on `--memory`.
"""

import random

from .text import made_once

MILLION = 1_000_000
STRING_BYTES = 15 << 20


def _alternating():
    """1.2 million objects, each with one of 60 keys: their columns are nearly all nulls."""
    return _list('{"k%02d":%d}' % (place % 60, place % 10) for place in range(1_200_000))


def _pairs():
    return _list('{"k%02d":1,"k%02d":2}' % (place % 60, (place * 7 + 3) % 59) for place in range(600_000))


def _deep(levels, first=""):
    """Lists within lists; a text before them makes all of them JSON text."""
    element = "[" * levels + "1" + "]" * levels
    return lambda: "[" + first + ",".join([element] * (14 * MILLION // (len(element) + 1))) + "]"


def _keys():
    return "{" + ",".join('"k%07d":%d' % (key, key % 10) for key in range(800_000)) + "}"


def _digits(count):
    def digits():
        source = random.Random(count)
        return _list(str(source.randrange(10)) for _ in range(count))

    return digits


def _string():
    source = random.Random("string")
    return '"' + "".join(source.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1 << 16)) * (STRING_BYTES >> 16) + '"'


def _list(elements):
    return "[" + ",".join(elements) + "]"


#: What the field `x` of the record is. `values` is that of `--values`.
_VALUES = {
    "alternating": _alternating,
    "pairs": _pairs,
    "deep-20": _deep(20),
    "deep-20-text": _deep(20, '"x",'),
    "deep-100-text": _deep(100, '"x",'),
    "keys": _keys,
    "ones": lambda: _list(["[1]"] * (14 * MILLION // 4)),
    "empties": lambda: _list(["{}"] * (14 * MILLION // 3)),
    "digits": _digits(6 * MILLION),
    "values": _digits(7 * MILLION // 2),
    "string": _string,
    "raw-controls": lambda: '"' + "\x01" * STRING_BYTES + '"',
}


@made_once
def value(name):
    """The text of the field."""
    return _VALUES[name]().encode()


def body(name, number):
    """A page of one record."""
    field = b"values" if name == "values" else b"x"
    return b'{"id":%d,"%s":%s}\n' % (number, field, value(name))


def target(name, number):
    """Where the page is served."""
    return f"/large/{name}.ndjson?number={number}"


def parse(path):
    """The name and the number of a page."""
    name, _, number = path.removeprefix("/large/").partition(".ndjson?number=")
    return name, int(number)
