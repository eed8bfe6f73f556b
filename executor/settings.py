"""What the executor takes from its environment; no other module of ours reads it."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "secs": 1, "mins": 60, "hrs": 3600,
            "days": 86400, "weeks": 7 * 86400}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|secs|mins|hrs|days|weeks)\s*")


class SettingsError(Exception):
    """The environment lacks something, or holds something unreadable."""


def duration_s(text: str) -> float:
    """Seconds of a Mesos duration such as ``15mins`` (stout's duration.hpp).

    Raises ``SettingsError``.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise SettingsError(f"{text!r} is not a duration such as 15mins")
    return float(match[1]) * _UNITS_S[match[2]]


def _seconds(environ: Mapping[str, str], name: str, default_s: float) -> float:
    text = environ.get(name, "")
    try:
        return float(text) if text else default_s
    except ValueError as error:
        raise SettingsError(f"{name}={text!r} is not a number of seconds") from error


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of one executor, read once."""

    sandbox: Path
    cache_dir: Path
    agent_endpoint: str              # host:port
    api_path: str                    # of the v1 executor API, on that agent
    framework_id: str
    executor_id: str
    token: str                       # bearer token; "" when the agent asks for none
    checkpoint: bool
    recovery_timeout_s: float
    shutdown_grace_s: float
    backoff_max_s: float
    java_home: str                   # ESAAS_JAVA_HOME; "": see java.java_home
    java21_home: str                 # ESAAS_JAVA21_HOME, for versions that need 21 or later
    starting_probe_s: float = 0.5
    serving_probe_s: float = 5.0
    unhealthy_after_s: float = 30.0
    linger_s: float = 30.0           # for the acknowledgement of the last update

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Read the environment that an agent gives to an executor, and ours.

        Raises ``SettingsError`` with every fault.
        """
        required = ("MESOS_AGENT_ENDPOINT", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID")
        missing = [name for name in required if not environ.get(name)]
        if missing:
            raise SettingsError(f"not started by a Mesos agent: {', '.join(missing)} not set")
        # Several agents in one process have the ids slave(1), slave(2), ...; a path without one
        # goes to slave(1).
        agent = re.match(r"(slave\(\d+\))@", environ.get("MESOS_SLAVE_PID", ""))
        return cls(
            sandbox=Path(environ.get("MESOS_SANDBOX") or os.getcwd()).resolve(),
            cache_dir=Path(environ.get("ESAAS_CACHE_DIR")
                           or f"/var/tmp/esaas-{os.geteuid()}"),
            agent_endpoint=environ["MESOS_AGENT_ENDPOINT"],
            api_path=(f"/{agent[1]}" if agent else "") + "/api/v1/executor",
            framework_id=environ["MESOS_FRAMEWORK_ID"],
            executor_id=environ["MESOS_EXECUTOR_ID"],
            token=environ.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", ""),
            checkpoint=environ.get("MESOS_CHECKPOINT", "") in ("1", "true"),
            recovery_timeout_s=duration_s(environ.get("MESOS_RECOVERY_TIMEOUT") or "15mins"),
            shutdown_grace_s=duration_s(
                environ.get("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD") or "5secs"),
            backoff_max_s=min(2.0, duration_s(
                environ.get("MESOS_SUBSCRIPTION_BACKOFF_MAX") or "2secs")),
            java_home=environ.get("ESAAS_JAVA_HOME", ""),
            java21_home=environ.get("ESAAS_JAVA21_HOME", ""),
            unhealthy_after_s=_seconds(environ, "ESAAS_UNHEALTHY_AFTER_S", 30.0),
            serving_probe_s=_seconds(environ, "ESAAS_PROBE_INTERVAL_S", 5.0),
        )

    def java_for(self, version: str) -> str:
        """The configured JDK for a version of Elasticsearch; empty when none is configured."""
        needs_21 = int(version.partition(".")[0]) >= 9
        return (needs_21 and self.java21_home) or self.java_home
