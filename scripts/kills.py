#!/usr/bin/env python3
"""Stops runs in every way there is: the next ones give each record once, as if nobody had stopped anything.

    scripts/kills.py --etl target/release/etl --server target/release/examples/log_server
    scripts/kills.py --kills 1000 --calls all --errors all --full all --pairs 200 --flips 500 --seed 7

Six kinds of checks. `kills`: runs, and those that go on with them, are ended by signals at random moments. `calls`:
SIGKILL at the N-th call that changes the disk; files and folders are synced before they are believed. `errors`: such
a call fails; the run exits 6 and names it. `full`: the disk is full. `pairs`: two runs begin at once. `flips`: what
was kept is damaged. After each the next run must end well: rows and rejects are those that the server sent, each once
and in order; rows, columns and their order those of an undisturbed run; nothing else is left; and whoever read the
output in between saw the old file or the new one.

A line for each failed check and for each kind, then `N passed, M failed`; exit 1 when a check failed. A check is done
again by its name: `--only 'kills 17'` with the same seed and counts. Needs Linux and pyarrow; `calls` and `errors` need
strace, `full` needs root.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import fnmatch
import hashlib
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True  # The checkout stays clean.

from harness import calls
from harness.logs import LogPage, LogServer, Site, log_pages, read_table, rejects_of, tables_differ
from harness.program import environment

KINDS = ("kills", "calls", "errors", "full", "pairs", "flips")
#: Trials that share pages, and so an undisturbed run.
TRIALS_OF_SITE = 20
READ_SECONDS = 0.004
#: Within it the second of two runs must give up, on a machine that does other things too.
REFUSAL_SECONDS_MAX = 1.0
OUT = "out.parquet"
REJECTS = f"{OUT}.rejects.ndjson"
STATE = f"{OUT}.etl"
#: How a run ends that comes to its end: all went well, or pages failed and records were rejected.
ENDED = (0, 3)
STOPPED = (-signal.SIGKILL, -signal.SIGTERM, 143)
MACHINES = ("-j 1", "-j 2", "-j 3 --threads 1", "-j 3 --memory 64MiB", "-j 6 --threads 3")
FILL_STEP_BYTES = 64 << 10
TMPFS_BYTES = 24 << 20


class Failed(AssertionError):
    """A check that failed."""


def check(holds, message):
    """Fails the check unless it holds."""
    if not holds:
        raise Failed(message)


# One run, and what is around it.


@dataclasses.dataclass
class Ended:
    """A run that ended."""

    exit_code: int
    summary: dict
    said: str
    seconds: float

    def __str__(self):
        return f"exit {self.exit_code}: {self.said[-600:]}"


class Started:
    """A run that goes on."""

    def __init__(self, command):
        self._files = [tempfile.TemporaryFile() for _ in range(2)]
        self._begun = time.monotonic()
        stdout, stderr = self._files
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment()
        )

    def is_over_within(self, seconds):
        """Waits so long, and tells whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, number):
        """Sends a signal."""
        self._process.send_signal(number)

    def ended(self, seconds_max):
        """Waits for its end."""
        if not self.is_over_within(seconds_max):
            self._process.kill()
            self._process.wait()
            raise Failed(f"a run took longer than {seconds_max} s")
        seconds = time.monotonic() - self._begun
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        try:
            summary = json.loads(texts[0])
        except ValueError:
            summary = {}
        return Ended(self._process.returncode, summary, texts[1].strip(), seconds)


class Reader:
    """Somebody who reads the output again and again; keeps each content that there was."""

    def __init__(self, path):
        self._path, self._is_over = path, threading.Event()
        self.contents, self.fault = {}, None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _read(self):
        last = None
        while not self._is_over.wait(READ_SECONDS):
            try:
                with self._path.open("rb") as file:
                    # Unchanged files are not read again: only a rename may change what stands there.
                    found = os.fstat(file.fileno())
                    mark = found.st_ino, found.st_size, found.st_mtime_ns
                    if mark != last:
                        content = file.read()
                        self.contents[hashlib.sha256(content).digest()] = content
                        last = mark
            except OSError as error:
                self.fault = f"the output could not be read: {error}"


class Scene:
    """Pages, and what undisturbed runs make of them."""

    def __init__(self, bench, name, pages, options):
        self.bench, self.name, self.options = bench, name, options.split()
        self.site = Site(bench.server, name, pages)
        self._expected, self._lock = {}, threading.Lock()
        self.expected(frozenset(self.always_failed))
        # How long a run takes that nobody stops, with all that goes wrong by itself.
        trial = Trial(self, f"{name}-timed")
        self.seconds = trial.finish("" if "-j" in self.options else "-j 3").seconds
        trial.remove()

    @property
    def always_failed(self):
        flaky = set(self.site.flaky)
        return [at for at, page in enumerate(self.site.pages) if page.refusals and at not in flaky]

    def expected(self, failed):
        """The table and the rejects of a run in which just these pages fail."""
        with self._lock:
            if failed not in self._expected:
                trial = f"undisturbed{len(self._expected)}"
                folder = self.bench.folder(f"{self.name}-{trial}")
                ended = Started(self.command(folder, trial, failed=failed)).ended(self.bench.args.seconds)
                check(ended.exit_code in ENDED, f"an undisturbed run: {ended}")
                difference = self.site.difference(folder / OUT, folder / REJECTS, failed)
                check(difference is None, f"an undisturbed run: {difference}")
                self._expected[failed] = read_table(folder / OUT), rejects_of(folder / REJECTS)
                shutil.rmtree(folder)
            return self._expected[failed]

    def command(self, folder, trial, options="", failed=None, state=None):
        """A run with its output in a folder; its list stands beside that."""
        urls = folder.with_name(f"{folder.name}.urls")
        if not urls.exists():
            urls.write_text("".join(f"{url}\n" for url in self.site.urls(trial, failed)))
        command = [self.bench.args.etl, "--urls", urls, "--out", folder / OUT, "--json", "-q", *self.options]
        if state:
            command += ["--state", state]
        return [*command, *options.split()]


class Trial:
    """An output with an old file in it, and the runs on it."""

    def __init__(self, scene, name, *, folder=None, state=None):
        self.scene, self.bench, self.trial = scene, scene.bench, name.replace(" ", "")
        self.folder = folder or self.bench.folder(self.trial)
        self.state_option, self.state = state, state or self.folder / STATE
        self.out, self.rejects = self.folder / OUT, self.folder / REJECTS
        self.old = self.bench.old
        self.out.write_bytes(self.old)

    def command(self, options=""):
        """A run of this trial."""
        return self.scene.command(self.folder, self.trial, options, state=self.state_option)

    def start(self, options="", around=()):
        """Begins a run."""
        return Started([*around, *self.command(options)])

    def run(self, options="", around=()):
        """Runs to the end."""
        return self.start(options, around).ended(self.bench.args.seconds)

    def is_old(self):
        """Whether the old file is there."""
        return self.out.read_bytes() == self.old

    def check_is_old_or_new(self):
        """The old file, or one that a run may publish."""
        if not self.is_old():
            self._check_is_new(self.out)

    def _check_is_new(self, path):
        flaky = self.scene.site.flaky
        always = frozenset(self.scene.always_failed)
        differences = []
        for count in range(len(flaky) + 1):
            for failed in itertools.combinations(flaky, count):
                difference = tables_differ(path, self.scene.expected(always | frozenset(failed))[0])
                if difference is None:
                    return
                differences.append(difference)
        raise Failed(f"neither the old file nor a new one: {differences[0]}")

    def check_contents(self, reader):
        """What a reader saw."""
        check(reader.fault is None, reader.fault)
        for content in reader.contents.values():
            if content != self.old:
                path = self.folder.with_name(f"{self.folder.name}.seen")
                path.write_bytes(content)
                self._check_is_new(path)
                path.unlink()

    def finish(self, options=""):
        """Runs again until it ends, and looks at all that came of it."""
        ended = self.run(options)
        check(ended.exit_code in ENDED, f"the run that should have ended well: {ended}")
        self.check_end(ended)
        return ended

    def check_end(self, ended):
        """Each record that was sent is a row or a reject, once, in its place; nothing else is there."""
        site = self.scene.site
        failed = site.failed(self.trial)
        difference = site.difference(self.out, self.rejects, failed)
        check(difference is None, difference)
        table, rejects = self.scene.expected(failed)
        difference = tables_differ(self.out, table)
        check(difference is None, difference)
        check(rejects_of(self.rejects) == rejects, "other rejects than those of an undisturbed run")
        self.check_counts(ended.summary, failed)
        names = sorted(path.name for path in self.folder.iterdir())
        expected = [OUT, REJECTS] if rejects else [OUT]
        check(names == expected, f"left in the folder: {names}")
        if self.state_option:
            names = sorted(path.name for path in self.state.iterdir())
            check(names == ["ledger.sqlite"], f"left in the state folder: {names}")

    def check_counts(self, summary, failed):
        """The summary is about all of the work, also what earlier runs had done."""
        site = self.scene.site
        rows = len(site.rows(failed))
        rejected = sum(record is not None for _, record, _ in site.rejects(failed))
        found = {name: summary["records"][name] for name in ("seen", "written", "rejected")}
        expected = {"seen": rows + rejected, "written": rows, "rejected": rejected}
        check(found == expected, f"records: {expected} expected, the summary has {found}")
        pages = summary["pages"]
        listed = pages["fetched"] + pages["failed"] + pages["duplicate"] + pages["left"] + pages["unchanged"]
        check(pages["listed"] == listed == len(site.pages) + 1, f"pages that do not add up: {pages}")
        check(pages["failed"] == len(failed), f"{len(failed)} pages failed, the summary has {pages}")

    def remove(self):
        """Takes its files away."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.state_option:
            shutil.rmtree(self.state, ignore_errors=True)
        self.folder.with_name(f"{self.folder.name}.urls").unlink(missing_ok=True)


class Bench:
    """The program under test, the server, a scratch folder, and what was counted."""

    def __init__(self, args, server, scratch):
        self.args, self.server, self.scratch = args, server, scratch
        self.counts, self._lock, self._scenes = collections.Counter(), threading.Lock(), {}
        scratch.mkdir()
        folder = self.folder("old")
        (folder / "old.json").write_text('[{"id":0,"old":true}]')
        command = [args.etl, folder / "old.json", "--out", folder / OUT, "-q"]
        subprocess.run(command, check=True, env=environment(), stdin=subprocess.DEVNULL)
        self.old = (folder / OUT).read_bytes()

    def folder(self, name):
        """A new folder."""
        folder = self.scratch / name
        folder.mkdir()
        return folder

    def count(self, *names):
        """Counts what happened, for the line of its kind."""
        with self._lock:
            self.counts.update(names)

    def scene(self, name, make):
        """The scene of this name, which is made once."""
        with self._lock:
            found = self._scenes.setdefault(name, [threading.Lock(), None])
        with found[0]:
            if not found[1]:
                try:
                    found[1] = make(name)
                except Exception as error:  # It is told to each check that needs the scene.
                    found[1] = error
            if isinstance(found[1], Exception):
                raise found[1]
            return found[1]

    def large_scene(self, index):
        """Pages that take their time, of another kind for every so many trials."""

        def make(name):
            source = random.Random(f"{self.args.seed} {name}")
            drifts, is_late, is_large = index % 5 < 3, index % 3 == 2, index % 4 == 1
            page_count = source.randrange(24, 48)
            pages = log_pages(source, page_count, drifts=drifts, is_late=is_late, is_large=is_large)
            return Scene(self, name, pages, source.choice(["", "--row-group-rows 7", "--row-group-rows 50"]))

        return self.scene(f"large{index}", make)

    def small_scene(self, drifts):
        """A few pages that are answered at once; if they do not drift, the output is what was kept of it on the way."""

        def make(name):
            source = random.Random(f"{self.args.seed} {name}")
            pages = log_pages(source, 7, drifts=drifts, is_slow=False)
            pages.insert(2, LogPage("rejects.ndjson", (('{"id":1}', {"id": 1}), ('{"id":}', None), ("[1]", None))))
            return Scene(self, name, pages, "--checkpoint 1ms -j 1 --threads 1 --row-group-rows 20")

        return self.scene(f"small{int(drifts)}", make)

    def heavy_scene(self):
        """Pages that come to some megabytes of output."""

        def make(name):
            source = random.Random(f"{self.args.seed} {name}")
            pages = log_pages(source, 8, is_slow=False, is_large=True)
            return Scene(self, name, pages, "--checkpoint 20ms")

        return self.scene("heavy", make)


# kills: signals at random moments.


def kills(bench):
    """(name, check) of each trial."""
    for number in range(bench.args.kills):
        yield f"kills {number}", lambda name, number=number: check_kills(bench, name, number)


def check_kills(bench, name, number):
    """Ends runs, one after the other, and then lets one be."""
    source = random.Random(f"{bench.args.seed} {name}")
    scene = bench.large_scene(number // TRIALS_OF_SITE)
    state = state_folder(bench, name, source)
    trial = Trial(scene, name, state=state)
    with Reader(trial.out) as reader:
        ended, depth = None, source.choice([1, 1, 2, 2, 3, 4, 6])
        while depth and not ended:
            run = trial.start(f"--checkpoint {source.choice([1, 5, 20, 60])}ms {source.choice(MACHINES)}")
            # Recoveries are shorter than a whole run, and there is much to be hit at their begin.
            moment = source.random() ** source.choice([1, 1, 3]) * scene.seconds * 1.1
            is_over = run.is_over_within(moment)
            how = source.choice(["KILL"] * 6 + ["TERM", "TERM", "TERM, then KILL"])
            if not is_over:
                stop(run, how, source)
            found = run.ended(bench.args.seconds)
            if found.exit_code in ENDED:
                ended = found
                bench.count("ended before")
            else:
                check(found.exit_code in STOPPED and not is_over, f"a run that was stopped by {how}: {found}")
                bench.count(how)
            depth -= 1
        if not ended:
            ended = trial.run(source.choice(MACHINES))
            check(ended.exit_code in ENDED, f"the run that should have ended well: {ended}")
            bench.count("gone on with" if ended.summary.get("resumed") else "begun anew")
            bench.count(*["deferred"] * bool(ended.summary["pages"]["deferred"]))
        trial.check_end(ended)
    trial.check_contents(reader)
    trial.remove()


def state_folder(bench, name, source):
    """A folder for `--state`, now and then on another file system; mostly none."""
    place = source.choices([None, bench.scratch, bench.args.other_disk], [70, 15, 15])[0]
    return place and pathlib.Path(place) / f"etl-kills-{os.getpid()}-{name.replace(' ', '')}.state"


def stop(run, how, source):
    """Ends a run by signals."""
    if how != "KILL":
        run.signal(signal.SIGTERM)
        if how == "TERM" or run.is_over_within(source.random() * 0.05):
            return
    run.signal(signal.SIGKILL)


# calls: SIGKILL at the N-th call.


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The calls of a run: of one from the begin, or of one that goes on with another."""

    drifts: bool
    is_resumed: bool
    calls: list

    def name_of(self, call):
        """For the name of a check."""
        return f"{'next' if self.is_resumed else 'first'} run{' that drifts' if self.drifts else ''}, {call}"


def stop_early(trial, is_resumed):
    """Runs until some pages are done, if there is to be something to go on with."""
    if is_resumed:
        ended = trial.run("--max-pages-per-run 3")
        check(ended.exit_code == 7, f"stopped by a number of pages: {ended}")


def recorded(bench):
    """What runs do with the disk, undisturbed."""
    recordings = []
    for drifts, is_resumed in itertools.product((False, True), (False, True)):
        name = f"recording{int(is_resumed)}-{threading.get_native_id()}-{time.monotonic_ns()}"
        trial = Trial(bench.small_scene(drifts), name)
        stop_early(trial, is_resumed)
        log = trial.folder.with_name(f"{trial.folder.name}.calls")
        ended = trial.run(around=calls.recording(log))
        check(ended.exit_code in ENDED, f"recorded: {ended}")
        trial.check_end(ended)
        recordings.append(Recorded(drifts, is_resumed, calls.read(log, trial.folder)))
        relative(recordings[-1].calls, trial.folder)
        trial.remove()
    return recordings


def relative(found, folder):
    """Leaves out the folder, which is another one for every trial."""
    for call in found:
        call.path, call.to = (path.removeprefix(str(folder)).lstrip("/") for path in (call.path, call.to))


def placed(call, folder):
    """The same call in the folder of a trial."""
    return dataclasses.replace(call, path=str(folder / call.path), to=call.to and str(folder / call.to))


def sampled(bench, kind, cases):
    """As many of the cases as are asked for, spread by chance."""
    cases, count = list(cases), getattr(bench.args, kind)
    if count < len(cases):
        chosen = random.Random(f"{bench.args.seed} {kind}").sample(range(len(cases)), count)
        cases = [cases[at] for at in sorted(chosen)]
    return cases


def changing(bench):
    """(recording, call) of each call that changes the disk."""
    for recording in recorded(bench):
        for call in recording.calls:
            if call.name != "openat" and not is_missing(call):
                yield recording, call


def is_missing(call):
    """Whether it is the removal of a file that was not there."""
    return call.name == "unlink" and (call.result is None or call.result < 0)


def calls_checks(bench):
    """(name, check) of each call."""
    yield "calls in order", lambda name: check_order(bench, name)
    for recording, call in sampled(bench, "calls", changing(bench)):
        name = f"calls {recording.name_of(call)}"
        yield name, lambda name, recording=recording, call=call: check_call(bench, name, recording, call)


def check_order(bench, name):
    """Whatever is believed was synced before, the file and its folder."""
    folders = (None, bench.scratch, bench.args.other_disk)
    for drifts, is_resumed, has_state in itertools.product((False, True), (False, True), folders):
        state = has_state and pathlib.Path(has_state) / f"etl-kills-{os.getpid()}-order.state"
        trial = Trial(bench.small_scene(drifts), f"{name} {time.monotonic_ns()}", state=state)
        stop_early(trial, is_resumed)
        log = trial.folder.with_name(f"{trial.folder.name}.calls")
        trial.check_end(trial.run(around=calls.recording(log)))
        found = calls.read(log, trial.folder, trial.state.parent)
        check(any(call.path.endswith("-wal") for call in found), "no ledger was written: nothing is looked at")
        faults = list(calls.faults_of_order(found, trial.out, trial.state))
        check(not faults, "; ".join(faults[:3]))
        trial.remove()


def check_call(bench, name, recording, call):
    """A run is killed at this call; the next one ends well, after being killed at some call of its own now and then."""
    source = random.Random(f"{bench.args.seed} {name}")
    trial = Trial(bench.small_scene(recording.drifts), f"call{next(bench.args.numbers)}")
    with Reader(trial.out) as reader:
        stop_early(trial, recording.is_resumed)
        log = trial.folder.with_name(f"{trial.folder.name}.calls")
        ended = trial.run(around=calls.injecting(placed(call, trial.folder), calls.KILL, log))
        bench.count("killed" if ended.exit_code == -signal.SIGKILL else "ended before")
        check(ended.exit_code in (*ENDED, -signal.SIGKILL), f"killed at a call: {ended}")
        if ended.exit_code == -signal.SIGKILL:
            trial.check_is_old_or_new()
            if source.random() < 0.3:
                again = dataclasses.replace(placed(call, trial.folder), number=source.randrange(1, 5))
                ended = trial.run(around=calls.injecting(again, calls.KILL, log))
                bench.count(*["killed again"] * (ended.exit_code == -signal.SIGKILL))
                check(ended.exit_code in (*ENDED, -signal.SIGKILL), f"killed at a call: {ended}")
        log.unlink()
        trial.finish()
    trial.check_contents(reader)
    trial.remove()


# errors: a call fails.

#: Calls and how they fail, and what must be said of that; SQLite has words of its own.
ERRORS = {
    "fsync": ("EIO", ("Input/output error", "disk I/O error", "Error code 1034")),
    "fdatasync": ("EIO", ("Input/output error", "disk I/O error")),
    "rename": ("EIO", ("Input/output error",)),
    "write": ("ENOSPC", ("No space left on device",)),
    "pwrite64": ("ENOSPC", ("No space left on device", "database or disk is full", "is full")),
    "copy_file_range": ("ENOSPC", ("No space left on device",)),
    "mkdir": ("EIO", ("Input/output error",)),
    "openat": ("EMFILE", ("Too many open files", "unable to open", "Unable to open")),
}


def errors(bench):
    """(name, check) of each call that may fail."""
    cases = []
    for recording in recorded(bench):
        for at, call in enumerate(recording.calls):
            if call.name in ERRORS and (call.result is None or call.result >= 0):
                cases.append((recording, call, is_of_no_matter(recording.calls, at)))
    for recording, call, is_nothing in sampled(bench, "errors", cases):
        name = f"errors {ERRORS[call.name][0]} in {recording.name_of(call)}"
        yield name, lambda name, of=(recording, call, is_nothing): check_error(bench, *of)


def is_of_no_matter(made, at):
    """Whether a run may end well though this call fails."""
    call = made[at]
    # SQLite syncs the folder when it has begun a log, and takes no notice of an error. A log that is lost is work that
    # is done again.
    before = [earlier for earlier in made[:at] if earlier.thread == call.thread][-2:]
    if call.path == STATE and any(earlier.path == f"{STATE}/ledger.sqlite-wal" for earlier in before):
        return all(earlier.name in calls.SYNCS or earlier.path == STATE for earlier in before)
    # What is left over at the very end is for the next run to sweep.
    return call.name == "openat" and call.path == "" and not any(later.path == "" for later in made[at + 1 :])


def check_error(bench, recording, call, is_nothing):
    """The run says which file could not be written and why, and leaves the output; the next one ends well."""
    trial = Trial(bench.small_scene(recording.drifts), f"error{next(bench.args.numbers)}")
    error, causes = ERRORS[call.name]
    call = placed(call, trial.folder)
    # Who has no files left to open has none a moment later.
    fault = calls.Fault(f"error={error}", lasts=call.name == "openat")
    with Reader(trial.out) as reader:
        stop_early(trial, recording.is_resumed)
        log = trial.folder.with_name(f"{trial.folder.name}.calls")
        ended = trial.run(around=calls.injecting(call, fault, log, ("fsync", "fdatasync", "rename")))
        if "(INJECTED)" not in log.read_text("utf-8", "replace"):
            bench.count("never came")
            check(ended.exit_code in ENDED, f"nothing failed: {ended}")
        elif ended.exit_code in ENDED:
            check(is_nothing, f"{call} failed, and the run did not: {ended}")
            bench.count("of no matter")
        else:
            found = calls.read(log, trial.folder)
            # The same file may be moved elsewhere than when it was recorded: a checkpoint may fall in, or not.
            tos = [made.to for made in found if (made.name, made.path) == (call.name, call.path) and made.result == -1]
            check_said(ended, dataclasses.replace(call, to=tos[0] if tos else call.to), causes)
            check_is_not_believed(call, found)
            # Once the output has its name, what fails is whether it stays, or what was kept.
            is_published = call.path == str(trial.folder) or call.path.startswith(str(trial.state))
            check(trial.is_old() or is_published, f"{call} failed, and the output is another one")
            trial.check_is_old_or_new()
            bench.count("exit 6")
        log.unlink()
        trial.finish()
    trial.check_contents(reader)
    trial.remove()


def check_said(ended, call, causes):
    """One line names the file, or the folder that it is in, and the cause."""
    check(ended.exit_code == 6, f"{call} failed: {ended}")
    line = ended.summary.get("error") or ""
    check(line and "\n" not in line, f"{call} failed, and there is no line for it: {ended}")
    check(ended.said.removeprefix("etl: ").startswith(line), f"{line!r} is not said: {ended.said}")
    names = {call.path, call.path.removesuffix("-wal").removesuffix("-journal"), call.to or call.path}
    if call.path.endswith(".etl-lock") or call.name == "copy_file_range":
        names.add(call.path.rpartition("/")[0])
    check(any(name in line for name in names), f"{call} failed, and is not named: {line}")
    check(any(cause in line for cause in causes), f"{call} failed, and the cause is not told: {line}")


def check_is_not_believed(call, found):
    """What could not be synced is not synced again, nor gets its name."""
    if call.name not in calls.SYNCS:
        return
    failed = [at for at, made in enumerate(found) if made.name == call.name and made.result == -1]
    if failed:
        later = [made for made in found[failed[0] + 1 :] if made.name in (*calls.SYNCS, "rename") and made.result == 0]
        later = [made for made in later if made.begun > found[failed[0]].ended]
        check(not later, f"{call} failed, and {later and later[0]} came after it")


# full: no room is left.


def full(bench):
    """(name, check) for each step of room."""
    if bench.args.full and os.geteuid() != 0:
        print("skip  full: a file system of a chosen size needs root", flush=True)
        return
    if not bench.args.full:
        return
    with room(bench) as (folder, fault):
        if fault:
            print(f"skip  full: no file system of a chosen size: {fault}", flush=True)
            return
        scene = bench.heavy_scene()
        trial = Trial(scene, "room", folder=new_folder(folder / "room"))
        with PeakUse(folder) as peak:
            trial.finish()
        trial.remove()
        step_count = (peak.bytes_max + len(bench.old)) // FILL_STEP_BYTES + 3
        for step in sampled(bench, "full", range(step_count)):
            yield f"full but for {step * 64} KiB", lambda name, step=step: check_full(bench, scene, folder, step)


def new_folder(path):
    """Makes a folder."""
    path.mkdir()
    return path


@contextlib.contextmanager
def room(bench):
    """A small file system, or why there is none."""
    folder = new_folder(bench.scratch / "small-disk")
    options = f"size={TMPFS_BYTES}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        yield folder, mounted.stderr.strip()
        return
    try:
        yield folder, None
    finally:
        subprocess.run(["umount", folder], check=True)


class PeakUse:
    """The most that was used of a file system meanwhile."""

    def __init__(self, folder):
        self._folder, self._is_over = folder, threading.Event()
        self._before, self.bytes_max = self._used(), 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _used(self):
        found = os.statvfs(self._folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def _watch(self):
        while not self._is_over.wait(0.001):
            self.bytes_max = max(self.bytes_max, self._used() - self._before)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()
        self.bytes_max = max(self.bytes_max, self._used() - self._before)


def check_full(bench, scene, disk, step):
    """A run has so much room; the next one has enough."""
    trial = Trial(scene, f"full{step}-{time.monotonic_ns()}", folder=new_folder(disk / f"full{step}"))
    # The list stands there too, and is written before.
    trial.command()
    ballast = disk / "ballast"
    with Reader(trial.out) as reader:
        with ballast.open("wb") as file:
            found = os.statvfs(disk)
            os.posix_fallocate(file.fileno(), 0, found.f_bfree * found.f_frsize - step * FILL_STEP_BYTES)
        try:
            ended = trial.run()
            if ended.exit_code in ENDED:
                bench.count("had room")
            else:
                check(ended.exit_code == 6, f"no room: {ended}")
                line = ended.summary.get("error") or ""
                check(str(disk) in line and ("No space left" in line or "full" in line), f"not named: {line!r}")
                check(trial.is_old(), "the run had no room, and the output is another one")
                bench.count("exit 6")
        finally:
            ballast.unlink()
        ended = trial.finish()
        bench.count(*["gone on with"] * bool(ended.summary.get("resumed")))
    trial.check_contents(reader)
    trial.remove()


# pairs: two runs begin at once.


def pairs(bench):
    """(name, check) of each pair."""
    for number in range(bench.args.pairs):
        yield f"pairs {number}", lambda name, number=number: check_pair(bench, name, number)


def check_pair(bench, name, number):
    """One of them works, the other one is refused at once and changes nothing; a kill frees the lock."""
    source = random.Random(f"{bench.args.seed} {name}")
    scene = bench.large_scene(0)
    has_state = number % 3 == 2
    state = bench.scratch / f"pair{number}.state" if has_state else None
    # Those that share a state folder have an output each. Their lists are told apart by the server.
    ours = [Trial(scene, f"{name} {who}", state=state) for who in "ab"]
    if has_state:
        commands = [trial.command("--checkpoint 5ms -j 1") for trial in ours]
    else:
        ours[1].remove()
        ours[1].folder.with_name(f"{ours[1].folder.name}.urls").write_text(
            "".join(f"{url}\n" for url in scene.site.urls(ours[1].trial))
        )
        commands = [trial.command("--checkpoint 5ms -j 1") for trial in ours]
        commands[1][commands[1].index("--out") + 1] = ours[0].out
    with Reader(ours[0].out) as reader:
        runs = []
        for command in commands:
            runs.append(Started(command))
            time.sleep(source.choice([0, 0, source.random() * 0.01, source.random() * 0.1]))
        while not any(is_over := [run.is_over_within(0.01) for run in runs]):
            pass
        loser = is_over.index(True)
        refused = runs[loser].ended(bench.args.seconds)
        check(refused.exit_code == 75, f"the second run: {refused}")
        check(refused.seconds < REFUSAL_SECONDS_MAX, f"the second run was refused after {refused.seconds:.2f} s")
        check(not scene.site.server.answers(ours[loser].trial), "the run that was refused asked for pages")
        if has_state:
            names = [path.name for path in ours[loser].folder.iterdir()]
            check(names == [OUT] and ours[loser].is_old(), f"the run that was refused left {names}")
        winner = runs[1 - loser]
        if source.random() < 0.7:
            time.sleep(source.random() * 0.4)
            winner.signal(signal.SIGKILL)
            bench.count("killed" if winner.ended(bench.args.seconds).exit_code == -signal.SIGKILL else "ended before")
            # At once: nothing of the lock may be left.
            winner = Started(commands[1 - loser])
        ended = winner.ended(bench.args.seconds)
        check(ended.exit_code in ENDED, f"the run that had the lock: {ended}")
        of = ours[1 - loser]
        at = of if has_state else ours[0]
        at.trial = of.trial
        at.check_end(ended)
    if has_state and loser == 0:
        check(set(reader.contents.values()) <= {at.old}, "the run that was refused changed its output")
    else:
        at.check_contents(reader)
    for trial in ours:
        trial.remove()


# flips: what was kept is damaged.


def flips(bench):
    """(name, check) of each damage."""
    for number in range(bench.args.flips):
        yield f"flips {number}", lambda name, number=number: check_flip(bench, name, number)


def check_flip(bench, name, number):
    """A damage is of no matter, or named, and then nothing was published; --fresh begins anew."""
    source = random.Random(f"{bench.args.seed} {name}")
    scene = bench.large_scene(number // TRIALS_OF_SITE % 2)
    trial = Trial(scene, name)
    while not (trial.state / "ledger.sqlite").exists():
        run = trial.start("--checkpoint 5ms -j 3")
        if not run.is_over_within(scene.seconds * source.uniform(0.2, 0.7)):
            run.signal(source.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        if run.ended(bench.args.seconds).exit_code in ENDED:
            trial.remove()
            name += " again"
            trial = Trial(scene, name)
    before = trial.out.read_bytes()
    path = source.choice(files_by_kind(trial.state, source))
    what = damage(path, source)
    with Reader(trial.out) as reader:
        ended = trial.run("--checkpoint 5ms")
        if ended.exit_code in ENDED:
            bench.count("of no matter" if ended.summary.get("resumed") else "begun anew")
            trial.check_end(ended)
        else:
            line = ended.summary.get("error") or ""
            known = path.name.removesuffix("-wal")
            check(ended.exit_code == 6 and known in line, f"{path.name} {what}: {ended}")
            check("--fresh" in line, f"no way out is told: {line}")
            check(trial.out.read_bytes() == before, f"{path.name} {what}: the output is another one")
            bench.count(f"{path.name.partition('-')[0]} named")
            ended = trial.run("--fresh")
            check(ended.exit_code in ENDED, f"--fresh: {ended}")
            trial.check_end(ended)
    trial.check_contents(reader)
    trial.remove()


def files_by_kind(folder, source):
    """The files of one kind, so that few large ones are hit as often as many small ones."""
    kinds = collections.defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.stat().st_size:
            kinds["-wal" if path.name.endswith("-wal") else path.name.partition("-")[0]].append(path)
    return kinds[source.choice(sorted(kinds))]


def damage(path, source):
    """Damages a file; what was done, in words."""
    content = bytearray(path.read_bytes())
    how = source.choice(["flip", "flip", "flip", "flips", "cut", "cut", "zeros", "empty"])
    place = source.randrange(len(content))
    if how == "cut":
        del content[place:]
    elif how == "empty":
        content.clear()
    elif how == "zeros":
        begin = place - place % 512
        content[begin : begin + 512] = bytes(len(content[begin : begin + 512]))
    else:
        for _ in range(1 if how == "flip" else 8):
            content[place] ^= 1 << source.randrange(8)
            place = source.randrange(len(content))
    path.write_bytes(content)
    return f"with {how} at {place}"


# All of them.


def main():
    """Parses, runs, counts."""
    args = parse()
    print(f"seed {args.seed}, {', '.join(f'{kind} {getattr(args, kind)}' for kind in KINDS)}", flush=True)
    passed = failed = 0
    all_checks = {
        "kills": kills, "calls": calls_checks, "errors": errors, "full": full, "pairs": pairs, "flips": flips
    }
    with (
        tempfile.TemporaryDirectory(prefix="etl-kills-", dir=args.scratch, ignore_cleanup_errors=True) as folder,
        LogServer(args.server, pathlib.Path(folder).resolve() / "site") as server,
    ):
        bench = Bench(args, server, pathlib.Path(folder).resolve() / "runs")
        for kind in KINDS:
            if not getattr(args, kind):
                continue
            if kind in ("calls", "errors") and not calls.is_there():
                print(f"skip  {kind}: strace is not installed", flush=True)
                continue
            begun = time.monotonic()
            bench.counts.clear()
            try:
                found = run_checks(bench, kind, all_checks[kind](bench))
            except Failed as error:
                found = collections.Counter({False: 1})
                print(f"FAIL  {kind}: {error}", flush=True)
            passed, failed = passed + found[True], failed + found[False]
            counted = ", ".join(f"{count} {what}" for what, count in sorted(bench.counts.items()))
            seconds = time.monotonic() - begun
            result = "FAIL" if found[False] else "ok  "
            passed_of_all = f"{found[True]} of {found.total()} passed in {seconds:.0f} s"
            print(f"{result}  {kind}: {passed_of_all}; {counted}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


def run_checks(bench, kind, checks):
    """Runs checks side by side; counts by whether they passed."""
    found = collections.Counter()
    # They share one disk that is filled.
    jobs = 1 if kind == "full" else bench.args.jobs
    chosen = (
        (name, one) for name, one in checks if any(fnmatch.fnmatch(name, pattern) for pattern in bench.args.only)
    )
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        if jobs == 1:
            results = itertools.starmap(fault_of, chosen)
        else:
            running = [pool.submit(fault_of, *of) for of in chosen]
            results = (of.result() for of in concurrent.futures.as_completed(running))
        for name, fault in results:
            found[fault is None] += 1
            if fault:
                print(f"FAIL  {name}: {fault}", flush=True)
    return found


def fault_of(name, one):
    """The name of a check, and why it failed, if it did."""
    try:
        one(name)
    except AssertionError as error:
        return name, str(error) or traceback.format_exc()
    except Exception:  # A check that breaks is a check that failed; the others go on.
        return name, traceback.format_exc()
    return name, None


def parse():
    """The command line, validated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    target = pathlib.Path("target/release")
    parser.add_argument("--etl", type=pathlib.Path, default=target / "etl", help="the program")
    parser.add_argument("--server", type=pathlib.Path, default=target / "examples/log_server", help="the server")
    of_kind = {"kills": 300, "calls": "all", "errors": "all", "full": "all", "pairs": 200, "flips": 300}
    for kind in KINDS:
        text = f"how many of them, or `all`; 0 leaves them out [{of_kind[kind]}]"
        parser.add_argument(f"--{kind}", type=_count, default=_count(str(of_kind[kind])), metavar="N", help=text)
    parser.add_argument("--seed", type=int, default=1, help="of all that is random [1]")
    parser.add_argument("-j", "--jobs", type=int, default=4, help="checks side by side [4]")
    parser.add_argument("--only", action="append", help="run the checks with such a name, `*` allowed; repeatable")
    parser.add_argument("--seconds", type=float, default=60, help="a run that takes longer is killed and failed [60]")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for the outputs [a temporary one]")
    parser.add_argument("--other-disk", type=pathlib.Path, default="/dev/shm", help="folder elsewhere [/dev/shm]")
    args = parser.parse_args()
    args.only, args.numbers = args.only or ["*"], itertools.count()
    for name in ("etl", "server"):
        if not getattr(args, name).is_file():
            parser.error(f"--{name}: {getattr(args, name)} is no file; build it first")
        setattr(args, name, getattr(args, name).resolve())
    return args


def _count(text):
    return sys.maxsize if text == "all" else int(text)


if __name__ == "__main__":
    sys.exit(main())
