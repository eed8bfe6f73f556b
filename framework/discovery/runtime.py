"""Changes of servers that a running HAProxy takes without a reload, over its own socket.

A server that leaves goes to maintenance: it gets no new request, and those on their way end in
peace. One that comes back is made ready, at another address if need be. What was not there when
the configuration was loaded takes a reload. Source: HAProxy's management guide, section 9.3.
"""
from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import EsaasError
from .render import is_ip
from .targets import Server, Targets

ANSWER_TIMEOUT_S = 5.0
FORCED_MAINTENANCE = 1              # a bit of srv_admin_state
Place = tuple[str, str]             # backend and server


class RuntimeFailed(EsaasError):
    """HAProxy did not answer, or not as it should."""


def _shape(targets: Targets) -> list[tuple[str, int, bool]]:
    return [(target.name, target.port, target.secured) for target in targets]


def servers_of(targets: Targets) -> dict[Place, Server]:
    """All servers, by backend and name."""
    return {(target.name, server.name): server for target in targets for server in target.servers}


def takes_no_reload(loaded: Targets, wanted: Targets) -> bool:
    """Whether what was loaded becomes what is wanted by nothing but changes of its servers."""
    known = servers_of(loaded)
    return _shape(loaded) == _shape(wanted) and all(
        place in known and (server == known[place] or is_ip(server.host))
        for place, server in servers_of(wanted).items())


def commands(current: Mapping[Place, Server], wanted: Targets) -> list[str]:
    """What makes the servers in use (``current``) those that are wanted.

    Servers come before others leave, so that there is always one.
    """
    keep = servers_of(wanted)
    found = []
    for place, server in keep.items():
        name = "/".join(place)
        # Where one that is out of use was at last is not kept in mind: it is told again.
        if current.get(place) != server and is_ip(server.host):
            found.append(f"set server {name} addr {server.host} port {server.port}")
        if place not in current:
            found.append(f"set server {name} state ready")
    return found + [f"set server {'/'.join(place)} state maint"
                    for place in current if place not in keep]


def ask(path: Path, command: str) -> str:
    """The answer to one command; RuntimeFailed."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(ANSWER_TIMEOUT_S)
            line.connect(str(path))
            line.sendall(command.encode() + b"\n")
            pieces = []
            while piece := line.recv(65536):
                pieces.append(piece)
            return b"".join(pieces).decode("utf-8", "replace")
    except OSError as error:
        raise RuntimeFailed(f"HAProxy does not answer at {path}: {error}") from error


def apply(path: Path, asked: list[str], wanted: Targets) -> None:
    """Give the commands, and make sure that they came to what is wanted; RuntimeFailed."""
    for command in asked:
        ask(path, command)
    in_use = servers_in_use(ask(path, "show servers state"))
    keep = servers_of(wanted)
    wrong = {"/".join(place) for place in in_use.keys() ^ keep.keys()} | {
        "/".join(place) for place, server in keep.items() if is_ip(server.host)
        and in_use.get(place) != (str(ipaddress.ip_address(server.host)), server.port)}
    if wrong:
        raise RuntimeFailed(f"HAProxy has not taken what is wanted of {', '.join(sorted(wrong))}")


def servers_in_use(state: str) -> dict[Place, tuple[str, int]]:
    """Host and port of the servers that are not in maintenance, of ``show servers state``."""
    lines = state.splitlines()
    head = next((line for line in lines if line.startswith("# ")), "").removeprefix("# ").split()
    rows = [dict(zip(head, line.split(), strict=False)) for line in lines
            if len(line.split()) > 1 and not line.startswith("#")]
    try:
        return {(row["be_name"], row["srv_name"]): (row["srv_addr"], int(row["srv_port"]))
                for row in rows if not int(row["srv_admin_state"]) & FORCED_MAINTENANCE}
    except (KeyError, ValueError) as error:
        raise RuntimeFailed(f"the state of servers cannot be read: {error!r}") from error

