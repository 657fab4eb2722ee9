#!/usr/bin/env bash
# Times etl beside Polars, ClickHouse and DuckDB on the same pages, in turn within one run, and prints Markdown: wall
# and CPU time, peak memory, size and rows of the file; and the bare fetch of the same pages, as the floor.
#
#     scripts/bench.sh [OPTIONS] >bench.md
#
#     --sets LIST         some of flat,small,latency,large,gzip [default: all, in this order]
#     --rounds N          rounds of each set [default: 5]
#     --limit SECONDS     a run that takes longer is ended and shown as `> N s` [default: 60]
#     --venv DIR          a venv with peers: polars, chdb, duckdb with httpfs; may be repeated, the first that has a
#                         peer is taken. Without any, etl is timed alone
#     --etl PATH          the program [default: target/release/etl, built anew]
#     --etl-args ARGS     more arguments for it, as a shell would read them
#     --large-bytes SIZE  size of the large page, such as 50M or 2G [default: 2G]
#     --dir DIR           where the pages are kept and the outputs are written [default: target/bench]
#     --server NAME       nginx or log_server [default: nginx where it is installed]; the latency of that set is always
#                         log_server's, behind nginx where nginx is used
#     --no-build          takes the programs as they are
#     --help              this
#
# Needs Linux, cargo, python3 (3.10 or later; PYTHON=/path/to/python3 names another one) and, for all sets, 4 GB of disk
# and as much memory free, so that the pages stay in the page cache. Polars needs nginx, since it asks for ranges, which
# log_server alone doesn't serve. Exit code 1: etl failed, or its file has not all rows; then the table shows it.
#
# How it is fair: all contestants read the same URLs of the same server, and each computes count, mean, sample variance,
# standard deviation, minimum and maximum of `values` and writes them beside all columns as snappy Parquet. Whole
# processes are timed, so the peers' time has Python's start in it, and etl's has the sync and the verification of its
# file, which the peers don't do. The server runs on the same machine and takes its share of it from all of them alike.
# gzip is served as .ndjson.gz files, without Content-Encoding: that all of them read. A peer that fails, takes too long
# or writes another number of rows is shown as such and is no measure for etl.
set -euo pipefail

# Debian keeps nginx where only root's path leads.
PATH=$PATH:/usr/sbin
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
python=${PYTHON:-python3}
all_sets=(flat small latency large gzip)

sets=("${all_sets[@]}")
rounds=5
limit=60
venvs=()
etl=
etl_args=
large_bytes=2G
dir=$target/bench
server_name=
build=yes

# Filled while it runs, emptied by `cleanup`.
work=
servers=()
measurer=

die() {
    echo "bench.sh: $*" >&2
    exit 2
}

help() { sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

read_options() {
    local name
    while (($#)); do
        name=$1
        shift
        case $name in
            --help | -h)
                help
                exit 0
                ;;
            --no-build)
                build=no
                continue
                ;;
        esac
        (($#)) || die "$name needs a value, or is no option; see --help"
        case $name in
            --sets) IFS=, read -ra sets <<<"$1" ;;
            --rounds) rounds=$1 ;;
            --limit) limit=$1 ;;
            --venv) venvs+=("$1") ;;
            --etl) etl=$1 ;;
            --etl-args) etl_args=$1 ;;
            --large-bytes) large_bytes=$1 ;;
            --dir) dir=$1 ;;
            --server) server_name=$1 ;;
            *) die "unknown option $name; see --help" ;;
        esac
        shift
    done
}

check_options() {
    local name
    [[ $rounds =~ ^[1-9][0-9]*$ ]] || die "--rounds: expected a number from 1, got '$rounds'"
    [[ $limit =~ ^[1-9][0-9]*$ ]] || die "--limit: expected seconds, got '$limit'"
    for name in "${sets[@]}"; do
        [[ " ${all_sets[*]} " == *" $name "* ]] || die "--sets: expected some of ${all_sets[*]}, got '$name'"
    done
    if [[ -z $server_name ]]; then
        server_name=log_server
        if command -v nginx >/dev/null; then server_name=nginx; fi
    fi
    case $server_name in
        nginx) command -v nginx >/dev/null || die "--server nginx: it is not installed" ;;
        log_server) ;;
        *) die "--server: expected nginx or log_server, got '$server_name'" ;;
    esac
}

# Ends what runs, by its own process id: the contestant through its parent, then the servers.
cleanup() {
    if [[ -n $measurer ]]; then
        kill "$measurer" 2>/dev/null || true
        wait "$measurer" 2>/dev/null || true
    fi
    stop_servers
    if [[ -n $work ]]; then rm -rf "$work"; fi
}

stop_servers() {
    local server
    for server in ${servers[@]+"${servers[@]}"}; do
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    done
    servers=()
}

build_programs() {
    local wanted=(--example log_server --example fetch_floor)
    if [[ -z $etl ]]; then wanted+=(--bin etl); fi
    if [[ $build == yes ]]; then
        cargo build --release --locked --manifest-path "$root/Cargo.toml" "${wanted[@]}"
    fi
    etl=${etl:-$target/release/etl}
    local program
    for program in "$etl" "$target"/release/examples/{log_server,fetch_floor}; do
        [[ -x $program ]] || die "$program is missing"
    done
}

# Fills `peers` with arguments for measure.py and `versions` with lines for the reader.
find_peers() {
    local peer venv label
    for peer in polars clickhouse duckdb; do
        label=
        for venv in ${venvs[@]+"${venvs[@]}"}; do
            # What it says when it is not there is of no use; that it is not there is said below.
            if label=$("$venv/bin/python" "$root/scripts/bench/peer.py" "$peer" --probe 2>/dev/null); then
                peers+=(--peer "$peer" "$venv/bin/python" "$label")
                versions+=("$label")
                break
            fi
        done
        if [[ -z $label ]]; then echo "bench: found no $peer in a --venv" >&2; fi
    done
}

# Serves the pages with nginx, or what a server at the address $1 answers. Sets `base`.
start_nginx() {
    local port user='' pages="root \"$dir/pages\";" upstream=''
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # The workers of a root's nginx become a user who may not enter our folders.
    if ((EUID == 0)); then user="user root;"; fi
    if [[ -n ${1:-} ]]; then
        upstream="upstream behind { server $1; keepalive 512; keepalive_timeout 30s; }"
        pages='proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_force_ranges on;'
    fi
    cat >"$work/nginx.conf" <<CONF
daemon off;
pid "$work/nginx.pid";
$user
worker_processes 1;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    # A connection serves a whole run.
    keepalive_requests 1000000;
    types { application/x-ndjson ndjson; application/gzip gz; }
    client_body_temp_path "$work/nginx-body";
    proxy_temp_path "$work/nginx-proxy";
    fastcgi_temp_path "$work/nginx-fastcgi";
    uwsgi_temp_path "$work/nginx-uwsgi";
    scgi_temp_path "$work/nginx-scgi";
    $upstream
    server {
        listen 127.0.0.1:$port;
        location / { $pages }
    }
}
CONF
    nginx -e "$work/nginx-error.log" -p "$work" -c "$work/nginx.conf" &
    servers+=("$!")
    base=http://127.0.0.1:$port
}

# Serves the pages with log_server and a latency of $1 ms. Sets `base`.
start_log_server() {
    local greeting
    # Its standard input is a pipe from here: should this script be killed, the server ends by itself. Its default
    # lifetime would end it in the middle of a long set.
    coproc SERVER {
        exec "$target/release/examples/log_server" --root "$dir/pages" --faults "latency_ms=$1" \
            --exit-with-stdin --lifetime 86400
    }
    servers+=("$SERVER_PID")
    if ! read -r greeting <&"${SERVER[0]}"; then
        echo "bench: log_server did not start" >&2
        exit 1
    fi
    base=${greeting#listening on }
}

# Starts what serves a set. Sets `base` and `served_by`.
start_servers() {
    case $1:$server_name in
        latency:nginx)
            # nginx can't wait, and log_server doesn't serve the ranges that Polars asks for.
            start_log_server 50
            start_nginx "${base#http://}"
            served_by="log_server behind $nginx_version"
            ;;
        *:nginx)
            start_nginx
            served_by=$nginx_version
            ;;
        latency:log_server)
            start_log_server 50
            served_by=log_server
            ;;
        *:log_server)
            start_log_server 0
            served_by=log_server
            ;;
    esac
}

# Serves one set, checks that it arrives, measures it and ends the servers. Fails if etl did.
bench_set() {
    local set=$1 args=$etl_args floor_concurrency=32 outcome=0
    # As many as etl's own limit ends with, from the first request on.
    if [[ $set == latency ]]; then floor_concurrency=128; fi
    start_servers "$set"
    if ! "$python" -B "$root/scripts/bench/pages.py" check "$dir/pages/$set" "$base/$set"; then
        cat "$work/nginx-error.log" 2>/dev/null >&2 || true
        exit 1
    fi
    # In the background, since bash runs no trap while it waits for a program in front.
    "$python" -B "$root/scripts/bench/measure.py" --set "$dir/pages/$set" --base "$base/$set" \
        --server "$served_by" --work "$work/$set" --rounds "$rounds" --limit "$limit" \
        --etl "$etl" "--etl-args=$args" \
        --floor "$target/release/examples/fetch_floor" --floor-concurrency "$floor_concurrency" \
        ${peers[@]+"${peers[@]}"} &
    measurer=$!
    wait "$measurer" || outcome=1
    measurer=
    stop_servers
    rm -rf "${work:?}/$set"
    return "$outcome"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

read_options "$@"
check_options
build_programs
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
work=$(mktemp -d "$dir/run.XXXXXX")
"$python" -B "$root/scripts/bench/pages.py" make --large-bytes "$large_bytes" "$dir/pages" "${sets[@]}"

nginx_version=
versions=("$("$etl" --version)")
peers=()
find_peers
if [[ $server_name == nginx ]]; then
    # `nginx version: nginx/1.22.1`, on stderr.
    nginx_version=$(nginx -v 2>&1)
    nginx_version=${nginx_version#*: }
    versions+=("$nginx_version")
fi
versions+=("$("$python" --version)")
"$python" -B "$root/scripts/bench/table.py" "${versions[@]}"

outcome=0
for set in "${sets[@]}"; do
    bench_set "$set" || outcome=1
done
((outcome == 0))
