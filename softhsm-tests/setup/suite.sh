#!/usr/bin/env bash
# `make test`: everything that is needed, every test, the one-command demonstration, and a closing line that says what ran.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
setup=softhsm-tests/setup

"$setup/packages.sh" test
"$setup/salt.sh"
"$setup/oracles.sh"

results="$(mktemp)"
trap 'rm -f "$results"' EXIT

# Built first, so that no test waits for the compiler: the suite asks cargo for these again and finds them made.
cargo build --package signer --package minion --bins --package fault-module

# Some cases run a command as root that becomes another user, or drop packets in a network of their own, which nobody but
# root can try.
skipped=()
[ "$(id -u)" = 0 ] || skipped=(-- --skip as_root::)

# The minion's pure half stands alone; in the workspace, others always ask for more of it.
cargo check --quiet --package minion --no-default-features --lib

status=0
cargo test --workspace --no-fail-fast "${skipped[@]}" | tee "$results" || status=1

echo "suite.sh: mastersign dev --exit"
cargo run --quiet --package signer --bin mastersign -- dev --exit || status=1

echo
echo "Module: ${PKCS11_MODULE:-/usr/lib/softhsm/libsofthsm2.so}; Salt: $("$setup/salt.sh" --list)"
[ ${#skipped[@]} = 0 ] || echo "Not run, because only root can: the modules as_root; run 'make test' as root for these."
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed }' "$results"
exit "$status"
