#!/usr/bin/env bash
# Installs what others made of weak keys, to compare our verdicts with, into a virtual environment of its own:
#
#     ${XDG_CACHE_HOME:-$HOME/.cache}/mastersign/oracles
#
# A finished environment is kept and found again by the next clone. Needs python3 with venv and PyPI; no compiler.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
requirements="$here/../tests/it/key_policy/requirements.txt"
home="${XDG_CACHE_HOME:-$HOME/.cache}/mastersign/oracles"

if cmp --silent "$requirements" "$home/.complete"; then
    exit 0
fi
rm -rf "$home"
python3 -m venv "$home"
"$home/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
"$home/bin/python" -W ignore -c 'import badkeys.rsakeys, roca.detect'
cp "$requirements" "$home/.complete"
