#!/usr/bin/env bash
# What a person runs before a commit: format, lints, tests, doctests, docs. Changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; "$@"; }

step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
step cargo test --locked --all-targets
step cargo test --locked --doc
RUSTDOCFLAGS='-D warnings' step cargo doc --locked --no-deps --document-private-items
