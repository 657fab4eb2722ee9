#!/usr/bin/env python3
"""Holds the ceiling on memory: large, many and hostile pages, each run watched and its output read back.

    scripts/memory.py --etl target/release/etl
    scripts/memory.py --etl target/release/etl --scale 0.05 'bomb-*' gzip-2g

Prints a Markdown table, a row as each case ends; exit 1 when a case failed. A case is well when the exit code is the
expected one, the resident memory never went beyond `--memory` and 64 MiB, the counts of the summary close and are
those of the pages, every row that was sent is there once and in order and no other, and nothing else is left in the
folder. Needs pyarrow, and for a full run some 10 GB of disk; the network is loopback.
"""

import argparse
import dataclasses
import fnmatch
import importlib.util
import itertools
import json
import pathlib
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True  # The checkout stays clean.

from harness import large
from harness.pages import Page, filled, list_of
from harness.program import Server, aside, run, size_of

MIB = 1 << 20
#: What a run may hold beside `--memory`: code, stacks, buffers of the allocator.
BESIDE_BYTES_MAX = 64 * MIB


@dataclasses.dataclass(frozen=True)
class Case:
    """One run and what it is given."""

    name: str
    memory: str
    options: str
    #: The pages for a scale.
    pages: callable
    exit_code: int = 0


def flat(count):
    """Pages of 1,000 records with 16 values each, some 370 KB."""
    return lambda scale: [Page((("flat", 1),))] * scaled(count, scale)


def one(name, body_bytes, **how):
    """One large page."""
    return several(1, name, body_bytes, **how)


def several(count, name, body_bytes, **how):
    """So many large pages; a scale changes their size, for how many there are is the point."""
    return lambda scale: [filled(name, body_bytes * scale, **how)] * count


def behind_a_slow_page(scale):
    """Eight large pages, and a small one before them that the server holds back."""
    slow = Page((("flat", 1),), hold_ms=3_000)
    return [slow] + [filled("flat", 200e6 * scale)] * 8


def among(name, count, form="lines"):
    """One page in which something stands between records."""
    return lambda scale: [Page((("flat", 1), (name, scaled(count, scale)), ("flat", 1)), form=form, coding="gzip")]


def giant(scale):
    """A record of half a gigabyte between others."""
    middle = (("giant-begin", 1), ("letters", scaled(500, scale, least=32)), ("giant-end", 1))
    return [Page((("flat", 1), *middle, ("flat", 1)), form=form) for form in ("lines", "array", "documents")]


def behind_a_trace(scale):
    """An envelope whose member before the records is as large as a page."""
    return [Page((("letters", scaled(500, scale)), ("records-begin", 1), ("flat", 10)), form="trace")]


def scaled(count, scale, least=1):
    """So many of them at this scale."""
    return max(least, round(count * scale))


# So many at once from the first request on.
AT_256 = "-j 256 --concurrency-per-host 256"

CASES = [
    Case("flat-j32", "64MiB", "-j 32 --concurrency-per-host 32", flat(2_000)),
    Case("flat-j256", "64MiB", AT_256, flat(2_000)),
    Case("flat-default", "64MiB", "", flat(2_000)),
    Case("total-10g", "256MiB", "-j 32", flat(27_000)),
    Case("lines-2g-256", "256MiB", "", one("flat", 2e9)),
    Case("lines-2g-512", "512MiB", "", one("flat", 2e9)),
    Case("array-2g", "256MiB", "", one("flat", 2e9, form="array")),
    Case("documents-2g", "256MiB", "", one("flat", 2e9, form="documents", framing="chunked")),
    Case("records-2g", "256MiB", "--records /Records", one("flat", 2e9, form="envelope")),
    Case("gzip-2g", "256MiB", "", one("flat", 2e9, coding="gzip")),
    Case("large-8x200m", "256MiB", "-j 8", several(8, "flat", 200e6)),
    Case("large-256x5m", "256MiB", AT_256, several(256, "flat", 5e6)),
    Case("slow-first", "256MiB", "-j 16", behind_a_slow_page),
    Case("bomb-2g", "256MiB", "", one("spaces", 2e9, coding="gzip")),
    Case("bomb-64x50m", "256MiB", AT_256, several(64, "spaces", 50e6, coding="gzip")),
    Case("bomb-repeats-2g", "256MiB", "", one("repeats", 2e9, coding="gzip")),
    Case("bomb-repeats-64x50m", "256MiB", AT_256, several(64, "repeats", 50e6, coding="gzip")),
    Case("bomb-blank-lines", "256MiB", "", among("blank", 1_000)),
    Case("bomb-blank-array", "256MiB", "", among("blank", 1_000, form="array")),
    Case("string-50m", "512MiB", "--max-record-bytes 64MiB", lambda scale: _records("string", scale)),
    Case("numbers-50m", "512MiB", "--max-record-bytes 64MiB", lambda scale: _records("numbers", scale)),
    Case("giant-record", "256MiB", "", giant, exit_code=3),
    Case("records-behind-500m", "256MiB", "--records /Records", behind_a_trace),
    Case("columns-dense", "512MiB", "", one("dense", 500e6)),
    Case("columns-sparse", "512MiB", "", one("sparse", 500e6)),
]


@dataclasses.dataclass(frozen=True)
class Large:
    """A run over records that become many times their bytes; see `harness/large.py`."""

    name: str
    #: Which records.
    kind: str
    options: str = ""
    count: int = 1


#: Run with each `--memory` and `--threads` of these, unless others are asked for.
LARGE_MEMORIES = ("64MiB", "512MiB")
LARGE_THREADS = (1, 2, 8)
LARGE_CASES = [
    Large("grow-alternating", "alternating"),
    Large("grow-alternating-4", "alternating", count=4),
    Large("grow-pairs", "pairs"),
    Large("grow-deep-20", "deep-20"),
    Large("grow-deep-20-text", "deep-20-text"),
    Large("grow-deep-100-text", "deep-100-text"),
    Large("grow-deep-json", "deep-20", "--nested json"),
    Large("grow-keys", "keys"),
    Large("grow-keys-json", "keys", "--nested json"),
    Large("grow-ones", "ones"),
    Large("grow-ones-json", "ones", "--nested json"),
    Large("grow-empties", "empties"),
    Large("grow-hash", "digits", "--hash x --hash-key {key}"),
    Large("grow-jq", "digits", "--jq ."),
    Large("grow-jq-alternating", "alternating", "--jq ."),
    Large("grow-jq-deep", "deep-20", "--jq ."),
    Large("grow-digits", "digits"),
    Large("grow-values", "values", count=6),
    Large("grow-string", "string", count=24),
    Large("grow-controls", "raw-controls", count=2),
]


def _records(name, scale):
    """Records of 50 MB; fewer of them at a smaller scale, and two at least."""
    return [Page(((name, scaled(20, scale, least=2)),))]


def main():
    """Parses, runs the cases, prints the table."""
    args = parse()
    if args.list:
        for case in args.cases:
            print(f"{case.name}: --memory {case.memory} {case.options}")
        for case, memory, threads in args.large_runs:
            print(f"{case.name}: --memory {memory} --threads {threads} {case.options}")
        return 0
    print("| case | memory | peak RSS | wall | ok |\n| --- | ---: | ---: | ---: | --- |", flush=True)
    failures = []
    with tempfile.TemporaryDirectory(prefix="etl-memory-", dir=args.scratch) as scratch, Server() as server:
        for case, memory, threads in args.large_runs:
            finished = large_run(args, case, memory, threads, pathlib.Path(scratch, case.name), server.origin)
            faults = list(faults_of_large(case, size_of(memory), finished))
            ok = "NO" if faults else "yes"
            peak = f"{finished.peak_bytes / MIB:.0f} MiB"
            print(f"| {case.name}, {threads} threads | {memory} | {peak} | {finished.seconds:.1f} s | {ok} |", flush=True)
            failures += [f"- {case.name} at {memory} with {threads} threads: {fault}" for fault in faults]
            shutil.rmtree(finished.folder.parent)
        for case in args.cases:
            memory = args.memory or case.memory
            plan = aside(plan_of, case.name, args.scale)
            folder = pathlib.Path(scratch, case.name, "out")
            urls = [server.origin + page.target for page in plan.pages]
            options = ["--memory", memory, *case.options.split()]
            finished = run(args.etl, urls, folder, options, args.seconds)
            faults = list(faults_of(case, plan, size_of(memory), finished))
            ok = "NO" if faults else "yes"
            peak = f"{finished.peak_bytes / MIB:.0f} MiB"
            print(f"| {case.name} | {memory} | {peak} | {finished.seconds:.1f} s | {ok} |", flush=True)
            failures += [f"- {case.name}: {fault}" for fault in faults]
            shutil.rmtree(folder.parent)
    if failures:
        print("", *failures, sep="\n")
    return 1 if failures else 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a case sends, and what must come of it."""

    pages: list
    record_count: int
    row_count: int
    #: What must be said of each record that is too large.
    rejects: list


def plan_of(case_name, scale):
    """Takes the memory that the blocks take, so it is called aside."""
    case = next(case for case in CASES if case.name == case_name)
    pages = list_of(case.pages(scale))
    rejects = []
    for line, page in enumerate(pages, 1):
        for record, byte_offset, _ in page.rejects():
            size, sha256 = page.giant()
            place = {"line": line, "record": record, "byte_offset": byte_offset}
            rejects.append(place | {"size": size, "sha256": sha256})
    # Only what names the pages goes back: what was computed on the way is not needed there.
    bare = [Page.parse(page.target) for page in pages]
    return Plan(bare, sum(page.record_count for page in pages), sum(page.row_count for page in pages), rejects)


def large_run(args, case, memory, threads, place, origin):
    """Runs one of the large cases."""
    place.mkdir()
    key = place / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    options = ["--memory", memory, "--threads", str(threads), *case.options.format(key=key).split()]
    urls = [origin + large.target(case.kind, number) for number in range(1, 1 + case.count)]
    return run(args.etl, urls, place / "out", options, args.seconds)


def faults_of_large(case, memory_bytes, finished):
    """Everything that is wrong with a run over records each of which is a row or rejected for its size."""
    rejects = aside(large_rejects, finished.rejects_path, case.kind)
    expected_code = 0 if not rejects else 3 if len(rejects) < case.count else 1
    if case.kind == "raw-controls":
        expected_code = 1
    if finished.exit_code != expected_code or finished.is_killed:
        yield f"exit {expected_code} expected, {finished.how_it_ended()}"
    if finished.peak_bytes > memory_bytes + BESIDE_BYTES_MAX:
        yield f"{finished.peak_bytes} bytes were resident, {memory_bytes + BESIDE_BYTES_MAX} are allowed"
    yield from (reject for reject in rejects.values() if reject)
    rows = aside(ids_of, finished.out) if finished.out.exists() else []
    ids = sorted([*rows, *rejects])
    if ids != list(range(1, 1 + case.count)):
        yield f"records 1 to {case.count} expected, rows {rows} and rejects {sorted(rejects)} found"


def large_rejects(path, kind):
    """What is wrong with each rejected record, or nothing, by its id. Called aside, for they are large."""
    found = {}
    if path.exists():
        with path.open("rb") as lines:
            for reject in map(json.loads, lines):
                number = reject["line"]
                wanted = "control characters" if kind == "raw-controls" else "takes more; raise --memory"
                fault = None
                if wanted not in reject["reason"]:
                    fault = f"record {number}: {reject['reason']}"
                elif reject["raw"].encode() != large.body(kind, number).strip():
                    fault = f"record {number} is not kept as it came"
                found[number] = fault
    return found


def ids_of(path):
    """The ids of the rows. Called aside, so that pyarrow's memory is never this process's own."""
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path, columns=["id"]).column("id").to_pylist()


def row_difference(path, pages):
    """The first difference between the rows of a file and those of the pages. Called aside."""
    from harness import rows  # Here, so that pyarrow's memory is never this process's own.

    return rows.difference(path, pages)


def faults_of(case, plan, memory_bytes, finished):
    """Everything that is wrong with a run, in words."""
    if finished.exit_code != case.exit_code or finished.is_killed:
        yield f"exit {case.exit_code} expected, {finished.how_it_ended()}"
    if finished.peak_bytes > memory_bytes + BESIDE_BYTES_MAX:
        yield f"{finished.peak_bytes} bytes were resident, {memory_bytes + BESIDE_BYTES_MAX} are allowed"
    if not finished.summary:
        yield "no summary"
        return
    rejected_count = plan.record_count - plan.row_count
    expected = {"seen": plan.record_count, "written": plan.row_count, "rejected": rejected_count}
    found = {name: finished.count("records", name) for name in expected}
    if found != expected:
        yield f"records: {expected} expected, {found} found"
    if not finished.out.exists():
        yield "no output"
        return
    names = sorted(path.name for path in finished.folder.iterdir())
    if names != ["out.parquet", "out.parquet.rejects.ndjson"][: 2 if rejected_count else 1]:
        yield f"left in the folder: {names}"
    yield from _faults_of_rejects(plan.rejects, finished)
    if difference := aside(row_difference, finished.out, plan.pages):
        yield difference


def _faults_of_rejects(expected, finished):
    """A record that is larger than any may be is named by its place, its size and its hash, and not kept."""
    found = list(itertools.islice(finished.rejects(), len(expected) + 1))
    if [{name: reject.get(name) for name in place} for place, reject in zip(expected, found)] != expected:
        yield f"rejects: {expected} expected, {str(found)[:500]} found"
    if len(found) > len(expected):
        yield f"a reject that was not sent: {str(found[-1])[:500]}"
    if any(reject.get("raw") is not None or reject.get("raw_base64") is not None for reject in found):
        yield "a record that is too large is kept"


def parse():
    """The command line, validated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases to run, `*` allowed [all]")
    parser.add_argument("--etl", type=pathlib.Path, default=pathlib.Path("target/release/etl"), help="the program")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the pages, or how many they are [1]")
    parser.add_argument("--memory", help="this --memory for every case instead of its own")
    parser.add_argument("--threads", type=int, help="these --threads alone for records that grow")
    parser.add_argument("--seconds", type=float, default=1_200, help="a run that takes longer is killed [1200]")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for the outputs [a temporary one]")
    parser.add_argument("--list", action="store_true", help="show the cases and run none")
    args = parser.parse_args()
    is_named = lambda case: not args.names or any(fnmatch.fnmatch(case.name, name) for name in args.names)
    args.cases = list(filter(is_named, CASES))
    memories = [args.memory] if args.memory else LARGE_MEMORIES
    threads = [args.threads] if args.threads else LARGE_THREADS
    args.large_runs = list(itertools.product(filter(is_named, LARGE_CASES), memories, threads))
    if not args.cases and not args.large_runs:
        parser.error(f"no case is named {' or '.join(args.names)}; --list shows them")
    if not 0 < args.scale <= 10:
        parser.error(f"--scale: expected a number above 0 and up to 10, got {args.scale}")
    if not args.list and not args.etl.is_file():
        parser.error(f"--etl: {args.etl} is no file; build it first")
    if not args.list and not importlib.util.find_spec("pyarrow"):
        parser.error("pyarrow is needed to read the outputs back: pip install pyarrow")
    args.etl = args.etl.resolve()
    return args


if __name__ == "__main__":
    sys.exit(main())
