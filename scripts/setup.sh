#!/bin/sh
# Everything that `make run` or `make test` needs on this machine: setup.sh run|test
#
# Debian packages (as root; else the command for all that is missing at once), a virtual
# environment in .venv, Mesos from PyPI and Elasticsearch from Maven Central in the cache.
# Idempotent: says nothing and takes no time when nothing has to be done.
set -eu

cd "$(dirname "$0")/.."
purpose=${1:-run}
venv=.venv
logs=build/setup

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

case $purpose in
run) extra=local archives='6.8.23' ;;
test) extra=test archives='6.8.23 7.17.29' ;;
*) fail "usage: $0 run|test" ;;
esac

# What the last complete run was made for. Its first line is this key, the others are the files
# in the cache that must still be there.
stamp=$venv/esaas-setup-$purpose
key=$({
    pwd
    id -u
    echo "${ESAAS_CACHE_DIR:-} ${XDG_CACHE_HOME:-} ${HOME:-}"
    cat setup.cfg setup.py pyproject.toml constraints.txt scripts/setup.sh \
        packaging/http-parser/setup.cfg packaging/http-parser/http_parser/*.py
} | cksum)

is_whole() {  # is_whole STAMP: whether a run for this key came to its end and nothing is gone
    [ -x "$venv/bin/esaas" ] && [ -r "$1" ] || return 1
    {
        read -r known
        [ "$known" = "$key" ] || return 1
        while read -r file; do
            [ -e "$file" ] || return 1
        done
    } < "$1"
}

up_to_date() {  # what tests need holds all that a run needs
    is_whole "$stamp" || { [ "$purpose" = run ] && is_whole "$venv/esaas-setup-test"; }
}

if up_to_date; then
    exit 0
fi

# Two runs at once must not build the same environment.
mkdir -p "$logs"
if command -v flock > /dev/null; then
    exec 9> "$logs/lock"
    flock 9
    if up_to_date; then
        exit 0
    fi
fi

# ---- Debian packages ---------------------------------------------------------------------------

fits() { [ -x "$1" ] && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; }

# A Python of the system comes first: executors run as a user who may not read a root's own one.
find_python() {
    for each in /usr/bin/python3 /usr/local/bin/python3 /usr/bin/python3.1[1-9] \
        "$(command -v python3 || true)"; do
        if fits "$each"; then
            echo "$each"
            return
        fi
    done
}

java_at_least_17() {
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge 17 ]
}

is_installed() {
    case $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2> /dev/null) in
    ?i*) return 0 ;;
    *) return 1 ;;
    esac
}

lacking() {
    python=$(find_python)
    if [ -z "$python" ]; then
        echo python3 python3-venv
    elif ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
        echo python3-venv
    fi
    java_at_least_17 2> /dev/null || echo openjdk-17-jre-headless
    command -v mvn > /dev/null || echo maven
    packages='libsvn1 libcurl4 libsasl2-modules'
    if [ "$purpose" = test ]; then
        # Of prometheus and haproxy only the programs are used. On a machine with systemd their
        # packages start a service each, prometheus on port 9090 (docs/operations.md, "Metrics").
        packages="$packages zookeeper iproute2 haproxy prometheus git chromium chromium-driver fonts-dejavu-core fonts-wqy-microhei"
    fi
    # Elsewhere than on Debian `esaas local doctor` looks for the libraries themselves, later.
    if command -v dpkg-query > /dev/null; then
        for package in $packages; do
            is_installed "$package" || echo "$package"
        done
    fi
}

run_logged() {  # run_logged NAME COMMAND...: its output in a terminal, else only when it fails
    name=$1
    shift
    if [ -t 2 ]; then
        "$@" >&2
    elif ! "$@" > "$logs/$name.log" 2>&1; then
        tail -n 30 "$logs/$name.log" >&2
        fail "failed: $* (all of it: $logs/$name.log)"
    fi
}

install_packages() {
    lacks=$(lacking | tr '\n' ' ')
    [ -n "$lacks" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        say "This machine lacks: $lacks"
        say "Install it with:"
        say ""
        say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $lacks"
        say ""
        fail "and run make again."
    fi
    say "installing Debian packages: $lacks"
    export DEBIAN_FRONTEND=noninteractive
    run_logged apt-update apt-get update -q
    # shellcheck disable=SC2086 # one word each
    run_logged apt-install apt-get install -y -q --no-install-recommends $lacks
    left=$(lacking | tr '\n' ' ')
    [ -z "$left" ] || fail "installed, and still missing: $left"
}

# ---- Python ------------------------------------------------------------------------------------

pip_install() {  # pip_install NAME ARGUMENT...
    name=$1
    shift
    if [ -t 2 ]; then  # with progress bars
        "$venv/bin/python" -m pip install --disable-pip-version-check -c constraints.txt "$@" >&2
    else
        run_logged "$name" "$venv/bin/python" -m pip install --disable-pip-version-check -q \
            -c constraints.txt "$@"
    fi
}

install_python() {
    python=$(find_python)
    # An environment that was moved here, or whose Python is gone, is made again.
    if ! "$venv/bin/python" -c 'import pip' 2> /dev/null ||
        [ "$("$venv/bin/python" -c 'import sys; print(sys.prefix)')" != "$PWD/$venv" ] ||
        ! fits "$venv/bin/python"; then
        say "making a virtual environment of $("$python" --version) ($python)"
        rm -rf "$venv"
        "$python" -m venv "$venv"
    fi
    say "installing Python packages"
    # First: pip cannot build the http-parser that pymesos asks for (docs/adr/0002-http-parser.md).
    pip_install http-parser ./packaging/http-parser
    pip_install python -e ".[$extra]"
}

# ---- real parts --------------------------------------------------------------------------------

fetch_parts() {
    "$venv/bin/esaas" local fetch mesos
    for version in $archives; do
        "$venv/bin/esaas" local fetch elasticsearch "$version"
    done
}

install_packages
install_python
say "fetching Mesos and Elasticsearch, if they are not in the cache"
files=$(fetch_parts)
rm -rf "$logs/stamp"
printf '%s\n%s\n' "$key" "$files" > "$logs/stamp"
mv "$logs/stamp" "$stamp"
say "set up for: make $purpose"
