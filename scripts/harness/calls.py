"""Calls of the system by which a run changes a folder, as `strace` tells them; one of them can be made to go wrong."""

import collections
import dataclasses
import re
import shutil

#: Calls that change what is in a file, that make it last, and all that change the disk.
WRITES = ("write", "pwrite64", "copy_file_range", "ftruncate")
SYNCS = ("fsync", "fdatasync")
CHANGING = (*WRITES, *SYNCS, "rename", "unlink", "mkdir", "rmdir")

_HEAD = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)", re.DOTALL)
_RESULT = re.compile(r"\)\s+= (-?\d+|\?)[^)]*(?:\([^)]*\))?(?: \(INJECTED\))?$")
_OF_FILE = re.compile(r"\d+<([^>]*)>")
_QUOTED = re.compile(r'"([^"]*)"')


@dataclasses.dataclass
class Call:
    """A call that a thread made."""

    thread: int
    name: str
    path: str
    #: Of a rename.
    to: str
    arguments: str
    #: Where it began and ended among all lines.
    begun: int
    ended: int
    #: None if it never came back.
    result: int | None
    #: How many calls of this name the thread had made to this path, this one included.
    number: int

    def __str__(self):
        return f"{self.name} {self.number} of {self.path.rpartition('/')[2]}"


@dataclasses.dataclass(frozen=True)
class Fault:
    """What goes wrong at a call, in the words of strace: `error=EIO`."""

    what: str
    #: Whether it goes wrong from then on.
    lasts: bool = False


KILL = Fault("signal=KILL")


def is_there():
    """Whether calls can be looked at."""
    return shutil.which("strace") is not None


def recording(log, names=(*CHANGING, "openat")):
    """What comes before a command so that its calls are recorded."""
    return ["strace", "-f", "-y", "-s", "0", "-o", log, "-e", f"trace={','.join(names)}", "-e", "signal=none"]


def injecting(call, fault, log, besides=()):
    """What comes before a command so that this call goes wrong."""
    names = dict.fromkeys([call.name, *besides])
    inject = f"inject={call.name}:{fault.what}:when={call.number}{'+' * fault.lasts}"
    return [*recording(log, names), "-P", call.path, "-e", inject]


def read(log, *folders):
    """The calls of a recording that concern files in these folders, in the order in which they began."""
    calls, pending, numbers = [], {}, collections.Counter()
    for at, line in enumerate(log.read_text("utf-8", "replace").splitlines()):
        head = _HEAD.match(line)
        if not head:
            continue
        thread, resumed, name, rest = head.groups()
        if resumed:
            call = pending.pop(thread, None)
        else:
            call = Call(int(thread), name, *_paths(name, rest), rest, at, at, None, 0)
            numbers[thread, name, call.path] += 1
            call.number = numbers[thread, name, call.path]
            if call.path.startswith(tuple(map(str, folders))):
                calls.append(call)
        if line.endswith("<unfinished ...>"):
            pending[thread] = call
        elif call and (result := _RESULT.search(line)):
            call.ended, call.result = at, None if result[1] == "?" else int(result[1])
    return calls


def _paths(name, arguments):
    """What a call is about, and where a rename leads."""
    if name in (*WRITES, *SYNCS):
        paths = _OF_FILE.findall(arguments)
        return (paths[1 if name == "copy_file_range" and len(paths) > 1 else 0] if paths else ""), ""
    paths = [*_QUOTED.findall(arguments), "", ""]
    return paths[0], paths[1]


class Disk:
    """What of a folder a power cut could take back, as far as the calls so far tell."""

    def __init__(self, out, state):
        self._out, self._state = out, state
        #: The last write to each file that is not synced, and by folder the names in it that are not.
        self._written, self._named = {}, collections.defaultdict(list)

    def faults_of(self, call):
        """Takes account of a call; what is believed too early by it, in words."""
        path = call.path
        if call.name == "openat" and "O_TRUNC" in call.arguments:
            self._written.pop(path, None)
        elif call.name in WRITES:
            if path == f"{self._state}/ledger.sqlite-wal" and call.name != "ftruncate":
                yield from self._told_too_early(call)
            self._written[path] = call
        elif call.name in SYNCS:
            # What was written while it synced may not be in it.
            if path in self._written and self._written[path].ended < call.begun:
                del self._written[path]
            self._named.pop(path, None)
        elif call.name == "mkdir":
            self._named[_folder_of(path)].append(path)
        elif call.name == "rename":
            if path in self._written:
                yield f"{path} is moved to {call.to} before it is synced"
                self._written[call.to] = self._written.pop(path)
            self._named[_folder_of(call.to)].append(call.to)
        elif call.name == "unlink":
            self._written.pop(path, None)
            if path == f"{self._state}/ledger.sqlite":
                yield from self._ended_too_early()

    def faults_at_end(self):
        """What is not sure to be there once the run has ended, in words."""
        yield from self._ended_too_early()

    def _told_too_early(self, call):
        for path, write in self._written.items():
            is_kept = path.startswith((f"{self._state}/etl-part-", f"{self._state}/etl-rejects-"))
            if is_kept and write.ended < call.begun:
                yield f"{path} is told to the ledger before it is synced"
        for path in (*self._named.pop(self._state, []), *self._named[_folder_of(self._state)]):
            if path.startswith(self._state):
                yield f"{path} is told to the ledger before its folder is synced"

    def _ended_too_early(self):
        for path in self._named.pop(_folder_of(self._out), []):
            if path.startswith(self._out) and path != self._state:
                yield f"{path} is believed before its folder is synced"


def faults_of_order(calls, out, state):
    """What a power cut could lose of a run although it was believed, in words; a kill alone does not show it.

    A file is synced before it gets its name, its folder after; both before the ledger tells of it.
    """
    disk = Disk(str(out), str(state))
    for call in calls:
        if call.result is not None and call.result >= 0:
            yield from disk.faults_of(call)
    yield from disk.faults_at_end()


def _folder_of(path):
    return path.rpartition("/")[0]
