#!/usr/bin/env bash
# Shows a run from end to end: builds, serves sample_data over HTTP on a free loopback port, pulls it with etl, and
# shows the summary and the first rows. One page is slow and one answers 503 twice, so that retries can be seen.
#
#     scripts/demo.sh [OUT.parquet]
#
# Keeps the Parquet file where you say, or nowhere. Needs cargo, bash and a C compiler; the rows are shown if python3
# with pyarrow or duckdb, or the duckdb shell, is found (PYTHON=/path/to/python3 names another one).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
out=${1:-$work/out.parquet}
server=

cleanup() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cargo_run() { cargo run --quiet --release --manifest-path "$root/Cargo.toml" "$@"; }

say() { printf '\n== %s\n' "$*"; }

say "build"
cargo build --release --manifest-path "$root/Cargo.toml" --bin etl --example log_server

say "serve sample_data"
# Its standard input is a pipe from here: should this script be killed, the server ends by itself.
coproc SERVER {
    exec cargo run --quiet --release --manifest-path "$root/Cargo.toml" --example log_server -- \
        --root "$root/sample_data" --log "$work/requests.log" --exit-with-stdin
}
server=$SERVER_PID
if ! read -r greeting <&"${SERVER[0]}"; then
    echo "demo.sh: the server did not start" >&2
    exit 1
fi
base=${greeting#listening on }
echo "$greeting"

say "list of URLs"
while IFS= read -r path; do
    case $path in
        '' | '#'*) continue ;;
        *orders*) path+='?latency_ms=800' ;;
        *requests-4*) path+='?status=503&times=2' ;;
    esac
    echo "$base/$path"
done <"$root/sample_data/urls.txt" | tee "$work/urls.txt"

say "etl --urls urls.txt --out out.parquet"
cargo_run --bin etl -- --urls "$work/urls.txt" --out "$out"

say "what the server saw of the page that answers 503 twice"
while IFS= read -r line; do
    if [[ $line == *times=2* ]]; then echo "$line"; fi
done <"$work/requests.log"

say "the first rows"
# shellcheck disable=SC2016 # $file is DuckDB's, not the shell's.
query='SELECT id, "at", path, status, round(values_mean, 2) AS mean, round(values_stddev, 2) AS stddev,
       values_count AS count FROM read_parquet($file) LIMIT 5'
show_rows() {
    local python
    for python in "${PYTHON:-}" "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python3}" python3; do
        [[ -n $python ]] || continue
        if "$python" -c 'import pyarrow.parquet' 2>/dev/null; then
            "$python" - "$out" <<'PYTHON'
import sys
import pyarrow.parquet

table = pyarrow.parquet.read_table(sys.argv[1])
print(f"{table.num_rows} rows, {table.num_columns} columns")
columns = ["id", "at", "path", "status", "values_count", "values_mean", "values_stddev"]
for row in table.select(columns).slice(0, 5).to_pylist():
    print("  ".join(str(value) for value in row.values()))
PYTHON
            return
        elif "$python" -c 'import duckdb' 2>/dev/null; then
            "$python" -c 'import duckdb, sys; print(duckdb.sql(sys.argv[1], params={"file": sys.argv[2]}))' \
                "$query" "$out"
            return
        fi
    done
    if command -v duckdb >/dev/null; then
        duckdb -c "${query/\$file/"'${out//\'/\'\'}'"}"
    else
        echo "No Parquet reader found. To look at the rows:"
        echo "    python3 -m venv venv && venv/bin/pip install pyarrow"
        echo "    PYTHON=venv/bin/python3 scripts/demo.sh"
    fi
}
show_rows
if [[ -n ${1:-} ]]; then
    echo
    echo "kept: $out"
fi
