#!/usr/bin/env python3
"""Serves the pages of `pages.py` on a free loopback port; the first line of its output names it.

    scripts/harness/server.py

Ends when its standard input is closed, so when the program that started it is gone.
"""

import os
import pathlib
import socket
import struct
import sys
import threading
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import large
from harness.pages import Page

WAITING_CONNECTIONS_MAX = 1024
#: Longer than any read timeout that is asked for.
STALL_SECONDS = 120


class Attempts:
    """How often each target was asked for."""

    def __init__(self):
        self._counts, self._lock = {}, threading.Lock()

    def next(self, target):
        """Counts this attempt; returns how many there were before."""
        with self._lock:
            count = self._counts.get(target, 0)
            self._counts[target] = count + 1
            return count


def main():
    """Listens; one thread for each connection."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    attempts = Attempts()
    with socket.create_server(("127.0.0.1", 0), backlog=WAITING_CONNECTIONS_MAX) as listener:
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, attempts), daemon=True).start()


def _end_with_stdin():
    sys.stdin.read()
    os._exit(0)


def _serve(connection, attempts):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as requests:
        try:
            while target := _target_of_next(requests):
                if target.startswith("/large/"):
                    _answer_large(connection, *large.parse(target))
                elif not _answer(connection, Page.parse(target), attempts.next(target)):
                    return
        except OSError:
            return  # The client went away, as it may.


def _answer_large(connection, name, number):
    body = large.body(name, number)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode())
    connection.sendall(body)


def _target_of_next(requests):
    line = requests.readline()
    while requests.readline().strip():
        pass
    return line.split()[1].decode() if line else None


def _answer(connection, page, attempt):
    """Sends the page or a part of it; returns whether the connection may be used again."""
    if page.hold_ms:
        time.sleep(page.hold_ms / 1000)
    cut = None
    if attempt < len(page.cuts) or page.is_cut_always:
        cut = page.cuts[min(attempt, len(page.cuts) - 1)]
    head = ["HTTP/1.1 200 OK", f"Content-Type: {_content_type(page)}"]
    if page.coding == "gzip":
        head.append("Content-Encoding: gzip")
    head.append(
        {
            "length": f"Content-Length: {page.sent_bytes}" if page.framing == "length" else "",
            "chunked": "Transfer-Encoding: chunked",
            "close": "Connection: close",
        }[page.framing]
    )
    connection.sendall("\r\n".join([*head, "", ""]).encode())
    is_chunked = page.framing == "chunked"
    left = cut
    for segment in page.segments():
        if left is not None:
            segment = segment[:left]
            left -= len(segment)
        if is_chunked and segment:
            connection.sendall(b"%x\r\n" % len(segment))
            connection.sendall(segment)
            connection.sendall(b"\r\n")
        else:
            connection.sendall(segment)
        if left == 0:
            break
    if cut is None:
        if is_chunked:
            connection.sendall(b"0\r\n\r\n")
        return page.framing != "close"
    if page.ending == "stall":
        connection.settimeout(STALL_SECONDS)
        connection.recv(1)
    if page.ending == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _content_type(page):
    if page.coding == "file":
        return "application/gzip"
    return "application/x-ndjson" if page.form == "lines" else "application/json"


if __name__ == "__main__":
    main()
