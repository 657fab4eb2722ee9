"""Small log pages whose schema drifts, as the example `log_server` serves them, and what must come of them.

Some pages fail at first and some always, one is late, some have no records and some have records without fields. A
trial is one list of URLs: the server counts the attempts of each URL, so that every trial begins anew.
"""

import collections
import dataclasses
import json
import pathlib
import threading
import urllib.parse

import pyarrow.parquet as pq

from .program import Listening

#: Of `refusals`: the page is never there.
ALWAYS = 1 << 30
#: Longer than any check takes.
LIFETIME_SECONDS = 1 << 20
#: Columns that are compared with what was sent; the others with those of an undisturbed run alone.
COLUMNS = ("id", "name", "wide", "late", "o")


class LogServer(Listening):
    """The example server over a folder, and its log."""

    def __init__(self, program, root):
        self.root = root
        self._log, self._offset = root.with_name("requests.ndjson"), 0
        self._answers, self._lock = collections.defaultdict(collections.Counter), threading.Lock()
        command = [program, "--root", root, "--log", self._log, "--exit-with-stdin"]
        super().__init__([*command, "--lifetime", str(LIFETIME_SECONDS)])

    def __enter__(self):
        self.root.mkdir(parents=True)
        return super().__enter__()

    def answers(self, trial):
        """How often each file was asked for in a trial, and how often it was sent whole with its status."""
        with self._lock, self._log.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break  # It is being written.
                self._offset += len(line)
                answer = json.loads(line)
                path, _, query = answer["target"].partition("?")
                of = dict(urllib.parse.parse_qsl(query)).get("trial")
                counts = self._answers[of]
                counts["asked", path.lstrip("/")] += 1
                if answer["fault"] is None or answer["status"] == 204:
                    counts["sent", path.lstrip("/")] += 1
            return collections.Counter(self._answers[trial])


@dataclasses.dataclass(frozen=True)
class LogPage:
    """A page: a file, and how it is served."""

    name: str
    #: The text of each record, and its row, or None where it is to be rejected.
    records: tuple[tuple[str, dict | None], ...]
    #: Parameters of `log_server`.
    conduct: str = ""
    #: So many requests are answered 404 first, after which no run asks again.
    refusals: int = 0

    @property
    def body(self):
        """What is in the file."""
        texts = [text for text, _ in self.records]
        if self.name.endswith(".ndjson"):
            return "".join(f"{text}\n" for text in texts).encode()
        return f"[{','.join(texts)}]".encode()


class Site:
    """Pages in the folder of a server, in the order of the list."""

    def __init__(self, server, name, pages):
        self.server, self.name, self.pages = server, name, pages
        (server.root / name).mkdir()
        for page in pages:
            (server.root / name / page.name).write_bytes(page.body)

    @property
    def flaky(self):
        """Indices of the pages that are refused at first."""
        return [index for index, page in enumerate(self.pages) if 0 < page.refusals < ALWAYS]

    def urls(self, trial, failed=None):
        """The list of a trial; where `failed` is given, these pages fail and nothing else goes wrong."""
        urls = []
        for index, page in enumerate(self.pages):
            conduct, refusals = page.conduct, page.refusals
            if failed is not None:
                conduct, refusals = "status=204" if "status=204" in conduct else "", ALWAYS * (index in failed)
            if refusals:
                conduct = f"status=404&times={refusals}"
            urls.append(f"{self.server.origin}/{self.name}/{page.name}?trial={trial}&{conduct}")
        # A URL that is listed twice is fetched once.
        return urls + urls[:1]

    def failed(self, trial):
        """Which pages the server never sent in a trial; all others it must have sent whole."""
        answers, failed = self.server.answers(trial), set()
        for index, page in enumerate(self.pages):
            path = f"{self.name}/{page.name}"
            if answers["asked", path] <= page.refusals:
                failed.add(index)
            assert answers["asked", path], f"{path} was never asked for"
            assert index in failed or answers["sent", path], f"{path} was never sent whole"
        return frozenset(failed)

    def rows(self, failed):
        """The rows of all pages but those that failed."""
        pages = (page for index, page in enumerate(self.pages) if index not in failed)
        return [row for page in pages for _, row in page.records if row is not None]

    def rejects(self, failed):
        """(line, record, raw) of each reject; of a page that failed without its raw bytes."""
        rejects = []
        for index, page in enumerate(self.pages):
            if index in failed:
                rejects.append((index + 1, None, None))
                continue
            rejects += [(index + 1, at, text) for at, (text, row) in enumerate(page.records) if row is None]
        return rejects

    def difference(self, path, rejects_path, failed):
        """Compares an output and its rejects with what was sent; the first difference, or None."""
        table = pq.read_table(path, use_threads=False)
        rows = self.rows(failed)
        if table.num_rows != len(rows):
            return f"{len(rows)} rows expected, {table.num_rows} read"
        for name in (*COLUMNS, "values_count"):
            found = table.column(name).to_pylist() if name in table.column_names else [None] * len(rows)
            for at, (value, row) in enumerate(zip(found, rows)):
                sent = row.get(name) if name in COLUMNS else _count(row.get("values"))
                if _text(value) != _text(sent):
                    return f"row {at}: {name} is {value!r}, expected {sent!r}"
        found = [(line["line"], line["record"], line["raw"]) for line in rejects_of(rejects_path)]
        found = [(line, record, None if record is None else raw) for line, record, raw in found]
        return first_difference("reject", found, self.rejects(failed))


def rejects_of(path):
    """The lines of a rejects file, without what differs from trial to trial."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [{name: value for name, value in line.items() if name != "url"} for line in lines]


def first_difference(what, found, expected):
    """Where two lists differ first, in words; None if they do not."""
    if found == expected:
        return None
    differing = (at for at, (left, right) in enumerate(zip(found, expected)) if left != right)
    at = next(differing, min(len(found), len(expected)))
    shown = [repr(of[at])[:200] if at < len(of) else "none" for of in (expected, found)]
    return f"{what} {at} of {len(expected)}: expected {shown[0]}, got {shown[1]}; {len(found)} are there"


def _count(values):
    return len(values) if isinstance(values, list) else None


def _text(value):
    """A value as a text column has it, whatever type its column has now."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def _plain(value):
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items() if member is not None}
    return value


# Pages by chance.


def log_pages(source, page_count, *, drifts=True, is_late=False, is_large=False, is_slow=True):
    """Pages; their columns come and widen on the way if it drifts; with one that is late, or decoded in pieces."""
    late, large = (source.randrange(page_count) if is_it else None for is_it in (is_late, is_large))
    pages, next_id = [], 1
    for index in range(page_count):
        share = index / page_count if drifts else 0
        count = 9_000 if index == large else source.choice([0, 1, 2, 3, 5, 8, 40])
        is_bare = index != large and source.random() < 0.12
        records = []
        for _ in range(count):
            records.append(("{}", {}) if is_bare or source.random() < 0.04 else _record(source, share, next_id))
            next_id += 1
        conduct, refusals = "", 0
        if is_slow:
            conduct, refusals = _conduct(source)
            if index == late:
                conduct, refusals = "latency_ms=1500", 0
        if "status=204" in conduct:
            records = []
        name = f"p{index}.{source.choice(['ndjson', 'json'])}"
        pages.append(LogPage(name, tuple(records), conduct, refusals))
    return pages


def _conduct(source):
    latency = f"latency_ms={source.randrange(10, 40)}"
    return source.choices(
        [
            (latency, 0),
            (f"{latency}&status=204", 0),
            (f"{latency}&reset=1&cut=1&times=1", 0),
            ("status=503&times=1", 0),
            ("", source.choice([1, 2, 3])),
            ("", ALWAYS),
        ],
        [80, 4, 4, 4, 6, 2],
    )[0]


def _record(source, share, number):
    """A record and its row; with fields that come, and widen, as the list goes on."""
    if source.random() < 0.06:
        return f'{{"id":{number},"values":{{"no":"list"}}}}', None
    row = {"id": number, "name": f"n{number} \"ä\" {source.choice(['x', 'yy', ''])}"}
    row["values"] = source.choice([[1, 2.5, number], [number], [], None, [0.25] * 7])
    row["wide"] = number if share < 0.4 else number + 0.5 if share < 0.75 else f"w{number}"
    if share > 0.3:
        row["at"] = f"2026-03-02T08:{number % 60:02d}:00" + (".000001Z" if share > 0.6 else "Z")
    if share > 0.5:
        row["late"] = [number, None, number + (0.5 if share > 0.8 else 1)]
    row["o"] = {"a": number} if share < 0.6 else {"a": number, "b": {"c": "d"}}
    for name in ("name", "values", "wide", "o"):
        if source.random() < 0.1:
            del row[name]
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")), row


def tables_differ(path, expected):
    """Compares an output with that of an undisturbed run: schema, rows and their order."""
    found = pq.read_table(path, use_threads=False).replace_schema_metadata()
    if not found.schema.equals(expected.schema):
        return first_difference("column", *(list(map(str, of.schema)) for of in (found, expected)))
    if found.num_rows != expected.num_rows:
        return f"{expected.num_rows} rows expected, {found.num_rows} read"
    for name in expected.column_names:
        columns = (of.column(name).to_pylist() for of in (found, expected))
        difference = first_difference(f"{name} of row", *columns)
        if difference:
            return difference
    return None


def read_table(path):
    """An output without what its footer says."""
    return pq.read_table(pathlib.Path(path), use_threads=False).replace_schema_metadata()
