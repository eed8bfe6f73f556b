"""The settings of ``esaas serve``: built once, handed down; nothing else reads the environment."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from .core.snapshot_spec import Snapshots
from .sinks import AlertSettings
from .store.opening import parse_address

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def read_file(path: Path, *, private: bool = False) -> dict[str, Any]:
    """An object from a file of JSON or YAML; ValueError that shows nothing of what stands there.

    ``private``: refused when others than its owner can read it.
    """
    import yaml

    try:
        if private and path.stat().st_mode & 0o077:
            raise ValueError(f"{path} can be read by others: chmod 600 it")
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # The text may hold a secret: the place of the fault is told, not what stands there.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"{path} is neither JSON nor YAML{where}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold an object, not {type(value).__name__}")
    return value


class MesosCredentials(BaseModel):
    """Who a tenant's frameworks are to Mesos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    principal: str
    secret: SecretStr


class StoreCredentials(BaseModel):
    """Who the service is to ZooKeeper; nobody else sees or changes what it stores."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = Field(pattern=r"^[^:\s]+$")
    password: SecretStr = Field(min_length=1)

    def pair(self) -> tuple[str, str]:
        """User and password."""
        return self.user, self.password.get_secret_value()


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
    store: str | None = Field(
        None, description="zk://host:port,.../path; None: embedded, under state_dir")
    store_credentials: StoreCredentials | None = None
    secret_key_file: Path | None = Field(
        None, description="the key of secure settings; None: secret.key in state_dir")
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(8080, ge=0, le=65535)
    advertise_url: str | None = Field(
        None, description="how agents reach this service; default: from listen_host and port")
    executor_user: str | None = Field(
        None, description="the user that executors and Elasticsearch run as; None: the agent's")
    executor_python: str = "python3"
    credentials: dict[str, MesosCredentials] = Field(
        {}, description="by tenant; '*' for all others")
    operator_credentials: MesosCredentials | None = Field(
        None, description="who sets quota by the master's operator API; None: without credentials")
    agent_credentials: MesosCredentials | None = Field(
        None, description="who reads logs and figures from agents; None: without credentials")
    distributions: dict[str, KnownDistribution] = {}
    plugins: dict[str, dict[str, KnownDistribution]] = Field(
        {}, description="by name, then by version of Elasticsearch")
    failover_timeout_s: float = Field(4 * 7 * 86400, ge=86400, description="weeks (trap 2)")
    observe_busy_s: float = Field(1.0, gt=0)
    observe_idle_s: float = Field(5.0, gt=0)
    measure_s: float = Field(15.0, ge=1, le=300, description="time between two measurements of a "
                             "cluster's nodes")
    graphite: str | None = Field(None, pattern=r"^[^\s:/]+:[0-9]{1,5}$", description="host:port; "
                                 "figures are sent there as plain text")
    graphite_prefix: str = Field("esaas", pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")
    oplog_keep_s: float = Field(400 * 86400.0, ge=86400, description="the operation log is kept "
                                "for so long")
    alerts: AlertSettings = Field(AlertSettings(), description="where notifications go, and "
                                  "limits for all clusters")
    snapshots: Snapshots | None = Field(None, description="of clusters whose specs say nothing of "
                                        "snapshots")
    log_json: bool = False
    login: bool = Field(True, description="False: whoever reaches the service is an admin; only "
                        "on loopback")
    admin_token_file: Path | None = Field(
        None, description="holds a token of admin role that is good while this process runs")
    tls_cert: Path | None = Field(None, description="PEM: the certificate and those above it")
    tls_key: Path | None = Field(None, description="PEM, not encrypted")
    peer_ca: Path | None = Field(None, description="PEM: what signs the certificates of the other "
                                 "processes; default: tls_cert")
    virtual_ports: tuple[int, int] | None = Field(
        None, description="first and last port that clusters get for HAProxy; None: they get none")
    failpoint: str | None = Field(
        None, description="for tests: STAGE:N kills this process at the N-th pass of STAGE")

    @property
    def peer_ca_file(self) -> str | None:
        """What the certificates of the other processes are checked with; None: as the system."""
        chosen = self.peer_ca or self.tls_cert
        return str(chosen) if chosen is not None else None

    @model_validator(mode="after")
    def _no_login_stays_inside(self) -> Self:
        if not self.login and self.listen_host not in LOOPBACK_NAMES:
            raise ValueError("without login (--no-login) the service listens on loopback only")
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key belong together")
        return self

    @model_validator(mode="after")
    def _executor_is_not_root(self) -> Self:
        if self.executor_user == "root":
            raise ValueError("executor_user must not be root: Elasticsearch refuses to run as root")
        return self

    @field_validator("virtual_ports", mode="before")
    @classmethod
    def _is_a_range(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value == "none":
            return None
        first, dash, last = value.partition("-")
        if not (dash and first.isdecimal() and last.isdecimal()
                and 1024 <= int(first) <= int(last) <= 65535):
            raise ValueError("FIRST-LAST, from 1024 to 65535, such as 20000-20999, or none")
        return int(first), int(last)

    @field_validator("store")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            parse_address(value)
        return value

    @model_validator(mode="after")
    def _credentials_have_a_store(self) -> Self:
        if self.store_credentials is not None and self.store is None:
            raise ValueError("store_credentials are for a store in ZooKeeper: name one in store")
        return self

    @property
    def key_path(self) -> Path:
        """Where the key of secure settings is."""
        return self.secret_key_file or self.state_dir / "secret.key"

    def credentials_of(self, tenant: str) -> MesosCredentials | None:
        """The Mesos principal and secret that a tenant's frameworks use."""
        return self.credentials.get(tenant) or self.credentials.get("*")
