#!/usr/bin/env bash
# `make fuzz`: every target of fuzz/ for SECONDS_EACH seconds (60), from its seeds, the kept corpus and what earlier
# runs found on. With KEEP=1 what is worth it goes into fuzz/corpus, which `make test` reads: the smallest inputs that
# reach all code that was reached, within the limits of fuzz/targets/tests/stable.rs. TARGETS="a b" are those targets alone.
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

keep() {
    local target="$1" merged size count total=0
    merged="$(mktemp -d)"
    # Edges and not how often each was taken: that would keep ten times as many.
    cargo +nightly fuzz run "$target" "$merged" "fuzz/corpus/$target" "fuzz/found/$target" -- \
        -merge=1 -use_counters=0
    count="$(find "$merged" -type f -size +0 | wc -l)"
    # What crashed something once stays.
    find "fuzz/corpus/$target" -type f ! -name 'crash-*' -delete
    while read -r size input; do
        total=$((total + size))
        [ "$total" -le 100000 ] || continue
        mv "$input" "fuzz/corpus/$target/"
    done < <(find "$merged" -type f -size +0 -printf '%s %p\n' | sort -n |
        awk -v n="$count" 'n <= 90 || int(NR * 90 / n) > int((NR - 1) * 90 / n)')
    rm -rf "$merged"
}

cargo run --quiet --package fuzz-targets --bin seed -- fuzz/found
for target in ${TARGETS:-$(cargo +nightly fuzz list)}; do
    echo "fuzz.sh: $target"
    mkdir -p "fuzz/corpus/$target"
    # What is found goes into the first of the two.
    cargo +nightly fuzz run "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- \
        -max_total_time="${SECONDS_EACH:-60}"
    [ -z "${KEEP:-}" ] || keep "$target"
done
