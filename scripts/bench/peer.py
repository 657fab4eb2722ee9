"""One run of a peer: pages over HTTP in, the columns and the six features out, as snappy Parquet.

    peer.py NAME --probe                               prints its name and version, or fails
    peer.py NAME --urls FILE --pattern URL --out FILE  runs

Runs under the Python of a venv that holds the peer. Each peer is used as its own documentation shows, with what makes
it quicker wherever there is a choice: ClickHouse is told the types, so that it need not look for them, and DuckDB and
Polars are told that the pages are NDJSON.
"""

import argparse
import importlib.util
import pathlib


class Polars:
    """Polars, streaming from the scan into the sink."""

    def probe(self):
        """Name and version."""
        import polars

        return f"Polars {polars.__version__}"

    def run(self, urls, _pattern, out):
        """Pages into Parquet."""
        import polars

        values = polars.col("values").list
        polars.scan_ndjson(urls).with_columns(
            values.len().alias("values_count"),
            values.mean().alias("values_mean"),
            values.var().alias("values_variance"),
            values.std().alias("values_stddev"),
            values.min().alias("values_min"),
            values.max().alias("values_max"),
        ).sink_parquet(out, compression="snappy")


class DuckDb:
    """DuckDB with httpfs: that of the package duckdb-extension-httpfs, or one that `INSTALL httpfs` has left."""

    def connect(self):
        """A connection that knows http."""
        import duckdb

        package = importlib.util.find_spec("duckdb_extension_httpfs")
        if package is None:
            connection = duckdb.connect()
            connection.execute("LOAD httpfs")
        else:
            # DuckDB trusts extensions of its own repository alone; one from PyPI counts as unsigned.
            connection = duckdb.connect(config={"allow_unsigned_extensions": True})
            folder = pathlib.Path(package.submodule_search_locations[0], "extensions", f"v{duckdb.__version__}")
            connection.execute(f"LOAD '{folder / 'httpfs.duckdb_extension'}'")
        return connection

    def probe(self):
        """Name and version."""
        import duckdb

        self.connect()
        return f"DuckDB {duckdb.__version__} + httpfs"

    def run(self, urls, _pattern, out):
        """Pages into Parquet."""
        listed = ", ".join(f"'{url}'" for url in urls)
        self.connect().execute(
            f"""COPY (
                SELECT *, len("values") AS values_count, list_avg("values") AS values_mean,
                    list_var_samp("values") AS values_variance, list_stddev_samp("values") AS values_stddev,
                    list_min("values") AS values_min, list_max("values") AS values_max
                FROM read_json([{listed}], format = 'newline_delimited')
            ) TO '{out}' (FORMAT parquet, COMPRESSION snappy)"""
        )


class ClickHouse:
    """ClickHouse inside of Python, through chdb."""

    COLUMNS = (
        "id Int64, ts DateTime64(6), host String, method String, path String, status Int64, bytes Int64, ok Bool,"
        " values Array(Float64)"
    )

    def probe(self):
        """Name and version, and those of chdb."""
        import chdb

        # ClickHouse answers in CSV, so in quotes.
        engine = str(chdb.query("SELECT version()")).strip().strip('"')
        return f"ClickHouse {engine} (chdb {chdb.__version__})"

    def run(self, _urls, pattern, out):
        """Pages into Parquet."""
        import chdb

        # Without glob_expansion_max_elements a pattern stands for 1,000 URLs at most.
        chdb.query(
            f"""INSERT INTO FUNCTION file('{out}', 'Parquet')
            SELECT *, length(values) AS values_count, arrayAvg(values) AS values_mean,
                arrayReduce('varSamp', values) AS values_variance,
                arrayReduce('stddevSamp', values) AS values_stddev,
                arrayMin(values) AS values_min, arrayMax(values) AS values_max
            FROM url('{pattern}', 'JSONEachRow', '{self.COLUMNS}')
            SETTINGS output_format_parquet_compression_method = 'snappy', engine_file_truncate_on_insert = 1,
                date_time_input_format = 'best_effort', glob_expansion_max_elements = 1000000"""
        )


PEERS = {"polars": Polars, "duckdb": DuckDb, "clickhouse": ClickHouse}


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--urls", type=pathlib.Path)
    parser.add_argument("--pattern")
    parser.add_argument("--out", type=pathlib.Path)
    asked = parser.parse_args()
    peer = PEERS[asked.peer]()
    if asked.probe:
        print(peer.probe())
    else:
        peer.run(asked.urls.read_text().split(), asked.pattern, asked.out)


if __name__ == "__main__":
    main()
