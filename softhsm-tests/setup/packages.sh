#!/usr/bin/env bash
# Installs what is missing to run (`packages.sh run`) or to test (`packages.sh test`) Mastersign on Debian and Ubuntu.
#
# It looks for the thing that is needed and not for a package's name, so that what was installed in another way counts.
# Nothing is removed or upgraded. Rust itself is only checked: how it is installed is the user's choice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'packages.sh: %s\n' "$*" >&2; }

wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
found="$(cargo --version 2>/dev/null | cut -d' ' -f2 || true)"
if [[ -z "$found" || "$(printf '%s\n' "$wanted" "$found" | sort --version-sort | head -n 1)" != "$wanted" ]]; then
    say "Rust $wanted or newer is needed and ${found:-none} was found. Install it with rustup (https://rustup.rs),"
    say "or upgrade with: rustup update stable"
    exit 1
fi

goal="${1:-run}"
packages=()

# need PACKAGE COMMAND...: the package is needed unless the command succeeds.
need() {
    local package="$1"
    shift
    "$@" >/dev/null 2>&1 || packages+=("$package")
}

default_module=/usr/lib/softhsm/libsofthsm2.so
need build-essential cc --version
need pkg-config pkg-config --version
need libssl-dev pkg-config --exists openssl
need softhsm2 test -e "$default_module"
case "$goal" in
run) ;;
test)
    need opensc command -v pkcs11-tool
    need openssl command -v openssl
    need python3-venv python3 -c 'import venv, ensurepip'
    # Salt 3008 depends on timelib, which is published as source alone.
    need python3-dev python3 -c 'import pathlib, sysconfig; (pathlib.Path(sysconfig.get_path("include")) / "Python.h").stat()'
    # For the networks that the tests of root make; nobody else runs those.
    if ((EUID == 0)); then
        need iproute2 command -v ip
        need nftables command -v nft
    fi
    ;;
*)
    say "unknown goal '$goal': run or test"
    exit 2
    ;;
esac

# A module that was named is not something that apt knows.
if [[ -n "${PKCS11_MODULE:-}" && ! -e "$PKCS11_MODULE" ]]; then
    say "PKCS11_MODULE names $PKCS11_MODULE, which does not exist; unset it to use SoftHSM2"
    exit 1
fi

if ((${#packages[@]})); then
    install=(apt-get install --yes --no-install-recommends "${packages[@]}")
    if ! command -v apt-get >/dev/null; then
        say "missing: ${packages[*]} (Debian's names). Install them with this system's package manager and start again."
        exit 1
    fi
    as_root=()
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null || { ! sudo -n true 2>/dev/null && ! [[ -t 0 ]]; }; then
            say "missing: ${packages[*]}. Run this as root and start again:"
            say "    apt-get update && ${install[*]}"
            exit 1
        fi
        as_root=(sudo)
    fi
    say "installing ${packages[*]}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive)
    "${as_root[@]}" apt-get update --quiet=2
    "${as_root[@]}" "${install[@]}" --quiet=2
fi
