"""What a host of a data centre is, before anything is done to it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ..errors import LocalError
from ..spec import AgentSpec, DataCentreSpec, Model, validation_problems

ZOOKEEPER_PORT, MASTER_PORT, SERVICE_PORT, AGENT_PORT = 2181, 5050, 8080, 5051
TASK_PORTS = (31000, 31999)
DEFAULT_DIRECTORY = Path("/var/lib/esaas-host")
# Our store in ZooKeeper beside the masters' own path.
STORE_PATH, MASTERS_PATH = "/esaas", "/mesos"
VERSION = "6.8.23"


class Host(Model):
    """One host: the control host with ZooKeeper, master and service, or an agent.

    ``control_ip`` is the address of the control host; memory and disk are in MB.
    """

    kind: Literal["control", "agent"]
    ip: str
    control_ip: str
    hostname: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    rack: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    directory: Path = DEFAULT_DIRECTORY
    tenants: tuple[str, ...] = ()
    fast_failure: bool = False
    cpus: float = Field(default=4, gt=0)
    mem_mb: int = Field(default=4096, gt=0)
    disk_mb: int = Field(default=20_000, gt=0)

    @field_validator("ip", "control_ip")
    @classmethod
    def _is_an_address(cls, text: str) -> str:
        address = ipaddress.IPv4Address(text)
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"{text} is the address of no host")
        return str(address)

    @field_validator("directory")
    @classmethod
    def _is_absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("must be an absolute path: daemons run elsewhere")
        return path

    @model_validator(mode="after")
    def _whole(self) -> Host:
        problems = []
        if self.kind == "control" and self.ip != self.control_ip:
            problems.append("the control host is its own control host")
        if self.kind == "control" and not self.tenants:
            problems.append("the control host needs a tenant: nobody could have a cluster")
        if self.kind == "agent" and not self.rack:
            problems.append("an agent needs a rack")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def zookeeper(self) -> str:
        """``host:port`` of ZooKeeper."""
        return f"{self.control_ip}:{ZOOKEEPER_PORT}"

    @property
    def masters(self) -> str:
        """What agents and frameworks are told."""
        return f"zk://{self.zookeeper}{MASTERS_PATH}"

    @property
    def store(self) -> str:
        """Where the service keeps what it must remember."""
        return f"zk://{self.zookeeper}{STORE_PATH}"

    @property
    def service_url(self) -> str:
        """Where the service answers."""
        return f"http://{self.control_ip}:{SERVICE_PORT}"

    def centre(self) -> DataCentreSpec:
        """This host in the words of a data centre in a box."""
        agents = () if self.kind == "control" else (AgentSpec(
            hostname=self.hostname, cpus=self.cpus, mem_mb=self.mem_mb, disk_mb=self.disk_mb,
            ports=TASK_PORTS, attributes={"rack": self.rack},
        ),)  # fmt: skip
        return DataCentreSpec(
            agents=agents, zookeeper=True, fast_failure=self.fast_failure,
            principals={tenant: (tenant,) for tenant in self.tenants},
        )  # fmt: skip


def build_host(fields: dict[str, Any]) -> Host:
    """A checked host. Raises LocalError that lists everything wrong with it."""
    try:
        return Host(**fields)
    except ValidationError as error:
        raise LocalError("this host cannot be", validation_problems(error)) from error
