"""A large regular log, generated, served over HTTP and read back."""

import functools
import hashlib
import math

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import readers
from model import FEATURES
from pages import LOG_SCHEMA, RECORDS_PER_PAGE, REPEATING, UNIQUE, log_page, log_records, log_table

RELATIVE_ERROR_MAX = 1e-12
ROW_GROUP_ROWS = 7_000
#: Every run of these must leave the same bytes.
MACHINES = [("1", "1"), ("1", "64"), ("2", "64"), ("8", "1"), ("8", "64")]


class Log:
    """The log, its URLs, and one run over it."""

    def __init__(self, bench):
        pages = [log_records(page) for page in range(bench.page_count)]
        self.urls = bench.put({f"{page:04}.json": log_page(records) for page, records in enumerate(pages)})
        self.expected = log_table([record for records in pages for record in records])
        self.run = bench.run(self.urls, "--row-group-rows", ROW_GROUP_ROWS)
        self.read = readers.with_pyarrow(self.run.out)
        self.metadata = pq.read_metadata(self.run.out)


@functools.cache
def log_of(bench):
    """The log of this run of checks, made once."""
    return Log(bench)


def every_row_and_every_field_equals_the_generated_record(bench):
    """Names, types, order of columns, order of rows, values."""
    log = log_of(bench)
    assert log.read.schema.names == log.expected.schema.names, log.read.schema.names
    for name in LOG_SCHEMA.names:
        readers.assert_same_column(log.expected[name], log.read[name], f"column {name!r}: expected and got")


def every_feature_equals_an_independent_recomputation(bench):
    """Counts, minima and maxima to the bit; mean, variance and stddev to a relative 1e-12 of exact fractions."""
    log = log_of(bench)
    for feature in FEATURES:
        name = f"values_{feature}"
        if feature in ("count", "min", "max"):
            readers.assert_same_column(log.expected[name], log.read[name], f"column {name!r}: expected and got")
            continue
        for row, (expected, got) in enumerate(zip(log.expected[name].to_pylist(), log.read[name].to_pylist())):
            is_close = (expected is None) == (got is None) and (
                expected is None or math.isclose(expected, got, rel_tol=RELATIVE_ERROR_MAX, abs_tol=0.0)
            )
            assert is_close, f"{name}, row {row}: expected {expected!r}, got {got!r}"


def duckdb_polars_and_pyarrow_read_equal_values(bench):
    """To the bit, in every column and row."""
    readers.assert_readers_agree(log_of(bench).run.out)


def filters_on_statistics_find_the_same_rows_in_every_reader(bench):
    """A reader that skips row groups and pages by their statistics must not skip a row."""
    log = log_of(bench)
    ids = log.expected["id"]
    low, high = ids[len(ids) // 3].as_py(), ids[len(ids) // 3 + 4_321 % len(ids) // 2].as_py()
    expected = pc.sum(pc.and_(pc.greater_equal(ids, low), pc.less_equal(ids, high))).as_py()
    filters = [("id", ">=", low), ("id", "<=", high)]
    found = {
        "pyarrow": pq.read_table(log.run.out, columns=["id"], filters=filters).num_rows,
        "DuckDB": duckdb.execute(
            "SELECT count(*) FROM read_parquet($1) WHERE id BETWEEN $2 AND $3", [str(log.run.out), low, high]
        ).fetchone()[0],
        "Polars": pl.scan_parquet(log.run.out).filter(pl.col("id").is_between(low, high)).collect().height,
    }
    assert set(found.values()) == {expected}, f"expected {expected}, got {found}"


def one_hash_for_any_number_of_threads_and_of_requests_at_once(bench):
    """Same list, same options that shape rows: the same file, byte for byte."""
    log = log_of(bench)
    hashes = {("default", "default"): _sha256(log.run.out)}
    for threads, concurrency in MACHINES:
        run = bench.run(
            log.urls, "--row-group-rows", ROW_GROUP_ROWS, "--threads", threads, "-j", concurrency
        )
        hashes[threads, concurrency] = _sha256(run.out)
    tight = bench.run(log.urls, "--row-group-rows", ROW_GROUP_ROWS, "--memory", "64MiB")
    hashes["--memory", "64MiB"] = _sha256(tight.out)
    assert len(set(hashes.values())) == 1, hashes


def a_slow_first_page_does_not_reorder_rows(bench):
    """The first page comes after all others; rows stay in the order of the list."""
    log = log_of(bench)
    urls = [f"{log.urls[0]}?latency_ms=1500", *log.urls[1:6]]
    read = readers.with_pyarrow(bench.run(urls, "-j", 64).out)
    expected = log.expected.slice(0, read.num_rows)
    assert read.num_rows == RECORDS_PER_PAGE * len(urls), read.num_rows
    readers.assert_same_column(expected["id"], read["id"], "column 'id': expected and got")
    readers.assert_same_column(expected["message"], read["message"], "column 'message': expected and got")


def a_reversed_list_gives_reversed_pages(bench):
    """The order of rows is that of the list, not that of names."""
    log = log_of(bench)
    urls = log.urls[:5][::-1]
    read = readers.with_pyarrow(bench.run(urls).out)
    pages = [log.expected.slice(RECORDS_PER_PAGE * page, RECORDS_PER_PAGE) for page in range(len(urls))]
    expected = pa.concat_tables(reversed(pages))
    readers.assert_same_column(expected["id"], read["id"], "column 'id': expected and got")


def every_column_chunk_is_snappy_and_has_statistics_and_a_page_index(bench):
    """In every row group, for every leaf."""
    for group, chunk in _chunks(log_of(bench).metadata):
        where = f"row group {group}, {chunk.path_in_schema}"
        assert chunk.compression == "SNAPPY", f"{where}: {chunk.compression}"
        assert chunk.is_stats_set and chunk.statistics.has_null_count, f"{where}: no statistics"
        assert chunk.has_offset_index and chunk.has_column_index, f"{where}: no page index"


def statistics_are_those_of_the_rows_in_the_row_group(bench):
    """Null counts, smallest and largest value of the scalar columns, against the rows themselves."""
    log = log_of(bench)
    first_row = 0
    for group in range(log.metadata.num_row_groups):
        metadata = log.metadata.row_group(group)
        rows = log.read.slice(first_row, metadata.num_rows)
        first_row += metadata.num_rows
        for place in range(metadata.num_columns):
            chunk = metadata.column(place)
            if chunk.path_in_schema not in rows.column_names:
                continue
            column, found = rows[chunk.path_in_schema], chunk.statistics
            where = f"row group {group}, {chunk.path_in_schema}"
            assert found.null_count == column.null_count, f"{where}: {found.null_count} nulls in the statistics"
            if pa.types.is_string(column.type):
                continue
            smallest, largest = pc.min_max(column).as_py().values()
            assert found.has_min_max and (found.min, found.max) == (smallest, largest), (
                f"{where}: statistics say {found.min!r} to {found.max!r}, rows {smallest!r} to {largest!r}"
            )


def row_groups_are_full_and_no_larger_than_asked(bench):
    """All but the last have exactly `--row-group-rows` rows: memory is not what ends them here."""
    metadata = log_of(bench).metadata
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert sum(sizes) == metadata.num_rows == RECORDS_PER_PAGE * bench.page_count, sizes
    assert all(size == ROW_GROUP_ROWS for size in sizes[:-1]) and 0 < sizes[-1] <= ROW_GROUP_ROWS, sizes


def dictionaries_stand_only_where_values_repeat(bench):
    """Hosts and states have one, identifiers and measurements have none."""
    for group, chunk in _chunks(log_of(bench).metadata):
        where = f"row group {group}, {chunk.path_in_schema}"
        if chunk.path_in_schema in REPEATING:
            assert chunk.has_dictionary_page, f"{where}: no dictionary"
        if chunk.path_in_schema in UNIQUE:
            assert not chunk.has_dictionary_page, f"{where}: a dictionary"


def the_footer_and_the_summary_count_what_is_there(bench):
    """Version, options and counts in the footer; the identity in the summary."""
    log = log_of(bench)
    row_count = RECORDS_PER_PAGE * bench.page_count
    footer = {key.decode(): value.decode() for key, value in log.metadata.metadata.items() if b"etl." in key}
    expected = {
        "etl.version": bench.version,
        "etl.pages_listed": str(bench.page_count),
        "etl.pages_failed": "0",
        "etl.records_seen": str(row_count),
        "etl.records_written": str(row_count),
        "etl.records_rejected": "0",
    }
    found = {key: footer.get(key) for key in expected}
    assert found == expected, f"expected {expected}, got {found}"
    summary = log.run.summary
    records = {"seen": row_count, "written": row_count, "kept": row_count, "rejected": 0, "filtered": 0}
    assert summary["records"] == records, summary["records"]
    assert summary["status"] == "ok" and summary["pages"]["fetched"] == bench.page_count, summary["pages"]
    assert summary["bytes"]["written"] == log.run.out.stat().st_size, summary["bytes"]


def _chunks(metadata):
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for place in range(row_group.num_columns):
            yield group, row_group.column(place)


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


CHECKS = [
    every_row_and_every_field_equals_the_generated_record,
    every_feature_equals_an_independent_recomputation,
    duckdb_polars_and_pyarrow_read_equal_values,
    filters_on_statistics_find_the_same_rows_in_every_reader,
    one_hash_for_any_number_of_threads_and_of_requests_at_once,
    a_slow_first_page_does_not_reorder_rows,
    a_reversed_list_gives_reversed_pages,
    every_column_chunk_is_snappy_and_has_statistics_and_a_page_index,
    statistics_are_those_of_the_rows_in_the_row_group,
    row_groups_are_full_and_no_larger_than_asked,
    dictionaries_stand_only_where_values_repeat,
    the_footer_and_the_summary_count_what_is_there,
]
