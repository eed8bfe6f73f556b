"""A configuration of HAProxy out of targets; pure.

Written for HAProxy 2.4 and later. Source: HAProxy's configuration manual, sections 3 and 4.
"""
from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ..core.errors import EsaasError
from .targets import Server, Target, Targets

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
PATH = re.compile(r"/[A-Za-z0-9_./@+:-]*")
MAX_SOCKET_PATH = 80                # a path of a UNIX socket has 107, and HAProxy appends to it


class RenderError(EsaasError):
    """These targets cannot be made a configuration of."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where HAProxy listens: for clients, and for commands (an absolute path of a socket)."""

    bind: str
    socket: str


# Requests of Elasticsearch may take long, and connections may be idle for long; what says nothing
# for ten minutes is given up. A request that no node has taken is tried at another node.
DEFAULTS = """\
defaults
    log global
    mode http
    balance leastconn
    retries 3
    option redispatch 1
    option dontlognull
    option http-keep-alive
    option idle-close-on-response
    timeout connect 3s
    timeout client 10m
    timeout server 10m
    timeout queue 30s
    timeout http-request 1m
    timeout http-keep-alive 1m
    timeout check 3s
    default-server check inter 2s fastinter 500ms downinter 1s fall 3 rise 1 \
init-addr last,libc,none
"""
# A read that a dying node did not answer is tried at another; a write might then be done twice.
HTTP = """\
    mode http
    option httpchk GET /
    http-check expect status 200
    retry-on conn-failure empty-response
    http-request disable-l7-retry unless METH_GET
"""
TCP = """\
    mode tcp
"""


def render(targets: Targets, layout: Layout) -> str:
    """The text of ``haproxy.cfg``; RenderError for names, addresses or ports that cannot be."""
    _check(targets, layout)
    head = [
        "# Written by esaas haproxy, which replaces it whenever nodes come or go.",
        "global",
        "    log stdout format raw daemon notice",
        f"    stats socket {layout.socket} mode 600 level admin expose-fd listeners",
        "    stats timeout 1m",
        # Of the workers before a reload; none ends with requests on their way, unless they hang.
        "    hard-stop-after 1h"]
    return "\n".join([*head, "", DEFAULTS, *(line for target in targets
                                             for line in _target(target, layout))])


def _target(target: Target, layout: Layout) -> Iterator[str]:
    yield f"frontend {target.name}"
    yield f"    mode {'tcp' if target.secured else 'http'}"
    yield f"    bind {address(layout.bind, target.port)}"
    yield f"    default_backend {target.name}"
    yield ""
    yield f"backend {target.name}"
    yield (TCP if target.secured else HTTP).rstrip()
    for server in target.servers:
        yield f"    server {server.name} {address(server.host, server.port)}"
    yield ""


def address(host: str, port: int) -> str:
    """``host:port`` as HAProxy takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_ip(host: str) -> bool:
    """Whether it is an address of IPv4 or IPv6."""
    try:
        return ipaddress.ip_address(host) is not None
    except ValueError:
        return False


def _check(targets: Targets, layout: Layout) -> None:
    wrong = [*_layout_faults(layout)]
    for name, count in Counter(target.name for target in targets).items():
        wrong += [f"{name} is there {count} times"] if count > 1 else []
    for port, count in Counter(target.port for target in targets).items():
        wrong += [f"port {port} is wanted {count} times"] if count > 1 else []
    for target in targets:
        wrong += _target_faults(target)
    if wrong:
        raise RenderError("; ".join(wrong))


def _layout_faults(layout: Layout) -> Iterator[str]:
    if not is_ip(layout.bind):
        yield f"{layout.bind!r} is no address to listen on"
    if not PATH.fullmatch(layout.socket):
        yield f"{layout.socket!r} is no absolute path of plain characters"
    elif len(layout.socket.encode()) > MAX_SOCKET_PATH:
        yield f"the path {layout.socket} is too long for a socket: choose a shorter directory"


def _target_faults(target: Target) -> Iterator[str]:
    if not NAME.fullmatch(target.name):
        yield f"{target.name!r} is no name"
    if not 0 < target.port < 65536:
        yield f"{target.name}: {target.port} is no port"
    for name, count in Counter(server.name for server in target.servers).items():
        if count > 1:
            yield f"{target.name}: server {name} is there {count} times"
    for server in target.servers:
        yield from _server_faults(target, server)


def _server_faults(target: Target, server: Server) -> Iterator[str]:
    if not NAME.fullmatch(server.name):
        yield f"{target.name}: {server.name!r} is no name of a server"
    if not (is_ip(server.host) or HOST.fullmatch(server.host)):
        yield f"{target.name}: {server.host!r} of {server.name} is no host"
    if not 0 < server.port < 65536:
        yield f"{target.name}: {server.port} of {server.name} is no port"
