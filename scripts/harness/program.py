"""The two processes: the server of pages, and a run of `etl` whose memory is watched."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE_SECONDS = 0.01
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
#: What is shown of the last words of a run.
SAID_CHARS_MAX = 500


class Listening:
    """A program that says where it listens; ends with the `with` block, or when this process is gone."""

    def __init__(self, command):
        self._command = command

    def __enter__(self):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        greeting = self._process.stdout.readline().strip()
        if not greeting.startswith("listening on "):
            raise RuntimeError(f"the server did not start: {greeting!r}")
        self.origin = greeting.removeprefix("listening on ")
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Server(Listening):
    """The server of `server.py`."""

    def __init__(self):
        super().__init__([sys.executable, "-B", HERE / "server.py"])


@dataclasses.dataclass
class Run:
    """A run that ended."""

    #: Below zero: the signal that ended it.
    exit_code: int
    #: The object of `--json`; empty if there was none.
    summary: dict
    #: The end of what it said on standard error.
    said: str
    seconds: float
    #: The most memory that was resident.
    peak_bytes: int
    #: Whether it took too long and was killed.
    is_killed: bool
    folder: pathlib.Path

    @property
    def out(self):
        """The output."""
        return self.folder / "out.parquet"

    @property
    def rejects_path(self):
        """The rejects file."""
        return self.folder / "out.parquet.rejects.ndjson"

    def rejects(self):
        """The lines of the rejects file, one at a time."""
        if self.rejects_path.exists():
            with self.rejects_path.open("rb") as lines:
                yield from map(json.loads, lines)

    def count(self, group, name):
        """A number of the summary, or None."""
        return self.summary.get(group, {}).get(name)

    def how_it_ended(self):
        """For a message."""
        if self.is_killed:
            return f"killed after {self.seconds:.0f} s"
        return f"exit {self.exit_code}: {self.said}"


def run(etl, urls, folder, options, seconds_max):
    """Runs `etl` on these URLs, with its output in `folder`, which is made."""
    folder.mkdir(parents=True)
    # Beside the folder of the output, so that what is left there is the run's own.
    place = folder.with_name(f"{folder.name}.run")
    place.mkdir()
    (place / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    command = [etl, "--urls", place / "urls.txt", "--out", folder / "out.parquet", "--json", "-q", *options]
    with (place / "stdout").open("wb") as stdout, (place / "stderr").open("wb") as stderr:
        begun = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment()
        )
        exit_code, peak_bytes, is_killed = _watch(process, begun + seconds_max)
        seconds = time.monotonic() - begun
    said = (place / "stderr").read_text("utf-8", "replace").strip()[-SAID_CHARS_MAX:]
    try:
        summary = json.loads((place / "stdout").read_bytes())
    except ValueError:
        summary = {}
    return Run(exit_code, summary, said, seconds, peak_bytes, is_killed, folder)


def _watch(process, deadline):
    """Waits for the end; returns the exit code, the peak of the resident memory, and whether it was killed.

    Three witnesses: samples of what is resident now, the kernel's own high-water mark while the process lives, and
    the one that it gives at the end. The last one begins at this process's own size, so this one stays small: pages
    are planned and rows are read back in other processes.
    """
    peak_bytes, is_killed = 0, False
    with open(f"/proc/{process.pid}/statm", "rb") as statm, open(f"/proc/{process.pid}/status", "rb") as status:
        while True:
            pid, wait_status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak_bytes = max(peak_bytes, _resident_bytes(statm), _high_water_bytes(status))
            if time.monotonic() > deadline and not is_killed:
                process.kill()
                is_killed = True
            time.sleep(SAMPLE_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    return process.returncode, max(peak_bytes, usage.ru_maxrss * 1024), is_killed


def _resident_bytes(statm):
    try:
        statm.seek(0)
        return int(statm.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0  # It ends just now.


def _high_water_bytes(status):
    try:
        status.seek(0)
        _, _, rest = status.read().partition(b"VmHWM:")
        return int(rest.split()[0]) * 1024 if rest else 0
    except OSError:
        return 0


def environment():
    """This process's environment without proxies, which would come between the program and a loopback server."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def size_of(text):
    """The bytes that `2G`, `200M`, `64MiB` or a number stand for; a bare letter counts in thousands."""
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "K": 10**3, "M": 10**6, "G": 10**9}
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(text)


def aside(function, *arguments):
    """Calls a function in a process of its own, which takes its memory with it; see `_watch`."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as process:
        return process.submit(function, *arguments).result()
