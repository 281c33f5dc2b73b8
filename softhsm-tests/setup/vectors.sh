#!/usr/bin/env bash
# `make vectors`: records the conversations of minion/tests/vectors/wire and the files of minion/tests/vectors/gen-signature anew, from
# a real master and a real salt-key of each Salt version, with keys that are made for it and of no use for anything else. The tests then say whether we read them as Salt does. Needs root: the masters run as it.
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
    echo "vectors.sh: Salt $version (two minutes)"
    "$cache/salt-$version/bin/python" -B -W ignore "$setup/vectors/main.py" "$work/wire/$version" "$work/gen-signature"
    # Only a recording that is whole takes the place of the old one.
    for recorded in "$work/wire/$version" "$work/gen-signature/$version"-*; do
        place="minion/tests/vectors/${recorded#"$work"/}"
        rm -rf "$place"
        cp -r "$recorded" "$place"
    done
done
cargo test --package minion --test it -- wire:: vectors:: scripted::
