"""Network namespaces of this machine as hosts, whose links can be cut and mended.

    with Namespaces(script, tenants=("demo",)) as hosts:
        hosts.add_agent()
        hosts.cut("agent-1")
        hosts.mend("agent-1")

A bridge in the root namespace holds one end of each host's only link. Every host is made ready by
the script that makes machines ready, run inside its namespace. This process reaches all of them;
they reach each other, this machine, and nothing else.

Addresses lie in 127/8, and the kernel is told to route them: bound to any other address
Elasticsearch insists on limits (65,535 open files) that not every machine grants its root.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from .. import acls, daemons, master_api, requirements, spec
from ..daemons import tail
from ..environment import SYSTEM_PATH
from ..errors import LocalError
from ..settings import Settings
from .host import install
from .plan import HostPlaces
from .spec import MASTER_PORT, SERVICE_PORT, STORE_PATH, ZOOKEEPER_PORT
from .supervisors import load_running

CONTROL = "control"
RANGES = tuple(f"127.{second}.0.0/24" for second in range(77, 127))
WHOLE_LOOPBACK = ipaddress.IPv4Network("127.0.0.0/8")
FIRST_AGENT, CONTROL_HOST = 11, 10
COMMAND_TIMEOUT_S, PROVISION_TIMEOUT_S = 30.0, 300.0
INSIDE = "eth0"


class Namespaces:
    """A control host and agents, each a network namespace; root only.

    ``script`` is the provisioning script. Raises LocalError where namespaces cannot be made.
    """

    def __init__(self, script: Path, *, tenants: tuple[str, ...], fast_failure: bool = True,
                 settings: Settings | None = None) -> None:
        self._script, self._tenants, self._fast_failure = script, tenants, fast_failure
        self.settings = settings or Settings.load()
        self._id = secrets.token_hex(3)
        self._network = free_range()
        self._names: list[str] = []
        self.root = Path()

    def __enter__(self) -> Namespaces:
        self.root = Path(tempfile.mkdtemp(prefix="esaas-hosts-"))
        self.root.chmod(0o755)          # the executors' user goes through it
        try:
            # Inside there is no way out to any download.
            install(self.settings, CONTROL)
            self._bridge()
            self._add(CONTROL)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.remove()

    # ----------------------------------------------------------------- addresses

    @property
    def outside(self) -> str:
        """The address of this process for the hosts."""
        return str(self._network[1])

    def ip(self, name: str) -> str:
        """The address of a host."""
        if name == CONTROL:
            return str(self._network[CONTROL_HOST])
        return str(self._network[FIRST_AGENT - 1 + int(name.rpartition("-")[2])])

    def places(self, name: str) -> HostPlaces:
        """Where a host keeps things."""
        return HostPlaces(self.root / name)

    @property
    def agents(self) -> list[str]:
        """The names of the agents."""
        return [name for name in self._names if name != CONTROL]

    # ---------------------------------------------------------------------- hosts

    def add_agent(self) -> str:
        """One more agent in a rack of its own, registered; its name."""
        name = f"agent-{len(self.agents) + 1}"
        self._add(name)
        return name

    def _add(self, name: str) -> None:
        self._names.append(name)
        self._namespace(name)
        self.provision(name)

    def provision(self, name: str) -> None:
        """Run the script on a host. Raises LocalError with the end of its output."""
        options = ["--ip", self.ip(name), "--hostname", name, "--directory",
                   str(self.root / name), "--no-systemd"]
        if name == CONTROL:
            options += [word for tenant in self._tenants for word in ("--tenant", tenant)]
            options += ["--fast-failure"] * self._fast_failure
        else:
            options += ["--control-ip", self.ip(CONTROL), "--rack",
                        f"rack-{name.rpartition('-')[2]}"]
        kind = CONTROL if name == CONTROL else "agent"
        log = self.root / f"{name}.log"
        with log.open("ab") as output:
            done = subprocess.run(
                ["ip", "netns", "exec", self.namespace(name), "sh", str(self._script), kind,
                 *options],
                env={"PATH": SYSTEM_PATH, "HOME": str(self.root), "LANG": "C.UTF-8",
                     "ESAAS_PYTHON": sys.executable, "ESAAS_CACHE_DIR": str(self.settings.cache)},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
                timeout=PROVISION_TIMEOUT_S,
            )  # fmt: skip
        if done.returncode != 0:
            raise LocalError(f"{name} could not be made ready ({log})", tail(log))

    def processes(self, name: str) -> set[int]:
        """The ids of all processes on a host."""
        return set(map(int, run_ip("netns", "pids", self.namespace(name)).split()))

    def cut(self, name: str) -> None:
        """Pull the plug of a host: its processes run on, and nobody hears of them."""
        ip_link("set", self._link(name), "down")

    def mend(self, name: str) -> None:
        """Put the plug back."""
        ip_link("set", self._link(name), "up")

    # ------------------------------------------------------------- what runs there

    @property
    def master_address(self) -> str:
        """What a framework is told."""
        return f"zk://{self.ip(CONTROL)}:{ZOOKEEPER_PORT}/mesos"

    @property
    def service_url(self) -> str:
        """Where the service of the control host answers."""
        return f"http://{self.ip(CONTROL)}:{SERVICE_PORT}"

    @property
    def token(self) -> str:
        """A token of admin role for that service."""
        return self.places(CONTROL).admin_token.read_text().strip()

    @property
    def store(self) -> str:
        """Where the service keeps what it must remember."""
        return f"zk://{self.ip(CONTROL)}:{ZOOKEEPER_PORT}{STORE_PATH}"

    @property
    def master_url(self) -> str:
        """``http://host:port`` of the master. Raises LocalError while it does not lead."""
        leading = master_api.leader([MASTER_PORT], self.ip(CONTROL))
        if leading is None:
            raise LocalError("no master leads at present")
        return f"http://{leading}"

    def master_state(self) -> Any:
        """The master's /state. Raises OSError."""
        return master_api.get(f"{self.master_url}/state")

    def operator_call(self, body: dict[str, Any]) -> Any:
        """One call of the master's operator API, as ``admin``. Raises OSError."""
        leading = self.master_url.removeprefix("http://")
        return master_api.call(leading, body, spec.ADMIN, self.secret(spec.ADMIN))

    def secret(self, principal: str) -> str:
        """The secret of a principal. Raises LocalError when there is none."""
        known = acls.read_credentials(self.places(CONTROL).credentials)
        if principal not in known:
            raise LocalError(f"no principal {principal!r}; known: {', '.join(known)}")
        return known[principal]

    @property
    def executor_user(self) -> str:
        """The user as whom executors run."""
        return requirements.ensure_user(self.settings)

    # ------------------------------------------------------------------ the network

    def namespace(self, name: str) -> str:
        """The namespace of a host."""
        return f"esaas-{self._id}-{name}"

    def _link(self, name: str) -> str:
        number = 0 if name == CONTROL else int(name.rpartition("-")[2])
        return f"es{self._id}-{number}"     # at most 15 characters

    @property
    def _bridge_name(self) -> str:
        return f"es{self._id}-br"

    def _bridge(self) -> None:
        ip_link("add", self._bridge_name, "type", "bridge")
        ip_link("set", self._bridge_name, "up")
        self._attach([], self._bridge_name, self.outside)

    def _namespace(self, name: str) -> None:
        namespace, link = self.namespace(name), self._link(name)
        run_ip("netns", "add", namespace)
        ip_link("add", link, "type", "veth", "peer", "name", INSIDE, "netns", namespace)
        ip_link("set", link, "master", self._bridge_name, "up")
        for device in ("lo", INSIDE):
            run_ip("-n", namespace, "link", "set", device, "up")
        self._attach(["ip", "netns", "exec", namespace], INSIDE, self.ip(name))

    def _attach(self, where: list[str], device: str, address: str) -> None:
        """Give a device its address, and have it lead to the others."""
        route_loopback(where, device)
        run([*where, "ip", "address", "add", f"{address}/{self._network.prefixlen}", "dev", device])
        # In the table that is looked at first, where 127/8 leads to lo.
        run([*where, "ip", "route", "add", str(self._network), "dev", device, "src", address,
             "table", "local"])

    # ------------------------------------------------------------------------- the end

    def remove(self) -> None:
        """End every process of every host, then remove links, namespaces and state.

        Raises LocalError when a process is left over.
        """
        for name in reversed(self._names):      # agents first
            record = self.places(name).running
            if record.exists():
                running = load_running(record)
                daemons.end(running.daemons.values(), daemons.KILL_TIMEOUT_S)
                daemons.end_marked(running.id, daemons.KILL_TIMEOUT_S)
        made = [name for name in self._names if self.namespace(name) in namespaces()]
        left = [f"process {pid} in {name}" for name in made for pid in self.processes(name)]
        for name in self._names:
            self._forget(name)
        if self._bridge_name in devices():
            ip_link("del", self._bridge_name)
        self._names = []
        shutil.rmtree(self.root)
        if left:
            raise LocalError("left over", left)


    def _forget(self, name: str) -> None:
        if self._link(name) in devices():
            ip_link("del", self._link(name))    # and its other end
        if self.namespace(name) in namespaces():
            run_ip("netns", "del", self.namespace(name))


def run(command: list[str]) -> str:
    """What a command says. Raises LocalError when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=COMMAND_TIMEOUT_S, env=os.environ | {"PATH": SYSTEM_PATH})
    except FileNotFoundError as error:
        raise LocalError(f"{command[0]} is missing: install iproute2") from error
    if done.returncode != 0:
        raise LocalError(f"{' '.join(command)} failed", done.stderr.strip().splitlines())
    return done.stdout


def run_ip(*words: str) -> str:
    """``ip``. Raises LocalError when it fails."""
    return run(["ip", *words])


def ip_link(*words: str) -> None:
    """``ip link``. Raises LocalError when it fails."""
    run_ip("link", *words)


def route_loopback(where: list[str], device: str) -> None:
    """Let a device carry addresses of 127/8; ``where`` goes before a command. Raises LocalError."""
    run([*where, "sh", "-c", f"echo 1 > /proc/sys/net/ipv4/conf/{device}/route_localnet"])


def devices() -> set[str]:
    """The network devices of this machine."""
    return {each["ifname"] for each in json.loads(run_ip("-j", "link", "show"))}


def namespaces() -> set[str]:
    """The network namespaces that have names."""
    return {each["name"] for each in json.loads(run_ip("-j", "netns", "list") or "[]")}


def free_range() -> ipaddress.IPv4Network:
    """A network that nothing here leads to. Raises LocalError when there is none."""
    routes = json.loads(run_ip("-4", "-j", "route", "show", "table", "all"))
    taken = [network for each in routes if each["dst"] != "default"
             and (network := ipaddress.IPv4Network(each["dst"])) != WHOLE_LOOPBACK]
    for text in RANGES:
        network = ipaddress.IPv4Network(text)
        if not any(network.overlaps(other) for other in taken):
            return network
    raise LocalError("no free range of addresses for the hosts")


def refusal() -> str | None:
    """Why there can be no namespaces here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"es{secrets.token_hex(3)}"
    try:
        run_ip("netns", "add", probe)
        try:
            ip_link("add", f"{probe}-br", "type", "bridge")
            ip_link("del", f"{probe}-br")
            ip_link("add", f"{probe}-0", "type", "veth", "peer", "name", INSIDE, "netns", probe)
            route_loopback(["ip", "netns", "exec", probe], INSIDE)
            ip_link("del", f"{probe}-0")
        finally:
            run_ip("netns", "del", probe)
    except LocalError as error:
        return f"no network namespaces here: {error}"
    return None
