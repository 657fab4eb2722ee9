#!/usr/bin/env bash
# What a person runs before a commit: format, lints, tests, doctests, docs. Changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; "$@"; }

step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
# Builds the examples as programs, which the tests run, and has the doctests.
step cargo test --locked
step cargo test --locked --examples
RUSTDOCFLAGS='-D warnings' step cargo doc --locked --no-deps --document-private-items
