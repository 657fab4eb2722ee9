"""Log pages that nobody here wrote, where a folder of them is given: no value changes silently."""

import gzip
import json

import duckdb

import readers
from checks_hostile import assert_table_is
from model import Expected
from program import Skipped

RECORD_BYTES_MAX = 64 * 1024 * 1024


def nginx_status_lines_without_extension_arrive_unchanged(bench):
    """Lines of deeply nested objects; the server names no useful type."""
    _assert_folder_arrives(bench, "nginx", "nginxplus_json_logs", _lines)


def zeek_logs_in_gzip_arrive_unchanged(bench):
    """Keys with dots, lists of strings, six logs with different columns in one file."""
    _assert_folder_arrives(bench, "zeek", "*.json.gz", _lines)


def cloudtrail_deliveries_arrive_unchanged(bench):
    """Records inside an object, with members that differ from one event to the next."""
    _assert_folder_arrives(bench, "cloudtrail", "*.json", _members_of_records, "--records", "/Records")


def _assert_folder_arrives(bench, folder, pattern, record_texts, *options):
    if bench.real is None:
        raise Skipped("no --data folder")
    data, base = bench.real
    paths = sorted((data / folder).glob(pattern))
    if not paths:
        raise Skipped(f"no {folder}/{pattern} in the --data folder")
    texts = [text for path in paths for text in record_texts(path)]
    run = bench.run([f"{base}/{folder}/{path.name}" for path in paths], *options)
    by_duckdb = sum(_count_by_duckdb(path, bool(options)) for path in paths)
    written = run.summary["records"]["written"]
    assert written == by_duckdb == len(texts), f"{written} rows, DuckDB's read_json {by_duckdb}, Python {len(texts)}"
    assert_table_is(Expected(texts), readers.assert_readers_agree(run.out))


def _lines(path):
    body = path.read_bytes()
    if path.suffix == ".gz":
        body = gzip.decompress(body)
    return [line for line in body.decode().splitlines() if line]


def _members_of_records(path):
    """Every member of `Records`, as JSON again; numbers keep their digits."""
    decoder = json.JSONDecoder()
    body = path.read_text("utf-8")
    place = body.index("[", body.index('"Records"')) + 1
    texts = []
    while body[place] != "]":
        if body[place] in ", \n\r\t":
            place += 1
            continue
        _, end = decoder.raw_decode(body, place)
        texts.append(body[place:end])
        place = end
    return texts


def _count_by_duckdb(path, is_inside_records):
    counted = "sum(len(Records))" if is_inside_records else "count(*)"
    layout = "auto" if is_inside_records else "newline_delimited"
    query = f"SELECT {counted} FROM read_json($1, format = $2, maximum_object_size = $3)"
    return duckdb.execute(query, [str(path), layout, RECORD_BYTES_MAX]).fetchone()[0]


CHECKS = [
    nginx_status_lines_without_extension_arrive_unchanged,
    zeek_logs_in_gzip_arrive_unchanged,
    cloudtrail_deliveries_arrive_unchanged,
]
