"""What the benchmark prints: the machine and the tables, in Markdown.

    table.py VERSION...     the machine, and these versions a line each
"""

import os
import pathlib
import platform
import statistics
import sys

NOTHING = "–"


def is_right(result, page_set):
    """Whether a contestant went through all rounds and wrote every row in each."""
    return not result.gave_up and set(result.row_counts) == {page_set["record_count"]}


def median(figures, divisor, digits):
    """The median of what was measured, as the table shows it."""
    return f"{statistics.median(figures) / divisor:,.{digits}f}" if figures else NOTHING


def spread(result):
    """The quickest and the slowest round."""
    return f"{min(result.wall_seconds):.2f}–{max(result.wall_seconds):.2f}"


def rows(result, page_set):
    """The rows of the file, with a word where they are not those of the set."""
    if not result.row_counts:
        return NOTHING
    wrong = [count for count in result.row_counts if count != page_set["record_count"]]
    return f"**wrong**: {wrong[0]:,}" if wrong else f"{result.row_counts[0]:,}"


def line(result, page_set):
    """The row of a contestant. One that gave up has no medians: the rounds before say nothing about all."""
    if result.gave_up:
        cells = [result.gave_up] + 5 * [NOTHING]
    else:
        cells = [
            median(result.wall_seconds, 1, 2),
            spread(result),
            median(result.cpu_seconds, 1, 2),
            median(result.peak_bytes, 1e6, 0),
            median(result.file_bytes, 1e6, 1),
            rows(result, page_set),
        ]
    return cells_line([result.label, *cells])


def cells_line(cells):
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def ratio(ours, theirs):
    """Our median to the least of theirs."""
    return f"{statistics.median(ours) / min(map(statistics.median, theirs)):.2f} x"


def of_set(page_set, server, round_count, etl, peers, floor):
    """The table of one set, with the ratios: each figure against the peer that is best in that figure."""
    lines = [
        f"## {page_set['name']}",
        "",
        f"{page_set['what']}, {page_set['record_count']:,} records, {page_set['body_bytes'] / 1e6:,.0f} MB,"
        f" from {server}. Medians of {round_count} round{'s' if round_count > 1 else ''}.",
        "",
        cells_line(["", "wall s", "wall range", "CPU s", "peak MB", "file MB", "rows"]),
        cells_line(["---"] + 6 * ["---:"]),
        *(line(result, page_set) for result in [etl, *peers, floor]),
    ]
    right_peers = [peer for peer in peers if is_right(peer, page_set)]
    if is_right(etl, page_set):
        if right_peers:
            wall, cpu, peak = (
                ratio(getattr(etl, figure), [getattr(peer, figure) for peer in right_peers])
                for figure in ["wall_seconds", "cpu_seconds", "peak_bytes"]
            )
            lines.append(cells_line(["**etl / best peer**", wall, "", cpu, peak, "", ""]))
        if not floor.gave_up:
            wall = ratio(etl.wall_seconds, [floor.wall_seconds])
            lines.append(cells_line(["etl / bare fetch", wall, "", "", "", "", ""]))
    notes = [f"{result.label}: {result.note}" for result in [etl, *peers, floor] if result.note]
    return "\n".join([*lines, *(f"\n{note}" for note in notes), ""])


def cpu_name():
    """The processor as Linux names it; other systems say less."""
    try:
        described = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in described.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def of_machine(versions):
    """The machine and what ran on it."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    facts = [
        f"{cpu_name()}, {len(os.sched_getaffinity(0))} cores, {memory_bytes / 1e9:.0f} GB of memory,"
        f" {platform.system()} {platform.release()}",
        *versions,
    ]
    return "\n".join(["# Benchmark", "", *(f"- {fact}" for fact in facts), ""])


if __name__ == "__main__":
    print(of_machine(sys.argv[1:]))
