#!/usr/bin/env bash
# `make fuzz`: every target of fuzz/ for SECONDS_EACH seconds (60), from the recorded
# conversations on and with the inputs that earlier runs found interesting.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz.sh: cargo-fuzz is missing; install it with: cargo install cargo-fuzz" >&2
    exit 1
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz.sh: a nightly toolchain is missing; install it with: rustup toolchain install nightly" >&2
    exit 1
fi
cargo run --quiet --package fuzz-targets --bin seed -- fuzz/corpus
for target in $(cargo +nightly fuzz list); do
    echo "fuzz.sh: $target"
    cargo +nightly fuzz run "$target" -- -max_total_time="${SECONDS_EACH:-60}"
done
