#!/usr/bin/env bash
# `make vectors`: records the conversations of minion/tests/vectors/wire anew, from a real master of each Salt version, with keys that
# are made for it and of no use for anything else. The tests then say whether we read them as Salt does. Needs root: the masters run as it.
# Usage: vectors.sh [VERSION ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
setup=softhsm-tests/setup

"$setup/salt.sh" "$@"
versions=("$@")
if ((${#versions[@]} == 0)); then read -ra versions <<<"$("$setup/salt.sh" --list)"; fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}/mastersign"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
for version in "${versions[@]}"; do
    echo "vectors.sh: Salt $version (about a minute)"
    "$cache/salt-$version/bin/python" -W ignore "$setup/vectors.py" "$work/$version"
    # Only a recording that is whole takes the place of the old one.
    rm -rf "minion/tests/vectors/wire/$version"
    cp -r "$work/$version" "minion/tests/vectors/wire/$version"
done
cargo test --package minion --test it wire::
