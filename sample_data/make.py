#!/usr/bin/env python3
"""Writes the sample data: request logs of a small web shop, two URL lists, and what a run of them must give.

    python3 sample_data/make.py            writes pages/, faults/, urls.txt, urls-with-faults.txt, expected.json
    python3 sample_data/make.py --check    writes nothing; exit 1 if a file is not what this script would write

Standard library only, seeded, no clock: the same bytes on every machine (of the .gz: the same content, because
zlib versions pack differently).

expected.json is computed here with exact fractions from the records that were made, never by etl. Types and rules
are those of the README. Per list it holds the exit code, the counts of pages and records, the columns in order
(type, number of nulls), and for every row, in the order of the file, its id and the six features of `values`; means,
variances and standard deviations are to be compared with the relative tolerance that it names. For the list with
faults it also holds every reject, byte for byte, and every failed page. A reject without "pointer" is a record that is
broken as a whole or whose place is a matter of taste.
"""

import base64
import gzip
import hashlib
import io
import json
import math
import random
import re
import statistics
import sys
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORDS_PER_PAGE = 60
TOLERANCE = 1e-12

# ---------------------------------------------------------------------------------------------------------------
# The shop: who asks for what, and how long it takes.

ROUTES = [  # method, path, median latency in ms, usual size of the answer
    ("GET", "/", 18, 14_200),
    ("GET", "/lamps/{n}", 31, 22_900),
    ("GET", "/search?q=desk+lamp&page={n}", 74, 31_400),
    ("GET", "/static/app.css", 2, 8_800),
    ("GET", "/api/stock/{n}", 9, 310),
    ("POST", "/cart", 46, 190),
    ("POST", "/checkout", 212, 540),
]
STATUSES = [200] * 40 + [304] * 5 + [404] * 2 + [302, 500, 503]
USER_AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
    "curl/8.5.0",
    "LampBot/2.1 (+https://bot.example/about)",
    None,
]
CUSTOMERS = [
    {"id": 1042, "name": "Zoë Müller", "address": {"city": "Kraków", "country": "PL"}},
    {"id": 1077, "name": "小林 さくら", "address": {"city": "大阪", "country": "JP"}},
    {"id": 1103, "name": "Seán O'Brien", "address": {"city": "Gaillimh", "country": "IE"}, "since": 2019},
    {"id": 1188, "name": "Ада Новак", "address": {"city": None, "country": "RS"}},
    None,  # a guest
]
TAGS = [["lamp", "desk"], ["näht", "größe:XL"], ["sale \"-20 %\""], [], None, ["a/b", "c\\d", None]]


class Shop:
    """Makes records in the order of their time. Draws from Random.random() alone, which never changes."""

    def __init__(self, seed):
        self.draw = random.Random(seed).random
        self.at = datetime(2026, 3, 2, 8, 0, 0, tzinfo=timezone.utc)
        self.id = 100_000

    def pick(self, choices):
        return choices[int(self.draw() * len(choices))]

    def latency(self, median):
        """About lognormal: the sum of twelve uniform draws is near enough to a bell."""
        bell = sum(self.draw() for _ in range(12)) - 6
        return round(median * math.exp(0.4 * bell), 2)

    def record(self, **more):
        self.id += 1
        self.at += timedelta(milliseconds=1 + int(self.draw() * 900))
        method, path, median, size = self.pick(ROUTES)
        status = self.pick(STATUSES)
        return {
            "id": self.id,
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "method": method,
            "path": path.format(n=1 + int(self.draw() * 400)),
            "status": status,
            "bytes": None if status == 304 else int(size * (0.5 + self.draw())),
            "user_agent": self.pick(USER_AGENTS),
            "bot": self.draw() < 0.1,
            "queue_ms": int(self.draw() * 12),
            **more,
            "values": [self.latency(median) for _ in range(1 + int(self.draw() * 16))],
        }

    def records(self, **makers):
        """A page of records; `makers` are columns beyond the usual, each a function."""
        return [self.record(**{name: make() for name, make in makers.items()}) for _ in range(RECORDS_PER_PAGE)]


# ---------------------------------------------------------------------------------------------------------------
# Forms of a page.

def compact(value, ascii_only=False):
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))


def array(records):
    """One record per line."""
    return ("[\n" + ",\n".join(compact(record) for record in records) + "\n]\n").encode()


def pretty(value):
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def ndjson(records):
    return "".join(compact(record) + "\n" for record in records).encode()


def gzipped(body):
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(body)
    return packed.getvalue()


class Page:
    """The bytes of a page and what a run must make of them. `body` None: there is no such file."""

    def __init__(self, body, records=(), rejects=(), failure=None):
        self.body, self.records, self.rejects, self.failure = body, list(records), list(rejects), failure


# ---------------------------------------------------------------------------------------------------------------
# The pages of the clean list.

def clean_pages(shop):
    pages = {}

    records = shop.records()  # queue_ms holds integers here
    pages["pages/requests-1.json"] = Page(array(records), records)

    records = shop.records()
    for record in records:  # a new release of the shop measures it more finely
        record["queue_ms"] = round(record["queue_ms"] + shop.draw(), 3)
    pages["pages/requests-2.json"] = Page(compact(records).encode(), records)

    records = shop.records(cache=lambda: shop.pick(["hit", "miss", None]))  # a column that comes late
    pages["pages/requests-3.json"] = Page(pretty(records), records)

    records = odd_lists(shop.records())
    pages["pages/requests-4.ndjson"] = Page(ndjson(records), records)

    records = shop.records(cache=lambda: shop.pick(["hit", "miss"]))
    pages["pages/requests-5.ndjson.gz"] = Page(gzipped(ndjson(records)), records)

    records = shop.records(customer=lambda: shop.pick(CUSTOMERS), tags=lambda: shop.pick(TAGS))
    pages["pages/orders-6.json"] = Page(array(records), records)

    record = shop.record(note="Reindex of the search,\nby hand.", tags=["deploy"])
    pages["pages/reindex-7.json"] = Page(pretty(record), [record])

    pages["pages/night-8.json"] = Page(b"[]\n")

    notes = ["caf\u00e9 \u2615 closed", "tab\there, slash / there", "C:\\logs\\\"old\"", "\U0001f600", "", None]
    records = shop.records(note=lambda: shop.pick(notes), coupon=lambda: None)
    lines = [compact(record, ascii_only=True).replace("/", "\\/") for record in records]
    pages["pages/gateway-9.jsonl"] = Page(b"\xef\xbb\xbf" + "\r\n".join(lines).encode(), records)
    return pages


def odd_lists(records):
    """The lists that a sampler writes on a bad day: none, empty, gaps, numbers as text."""
    oddities = [
        None,
        [],
        [41.5],
        [None],
        [12, None, 14.5, None],
        ["12.5", " 7.25 ", "1e2", 3],
        [8.5, "NaN", 9.5],
        [5, 5, 5, 5],
        [1e-3, 250000.125],
        [1000000000.1, 1000000000.2, 1000000000.3],
    ]
    for record, values in zip(records[3::4], oddities):
        record["values"] = values
    for record in records[5::20]:
        del record["values"]
    return records


# ---------------------------------------------------------------------------------------------------------------
# The pages with faults. A wrong record is bytes and the pointer to what is wrong, None where none is asked for.

def wrong_lines(shop):
    def broken(before, after):
        text = compact(shop.record())
        assert text.count(before) == 1, before
        return text.replace(before, after).encode()

    def with_values(values):
        return compact({**shop.record(), "values": values}).encode()

    def latin_1():
        return compact({**shop.record(), "user_agent": "Zo\u00eb's browser"}).encode("latin-1")

    return [
        shop.record(),
        (broken('"status":', '"status":O'), None),
        shop.record(),
        (with_values([12.5, {"p50": 3.5}]), "/values/1"),
        (b'"--- log rotated ---"', ""),
        shop.record(),
        (with_values(17.25), "/values"),
        (with_values([20.5, 21.5, "n/a"]), "/values/2"),
        (latin_1(), None),
        shop.record(),
        (compact(shop.record()).encode()[:75], None),  # the writer was killed in mid-line
    ]


def wrong_elements(shop):
    def with_values(values):
        return compact({**shop.record(), "values": values}).encode()

    return [
        shop.record(),
        (b"42", ""),
        (with_values({"p50": 12.5, "p99": 80}), "/values"),
        shop.record(),
        (with_values([7.5, True]), "/values/1"),
        (with_values([9007199254740993]), "/values/0"),
        shop.record(),
    ]


def assembled(items, opening, separator, closing):
    """A page of good records and wrong ones, and where the wrong ones stand in it."""
    body, records, rejects = bytearray(opening), [], []
    for number, item in enumerate(items):
        if number > 0:
            body += separator
        if isinstance(item, dict):
            records.append(item)
            body += compact(item).encode()
            continue
        raw, pointer = item
        reject = {"record": number, "byte_offset": len(body)}
        if pointer is not None:
            reject["pointer"] = pointer
        try:
            reject["raw"] = raw.decode()
        except UnicodeDecodeError:
            reject["raw_base64"] = base64.b64encode(raw).decode()
        rejects.append(reject)
        body += raw
    return Page(bytes(body + closing), records, rejects)


def faulty_pages(shop):
    html = (
        "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n"
        "<body><form action=\"/login\"><input name=\"user\"></form></body></html>\n"
    )
    whole = array([shop.record() for _ in range(12)])
    return {
        "faults/missing.json": Page(None, failure="missing"),
        "faults/wrong-lines.ndjson": assembled(wrong_lines(shop), b"", b"\n", b""),
        "faults/wrong-elements.json": assembled(wrong_elements(shop), b"[\n", b",\n", b"\n]\n"),
        "faults/login.json": Page(html.encode(), failure="not JSON"),
        "faults/cut.json": Page(whole[: len(whole) * 2 // 3], failure="cut in mid-array"),
    }


# ---------------------------------------------------------------------------------------------------------------
# The lists.

URLS = """\
# Request logs of a small web shop. Paths are relative to the folder of this list:
#     etl --urls sample_data/urls.txt --out out.parquet

# Arrays of records; queue_ms turns from integer to double on the second, `cache` first comes on the third.
pages/requests-{1..3}.json

# Lines: missing, null and empty lists, gaps, numbers as text; then the same, compressed.
pages/requests-4.ndjson
pages/requests-5.ndjson.gz

# Nested customers and tags; one record alone, pretty-printed; a quiet night with no record at all.
pages/orders-6.json
pages/reindex-7.json
pages/night-8.json

# From a gateway that writes a byte order mark, CRLF and escapes.
pages/gateway-9.jsonl
"""

URLS_WITH_FAULTS = """\
# A bad day: what can be read is published, all the rest is in out.parquet.rejects.ndjson, and the exit code is 3:
#     etl --urls sample_data/urls-with-faults.txt --out out.parquet

# Good.
pages/requests-1.json

# Fails: there is no such file.
faults/missing.json

# Lines, some of them wrong: each wrong one is a reject, byte for byte, and the others are written.
faults/wrong-lines.ndjson

# The same in an array.
faults/wrong-elements.json

# Fails: HTML, the sign-in page that a proxy sends instead of the log.
faults/login.json

# Fails: an array cut in the middle. None of its records is written, not even the whole ones.
faults/cut.json

# The first page again: fetched once, counted as a duplicate.
pages/requests-1.json

# Good.
pages/requests-4.ndjson
"""


def listed(text):
    """The lines of a list and their paths, {1..3} expanded."""
    for line, entry in enumerate(text.splitlines(), start=1):
        if not entry or entry.startswith("#"):
            continue
        span = re.search(r"\{(\d+)\.\.(\d+)\}", entry)
        numbers = range(int(span[1]), int(span[2]) + 1) if span else [None]
        for number in numbers:
            yield line, entry if number is None else entry.replace(span[0], str(number))


# ---------------------------------------------------------------------------------------------------------------
# What must come out.

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NULL = "null"


def type_of(value):
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        assert abs(value) <= 2**53
        return "int64"
    if isinstance(value, float):
        return "double"
    if isinstance(value, str):
        return "timestamp[us, UTC]" if TIMESTAMP.fullmatch(value) else "string"
    if isinstance(value, list):
        element = NULL
        for item in value:
            element = unified(element, type_of(item))
        return [element]
    return {key: type_of(member) for key, member in value.items()}


def unified(one, other):
    if one == other or other == NULL:
        return one
    if one == NULL:
        return other
    if isinstance(one, list) and isinstance(other, list):
        return [unified(one[0], other[0])]
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: unified(one.get(key, NULL), other.get(key, NULL)) for key in {**one, **other}}
    if {one, other} == {"int64", "double"}:
        return "double"
    raise AssertionError(f"the sample has no conflict of {one} and {other}")


def type_name(kind):
    if isinstance(kind, list):
        return f"list<{type_name(kind[0])}>"
    if isinstance(kind, dict):
        return "struct<" + ", ".join(f"{key}: {type_name(member)}" for key, member in kind.items()) + ">"
    return "string" if kind == NULL else kind


FEATURES = {"count": "int64", **dict.fromkeys(["mean", "variance", "stddev", "min", "max"], "double")}


def features(values):
    """The six features of a list; NaN is left out, as by default."""
    row = dict.fromkeys(FEATURES)
    if values is None:
        return row
    numbers = [float(value) for value in values if value is not None]
    numbers = [Fraction(number) for number in numbers if math.isfinite(number)]
    row["count"] = len(numbers)
    if numbers:
        row.update(mean=float(statistics.mean(numbers)), min=float(min(numbers)), max=float(max(numbers)))
    if len(numbers) > 1:
        row["variance"] = float(statistics.variance(numbers))
        row["stddev"] = math.sqrt(row["variance"])
    return row


def expectation(list_name, text, pages):
    entries, seen, duplicate_count = [], set(), 0
    for line, path in listed(text):
        if path in seen:
            duplicate_count += 1
        else:
            seen.add(path)
            entries.append((line, path, pages[path]))
    records = [record for _, _, page in entries for record in page.records]
    rows = [
        {"id": record["id"], **{f"values_{name}": value for name, value in features(record.get("values")).items()}}
        for record in records
    ]

    schema = {}
    for record in records:
        schema = unified(schema, type_of({**record, "values": [0.5]}))
    columns = [
        {"name": name, "type": type_name(kind), "nulls": sum(record.get(name) is None for record in records)}
        for name, kind in schema.items()
    ] + [
        {"name": f"values_{name}", "type": kind, "nulls": sum(row[f"values_{name}"] is None for row in rows)}
        for name, kind in FEATURES.items()
    ]

    rejects = [
        {"url": path, "line": line, "page": 1, **reject} for line, path, page in entries for reject in page.rejects
    ]
    failed = [failed_page(line, path, page) for line, path, page in entries if page.failure]
    counts = {
        "listed": len(entries) + duplicate_count,
        "fetched": len(entries) - len(failed),
        "unchanged": 0,
        "failed": len(failed),
        "duplicate": duplicate_count,
        "left": 0,
    }
    return {
        "list": list_name,
        "exit_code": 3 if failed or rejects else 0,
        "pages": counts,
        "records": {"seen": len(records) + len(rejects), "written": len(records), "rejected": len(rejects)},
        "columns": columns,
        "rejects": rejects,
        "failed": failed,
        "rows": rows,
    }


def failed_page(line, path, page):
    trace = {"url": path, "line": line, "page": 1, "because": page.failure}
    if page.body is not None:
        digest = hashlib.sha256(page.body).hexdigest()
        trace.update(size=len(page.body), sha256=digest, raw=page.body.decode())
    return trace


def laid_out(value, depth=0):
    """JSON with one row, column, reject or page per line."""
    pad = " " * (depth + 1)
    if isinstance(value, dict) and depth < 2:
        members = [f"{pad}{json.dumps(key)}: {laid_out(member, depth + 1)}" for key, member in value.items()]
        return "{\n" + ",\n".join(members) + "\n" + " " * depth + "}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(pad + json.dumps(item) for item in value) + "\n" + " " * depth + "]"
    return json.dumps(value)


# ---------------------------------------------------------------------------------------------------------------

def files():
    """Every file, by its path in this folder."""
    shop = Shop(seed=20260302)
    pages = clean_pages(shop)
    pages.update(faulty_pages(shop))
    expected = {
        "relative_tolerance": TOLERANCE,
        "clean": expectation("urls.txt", URLS, pages),
        "faults": expectation("urls-with-faults.txt", URLS_WITH_FAULTS, pages),
    }
    found = {path: page.body for path, page in pages.items() if page.body is not None}
    found["urls.txt"] = URLS.encode()
    found["urls-with-faults.txt"] = URLS_WITH_FAULTS.encode()
    found["expected.json"] = (laid_out(expected) + "\n").encode()
    return found


def is_current(path, body):
    try:
        there = (HERE / path).read_bytes()
        return gzip.decompress(there) == gzip.decompress(body) if path.endswith(".gz") else there == body
    except (OSError, EOFError):
        return False


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    stale = [path for path, body in files().items() if not is_current(path, body)]
    if sys.argv[1:] == ["--check"]:
        if stale:
            sys.exit("not as make.py would write it: " + ", ".join(sorted(stale)))
        return
    for path, body in files().items():
        if path in stale:
            (HERE / path).parent.mkdir(exist_ok=True)
            (HERE / path).write_bytes(body)


if __name__ == "__main__":
    main()
