#!/usr/bin/env bash
# Installs the Python service that `make bench` measures ours beside, into a virtual environment of its own:
#
#     ${XDG_CACHE_HOME:-$HOME/.cache}/mastersign/peer
#
# A finished environment is kept and found again by the next clone. Needs python3 with venv, PyPI, and for PyKCS11 a C++
# compiler where there is no wheel.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
requirements="$here/../benches/http_service/peer/requirements.txt"
home="${XDG_CACHE_HOME:-$HOME/.cache}/mastersign/peer"

if cmp --silent "$requirements" "$home/.complete"; then
    exit 0
fi
rm -rf "$home"
python3 -m venv "$home"
"$home/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
"$home/bin/python" -c 'import fastapi, httptools, PyKCS11, uvicorn, uvloop'
cp "$requirements" "$home/.complete"
