#!/usr/bin/env python3
"""Cuts a large page at random and at chosen places: nothing of it shows, or all of it once it came whole.

    scripts/cuts.py --etl target/release/etl
    scripts/cuts.py --etl target/release/etl --bytes 2G --seed 7 --only 'cut *'

Three kinds of checks. `cut`: a large page between two small ones breaks off; the run exits 3, the small pages are
complete, and of the large one there is no row and no reject, but one line that names the page. `again`: the page breaks
off some times and then comes whole; every row and every reject is there once. `same`: pages of all forms, whose columns
change within them, are one file whatever the threads, the concurrency and the memory.

One line per check, then `N passed, M failed`; exit 1 when a check failed. Needs pyarrow.
"""

import argparse
import dataclasses
import fnmatch
import hashlib
import itertools
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

import pyarrow.parquet as pq

sys.dont_write_bytecode = True  # The checkout stays clean.

from harness import rows
from harness.kinds import kind
from harness.pages import Page, filled, list_of
from harness.program import Server, run, size_of
from harness.text import GZIP_HEAD, GZIP_TRAILER_BYTES

FORMS = ("lines", "array", "documents", "envelope")
FAILED_PAGE_HEAD_BYTES_MAX = 64 << 10
SMALL = Page((("flat", 1),))
MACHINES = (
    "",
    "--threads 1",
    "--threads 2",
    "--threads 8",
    "-j 1",
    "-j 256",
    "--memory 64MiB",
    "--memory 2GiB",
    "--threads 1 -j 256 --memory 64MiB",
    "--threads 8 -j 1 --memory 64MiB",
    "--threads 8 -j 256 --memory 2GiB",
)


class Bench:
    """The program under test, the server, a folder, and where the run of a check left its output."""

    def __init__(self, args, server, scratch):
        self.args, self.server, self.scratch = args, server, scratch
        self._numbers = itertools.count(1)

    def run(self, pages, options, exit_code):
        """Runs the program on these pages; the exit code must be the expected one."""
        folder = self.scratch / f"{next(self._numbers)}"
        urls = [self.server.origin + page.target for page in pages]
        records = ["--records", "/Records"] if any(page.form == "envelope" for page in pages) else []
        finished = run(self.args.etl, urls, folder, [*records, *options.split()], self.args.seconds)
        assert finished.exit_code == exit_code, f"exit {exit_code} expected, {finished.how_it_ended()}"
        names = sorted(path.name for path in folder.iterdir())
        expected = ["out.parquet", "out.parquet.rejects.ndjson"][: 2 if exit_code == 3 else 1]
        assert names == expected, f"left in the folder: {names}"
        return finished


# Where a page is cut.


def chosen_places(page, source):
    """Places that a cutter of chunks may get wrong, by name; offsets in the plain body."""
    block = source.randrange(sum(count for _, count in page.of))
    of = kind(page.of[0][0], page.separator)
    # Neither the first nor the last record of a block, nor the one that is rejected.
    record = source.randrange(1, 499)
    begin = page.offset_of_block(block)
    start = begin + of.starts[record]

    def within(needle, after):
        return begin + of.offset_of(record, needle.encode()) + after

    return {
        "within a record": start + (of.starts[record + 1] - of.starts[record]) // 2,
        "within an escape": within("\\u00e9", 4),
        "within a pair of surrogates": within("\\ud83d\\ude00", 6),
        "within a character": within("Zoë", 3),
        "within a number": within('"values":[', 11),
        "within a key": within('"values":[', 4),
        "between records": start,
        "before a separator": start - len(page.separator),
        "in the first record": len(page.separator) + 40,
        "before the last byte": page.sent_bytes - 1,
    }


def chosen_places_of_gzip(page):
    """Places in the compressed body."""
    return {
        "behind the gzip header": len(GZIP_HEAD),
        "in the middle of gzip": page.sent_bytes // 2,
        "before the gzip trailer": page.sent_bytes - GZIP_TRAILER_BYTES,
        "within the gzip trailer": page.sent_bytes - GZIP_TRAILER_BYTES // 2,
        "before the last byte of gzip": page.sent_bytes - 1,
    }


def large(args, **how):
    """The large page; one in a thousand of its records is to be rejected."""
    return filled("mixed", args.bytes, **how)


def cut(page, place, ending="close"):
    """The page cut at every attempt."""
    return dataclasses.replace(page, cuts=(place,), is_cut_always=True, ending=ending)


def cut_pages(args, source):
    """(name, page) of every page that must fail."""
    for form in FORMS:
        page = large(args, form=form)
        for name, place in chosen_places(page, source).items():
            yield f"{form}, {name}", cut(page, place)
        for name, place in itertools.islice(chosen_places(page, source).items(), 2):
            yield f"{form} in chunks, {name}", cut(dataclasses.replace(page, framing="chunked"), place)
        chunked = large(args, form=form, framing="chunked")
        yield f"{form}, without the last chunk", cut(chunked, chunked.sent_bytes)
        if form != "documents":
            # Nothing says that the body is not whole but the record that it ends in.
            ending = dataclasses.replace(page, framing="close")
            yield f"{form} up to the end of the connection", cut(ending, chosen_places(page, source)["within a record"])
    array = large(args, form="array", framing="close")
    place = chosen_places(array, source)["between records"]
    yield "array up to the end of the connection, between records", cut(array, place)
    for coding, framing in (("gzip", "length"), ("gzip", "chunked"), ("gzip", "close"), ("file", "length")):
        page = large(args, coding=coding, framing=framing)
        for name, place in chosen_places_of_gzip(page).items():
            yield f"{coding} by {framing}, {name}", cut(page, place)
    page = large(args, coding="gzip", framing="chunked")
    yield "gzip, without the last chunk", cut(page, page.sent_bytes)
    page = large(args)
    for name, ending in (("reset", "reset"), ("silence", "stall")):
        yield f"{name} within a record", cut(page, chosen_places(page, source)["within a record"], ending)
    for number in range(args.rounds):
        page = large(
            args,
            form=source.choice(FORMS),
            coding=source.choice(["", "", "gzip", "file"]),
            framing=source.choice(["length", "chunked"]),
        )
        place, ending = source.randrange(page.sent_bytes), source.choice(["close", "reset"])
        name = f"random {number}: {page.form} {page.coding or 'plain'} by {page.framing}, {ending} after {place} bytes"
        yield name, cut(page, place, ending)


# What is checked.


def check_cut(bench, page):
    """A page that breaks off leaves one line and nothing else."""
    before, page, behind = list_of([small_like(page), page, small_like(page)])
    options = f"--retry 0 --read-timeout 2s --memory {bench.args.memory}"
    finished = bench.run([before, page, behind], options, 3)
    assert finished.count("pages", "failed") == 1, finished.summary["pages"]
    expected = before.record_count + behind.record_count
    found = [finished.count("records", name) for name in ("seen", "written", "rejected")]
    assert found == [expected, expected, 0], f"records of a failed page are counted: {found}"
    difference = rows.difference(finished.out, [before, behind])
    assert difference is None, difference
    rejects = list(finished.rejects())
    assert len(rejects) == 1, f"{len(rejects)} rejects of one failed page"
    reject = rejects[0]
    assert "record" in reject and reject["record"] is None and reject["line"] == 2, f"not the page: {reject}"
    assert reject["reason"], f"no reason: {reject}"
    assert len(reject.get("raw") or "") <= FAILED_PAGE_HEAD_BYTES_MAX, "more of the page is kept than its head"


def small_like(page):
    """A small page that the same options read."""
    return dataclasses.replace(SMALL, form=page.form)


def check_again(bench, page, source):
    """A page that breaks off some times and then comes whole is there once."""
    cuts = tuple(sorted((source.randrange(page.sent_bytes) for _ in range(3)), reverse=source.random() < 0.5))
    page = dataclasses.replace(page, cuts=cuts, ending=source.choice(["close", "reset"]))
    pages = list_of([small_like(page), page, small_like(page)])
    finished = bench.run(pages, f"--retry {len(cuts)} --memory {bench.args.memory}", 3)
    assert finished.count("pages", "failed") == 0, finished.summary["pages"]
    assert finished.count("requests", "retried") == len(cuts), finished.summary["requests"]
    check_all(finished, pages)


def check_all(finished, pages):
    """Every row and every reject of these pages is there, once and in order; a page that is cut has one line."""
    whole = [page for page in pages if not page.is_cut_always]
    difference = rows.difference(finished.out, whole)
    assert difference is None, difference
    found = finished.rejects()
    for line, page in enumerate(pages, 1):
        if page.is_cut_always:
            reject = next(found, {})
            assert (reject.get("line"), reject.get("record", 0)) == (line, None), f"not the failed page: {reject}"
            continue
        for record, byte_offset, raw in page.rejects():
            reject = next(found, {})
            place = tuple(reject.get(name) for name in ("line", "record", "byte_offset"))
            assert place == (line, record, byte_offset), f"expected {(line, record, byte_offset)}, got {reject}"
            assert reject["raw"].encode() == raw, f"{place}: expected {raw}, got {reject['raw']}"
    assert next(found, None) is None, "more rejects than were sent"
    counts = {name: finished.count("records", name) for name in ("seen", "written", "rejected")}
    row_count, record_count = (sum(getattr(page, of) for page in whole) for of in ("row_count", "record_count"))
    expected = {"seen": record_count, "written": row_count, "rejected": record_count - row_count}
    assert counts == expected, f"{expected} expected, {counts} found"


def check_same(bench, pages):
    """One file and one rejects file, whatever the machine settings; one table, where the machine was so slow that others
    went before a page."""
    pages = list_of(pages)
    digests, tables = {}, {}
    for machine in MACHINES:
        finished = bench.run(pages, f"--retry 0 {machine}", 3)
        is_late = finished.summary["pages"]["deferred"] > 0
        digests[machine] = None if is_late else digest_of(finished.out), digest_of(finished.rejects_path)
        tables[machine] = pq.read_table(finished.out)
        first = MACHINES[0]
        if machine == first:
            check_all(finished, pages)
        assert tables[machine].equals(tables[first]), f"the table of {machine!r} is another one than without"
        for what, ours, theirs in zip(("output", "rejects"), digests[machine], digests[first]):
            is_other = None not in (ours, theirs) and ours != theirs
            assert not is_other, f"the {what} of {machine!r} is another one than without: {ours} and {theirs}"
        shutil.rmtree(finished.folder)


def digest_of(path):
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def drifting(body_bytes, form, **how):
    """A page whose columns change within it: a late column, an integer that becomes a double, then text."""
    count = max(1, round(body_bytes / 6 / kind("flat", b"\n").text.length))
    of = tuple((name, count) for name in ("flat", "mixed", "late", "double", "flat", "text"))
    return Page(of, form=form, **how)


def drifting_pages(args, forms):
    """Pages of these forms, a small one before each, one that is cut among them, one that is late, one compressed."""
    body_bytes = args.bytes / (len(forms) + 1)
    pages = []
    for form in forms:
        pages += [dataclasses.replace(SMALL, form=form), drifting(body_bytes, form, framing="chunked")]
    compressed = drifting(body_bytes, forms[0], coding="gzip")
    broken = filled("mixed", body_bytes, form=forms[0])
    pages += [compressed, cut(broken, broken.sent_bytes // 2), dataclasses.replace(SMALL, form=forms[0])]
    # Held back, so that the others come before it and have to wait; not for as long as makes them go first.
    pages[0] = dataclasses.replace(pages[0], hold_ms=500)
    return pages


def checks(args):
    """(name, check) of all that is done, in order; what is random comes from the seed and the name alone."""
    for name, page in cut_pages(args, random.Random(f"{args.seed} cut")):
        yield f"cut {name}", lambda bench, page=page: check_cut(bench, page)
    for form, coding, framing in (
        ("lines", "", "length"),
        ("array", "", "chunked"),
        ("documents", "", "length"),
        ("envelope", "", "length"),
        ("lines", "gzip", "length"),
        ("array", "gzip", "chunked"),
        ("lines", "file", "length"),
    ):
        name = f"again {form} {coding or 'plain'} by {framing}"
        page = large(args, form=form, coding=coding, framing=framing)
        source = random.Random(f"{args.seed} {name}")
        yield name, lambda bench, page=page, source=source: check_again(bench, page, source)
    yield "same file of lines, arrays and documents", lambda bench: check_same(
        bench, drifting_pages(args, ["lines", "array", "documents"])
    )
    yield "same file of envelopes", lambda bench: check_same(bench, drifting_pages(args, ["envelope"]))


def main():
    """Parses, runs, counts."""
    args = parse()
    print(f"seed {args.seed}, large pages of {args.bytes} bytes, --memory {args.memory}", flush=True)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="etl-cuts-", dir=args.scratch) as folder, Server() as server:
        for name, check in checks(args):
            if not any(fnmatch.fnmatch(name, pattern) for pattern in args.only):
                continue
            scratch = pathlib.Path(folder, "check")
            begun = time.monotonic()
            try:
                check(Bench(args, server, scratch))
            except AssertionError as error:
                failed += 1
                print(f"FAIL  {name}: {error}", flush=True)
            except Exception:  # A check that breaks is a check that failed; the others go on.
                failed += 1
                print(f"FAIL  {name}: {traceback.format_exc()}", flush=True)
            else:
                passed += 1
                print(f"ok    {name} ({time.monotonic() - begun:.1f} s)", flush=True)
            shutil.rmtree(scratch, ignore_errors=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


def parse():
    """The command line, validated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--etl", type=pathlib.Path, default=pathlib.Path("target/release/etl"), help="the program")
    parser.add_argument("--bytes", default="200M", help="size of the large page, such as 2G [200M]")
    parser.add_argument("--memory", default="128MiB", help="--memory of the runs that do not vary it [128MiB]")
    parser.add_argument("--seed", type=int, default=1, help="of the places [1]")
    parser.add_argument("--rounds", type=int, default=12, help="random places [12]")
    parser.add_argument("--only", action="append", help="run the checks with such a name, `*` allowed; repeatable")
    parser.add_argument("--seconds", type=float, default=600, help="a run that takes longer is killed [600]")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for the outputs [a temporary one]")
    args = parser.parse_args()
    args.bytes, args.only = size_of(args.bytes), args.only or ["*"]
    if args.bytes < 2_000_000:
        parser.error(f"--bytes: expected 2M at least, got {args.bytes}")
    if not args.etl.is_file():
        parser.error(f"--etl: {args.etl} is no file; build it first")
    args.etl = args.etl.resolve()
    return args


if __name__ == "__main__":
    sys.exit(main())
