"""Flags that our own start-up code needs before the library reads them.

As upstream: ``--name=value`` on the command line, then ``MESOS_NAME`` in the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping, Sequence

from .errors import EmbeddedError

# Each of these would need code of upstream's main() that we do not have.
UNSUPPORTED = (
    "modules", "modules_dir", "hooks", "firewall_rules", "agent_removal_rate_limit",
    "master_contender", "master_detector", "ip_discovery_command", "ip6",
    "http_executor_domain_sockets", "csi_plugin_config_dir", "agent_subsystems",
)  # fmt: skip

UNITS_NS = {
    "nsecs": 1, "ns": 1, "usecs": 10**3, "us": 10**3, "msecs": 10**6, "ms": 10**6,
    "secs": 10**9, "mins": 60 * 10**9, "hrs": 3600 * 10**9, "days": 86400 * 10**9,
    "weeks": 604800 * 10**9,
}  # fmt: skip
DURATION = re.compile(r"(\d+(?:\.\d+)?)([a-z]+)")


class Flags:
    """Read access to the flags of one daemon."""

    def __init__(
        self, argv: Sequence[str], environment: MutableMapping[str, str] | None = None
    ) -> None:
        self.argv = list(argv)
        self._environment = os.environ if environment is None else environment

    def get(self, name: str) -> str | None:
        """A flag's text or None; a bare ``--name`` is "true", ``--no-name`` "false"."""
        value = self._environment.get("MESOS_" + name.upper())
        for argument in self.argv:
            if argument.startswith(f"--{name}="):
                value = argument.split("=", 1)[1]
            elif argument == f"--{name}":
                value = "true"
            elif argument == f"--no-{name}":
                value = "false"
        return value

    def text(self, name: str, default: str) -> str:
        """A flag's text, or the default."""
        value = self.get(name)
        return default if value is None else value

    def need(self, name: str, why: str = "") -> str:
        """A flag's text. Raises EmbeddedError when it is absent."""
        value = self.get(name)
        if not value:
            raise EmbeddedError(f"--{name} is needed{why}")
        return value

    def duration_ns(self, name: str, default: str) -> int:
        """A duration flag in nanoseconds."""
        return nanoseconds(self.text(name, default))

    def export_network(self, default_port: str) -> None:
        """Refuse what we cannot do; set LIBPROCESS_*, which the network layer reads.

        Raises EmbeddedError that names every flag in the way.
        """
        refused = [n for n in UNSUPPORTED if self.get(n) not in (None, "false")]
        if refused:
            raise EmbeddedError("not supported: " + ", ".join(f"--{n}" for n in refused))
        for name in ("ip", "advertise_ip", "advertise_port"):
            if value := self.get(name):
                self._environment["LIBPROCESS_" + name.upper()] = value
        self._environment["LIBPROCESS_PORT"] = self.text("port", default_port)


def nanoseconds(text: str) -> int:
    """Mesos' text of a duration (``"15secs"``) in nanoseconds. Raises EmbeddedError."""
    match = DURATION.fullmatch(text)
    if match and match[2] in UNITS_NS:
        return int(float(match[1]) * UNITS_NS[match[2]])
    raise EmbeddedError(f"not a duration: {text!r}")


def zookeeper_url(url: str) -> tuple[str, str, str | None]:
    """``zk://[user:password@]host:port[,...]/path`` as servers, path, credentials."""
    if not url.startswith("zk://"):
        raise EmbeddedError(f"not a zk:// URL: {url!r}")
    servers, slash, path = url[len("zk://") :].partition("/")
    credentials = None
    if "@" in servers:
        credentials, _, servers = servers.rpartition("@")
    return servers, slash + path, credentials


def arguments(values: Mapping[str, str]) -> list[str]:
    """``{"name": "value"}`` as ``--name=value`` arguments."""
    return [f"--{name}={value}" for name, value in values.items()]
