"""Make this machine a host of a data centre, and end that again."""

from __future__ import annotations

import ipaddress
import json
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from esaas.framework.client import Client, ClientError

from .. import acls, commands, daemons, master_api, requirements, zookeeper
from ..daemons import wait_until
from ..errors import LocalError
from ..fetch.elasticsearch import catalog, fetch_elasticsearch
from ..fetch.mesos import fetch_mesos
from ..files import locked, write_atomically
from ..settings import Settings
from . import plan
from .spec import AGENT_PORT, MASTER_PORT, VERSION, ZOOKEEPER_PORT, Host
from .supervisors import (
    SYSTEMD_RUNS,
    Direct,
    Supervisor,
    Systemd,
    load_running,
    raise_limits,
    save_running,
)

Report = Callable[[str], None]
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 30.0
# Elasticsearch refuses to bind to a real address with less.
LOWEST_MAP_COUNT = 262_144
MAP_COUNT = Path("/proc/sys/vm/max_map_count")
SYSCTL_FILE = Path("/etc/sysctl.d/60-esaas.conf")
NEEDS = {
    "control": (requirements.MESOS, requirements.ZOOKEEPER, requirements.ELASTICSEARCH),
    "agent": (requirements.MESOS, requirements.ELASTICSEARCH),
}


def install(
    settings: Settings, kind: str, versions: tuple[str, ...] = (VERSION,),
    report: Report = lambda _: None,
) -> Path:  # fmt: skip
    """Everything a host needs that is not its own: packages, user, Mesos, Elasticsearch.

    Idempotent; downloads what the cache lacks. Gives Mesos' library. Raises LocalError.
    """
    if not settings.root:
        raise LocalError("a host is made ready as root: it installs packages and has a user")
    requirements.ensure(settings, NEEDS[kind], report)
    requirements.ensure_user(settings)
    report("Mesos")
    library = fetch_mesos(settings.cache)
    for version in versions:
        report(f"Elasticsearch {version}")
        fetch_elasticsearch(settings.cache, version)
    return library


def _allow_elasticsearch(host: Host, supervisor: Supervisor) -> None:
    """Raise what Elasticsearch insists on when it binds to an address outside 127/8."""
    if ipaddress.IPv4Address(host.ip).is_loopback:
        return
    if isinstance(supervisor, Direct):
        raise_limits()
    if int(MAP_COUNT.read_text()) < LOWEST_MAP_COUNT:
        MAP_COUNT.write_text(f"{LOWEST_MAP_COUNT}\n")
        SYSCTL_FILE.write_text(f"vm.max_map_count = {LOWEST_MAP_COUNT}\n")     # after a boot


def choose_supervisor(directory: Path, systemd: bool | None = None) -> Supervisor:
    """systemd where it runs, unless something else is asked for."""
    places = plan.HostPlaces(directory)
    if SYSTEMD_RUNS.is_dir() if systemd is None else systemd:
        return Systemd(places.root / "environments")
    return Direct(places.running, places.root / "logs")


def up(
    host: Host, supervisor: Supervisor, settings: Settings, report: Report = lambda _: None
) -> None:
    """Install, write files, start whatever does not run, wait until it serves.

    Idempotent. Raises LocalError.
    """
    library = install(settings, host.kind, report=report)
    places = plan.HostPlaces(host.directory)
    _allow_elasticsearch(host, supervisor)
    with locked(places.lock):
        _keep_kind(places, host)
        user = _prepare(places, host, settings)
        marker = _marker(places)
        for name in plan.names(host):
            report(f"starting {name}")
            supervisor.run(name, plan.build(host, name, marker, library, user))
            wait_until(partial(_serves, host, places, name, supervisor), f"{name} on {host.ip}",
                       START_TIMEOUT_S)


def down(directory: Path, supervisor: Supervisor) -> None:
    """End its daemons, then executors and whatever else carries its mark. Its state stays."""
    places = plan.HostPlaces(directory)
    if not places.running.exists():
        return
    with locked(places.lock):
        # The agent first: it must not report its executors' end to the master as a failure.
        supervisor.end([plan.AGENT, plan.SERVICE, plan.MASTER, plan.ZOOKEEPER])
        daemons.end_marked(_marker(places), STOP_TIMEOUT_S)


def _marker(places: plan.HostPlaces) -> str:
    """The mark of the host's processes; kept, so that another process can end them."""
    running = load_running(places.running)
    if not places.running.exists():
        save_running(places.running, running)
    return running.id


def _keep_kind(places: plan.HostPlaces, host: Host) -> None:
    """Put on record what this host is. Raises LocalError when it was another one."""
    record = places.root / "host.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    for name in ("kind", "ip", "hostname"):
        if known and known[name] != getattr(host, name):
            raise LocalError(
                f"{places.root} belongs to a host whose {name} is {known[name]}: its volumes are "
                "bound to that; delete the directory for a new host"
            )
    write_atomically(record, host.model_dump_json(indent=2) + "\n")


def _prepare(places: plan.HostPlaces, host: Host, settings: Settings) -> str:
    """Credentials, rules, the catalogue of versions, directories; the executors' user."""
    user = requirements.ensure_user(settings)
    commands.prepare_executor_cache(places, user)
    if host.kind == "agent":
        return user
    known = acls.ensure_credentials(places.credentials, list(host.tenants))
    rules = acls.build_acls(host.centre().principals, user)
    write_atomically(places.acls, json.dumps(rules, indent=2) + "\n")
    mine = {tenant: {"principal": tenant, "secret": known[tenant]} for tenant in host.tenants}
    write_atomically(places.service_credentials, json.dumps(mine) + "\n", mode=0o600)
    write_atomically(places.distributions, json.dumps(catalog(settings.cache), indent=2) + "\n")
    if not places.admin_token.exists():
        write_atomically(places.admin_token, secrets.token_urlsafe(32), mode=0o600)
    return user


def _serves(host: Host, places: plan.HostPlaces, name: str, supervisor: Supervisor) -> bool:
    """Whether a daemon does what it is there for. Raises LocalError when it has ended."""
    if not supervisor.running(name) and isinstance(supervisor, Direct):
        log = supervisor.log(name)
        raise LocalError(f"{name} has ended ({log})", daemons.tail(log))
    if name == plan.ZOOKEEPER:
        return zookeeper.serving(ZOOKEEPER_PORT, host.ip)
    leading = master_api.leader([MASTER_PORT], host.control_ip)
    if name == plan.MASTER:
        return leading is not None
    if name == plan.SERVICE:
        return _answers(host, places)
    known = master_api.agents(leading) if leading else {}
    return bool(known.get(f"slave(1)@{host.ip}:{AGENT_PORT}", {}).get("active"))


def _answers(host: Host, places: plan.HostPlaces) -> bool:
    try:
        Client(host.service_url, places.admin_token.read_text().strip()).get("/v1/status")
    except (ClientError, OSError):
        return False
    return True
