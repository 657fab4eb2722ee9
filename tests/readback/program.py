"""Runs of `etl`, and what a check is given to work with."""

import functools
import itertools
import json
import os
import pathlib
import subprocess

RUN_SECONDS_MAX = 300
STDERR_SHOWN_MAX = 500


class Skipped(Exception):
    """A check that can't be made here; the text says why."""


class Run:
    """One finished run: its exit code, its summary, and where its output and rejects are."""

    def __init__(self, exit_code, stdout, stderr, out):
        self.exit_code, self.out = exit_code, out
        #: The last words on stderr; a panic or a list of failures comes before them.
        self.said = stderr.strip()[-STDERR_SHOWN_MAX:]
        try:
            self.summary = json.loads(stdout)
        except ValueError as error:
            raise AssertionError(f"exit {exit_code}, no summary on stdout: {self.said}") from error

    def rejects(self):
        """The lines of the rejects file."""
        path = pathlib.Path(f"{self.out}.rejects.ndjson")
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


class Bench:
    """The program under test, a server, and a folder that the server serves."""

    def __init__(self, etl, site, base, scratch, page_count, real):
        self.etl, self.site, self.base, self.scratch = etl, site, base, scratch
        self.page_count = page_count
        #: Folder and URL of the real pages, or None.
        self.real = real
        self._numbers = itertools.count(1)

    def put(self, pages):
        """Makes pages (name -> bytes) available; returns their URLs in order."""
        folder = self.site / str(next(self._numbers))
        folder.mkdir()
        for name, body in pages.items():
            (folder / name).write_bytes(body)
        return [f"{self.base}/{folder.name}/{name}" for name in pages]

    def run(self, urls, *options, exit_code=0):
        """Runs the program on these URLs; the exit code must be the expected one, None for any."""
        folder = self.scratch / str(next(self._numbers))
        folder.mkdir()
        (folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
        out = folder / "out.parquet"
        command = [self.etl, "--urls", folder / "urls.txt", "--out", out, "--json", "-q", *map(str, options)]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_environment(),
            timeout=RUN_SECONDS_MAX,
            check=False,
        )
        run = Run(done.returncode, done.stdout, done.stderr, out)
        assert exit_code in (run.exit_code, None), f"exit {run.exit_code}, expected {exit_code}: {run.said}"
        return run

    @functools.cached_property
    def version(self):
        """What `--version` says."""
        return subprocess.check_output([self.etl, "--version"], text=True).split()[-1]


def _environment():
    """This process's environment without proxies, which would come between the program and a loopback server."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"RUST_BACKTRACE": "0"}
