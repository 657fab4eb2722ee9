"""Makes the page sets of the benchmark, and checks that a server sends them.

    pages.py make FOLDER SET...        each set into FOLDER/SET, unless it is there already
    pages.py check FOLDER/SET BASE     asks BASE for the first, a middle and the last page

The same call makes the same bytes: randomness is seeded with the name of the set, nothing depends on the clock. A set
is a folder of pages that are numbered from 0 and of `set.json`, which describes it. That is written last, so that a
set whose making was cut short is made anew.
"""

import argparse
import dataclasses
import gzip
import json
import pathlib
import random
import shutil
import sys
import time
import urllib.error
import urllib.request

HOSTS = [f"web-{number:02d}.example.com" for number in range(20)]
METHODS = ["GET", "POST", "PUT", "DELETE"]
STATUSES = [200, 200, 200, 404, 500]
VALUES_PER_RECORD = 16
SERVER_START_SECONDS_MAX = 10
# Written beside the sizes: sets of another generation are made anew.
GENERATION = 1


@dataclasses.dataclass(frozen=True)
class PageSet:
    """A set as it is asked for; the large one has as many records as its bytes hold, so none are named."""

    page_count: int
    records_per_page: int | None
    what: str
    extension: str = "ndjson"

    def page_name(self, number):
        """Names sort as numbers, and all have the same width, so that ClickHouse can expand them."""
        return f"page-{number:0{self.digit_count()}d}.{self.extension}"

    def page_pattern(self):
        """All names at once, in the notation of ClickHouse, which takes no list."""
        if self.page_count == 1:
            return self.page_name(0)
        return f"page-{{{0:0{self.digit_count()}d}..{self.page_count - 1}}}.{self.extension}"

    def digit_count(self):
        """The width of a page's number."""
        return len(str(self.page_count - 1))


SETS = {
    "flat": PageSet(400, 1_000, "400 pages x 1,000 records x 16 values"),
    "small": PageSet(40_000, 10, "40,000 pages x 10 records x 16 values"),
    "latency": PageSet(2_000, 1, "2,000 pages x 1 record x 16 values, 50 ms of latency each"),
    "large": PageSet(1, None, "1 page"),
    "gzip": PageSet(400, 1_000, "the pages of flat as .ndjson.gz", "ndjson.gz"),
}


def record_line(chance, number):
    """One log record as a line of NDJSON. By hand, since json.dumps would double the minute that 2 GB take."""
    values = ",".join([repr(chance() * 100) for _ in range(VALUES_PER_RECORD)])
    return (
        f'{{"id":{number},'
        f'"ts":"2026-01-{1 + number % 28:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}'
        f'.{number % 1000:03d}Z",'
        f'"host":"{HOSTS[int(chance() * len(HOSTS))]}",'
        f'"method":"{METHODS[int(chance() * len(METHODS))]}",'
        f'"path":"/api/v1/items/{int(chance() * 100_000)}",'
        f'"status":{STATUSES[int(chance() * len(STATUSES))]},'
        f'"bytes":{int(chance() * 200_000)},'
        f'"ok":{"true" if chance() < 0.9 else "false"},'
        f'"values":[{values}]}}\n'
    )


def pages(seed, page_count, records_per_page):
    """The bodies of pages, whose records are numbered through."""
    chance = random.Random(seed).random
    for page in range(page_count):
        first = page * records_per_page
        lines = [record_line(chance, number) for number in range(first, first + records_per_page)]
        yield "".join(lines).encode()


def write_pages(folder, name, page_set):
    """Writes the pages of a set; returns the number of its records and the bytes of its bodies as sent."""
    # gzip holds the bytes of flat, so that the two can be compared.
    seed = "flat" if name == "gzip" else name
    body_bytes = 0
    # A file for each page, also where they are 40,000: pages that were served twice would fill the columns with
    # repetitions, which dictionaries reward.
    for number, body in enumerate(pages(seed, page_set.page_count, page_set.records_per_page)):
        if name == "gzip":
            body = gzip.compress(body, compresslevel=6, mtime=0)
        (folder / page_set.page_name(number)).write_bytes(body)
        body_bytes += len(body)
    return page_set.page_count * page_set.records_per_page, body_bytes


def write_large_page(folder, page_set, large_bytes):
    """Writes whole records until the page has at least that many bytes; returns what `write_pages` returns."""
    chance = random.Random("large").random
    record_count = body_bytes = 0
    with open(folder / page_set.page_name(0), "wb") as page:
        while body_bytes < large_bytes:
            line = record_line(chance, record_count).encode()
            page.write(line)
            record_count += 1
            body_bytes += len(line)
    return record_count, body_bytes


def make(root, name, large_bytes):
    """Makes a set unless it is there as it is asked for."""
    folder, page_set = root / name, SETS[name]
    asked = {"generation": GENERATION, "large_bytes": large_bytes if name == "large" else None}
    mark = folder / "set.json"
    if mark.exists() and json.loads(mark.read_text())["asked"] == asked:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"bench: making {name}", file=sys.stderr)
    started = time.monotonic()
    if name == "large":
        record_count, body_bytes = write_large_page(folder, page_set, large_bytes)
    else:
        record_count, body_bytes = write_pages(folder, name, page_set)
    description = {
        "asked": asked,
        "name": name,
        "what": page_set.what,
        "page_count": page_set.page_count,
        "page_pattern": page_set.page_pattern(),
        "record_count": record_count,
        "body_bytes": body_bytes,
    }
    mark.write_text(json.dumps(description, indent=1) + "\n")
    print(f"bench: made {name}, {body_bytes / 1e6:,.0f} MB in {time.monotonic() - started:.0f} s", file=sys.stderr)


def page_names(folder):
    """The names of the pages of a set that was made, in order."""
    page_set = SETS[folder.name]
    return [page_set.page_name(number) for number in range(page_set.page_count)]


def answer(url):
    """The first bytes of a page and the length that the server promises."""
    # No proxy stands between a program and its own machine, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SERVER_START_SECONDS_MAX) as response:
        return response.read(1 << 16), int(response.headers["Content-Length"])


def wait_for(url):
    """Waits until the server answers at all."""
    deadline = time.monotonic() + SERVER_START_SECONDS_MAX
    while True:
        try:
            return answer(url)
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def check(folder, base):
    """Fails unless the server sends the first, a middle and the last page as they lie in the folder."""
    names = page_names(folder)
    wait_for(f"{base}/{names[0]}")
    for name in {names[0], names[len(names) // 2], names[-1]}:
        head, length = answer(f"{base}/{name}")
        file = folder / name
        with open(file, "rb") as page:
            if page.read(len(head)) != head or file.stat().st_size != length:
                raise ValueError(f"{base}/{name} is not what {file} holds")


def size(text):
    """Reads `50M` or `2G`; powers of 1,000, as a disk's."""
    units = {"K": 10**3, "M": 10**6, "G": 10**9}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    if not number.isdecimal() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"expected a size such as 50M or 2G, got {text!r}")
    return int(number) * unit


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("--large-bytes", type=size, required=True)
    maker.add_argument("folder", type=pathlib.Path)
    maker.add_argument("sets", nargs="+", choices=SETS)
    checker = commands.add_parser("check")
    checker.add_argument("folder", type=pathlib.Path)
    checker.add_argument("base")
    asked = parser.parse_args()
    if asked.command == "make":
        for name in asked.sets:
            make(asked.folder, name, asked.large_bytes)
    else:
        try:
            check(asked.folder, asked.base)
        except (OSError, ValueError) as error:
            sys.exit(f"bench: the pages do not arrive: {error}")


if __name__ == "__main__":
    main()
