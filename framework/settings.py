"""The settings of ``esaas serve``: built once, handed down; nothing else reads the environment."""
from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class MesosCredentials(BaseModel):
    """Who a tenant's frameworks are to Mesos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    principal: str
    secret: SecretStr


class KnownDistribution(BaseModel):
    """Where a version of Elasticsearch comes from, for specs that name no distribution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^(https?|file)://.+")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Settings(BaseModel):
    """Everything the service needs to know before it starts; times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mesos_master: str = Field(description="host:port, or zk://host:port,.../path")
    state_dir: Path = Field(description="the embedded store and the executor's file live here")
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(8080, ge=0, le=65535)
    advertise_url: str | None = Field(
        None, description="how agents reach this service; default: from listen_host and port")
    executor_user: str | None = Field(
        None, description="the user that executors and Elasticsearch run as; None: the agent's")
    executor_python: str = "python3"
    credentials: dict[str, MesosCredentials] = Field(
        {}, description="by tenant; '*' for all others")
    distributions: dict[str, KnownDistribution] = {}
    plugins: dict[str, dict[str, KnownDistribution]] = Field(
        {}, description="by name, then by version of Elasticsearch")
    failover_timeout_s: float = Field(4 * 7 * 86400, ge=86400, description="weeks (trap 2)")
    observe_busy_s: float = Field(1.0, gt=0)
    observe_idle_s: float = Field(5.0, gt=0)
    log_json: bool = False
    failpoint: str | None = Field(
        None, description="for tests: STAGE:N kills this process at the N-th pass of STAGE")

    @model_validator(mode="after")
    def _executor_is_not_root(self) -> Self:
        if self.executor_user == "root":
            raise ValueError("executor_user must not be root: Elasticsearch refuses to run as root")
        return self

    def credentials_of(self, tenant: str) -> MesosCredentials | None:
        """The Mesos principal and secret that a tenant's frameworks use."""
        return self.credentials.get(tenant) or self.credentials.get("*")
