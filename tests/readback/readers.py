"""Three readers of one Parquet file, brought to one form, and strict comparison: -0.0 is not 0.0, null is not 0."""

import struct

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def with_pyarrow(path):
    """All rows as pyarrow reads them."""
    return pq.ParquetFile(path).read()


def with_duckdb(path):
    """All rows as DuckDB reads them. It tells names apart without regard to case, so only their places count."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql("SELECT * FROM read_parquet($1)", params=[str(path)]).to_arrow_table()


def with_polars(path):
    """All rows as Polars reads them."""
    return pl.read_parquet(path, glob=False).to_arrow()


OTHERS = {"DuckDB": with_duckdb, "Polars": with_polars}


def assert_readers_agree(path):
    """Reads the file three times; returns pyarrow's table, which the others' equal."""
    table = with_pyarrow(path)
    for name, read in OTHERS.items():
        other = read(path)
        assert other.num_columns == table.num_columns, f"{name} sees {other.num_columns} columns"
        for place, column_name in enumerate(table.column_names):
            where = f"pyarrow and {name} differ in column {column_name!r}"
            _assert_same_values(table.column(place), other.column(place), where)
    return table


def assert_same_column(ours, theirs, where):
    """Both columns have one type and the same values in the same rows, to the bit."""
    assert ours.type == theirs.type, f"{where}: {ours.type} and {theirs.type}"
    _assert_same_values(ours, theirs, where)


def _assert_same_values(ours, theirs, where):
    assert len(ours) == len(theirs), f"{where}: {len(ours)} and {len(theirs)} values"
    if not _are_same(_one_array(ours), _one_array(theirs)):
        for row, (left, right) in enumerate(zip(plain(ours), plain(theirs))):
            assert same(left, right), f"{where}, row {row}: {left!r} and {right!r}"
        raise AssertionError(f"{where}: {ours.type} and {theirs.type}")


def _one_array(column):
    column = column.combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _are_same(ours, theirs):
    """Members of objects are told apart by place: DuckDB renames the second of `a` and `A`."""
    theirs = _with_short_offsets(theirs)
    if len(ours) != len(theirs) or not ours.is_null().equals(theirs.is_null()):
        return False
    if pa.types.is_list(ours.type) and pa.types.is_list(theirs.type):
        lengths = (pc.list_value_length(array).cast(pa.int64()) for array in (ours, theirs))
        return next(lengths).equals(next(lengths)) and _are_same(ours.flatten(), theirs.flatten())
    if pa.types.is_struct(ours.type) and pa.types.is_struct(theirs.type):
        left, right = ours.flatten(), theirs.flatten()
        return len(left) == len(right) and all(map(_are_same, left, right))
    if ours.type != theirs.type:
        return False
    if pa.types.is_float64(ours.type):
        return np.array_equal(*(_bits(array.drop_null()) for array in (ours, theirs)))
    return ours.equals(theirs)


def _with_short_offsets(array):
    """Readers choose between Arrow's layouts of text and lists; the values are what counts."""
    of = array.type
    if pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return array.cast(pa.string())
    return array.cast(pa.list_(of.value_field)) if pa.types.is_large_list(of) else array


def _bits(doubles):
    return doubles.to_numpy(zero_copy_only=False).view(np.int64)


def plain(column):
    """Python values; timestamps as numbers in their unit since 1970, for Python's calendar is shorter than Parquet's."""
    return column.cast(_without_timestamps(column.type)).to_pylist()


def _without_timestamps(of):
    if pa.types.is_timestamp(of):
        return pa.int64()
    if pa.types.is_list(of):
        return pa.list_(of.value_field.with_type(_without_timestamps(of.value_type)))
    if pa.types.is_struct(of):
        return pa.struct([field.with_type(_without_timestamps(field.type)) for field in of])
    return of


def same(left, right):
    """Whether two Python values are the same: type, sign of zero and kind of null included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack("d", left) == struct.pack("d", right) or (left != left and right != right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return left == right
