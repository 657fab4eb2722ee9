"""Pages of the checker's own making: a large regular log, and records that wander through the type lattice."""

import datetime
import json
import random

import pyarrow as pa

from model import FEATURES, TIMESTAMP, features, list_of

RECORDS_PER_PAGE = 1_000
SAMPLES = 16
EPOCH = datetime.datetime(2024, 2, 28, 23, 0, tzinfo=datetime.timezone.utc)
HOSTS = [f"web-{number}.example.net" for number in range(12)]

#: The columns of the log, in the order of their first appearance, before the features.
LOG_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("at", TIMESTAMP),
        ("host", pa.string()),
        ("status", pa.int64()),
        ("is_cached", pa.bool_()),
        ("sent_bytes", pa.int64()),
        ("load", pa.float64()),
        ("client", pa.struct([("name", pa.string()), ("port", pa.int64()), ("tags", list_of(pa.string()))])),
        ("message", pa.string()),
        ("values", list_of(pa.float64())),
    ]
)
#: Leaf columns (as Parquet names them) whose values repeat, and some whose values do not.
REPEATING = {"host", "status", "client.tags.list.element", "values_count"}
UNIQUE = {"id", "at", "message", "values.list.element", "values_mean", "values_variance"}


def log_records(page, seed=20240229):
    """The records of one page of the log, `at` as microseconds."""
    source = random.Random(seed * 10_000 + page)
    records = []
    for place in range(RECORDS_PER_PAGE):
        number = page * RECORDS_PER_PAGE + place
        at = EPOCH + datetime.timedelta(milliseconds=number * 137)
        records.append(
            {
                "id": number * 7919,
                "at": (at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc))
                // datetime.timedelta(microseconds=1),
                "host": source.choice(HOSTS),
                "status": source.choice([200, 200, 200, 204, 304, 404, 500]),
                "is_cached": source.choice([True, False, None]),
                "sent_bytes": source.choice([None, 0, 2**53 + 1, source.getrandbits(40), -(2**63), 2**63 - 1]),
                "load": source.choice([0.0, -0.0, 3.0, source.random(), source.expovariate(1e-300)]),
                "client": source.choice([None, {"name": f"Zoë {number}", "port": None, "tags": []}, _client(source)]),
                "message": f"{number:08x} \"{source.choice('äλ漢🦀')}\" \\ / \t\n\u0001{source.random()}",
                "values": _samples(source, place),
            }
        )
    return records


def _client(source):
    tags = [source.choice(["new", "staff", "bot", None]) for _ in range(source.randrange(4))]
    return {"name": f"client {source.getrandbits(32)}", "port": source.randrange(65_536), "tags": tags}


def _samples(source, place):
    if place % 50 == 49:
        return source.choice([None, [], [source.random()], [None], [1.5, None, 2.5], [0.1] * 3])
    mean = source.choice([0.0, 20.0, 1e9, -1e-6])
    return [source.gauss(mean, 3.0) for _ in range(SAMPLES)]


def log_page(records):
    """The bytes of a page: an array, with fields left out where a null is as good."""
    return ("[" + ",\n".join(_spelled(place, record) for place, record in enumerate(records)) + "]").encode()


def _spelled(place, record):
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=record["at"])
    spelled = record | {"at": at.isoformat(timespec="milliseconds") + "Z"}
    # The first record names every field, in the order of the schema.
    if place % 3 == 2:
        spelled = {name: value for name, value in spelled.items() if value is not None}
    return json.dumps(spelled, ensure_ascii=place % 2 == 0, separators=(", ", ":") if place % 5 else (",", ": "))


def log_table(records):
    """The table that these records must become."""
    integers = pa.schema([field.with_type(pa.int64()) if field.name == "at" else field for field in LOG_SCHEMA])
    table = pa.Table.from_pylist(records, schema=integers).cast(LOG_SCHEMA)
    computed = zip(*(features(record["values"]) for record in records))
    for name, column in zip(FEATURES, computed):
        of = pa.int64() if name == "count" else pa.float64()
        table = table.append_column(f"values_{name}", pa.array(column, of))
    return table


# Records that wander --------------------------------------------------------------------------------------------

_TOKENS = {
    "small integers": ["0", "1", "-1", "7", "9007199254740992", "-9007199254740992"],
    "wide integers": ["9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808"],
    "huge integers": ["9223372036854775808", "18446744073709551615", "18446744073709551616", "1" + "0" * 399],
    "doubles": ["0.1", "1.0", "-0.0", "-0", "1e308", "5e-324", "1E5", "2.50", "123456789012345680.0", "1e-7", "1e22",
                "0.30000000000000004", "4.35", "1.7976931348623157e308", "2.2250738585072014e-308", "0." + "3" * 400],
    "bools": ["true", "false"],
    "strings": ['"x"', '""', '"1"', '"true"', '"null"', '"a\\"b\\\\c\\n\\u0001\\u007f"', '"\\u00e9 \\ud83e\\udd80 \\/"'],
    "timestamps": ['"2024-02-29T12:00:00Z"', '"2024-02-29T12:00:00.5Z"', '"1969-12-31T23:59:59.999Z"',
                   '"2024-02-29T12:00:00.123456Z"', '"2024-02-29T12:00:00.500Z"', '"2024-02-29T12:00:00+00:00"',
                   '"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59Z"'],
    "millis": ['"2024-02-29T12:00:00.000Z"', '"2024-02-29T12:00:00.500Z"', '"1969-12-31T23:59:59.999Z"'],
}
_NAMES = ["a", "b", "A", "id.orig_h", "é", "b c", "list", "element"]


def wandering_pages(seed, record_count=16, column_count=6, page_count_max=5):
    """Pages of record texts. A column draws from a few kinds of values, nested ones too; no key stands twice."""
    source = random.Random(seed)
    columns = [(f"c{place}", _palette(source, 2)) for place in range(column_count)]
    pages = [[] for _ in range(source.randint(1, page_count_max))]
    cuts = sorted(source.randrange(len(pages)) for _ in range(record_count))
    # A column is at home in a part of the pages, so that columns come late and end early.
    homes = [(source.randrange(len(pages)), source.randint(1, len(pages))) for _ in columns]
    for page in cuts:
        here = [column for column, (first, count) in zip(columns, homes) if first <= page < first + count]
        pages[page].append(_object(source, here or columns[:1]))
    return pages


def _palette(source, depth):
    """A choice of ways to make a value: mostly one or two, so that conflicts happen, but not everywhere."""
    ways = []
    for _ in range(source.choice([1, 1, 2, 3])):
        kind = source.randrange(4 if depth else 2)
        if kind < 2:
            tokens = source.choice(list(_TOKENS.values()))
            ways.append(lambda tokens=tokens: source.choice(tokens))
        elif kind == 2:
            element = _palette(source, depth - 1)
            ways.append(lambda element=element: "[" + ",".join(_value(source, element) for _ in range(
                source.randrange(4))) + "]")
        else:
            members = [(name, _palette(source, depth - 1)) for name in source.sample(_NAMES, source.randrange(4))]
            ways.append(lambda members=members: _object(source, members))
    return ways


def _value(source, ways):
    return "null" if source.random() < 0.15 else source.choice(ways)()


def _object(source, members):
    present = [(name, ways) for name, ways in members if source.random() < 0.8]
    if source.random() < 0.3:
        source.shuffle(present)
    return "{" + ",".join(f"{json.dumps(name)}:{_value(source, ways)}" for name, ways in present) + "}"
