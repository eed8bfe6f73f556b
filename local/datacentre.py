"""The data centre in a box: masters, agents and ZooKeeper as processes of this machine.

    with DataCentre("/tmp/box", agents=3) as box:
        box.agent(2).kill()
        box.agent(2).start()

The daemons outlive the process that started them. The state file knows them by process id and
start time, so that another process can end them; their state (agent ids, volumes, the replicated
log) outlives them.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from . import acls, commands, daemons, master_api, mounts, ports, requirements, spec, zookeeper
from .daemons import Daemon, wait_until
from .environment import Places
from .errors import LocalError
from .fetch.mesos import fetch_mesos
from .files import locked, write_atomically
from .ports import LOOPBACK
from .settings import Settings
from .spec import AgentSize, AgentSpec, DataCentreSpec
from .state import State, load_state, save_state

DEFAULT_AGENTS = 3
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0  # for executors; Elasticsearch wants time to close its shards

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """An agent as the leading master sees it."""

    number: int
    hostname: str
    agent_id: str | None
    active: bool
    rack: str | None


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """A daemon as this machine sees it: running, stopped (SIGSTOP) or down."""

    name: str
    condition: str
    pid: int | None
    port: int | None
    log: str


@dataclass(frozen=True, slots=True)
class Status:
    """What there is and how it does."""

    directory: str
    master_address: str
    leader: str | None
    daemons: tuple[DaemonStatus, ...]
    agents: tuple[AgentStatus, ...]
    principals: tuple[str, ...]
    credentials: str | None

    @property
    def running(self) -> bool:
        """Whether every daemon runs."""
        return all(d.condition == "running" for d in self.daemons)


class DataCentre:
    """Masters, agents and perhaps ZooKeeper, with their state in one directory.

    ``agents`` is a number or specs. ``principals`` maps a principal to its role or roles; without
    any, nobody needs to authenticate. Whatever is None stays as a known directory has it; a new
    one gets three agents, one master and nothing else. Raises LocalError that lists everything
    wrong with the arguments.
    """

    def __init__(
        self, directory: Path | str | None = None,
        agents: Sequence[AgentSpec] | int | None = None, *, masters: int | None = None,
        zookeeper: bool | None = None,
        principals: Mapping[str, str | Sequence[str]] | None = None,
        many_in_one: bool | None = None, fast_failure: bool | None = None,
        disk_du: bool | None = None, size: AgentSize | None = None,
        settings: Settings | None = None, report: Report = lambda _: None,
        console: Console | None = None, start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:  # fmt: skip
        self.settings = settings or Settings.load()
        self.places = Places(Path(directory or self.settings.directory).absolute())
        self.start_timeout_s, self.stop_timeout_s = start_timeout_s, stop_timeout_s
        self._report, self._console = report, console
        state = load_state(self.places.state)
        stored = state.spec if state else None
        if agents is None and stored is None:
            agents = DEFAULT_AGENTS
        if isinstance(agents, int):
            known = stored.agents if stored else ()
            agents = spec.default_agents(agents, size, known=known)
        named = principals and {
            name: (roles,) if isinstance(roles, str) else tuple(roles)
            for name, roles in principals.items()
        }
        changes = {
            "agents": agents, "masters": masters, "zookeeper": zookeeper, "principals": named,
            "many_in_one": many_in_one, "fast_failure": fast_failure, "disk_du": disk_du,
        }  # fmt: skip
        self._wanted = spec.build_spec(stored, changes)

    # ------------------------------------------------------------------ all of it

    def up(self) -> DataCentre:
        """Start whatever does not run, wait until all agents are registered.

        Idempotent. Raises LocalError; then whatever this call started is ended again.
        """
        wanted_parts = [requirements.MESOS]
        if self._wanted.zookeeper:
            wanted_parts.append(requirements.ZOOKEEPER)
        requirements.ensure(self.settings, wanted_parts, self._report)
        library = fetch_mesos(self.settings.cache, self._console)
        with self._changing() as holder:
            before = set(holder.state.running())
            holder.grow(self._wanted)
            self._prepare(holder.state)
            try:
                for name in commands.names(holder.state):
                    self._start(holder, name, library)
                self._wait_for_agents(holder.state)
            except BaseException:
                started = [d for n, d in holder.state.daemons.items() if n not in before]
                daemons.end(started, self.stop_timeout_s)
                raise
        return self

    def down(self) -> None:
        """End everything this data centre started, executors included. Its state stays."""
        if not self.places.state.exists():
            return
        with self._changing() as holder:
            state = holder.state
            running = state.running()
            # Agents first: they must not report their executors' end to a master as failures.
            agents = [d for name, d in running.items() if commands.is_agent(name)]
            self._report("ending agents")
            daemons.end(agents, self.stop_timeout_s)
            others = [d for name, d in running.items() if not commands.is_agent(name)]
            self._report("ending executors")
            daemons.end_marked(state.id, self.stop_timeout_s, spare={d.pid for d in others})
            self._report("ending masters")
            daemons.end(others, self.stop_timeout_s)
            daemons.end_marked(state.id, self.stop_timeout_s)
            for k, agent in enumerate(state.spec.agents, 1):
                for disk, root in zip(agent.disks, self.places.disk_roots(k, agent), strict=True):
                    if disk.type == "MOUNT" and disk.path is None:
                        mounts.remove(root)
            holder.update(daemons={})

    def forget(self) -> None:
        """``down``, then delete all state. Raises LocalError for a directory that is not ours."""
        if not self.places.root.exists():
            return
        if not self.places.state.exists() and any(self.places.root.iterdir()):
            raise LocalError(f"{self.places.root} holds no data centre: nothing deleted")
        self.down()
        shutil.rmtree(self.places.root)

    def status(self) -> Status:
        """What runs, who leads, which agents are registered."""
        state = self.state()
        leading = self.leader()
        known = master_api.agents(leading) if leading else {}
        principals = tuple(state.spec.principals)
        return Status(
            directory=str(self.places.root),
            master_address=commands.master_address(state) if state.ports else "",
            leader=leading,
            daemons=tuple(self._daemon_status(state, name) for name in commands.names(state)),
            agents=tuple(
                _agent_status(k, agent, known.get(commands.agent_pid(state, k)))
                for k, agent in enumerate(state.spec.agents, 1)
            ),
            principals=(*principals, spec.ADMIN) if principals else (),
            credentials=str(self.places.credentials) if principals else None,
        )

    def __enter__(self) -> DataCentre:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.down()

    # ----------------------------------------------------------------- its parts

    def agent(self, k: int) -> DaemonHandle:
        """The agent number k, from 1. Raises LocalError when there is none of its own."""
        state = self.state()
        if state.spec.many_in_one:
            raise LocalError("the agents share one process: use daemon('agents')")
        return self.daemon(f"agent-{k}")

    def master(self, k: int) -> DaemonHandle:
        """The master number k, from 1."""
        return self.daemon(f"master-{k}")

    def daemon(self, name: str) -> DaemonHandle:
        """A daemon by name: zookeeper, master-1, agent-1, agents. Raises LocalError."""
        known = commands.names(self.state())
        if name not in known:
            raise LocalError(f"there is no {name}; there are {', '.join(known)}")
        return DaemonHandle(self, name)

    def add_agent(self, agent: AgentSpec | None = None) -> int:
        """Add an agent, start it, wait until it is registered; its number."""
        state = self.state()
        if state.spec.many_in_one:
            raise LocalError("agents cannot join others in one process")
        k = len(state.spec.agents) + 1
        agents = state.spec.agents
        more = (*agents, agent) if agent else spec.default_agents(k, known=agents)
        self._wanted = spec.build_spec(state.spec, {"agents": more})
        self.up()
        return k

    # -------------------------------------------------------------- how to reach it

    @property
    def directory(self) -> Path:
        """Where its state is."""
        return self.places.root

    @property
    def master_address(self) -> str:
        """What a framework is told: ``host:port``, or ``zk://...`` with ZooKeeper."""
        return commands.master_address(self.state())

    @property
    def master_url(self) -> str:
        """``http://host:port`` of the leading master. Raises LocalError when none leads."""
        leading = self.leader()
        if leading is None:
            raise LocalError("no master leads at present")
        return f"http://{leading}"

    @property
    def zookeeper_address(self) -> str | None:
        """``host:port`` of ZooKeeper, or None."""
        port = self.state().ports.get(commands.ZOOKEEPER)
        return f"{LOOPBACK}:{port}" if port else None

    def leader(self) -> str | None:
        """``host:port`` of the leading master, or None."""
        state = self.state()
        running = state.running()
        return master_api.leader(
            port for name, port in state.ports.items()
            if name.startswith("master-") and name in running and not running[name].stopped()
        )  # fmt: skip

    def secret(self, principal: str) -> str:
        """The secret of a principal. Raises LocalError when there is none."""
        known = acls.read_credentials(self.places.credentials)
        if principal not in known:
            raise LocalError(f"no principal {principal!r}; known: {', '.join(known)}")
        return known[principal]

    def operator_call(self, body: dict[str, Any]) -> Any:
        """One call of the master's operator API, as ``admin``. Raises OSError."""
        leading = self.master_url.removeprefix("http://")
        if not self.state().spec.principals:
            return master_api.call(leading, body)
        return master_api.call(leading, body, spec.ADMIN, self.secret(spec.ADMIN))

    def master_state(self) -> Any:
        """The leading master's /state. Raises OSError."""
        return master_api.get(f"{self.master_url}/state")

    @property
    def executor_user(self) -> str:
        """The user as whom executors run."""
        return requirements.ensure_user(self.settings)

    # ------------------------------------------------------------------- inside

    def state(self) -> State:
        """What is on record. Raises LocalError before the first ``up``."""
        state = load_state(self.places.state)
        if state is None:
            raise LocalError(f"there is no data centre in {self.places.root}: esaas local up")
        return state

    @contextmanager
    def _changing(self) -> Iterator[_Holder]:
        """The state, to change it: nobody else does meanwhile; every change is put on record."""
        self.places.root.mkdir(parents=True, exist_ok=True)
        with locked(self.places.lock):
            yield _Holder(self.places.state, self._wanted)

    def _prepare(self, state: State) -> None:
        """Users, directories, credentials."""
        user = requirements.ensure_user(self.settings)
        commands.prepare_executor_cache(self.places, user if self.settings.root else None)
        if principals := state.spec.principals:
            acls.ensure_credentials(self.places.credentials, list(principals))
            rules = acls.build_acls(principals, user)
            write_atomically(self.places.acls, json.dumps(rules, indent=2) + "\n")

    def _start(self, holder: _Holder, name: str, library: Path) -> None:
        """Start one daemon if it does not run, and wait until it serves."""
        known = holder.state.daemons.get(name)
        if known is None or not known.running():
            self._report(f"starting {name}")
            holder.choose_port(name, self._report)
            user = requirements.ensure_user(self.settings) if self.settings.root else None
            command = commands.build(holder.state, self.places, name, library, user)
            known = daemons.spawn(command.argv, command.environment, self.places.log(name))
            holder.update(daemons={**holder.state.daemons, name: known})
        watched = {name: (known, self.places.log(name))}
        port = holder.state.ports[name]
        if name == commands.ZOOKEEPER:
            wait_until(lambda: zookeeper.serving(port), "ZooKeeper", self.start_timeout_s, watched)
        elif name == f"master-{holder.state.spec.masters}":  # the last one
            wait_until(
                lambda: self.leader() is not None, "a leading master", self.start_timeout_s,
                watched,
            )  # fmt: skip

    def _wait_for_agents(self, state: State) -> None:
        wanted = {commands.agent_pid(state, k + 1) for k in range(len(state.spec.agents))}
        watched = {name: (daemon, self.places.log(name)) for name, daemon in state.daemons.items()}

        def registered() -> bool:
            leading = self.leader()
            known = master_api.agents(leading) if leading else {}
            return wanted <= {pid for pid, agent in known.items() if agent["active"]}

        # A stopped agent cannot register; whoever stopped it knows.
        if not any(daemon.stopped() for daemon in state.daemons.values()):
            self._report("waiting for agents")
            wait_until(registered, "all agents to register", self.start_timeout_s, watched)

    def _daemon_status(self, state: State, name: str) -> DaemonStatus:
        daemon = state.daemons.get(name)
        condition = "down"
        if daemon and daemon.running():
            condition = "stopped" if daemon.stopped() else "running"
        return DaemonStatus(
            name, condition, daemon.pid if daemon and condition != "down" else None,
            state.ports.get(name), str(self.places.log(name)),
        )  # fmt: skip

    def start_daemon(self, name: str) -> None:
        """Start one daemon again; does nothing when it runs."""
        library = fetch_mesos(self.settings.cache, self._console)
        with self._changing() as holder:
            self._start(holder, name, library)

    def recorded(self, name: str) -> Daemon:
        """The process on record for a daemon. Raises LocalError when it never started."""
        daemon = self.state().daemons.get(name)
        if daemon is None:
            raise LocalError(f"{name} does not run")
        return daemon


class DaemonHandle:
    """One daemon of a data centre. Methods raise LocalError when it does not run."""

    def __init__(self, centre: DataCentre, name: str) -> None:
        self._centre, self.name = centre, name

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._centre.recorded(self.name).pid

    @property
    def port(self) -> int:
        """The port it serves."""
        return self._centre.state().ports[self.name]

    @property
    def running(self) -> bool:
        """Whether it exists, stopped or not."""
        state = self._centre.state()
        return self.name in state.running()

    def kill(self) -> None:
        """SIGKILL. The executors of an agent live on."""
        daemons.kill(self._centre.recorded(self.name))

    def terminate(self) -> None:
        """SIGTERM and wait. The executors of an agent live on."""
        daemons.end([self._centre.recorded(self.name)], self._centre.stop_timeout_s)

    def stop(self) -> None:
        """SIGSTOP: as if its machine hung."""
        self._centre.recorded(self.name).signal(signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT."""
        self._centre.recorded(self.name).signal(signal.SIGCONT)

    def start(self) -> None:
        """Start it again on its state; returns when it runs, not when it has registered."""
        self._centre.start_daemon(self.name)


class _Holder:
    """The state while it is locked; each change is on record before the next step."""

    def __init__(self, path: Path, wanted: DataCentreSpec) -> None:
        self._path = path
        stored = load_state(path)
        self.state = stored or State.fresh(wanted)
        if stored is None:
            save_state(path, self.state)

    def update(self, **changes: Any) -> None:
        """Change fields and put the state on record."""
        self.state = self.state.model_copy(update=changes)
        save_state(self._path, self.state)

    def grow(self, wanted: DataCentreSpec) -> None:
        """Become what is wanted. Raises LocalError that lists what cannot change."""
        running = any(name.startswith("master-") for name in self.state.running())
        if reasons := spec.changes_refused(self.state.spec, wanted, running):
            raise LocalError(
                "the data centre there is another one (esaas local forget removes it)", reasons
            )
        self.update(spec=wanted)

    def choose_port(self, name: str, report: Report) -> None:
        """Keep a daemon's port when it is free; else take another and say so.

        Raises LocalError for an agent that already has state: Mesos binds its id to its port.
        """
        known = self.state.ports.get(name)
        first = known or commands.preferred_port(name)
        if known and not ports.is_free(known) and commands.is_agent(name):
            raise LocalError(f"port {known} of {name} is held by {ports.holder(known)}")
        taken = [port for other, port in self.state.ports.items() if other != name]
        port = ports.choose(first, taken)
        if port != first:
            why = "is in use here" if first in taken else f"is held by {ports.holder(first)}"
            report(f"port {first} {why}: {name} takes {port}")
        self.update(ports={**self.state.ports, name: port})


def _agent_status(k: int, agent: AgentSpec, known: Mapping[str, Any] | None) -> AgentStatus:
    return AgentStatus(
        k, agent.hostname, known["id"] if known else None, bool(known and known["active"]),
        agent.attributes.get("rack"),
    )  # fmt: skip
