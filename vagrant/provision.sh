#!/bin/sh
# Make this machine a host of a data centre:
#
#     provision.sh control|agent OPTION...     options as of `esaas local host`
#
# Installs this project, then leaves the rest to it: packages, Mesos, ZooKeeper, Elasticsearch, and
# daemons under systemd, or as plain processes where systemd does not run. Run it again to bring a
# host up to date; it changes nothing that is already so. ESAAS_PYTHON names a Python that has this
# project installed; without it one is made in ESAAS_HOME, by default /opt/esaas.
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
home=${ESAAS_HOME:-/opt/esaas}

install_project() {
    if ! python3 -c 'import ensurepip, venv' 2> /dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q
        apt-get install -y -q --no-install-recommends python3 python3-venv
    fi
    [ -x "$home/bin/python" ] || python3 -m venv "$home"
    # First: pip cannot build the http-parser that pymesos asks for.
    for package in "$source/packaging/http-parser" "${source}[local]"; do
        "$home/bin/python" -m pip install -q --disable-pip-version-check \
            -c "$source/constraints.txt" "$package"
    done
}

if [ $# -eq 0 ]; then
    echo "usage: $0 control|agent OPTION..." >&2
    exit 2
fi
if [ -z "${ESAAS_PYTHON:-}" ]; then
    install_project
    ESAAS_PYTHON=$home/bin/python
fi
exec "$ESAAS_PYTHON" -I -m esaas.framework.cli local host "$@"
