"""What a data centre in a box consists of; checked as a whole, all faults at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import LocalError

ADMIN = "admin"  # the principal that may do every operator call
ANY_ROLE = "*"
# Task ports: below the kernel's range for outgoing connections, which starts at 32768.
FIRST_TASK_PORT, FIRST_TASK_PORT_OF_MANY, PORTS_PER_AGENT = 31100, 20000, 100
AGENTS_FROM_FIRST = 16
MAX_PORT = 65535


class Model(BaseModel):
    """A frozen record that knows all its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Disk(Model):
    """A disk of an agent besides its root disk.

    ``path`` is its root directory, for a MOUNT disk a mount point. By default it is one under
    the agent's own directory; for a MOUNT disk that is bound to itself, which needs root.
    """

    type: Literal["PATH", "MOUNT"]
    size_mb: int = Field(gt=0)
    path: str | None = None


class AgentSize(Model):
    """How large agents are."""

    cpus: float = Field(default=4, gt=0)
    mem_mb: int = Field(default=4096, gt=0)
    disk_mb: int = Field(default=20_000, gt=0)


class AgentSpec(Model):
    """One agent: its host name, resources (cpus, MB, an inclusive port range), attributes."""

    hostname: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    cpus: float = Field(default=4, gt=0)
    mem_mb: int = Field(default=4096, gt=0)
    disk_mb: int = Field(default=20_000, gt=0)
    ports: tuple[int, int]
    attributes: dict[str, str] = Field(default_factory=dict)
    disks: tuple[Disk, ...] = ()

    @model_validator(mode="after")
    def _ports_in_order(self) -> AgentSpec:
        first, last = self.ports
        if not 1 <= first <= last <= MAX_PORT:
            raise ValueError(f"ports {first}-{last} of {self.hostname} are no range")
        return self

    def attributes_text(self) -> str:
        """Mesos' text: ``rack:rack-1;zone:a``."""
        return ";".join(f"{name}:{value}" for name, value in self.attributes.items())

    def resources_text(self, disk_roots: Sequence[Path] = ()) -> str:
        """Mesos' text of the resources; JSON when there are disks besides the root disk.

        ``disk_roots`` has the directory of each of them, in order.
        """
        first, last = self.ports
        if not self.disks:
            return (
                f"cpus:{self.cpus:g};mem:{self.mem_mb};disk:{self.disk_mb};ports:[{first}-{last}]"
            )
        ports = {"range": [{"begin": first, "end": last}]}
        resources = [
            _scalar("cpus", self.cpus),
            _scalar("mem", self.mem_mb),
            _scalar("disk", self.disk_mb),
            {"name": "ports", "type": "RANGES", "ranges": ports},
        ]
        for disk, root in zip(self.disks, disk_roots, strict=True):
            source = {"type": disk.type, disk.type.lower(): {"root": str(root)}}
            resources.append(_scalar("disk", disk.size_mb) | {"disk": {"source": source}})
        return json.dumps(resources)


def _scalar(name: str, value: float) -> dict[str, object]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


class DataCentreSpec(Model):
    """Everything about a data centre that its state file remembers."""

    agents: tuple[AgentSpec, ...]
    masters: int = Field(default=1, ge=1, le=7)
    zookeeper: bool = False
    # principal -> its roles; empty: no authentication
    principals: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    many_in_one: bool = False
    fast_failure: bool = False
    disk_du: bool = False

    @model_validator(mode="after")
    def _whole(self) -> DataCentreSpec:
        problems = []
        if self.masters > 1 and not self.zookeeper:
            problems.append("several masters need ZooKeeper")
        if self.masters % 2 == 0:
            problems.append(f"{self.masters} masters: an even number adds no safety")
        if ADMIN in self.principals:
            problems.append(f"the principal {ADMIN!r} exists by itself")
        ranges = sorted((*agent.ports, agent.hostname) for agent in self.agents)
        for one, other in pairwise(ranges):
            if other[0] <= one[1]:
                problems.append(f"task ports of {one[2]} and {other[2]} overlap")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def build_size(cpus: float, mem_mb: int, disk_mb: int) -> AgentSize:
    """A checked size. Raises LocalError that lists everything wrong with it."""
    try:
        return AgentSize(cpus=cpus, mem_mb=mem_mb, disk_mb=disk_mb)
    except ValidationError as error:
        raise LocalError("no agent is of this size", validation_problems(error)) from error


def default_agent(
    k: int, size: AgentSize | None = None, first_port: int = FIRST_TASK_PORT
) -> AgentSpec:
    """The agent number k (from 1): ``agent-k`` in ``rack-k`` with its own 100 task ports."""
    first = first_port + (k - 1) * PORTS_PER_AGENT
    size = size or AgentSize()
    return AgentSpec(
        hostname=f"agent-{k}", ports=(first, first + PORTS_PER_AGENT - 1),
        attributes={"rack": f"rack-{k}"}, **size.model_dump(),
    )  # fmt: skip


def default_agents(
    count: int, size: AgentSize | None = None, *, first_port: int | None = None,
    known: Sequence[AgentSpec] = (),
) -> tuple[AgentSpec, ...]:  # fmt: skip
    """So many agents: the known ones as they are, then default ones.

    Task ports start at 31100, with more than 16 agents at 20000, or where the known ones start.
    """
    few = count <= AGENTS_FROM_FIRST
    first = FIRST_TASK_PORT if few else FIRST_TASK_PORT_OF_MANY
    first = first_port or (known[0].ports[0] if known else first)
    new = range(len(known) + 1, count + 1)
    return (*known[:count], *(default_agent(k, size, first) for k in new))


def build_spec(stored: DataCentreSpec | None, changes: Mapping[str, Any]) -> DataCentreSpec:
    """A checked spec: the changes over what is stored, or over the defaults.

    A change of None keeps what there is. Raises LocalError that lists everything wrong.
    """
    fields = {name: getattr(stored, name) for name in DataCentreSpec.model_fields if stored}
    fields |= {name: value for name, value in changes.items() if value is not None}
    if fields.get("masters", 1) > 1:
        fields["zookeeper"] = True
    try:
        return DataCentreSpec(**fields)
    except ValidationError as error:
        raise LocalError("this data centre cannot be", validation_problems(error)) from error


def validation_problems(error: ValidationError) -> list[str]:
    """One line for each fault that pydantic found, or that a check of ours listed in one."""
    return [
        ": ".join(filter(None, [".".join(map(str, fault["loc"])), text]))
        for fault in error.errors()
        for text in fault["msg"].removeprefix("Value error, ").split("; ")
    ]


def parse_principals(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``NAME=ROLE`` texts as principals with their roles; a name may come again.

    Raises LocalError that lists every text that is not of this form.
    """
    principals: dict[str, tuple[str, ...]] = {}
    problems = []
    for text in texts:
        name, equals, role = text.partition("=")
        if not (name and equals and role):
            problems.append(f"{text!r} is not NAME=ROLE")
        else:
            principals[name] = (*principals.get(name, ()), role)
    if problems:
        raise LocalError("principals must be given as NAME=ROLE", problems)
    return principals


def changes_refused(stored: DataCentreSpec, wanted: DataCentreSpec, running: bool) -> list[str]:
    """Why an existing data centre cannot become another; agents may only be added.

    ``running``: whether masters run, which read their flags only when they start.
    """
    reasons = []
    for name in ("masters", "zookeeper", "many_in_one"):
        old, new = getattr(stored, name), getattr(wanted, name)
        if old != new:
            reasons.append(f"{name} is {old}, not {new}")
    for name in ("principals", "fast_failure"):
        if running and getattr(stored, name) != getattr(wanted, name):
            reasons.append(f"{name} cannot change while masters run: esaas local down first")
    if len(wanted.agents) < len(stored.agents):
        reasons.append(f"there are {len(stored.agents)} agents, not {len(wanted.agents)}")
    for old_agent, new_agent in zip(stored.agents, wanted.agents, strict=False):
        if old_agent != new_agent:
            reasons.append(f"{old_agent.hostname} differs from what it was")
    return reasons
