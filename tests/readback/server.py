"""The log server of `examples/log_server`, started for the time of a run of checks."""

import subprocess


class LogServer:
    """Serves a folder on a free loopback port; ends with the `with` block, or when this process is gone."""

    def __init__(self, program, root):
        self._process = subprocess.Popen(
            [program, "--root", root, "--exit-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        greeting = self._process.stdout.readline().strip()
        if not greeting.startswith("listening on "):
            raise RuntimeError(f"the log server did not start: {greeting!r}")
        self.base = greeting.removeprefix("listening on ")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
