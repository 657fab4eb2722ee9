"""Reads an output back, row group by row group, and compares every row with what was sent.

Takes memory for the blocks that were sent and a batch of rows, so it is called through `program.aside`.
"""

import datetime
import json
import math
import random
import statistics

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .kinds import FIRST_ID

#: Of a table that is wider and mostly null, some columns are compared and not all.
COLUMNS_READ_MAX = 64
FEATURES = ("count", "mean", "variance", "stddev", "min", "max")
FEATURE_NAMES = [f"values_{feature}" for feature in FEATURES]


class Difference(Exception):
    """The output is not what it must be."""


def difference(path, pages):
    """Compares the rows of a file with those of these pages, in this order; returns the first difference, or None."""
    try:
        _compare_file(path, pages)
    except (Difference, OSError, pa.ArrowException) as error:
        return str(error)
    return None


def _compare_file(path, pages):
    file = pq.ParquetFile(path)
    kinds = {name: of for page in pages for name, of in page.kinds().items() if of.rows}
    columns = _columns_to_read(file.schema_arrow, kinds)
    row_count = sum(page.row_count for page in pages)
    if file.metadata.num_rows != row_count:
        raise Difference(f"{row_count} rows expected, the footer says {file.metadata.num_rows}")
    models = {name: Model(of, file.schema_arrow, columns) for name, of in kinds.items()}
    blocks = (block for page in pages for block in page.blocks() if block.kind_name in kinds)
    batch_rows = min((of.batch_rows for of in kinds.values()), default=1)
    model, first, place, row = None, 0, 0, 0
    for batch in file.iter_batches(batch_rows, columns=columns):
        begun = 0
        while begun < batch.num_rows:
            if model is None or place == model.row_count:
                block, place = next(blocks), 0
                model, first = models[block.kind_name], block.first
            count = min(batch.num_rows - begun, model.row_count - place)
            model.compare(batch.slice(begun, count), first, place, row)
            begun, place, row = begun + count, place + count, row + count
    if row != row_count:
        raise Difference(f"{row_count} rows expected, {row} read")


def _columns_to_read(schema, kinds):
    """The names of the columns to compare, after the names of all were compared."""
    sent = {"id"} if kinds else set()
    sent.update(*(row for of in kinds.values() for row in of.rows))
    if "values" in sent:
        sent.update(FEATURE_NAMES)
    found = schema.names
    if len(found) != len(set(found)) or set(found) != sent:
        differing = sorted(set(found) ^ sent)[:5]
        raise Difference(f"{len(sent)} columns expected, {len(found)} found; they differ in {differing}")
    if len(found) > COLUMNS_READ_MAX and "sparse" in kinds:
        others = [name for name in found if name != "id"]
        chosen = set(random.Random("columns").sample(others, COLUMNS_READ_MAX - 1))
        found = [name for name in found if name == "id" or name in chosen]
    return found


class Model:
    """What the rows of one kind of block must be."""

    def __init__(self, kind, schema, columns):
        self.kind, self.row_count = kind, len(kind.rows)
        self._ids = pa.array(kind.row_ids, pa.int64())
        self._columns = {}
        for name in columns:
            of = schema.field(name).type
            if name == "id" and of != pa.int64():
                raise Difference(f"id is {of}")
            if name != "id" and name not in FEATURE_NAMES:
                self._columns[name] = pa.array([_as(of, row.get(name)) for row in kind.rows], of)
        self._features = [name for name in columns if name in FEATURE_NAMES]
        #: Parts of the features of the first block: compared with a tolerance, later blocks with them to the bit.
        self._first_features = []

    def compare(self, batch, first, place, row):
        """Compares rows of a block from its row `place` on; `row` is where they stand in the file."""
        count = batch.num_rows
        expected = pc.add(self._ids.slice(place, count), FIRST_ID + first)
        _compare("id", batch.column("id"), expected, row)
        for name, column in self._columns.items():
            _compare(name, batch.column(name), column.slice(place, count), row)
        if not self._features:
            return
        if isinstance(self._first_features, dict):
            for name in self._features:
                _compare(name, batch.column(name), self._first_features[name].slice(place, count), row)
            return
        self._first_features.append(batch.select(self._features))
        if place + count == self.row_count:
            self._keep_features(row + count - self.row_count)

    def _keep_features(self, row):
        """Compares the features of the first block by their definitions, and keeps them."""
        table = pa.Table.from_batches(self._first_features).combine_chunks()
        # Blocks that repeat one record have thousands of rows and one set of values.
        known = {}
        for place, (found, sent) in enumerate(zip(table.to_pylist(), self.kind.rows)):
            values = sent.get("values")
            if id(values) not in known:
                known[id(values)] = _features_of(values)
            for name, expected in known[id(values)].items():
                if not _is_close(found[name], expected):
                    raise Difference(f"row {row + place}: {name} is {found[name]!r}, expected {expected!r}")
        self._first_features = {name: table.column(name).chunk(0) for name in self._features}


def _features_of(values):
    if values is None:
        return dict.fromkeys(FEATURE_NAMES)
    variance = statistics.variance(values)
    numbers = len(values), statistics.fmean(values), variance, math.sqrt(variance), min(values), max(values)
    return dict(zip(FEATURE_NAMES, numbers))


def _is_close(found, expected):
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-12)


def _as(of, value):
    """A value of JSON as a column of this type holds it."""
    if value is None:
        return None
    if pa.types.is_string(of) or pa.types.is_large_string(of):
        return value if isinstance(value, str) else json.dumps(value)
    if pa.types.is_timestamp(of):
        return datetime.datetime.fromisoformat(value)
    if pa.types.is_float64(of):
        return float(value)
    return value


def _compare(name, found, expected, row):
    if found.equals(expected):
        return
    for place, (left, right) in enumerate(zip(found, expected)):
        if not left.equals(right):
            raise Difference(f"row {row + place}: {name} is {_shown(left)}, expected {_shown(right)}")
    raise Difference(f"rows {row} to {row + len(found)}: {name} is {found.type}, expected {expected.type}")


def _shown(scalar):
    text = repr(scalar.as_py())
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
