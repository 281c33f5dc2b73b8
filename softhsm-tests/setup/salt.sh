#!/usr/bin/env bash
# Installs the Salt versions that the suite runs, each into a virtual environment of its own:
#
#     ${XDG_CACHE_HOME:-$HOME/.cache}/mastersign/salt-<version>
#
# A finished environment is kept and found again by the next clone. One without its marker file was interrupted and is
# made anew at the same place (a virtual environment can't be moved: its scripts name the path). Needs python3 >= 3.9
# with venv, its headers, a C compiler (3008 depends on timelib, which is published as source alone) and PyPI. Usage: salt.sh [VERSION ...]; without a version, all that the suite runs.
# salt.sh --list only says which those are.
set -euo pipefail

default_versions=(3006.30 3007.17 3008.5) # the same list is in softhsm-tests/src/salt/version.rs
recipe=1                                  # raise it when the steps below change: older environments are then redone
cache="${XDG_CACHE_HOME:-$HOME/.cache}/mastersign"

say() { printf 'salt.sh: %s\n' "$*"; }

# The first Python that all three versions run on and that has its headers; Salt 3006 is tested upstream up to 3.11.
find_python() {
    local candidate
    for candidate in python3.11 python3.10 python3.12 python3.9 python3; do
        if "$candidate" - 2>/dev/null <<'EOF'; then
import ensurepip, pathlib, sys, sysconfig, venv
headers = pathlib.Path(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info < (3, 9) or not headers.exists())
EOF
            echo "$candidate"
            return
        fi
    done
    say "no python3 >= 3.9 with venv and headers was found; on Debian and Ubuntu: apt-get install python3-venv python3-dev" >&2
    return 1
}

is_complete() {
    [[ "$(cat "$cache/salt-$1/.complete" 2>/dev/null)" == "recipe $recipe" ]]
}

install_salt() {
    local version="$1" python="$2" home="$cache/salt-$1" source
    rm -rf "$home"
    "$python" -m venv "$home"
    source="$home/source"
    mkdir "$source"
    "$home/bin/pip" download --disable-pip-version-check --no-deps --no-binary salt --dest "$source" "salt==$version"
    tar -xzf "$source/salt-$version.tar.gz" -C "$source"
    # Salt's own list pins a certifi that is not on the index, so its dependencies are installed from the list by hand.
    cat "$source/salt-$version/requirements/base.txt" "$source/salt-$version/requirements/zeromq.txt" |
        grep -v -e '^ *#' -e '^-r' | sed 's/^certifi>=.*/certifi/' >"$source/requirements.txt"
    "$home/bin/pip" install --disable-pip-version-check wheel setuptools -r "$source/requirements.txt"
    "$home/bin/pip" install --disable-pip-version-check --no-deps "$source/salt-$version.tar.gz"
    rm -rf "$source"
    local answer
    answer="$("$home/bin/salt-master" --version)"
    if [[ "$answer" != "salt-master $version"* ]]; then
        say "salt-master says '$answer' where $version was expected" >&2
        return 1
    fi
    echo "recipe $recipe" >"$home/.complete"
}

if [[ "${1:-}" == --list ]]; then
    echo "${default_versions[*]}"
    exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/salt.lock"
if ! flock --nonblock 9; then
    say "another installation is under way in $cache; waiting for it"
    flock 9
fi

versions=("$@")
((${#versions[@]})) || versions=("${default_versions[@]}")
missing=()
for version in "${versions[@]}"; do
    is_complete "$version" || missing+=("$version")
done
if ((${#missing[@]} == 0)); then
    say "Salt ${versions[*]} in $cache"
    exit 0
fi

python="$(find_python)"
say "installing Salt ${missing[*]} from PyPI into $cache with $python (some minutes, once)"
declare -A running
for version in "${missing[@]}"; do
    # Without `set -e` of its own a function in a condition would go on after a failed step.
    (set -euo pipefail && install_salt "$version" "$python") >"$cache/salt-$version.log" 2>&1 &
    running[$version]=$!
done
failed=0
for version in "${missing[@]}"; do
    if wait "${running[$version]}"; then
        say "Salt $version is installed"
    else
        say "Salt $version could not be installed; the end of $cache/salt-$version.log:" >&2
        tail -n 20 "$cache/salt-$version.log" >&2
        failed=1
    fi
done
exit "$failed"
