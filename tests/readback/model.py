"""What a page must become, computed apart from the program: the rules of 'Types' and 'Features' in plain Python.

A column's type is a function of all its values; a value's place in the file is a function of the value and that
type. Nothing here is incremental, so that nothing can depend on where pages, chunks or row groups end.
"""

import calendar
import datetime
import json
import math
import re
import statistics

import pyarrow as pa

DOUBLE_INTEGER_MAX = 2**53
#: Distinct keys up to which an object is a struct.
OBJECT_KEYS_MAX = 64
TIMESTAMP = pa.timestamp("us", "UTC")
TIMESTAMP_NANOS = pa.timestamp("ns", "UTC")
FEATURES = ["count", "mean", "variance", "stddev", "min", "max"]


class Rejected(Exception):
    """The record is refused as a whole."""


class Number(str):
    """A number as it stands in the page; only the rules below decide what it is."""

    @property
    def is_integer(self):
        """Whether it is an integer; `-0` is none, for an integer would lose its sign."""
        return not set(self) & set(".eE") and self != "-0"


def parse_record(text):
    """The record in `text`: dicts (the last of two equal keys wins), lists, strings, `Number`s."""
    record = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant)
    _refuse_what_nobody_can_hold(record)
    return record


def _refuse_constant(name):
    raise Rejected(f"{name} is no JSON")


def _refuse_what_nobody_can_hold(value):
    if isinstance(value, dict):
        for name, member in value.items():
            _refuse_what_nobody_can_hold(str(name))
            _refuse_what_nobody_can_hold(member)
    elif isinstance(value, list):
        for element in value:
            _refuse_what_nobody_can_hold(element)
    elif isinstance(value, Number):
        if not value.is_integer and math.isinf(float(value)):
            raise Rejected(f"{value} is too large for a double")
    elif isinstance(value, str) and re.search("[\ud800-\udfff]", value):
        raise Rejected("a lone surrogate")


# Timestamps -----------------------------------------------------------------------------------------------------

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(Z|\+00:00)"
)


def timestamp_nanos(text):
    """Nanoseconds since 1970 of an allowed spelling, else None."""
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    days = datetime.date(year, month, day).toordinal() - datetime.date(1970, 1, 1).toordinal()
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1_000_000_000 + int((match[7] or "").ljust(9, "0"))


def timestamp_type(texts):
    """The type of a column of these texts if one way of writing the fraction, and one suffix, gives all of them back,
    and one unit holds all of them; else None."""
    nanos = [timestamp_nanos(text) for text in texts]
    if None in nanos:
        return None
    parts = [(match[7] or "", match[8]) for match in map(_TIMESTAMP.fullmatch, texts)]
    if len({suffix for _, suffix in parts}) > 1:
        return None
    written = [(digits, digits.ljust(9, "0")) for digits, _ in parts]
    forms = [lambda full, n=n: full[:n] for n in range(10)]
    forms += [lambda full, n=n: "" if full == "0" * 9 else full[:n] for n in range(1, 10)]
    forms += [lambda full: full.rstrip("0")]
    if not any(all(form(full) == digits for digits, full in written) for form in forms):
        return None
    if all(len(digits) <= 6 for digits, _ in parts):
        return TIMESTAMP
    return TIMESTAMP_NANOS if all(-(2**63) <= value < 2**63 for value in nanos) else None


# Types ----------------------------------------------------------------------------------------------------------


def _kind(value):
    if isinstance(value, Number):
        return "integer" if value.is_integer else "double"
    return {bool: "bool", str: "string", dict: "object", list: "list"}[type(value)]


def column_type(values):
    """The Arrow type of a column that holds these values."""
    values = [value for value in values if value is not None]
    kinds = {_kind(value) for value in values}
    if kinds == {"bool"}:
        return pa.bool_()
    if kinds and kinds <= {"integer", "double"}:
        integers = [int(value) for value in values if _kind(value) == "integer"]
        if kinds == {"integer"}:
            return pa.int64() if all(-(2**63) <= value < 2**63 for value in integers) else pa.string()
        return pa.float64() if all(abs(value) <= DOUBLE_INTEGER_MAX for value in integers) else pa.string()
    if kinds == {"string"}:
        return timestamp_type(values) or pa.string()
    if kinds == {"object"} and any(values):
        names = dict.fromkeys(name for value in values for name in value)
        if len(names) > OBJECT_KEYS_MAX:
            return pa.string()
        return pa.struct([(name, column_type([value.get(name) for value in values])) for name in names])
    if kinds == {"list"}:
        return list_of(column_type([element for value in values for element in value]))
    return pa.string()


def list_of(element):
    """A list type whose element has the name that the Parquet specification gives it."""
    return pa.list_(pa.field("element", element))


# Values ---------------------------------------------------------------------------------------------------------


def text_of_double(number):
    """The shortest text that reads back; integral ones without `.0`, exponents as in `1e-7`, `1e16`."""
    text = repr(number).removesuffix(".0")
    return re.sub(r"e\+?(-?)0*", r"e\1", text)


def text(value):
    """`text(v)`: the one text of a value that is not null."""
    if isinstance(value, str) and not isinstance(value, Number):
        return value
    return _json(value)


def _json(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number):
        return str(value) if value.is_integer else text_of_double(float(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    members = sorted(((name, member) for name, member in value.items() if member is not None), key=lambda pair: pair[0])
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:{_json(member)}" for name, member in members) + "}"


def stored(value, of):
    """The value as a reader must see it in a column of type `of`; timestamps as numbers in their unit."""
    if value is None:
        return None
    if pa.types.is_string(of):
        return text(value)
    if pa.types.is_int64(of):
        return int(value)
    if pa.types.is_float64(of):
        return float(value)
    if pa.types.is_timestamp(of):
        return timestamp_nanos(value) // (1 if of.unit == "ns" else 1_000)
    if pa.types.is_struct(of):
        return {field.name: stored(value.get(field.name), field.type) for field in of}
    if pa.types.is_list(of):
        return [stored(element, of.value_type) for element in value]
    return value


# Features -------------------------------------------------------------------------------------------------------

_DOUBLE = re.compile(r"[+-]?(?:inf|infinity|nan|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]+")


def list_element(value):
    """One element of a `--values` list as a double, None for null."""
    if value is None:
        return None
    if isinstance(value, Number):
        if value.is_integer and not _is_double(int(value)):
            raise Rejected(f"{value} is no double")
        return float(value)
    if isinstance(value, str):
        text_of_number = value.strip(" \t\n\r\f")
        if _INTEGER.fullmatch(text_of_number) and not _is_double(int(text_of_number)):
            raise Rejected(f"{value} is no double")
        if _DOUBLE.fullmatch(text_of_number):
            return float(text_of_number)
    raise Rejected(f"expected a number, got {_kind(value)}")


def _is_double(integer):
    try:
        return int(float(integer)) == integer
    except OverflowError:
        return False


def features(elements):
    """Count, mean, variance, stddev, min and max of a list of doubles and nulls; of None where there is no list."""
    if elements is None:
        return [None] * len(FEATURES)
    numbers = [element for element in elements if element is not None and math.isfinite(element)]
    if not numbers:
        return [0] + [None] * (len(FEATURES) - 1)
    variance = stddev = None
    if len(numbers) > 1:
        variance = _double_or_none(lambda: statistics.variance(numbers))
        stddev = _double_or_none(lambda: statistics.stdev(numbers))
    return [len(numbers), statistics.mean(numbers), variance, stddev, min(numbers), max(numbers)]


def _double_or_none(compute):
    """What is too large for a double is null. `statistics` computes in fractions and rounds once."""
    try:
        number = compute()
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# Pages ----------------------------------------------------------------------------------------------------------


class Expected:
    """The table that a list of record texts must become: `names`, `types`, `rows`, and who is `rejected`."""

    def __init__(self, record_texts, values="values"):
        records, self.rejected = [], []
        for place, record_text in enumerate(record_texts):
            try:
                record = parse_record(record_text)
                if values in record:
                    record[values] = _list_of_values(record[values])
                records.append(record)
            except Rejected:
                self.rejected.append(place)
        record_names = list(dict.fromkeys(name for record in records for name in record))
        has_values = values in record_names
        columns = [
            (name, list_of(pa.float64()))
            if name == values
            else (name, column_type([record.get(name) for record in records]))
            for name in record_names
        ]
        self.rows = [
            [record.get(name) if name == values else stored(record.get(name), of) for name, of in columns]
            for record in records
        ]
        if has_values:
            columns += [(f"{values}_{name}", pa.int64() if name == "count" else pa.float64()) for name in FEATURES]
            for row, record in zip(self.rows, records):
                row += features(record.get(values))
        self.names = [name for name, _ in columns]
        self.types = [of for _, of in columns]


def _list_of_values(value):
    if value is None:
        return None
    if not isinstance(value, list):
        raise Rejected(f"expected a list, got {_kind(value)}")
    return [list_element(element) for element in value]
