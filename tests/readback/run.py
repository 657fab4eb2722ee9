#!/usr/bin/env python3
"""Runs `etl` against a log server and reads its Parquet back with pyarrow, DuckDB and Polars.

    tests/readback/run.py --etl target/debug/etl --server target/debug/examples/log_server

One line per check, then `N passed, M failed` alone on a line; exit 1 when a check failed. Needs requirements.txt.
"""

import argparse
import pathlib
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True  # The checkout stays clean.

import checks_conformance
import checks_generated
import checks_hostile
import checks_real
from program import Bench, Skipped
from server import LogServer

PAGE_COUNT_MIN, PAGE_COUNT_MAX = 10, 400
CHECKS = [*checks_generated.CHECKS, *checks_hostile.CHECKS, *checks_conformance.CHECKS, *checks_real.CHECKS]


def main():
    """Parses, runs, counts."""
    args = parse()
    with tempfile.TemporaryDirectory(prefix="etl-readback-") as folder:
        site, scratch = pathlib.Path(folder, "site"), pathlib.Path(folder, "scratch")
        site.mkdir()
        scratch.mkdir()
        with LogServer(args.server, site) as server:
            if args.data is None:
                return report(args, Bench(args.etl, site, server.base, scratch, args.pages, None))
            with LogServer(args.server, args.data) as real:
                bench = Bench(args.etl, site, server.base, scratch, args.pages, (args.data, real.base))
                return report(args, bench)


def parse():
    """The command line, validated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--etl", required=True, type=pathlib.Path, help="the program under test")
    parser.add_argument("--server", required=True, type=pathlib.Path, help="the built example log_server")
    parser.add_argument("--pages", type=int, default=60, help="pages of the generated log, 10 to 400 [60]")
    parser.add_argument("--data", type=pathlib.Path, help="folder of real log pages: cloudtrail, nginx, zeek")
    parser.add_argument("--only", default="", help="run the checks whose name contains this text")
    args = parser.parse_args()
    if not PAGE_COUNT_MIN <= args.pages <= PAGE_COUNT_MAX:
        parser.error(f"--pages: expected {PAGE_COUNT_MIN} to {PAGE_COUNT_MAX}, got {args.pages}")
    for program in (args.etl, args.server):
        if not program.is_file():
            parser.error(f"{program} is no file; build it first")
    if args.data is not None and not args.data.is_dir():
        parser.error(f"--data: {args.data} is no folder")
    args.etl, args.server = args.etl.resolve(), args.server.resolve()
    return args


def report(args, bench):
    """Runs the checks in order and prints one line for each."""
    passed = failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        if args.only.replace("_", " ") not in name:
            continue
        started = time.monotonic()
        try:
            check(bench)
        except Skipped as reason:
            print(f"skip  {name}: {reason}", flush=True)
            continue
        except AssertionError as error:
            failed += 1
            print(f"FAIL  {name}: {error}", flush=True)
        except Exception:  # A check that breaks is a check that failed; the others go on.
            failed += 1
            print(f"FAIL  {name}: {traceback.format_exc()}", flush=True)
        else:
            passed += 1
            print(f"ok    {name} ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
