"""Times etl, its peers and the bare fetch on one page set, in turn, and prints the table of the set in Markdown.

A contestant is one process per round: wall time from its start to its end, CPU time and peak memory as the kernel
counts them (wait4), and the rows of the file that it left. In turn, so that whatever else the machine does falls on
all of them alike. Exit code 1: etl failed, or its file has not the rows of the set.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import select
import shlex
import signal
import subprocess
import sys
import time

import pages
import parquet
import table

HERE = pathlib.Path(__file__).resolve().parent
STDERR_SHOWN_MAX = 200


@dataclasses.dataclass(frozen=True)
class Contestant:
    """Who runs: a command and the file that it leaves, None for the bare fetch, which leaves none."""

    label: str
    command: list
    out: pathlib.Path | None


@dataclasses.dataclass
class Result:
    """What was seen of a contestant; a list has one entry for each round that ended well."""

    label: str
    wall_seconds: list = dataclasses.field(default_factory=list)
    cpu_seconds: list = dataclasses.field(default_factory=list)
    peak_bytes: list = dataclasses.field(default_factory=list)
    file_bytes: list = dataclasses.field(default_factory=list)
    row_counts: list = dataclasses.field(default_factory=list)
    #: Why there is no figure: `> 60 s` or `failed`. It ran no further rounds.
    gave_up: str = ""
    #: What it said when it failed.
    note: str = ""


class Gone(Exception):
    """A run without a figure: what stands in the table instead, and what it said."""

    def __init__(self, shown, note=""):
        super().__init__(shown)
        self.shown, self.note = shown, note


def environment():
    """The environment without proxies, which would come between a contestant and the loopback server."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def run_once(command, log, limit_seconds):
    """Runs a command to its end or to the limit; returns wall seconds and the kernel's account of it."""
    with open(log, "wb") as sink:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=environment()
        )
    is_over = False
    try:
        # A descriptor of the process, not its number: it can't name another process, and it can be waited for
        # with a limit, after which wait4 still has the account.
        descriptor = os.pidfd_open(process.pid)
        try:
            is_over = bool(select.select([descriptor], [], [], limit_seconds)[0])
            wall_seconds = time.monotonic() - started
        finally:
            os.close(descriptor)
    finally:
        # Also when this process is being ended itself.
        if not is_over:
            process.kill()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if not is_over:
        raise Gone(f"> {limit_seconds:g} s")
    if process.returncode != 0:
        raise Gone("failed", f"exit {process.returncode}: {last_words(log)}")
    return wall_seconds, usage


def last_words(log):
    """The last line that a process wrote, as far as a note has room for it."""
    lines = log.read_text("utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:STDERR_SHOWN_MAX] if said else "nothing said"


def rows_and_bytes(out):
    """What a run has left: the rows of its file, and its size."""
    try:
        return parquet.row_count(out), out.stat().st_size
    except (OSError, ValueError, IndexError) as error:
        raise Gone("failed", f"left no Parquet file: {error}") from error


def run_round(contestant, result, log, limit_seconds):
    """Adds one run to the result of a contestant. Its file is removed, since those of a large page fill a disk."""
    # etl syncs its file and the others do not: without this it would also pay for what they left in the cache.
    os.sync()
    try:
        wall_seconds, usage = run_once(contestant.command, log, limit_seconds)
        if contestant.out:
            row_count, file_bytes = rows_and_bytes(contestant.out)
            result.row_counts.append(row_count)
            result.file_bytes.append(file_bytes)
    finally:
        if contestant.out:
            contestant.out.unlink(missing_ok=True)
    result.wall_seconds.append(wall_seconds)
    result.cpu_seconds.append(usage.ru_utime + usage.ru_stime)
    # Linux counts in KiB, and begins with the memory of the process that started this one: some 20 MB here.
    result.peak_bytes.append(usage.ru_maxrss * 1024)


def run_in_turn(contestants, set_name, work, round_count, limit_seconds):
    """Runs all contestants once in each round; returns their results."""
    results = [Result(contestant.label) for contestant in contestants]
    log = work / "said.txt"
    for number in range(1, round_count + 1):
        for contestant, result in zip(contestants, results):
            if result.gave_up:
                continue
            try:
                run_round(contestant, result, log, limit_seconds)
                shown = f"{result.wall_seconds[-1]:.2f} s"
            except Gone as gone:
                result.gave_up, result.note = gone.shown, gone.note
                shown = f"{gone.shown} {gone.note}".strip()
            print(f"bench: {set_name}, round {number}, {contestant.label}: {shown}", file=sys.stderr)
    return results


def assert_pages_arrive(contestant, page_set, log):
    """Fetches all pages once and compares their number and bytes with the set's. Warms the page cache, too."""
    try:
        run_once(contestant.command, log, None)
        found = last_words(log)
    except Gone as gone:
        found = gone.note
    expected = f"{page_set['page_count']} pages, {page_set['body_bytes']} bytes"
    if found != expected:
        sys.exit(f"bench: the pages of {page_set['name']} do not arrive: expected {expected}, got {found}")


def end(signal_number, _frame):
    """Ends this process by way of its `finally` blocks, which end the contestant that runs."""
    sys.exit(128 + signal_number)


def arguments():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=pathlib.Path, required=True, help="folder of the set")
    parser.add_argument("--base", required=True, help="URL of that folder")
    parser.add_argument("--server", required=True, help="what serves it, for the table")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for outputs")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--limit", type=float, required=True, help="seconds after which a run is ended")
    parser.add_argument("--etl", required=True)
    parser.add_argument("--etl-args", default="", help="more arguments of etl, as a shell would read them")
    parser.add_argument("--floor", required=True, help="the program fetch_floor")
    parser.add_argument("--floor-concurrency", type=int, required=True)
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        nargs=3,
        metavar=("NAME", "PYTHON", "LABEL"),
        help="a peer of peer.py, the interpreter that has it, and its name in the table",
    )
    return parser.parse_args()


def main():
    """Measures one set."""
    asked = arguments()
    signal.signal(signal.SIGTERM, end)
    page_set = json.loads((asked.set / "set.json").read_text())
    asked.work.mkdir(parents=True, exist_ok=True)
    urls = asked.work / "urls.txt"
    urls.write_text("".join(f"{asked.base}/{name}\n" for name in pages.page_names(asked.set)))

    etl_args = shlex.split(asked.etl_args)
    etl_out = asked.work / "etl.parquet"
    etl_command = [asked.etl, "--urls", urls, "--out", etl_out, "--quiet", *etl_args]
    contestants = [Contestant(shlex.join(["etl", *etl_args]), etl_command, etl_out)]
    for name, python, label in asked.peer:
        out = asked.work / f"{name}.parquet"
        places = ["--urls", urls, "--pattern", f"{asked.base}/{page_set['page_pattern']}", "--out", out]
        contestants.append(Contestant(label, [python, HERE / "peer.py", name, *places], out))
    floor_command = [asked.floor, urls, str(asked.floor_concurrency)]
    floor = Contestant(f"bare fetch, {asked.floor_concurrency} at once", floor_command, None)

    assert_pages_arrive(floor, page_set, asked.work / "said.txt")
    results = run_in_turn([*contestants, floor], page_set["name"], asked.work, asked.rounds, asked.limit)
    print(table.of_set(page_set, asked.server, asked.rounds, results[0], results[1:-1], results[-1]))
    if not table.is_right(results[0], page_set):
        sys.exit(f"bench: etl did not write the {page_set['record_count']} rows of {page_set['name']}")


if __name__ == "__main__":
    main()
