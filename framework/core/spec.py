"""What a person wants: a cluster, its node groups and their placement.

A spec is a value: parsed and checked once, never changed. ``parse_spec`` reports every fault of a
body at once, each with its path.
"""
from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from .alerts.policy import AlertPolicy
from .autoscale_spec import Autoscale
from .constraints import from_lists, parse
from .errors import EsaasError, Fault
from .hours import PATTERN as HOURS
from .hours import within
from .housekeeping_spec import Housekeeping
from .snapshot_spec import Snapshots

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$|^[a-z]$",
                            description="lower case letters, digits and dashes, at most 40")]
Role = Literal["master", "data", "ingest"]


def _plain(value: Any) -> Any:
    """One fault for a bad value instead of one per type; only what every record can hold."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, (str, int, float, bool, type(None))):
            raise ValueError("a setting is text, a number, true, false, null or a list of these, "
                             f"found {type(item).__name__}")
        if isinstance(item, (int, float)) and not abs(item) < 2**63:       # nor is NaN
            raise ValueError(f"a number too large for a setting: {item}")
    return value


Scalar = str | int | float | bool | None
SettingValue = Annotated[Scalar | list[Scalar], BeforeValidator(_plain)]

MAX_HEAP_MB = 31 * 1024         # above it the JVM loses compressed object pointers
MIN_HEAP_MB = 128
EXECUTOR_CPUS = 0.1             # what the executor itself takes, beside the node's task
EXECUTOR_MEM_MB = 64
MAX_SIZE_MB = 2**40             # an exabyte: any record can hold the number
MAX_FILE_CHARS = 100_000
MAX_FILES_BYTES = 200_000       # of all contents together: they go into each task
OWN_FILES = ("elasticsearch.yml", "jvm.options", "elasticsearch.keystore", "unicast_hosts.txt")
SUPPORTED_MAJORS = (6, 7, 8, 9)
OLDEST_MINOR = {6: 8}           # of a major; the executor has no dialect for older ones
# Set by the scheduler or the executor; a spec that names one of them would break the cluster.
# All that the executor refuses (executor/dialect.py; a contract test compares the two), and the
# gateway settings, which follow the number of nodes.
RESERVED_SETTINGS = (
    r"cluster\.(name|initial_master_nodes)",
    r"node\.(name|roles|master|data|ingest|voting_only)", r"path\.(data|logs|conf|home)",
    r"network\.(host|bind_host)", r"http\.(host|bind_host|port)",
    r"transport\.(?!compress|tcp\.compress|ping_schedule|tracer\.|connections_per_node\.).*",
    r"discovery\.(?!initial_state_timeout|zen\.(fd\.|publish_timeout|commit_timeout)).*",
    r"gateway\.(expected|recover_after).*")
_RESERVED = re.compile(rf"(?:{'|'.join(RESERVED_SETTINGS)})(?:\.\d+)?")   # key.0: of a list
# Set by the executor, too, on a secured cluster; a contract test compares the two.
SECURED_SETTINGS = r"xpack\.(security|ssl)\..*"
SECURED_FILES = ("ca.crt", "node.crt", "node.key", "users", "users_roles")
# From these on security is part of the free licence.
FIRST_SECURED = {6: (6, 8), 7: (7, 1)}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpecFaults(EsaasError, ValueError):
    """Everything that is wrong with a body, at once."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in faults))
        self.faults = faults


class Distribution(_Model):
    """An Elasticsearch zip of one's own, instead of a version that the service knows."""

    url: str = Field(pattern=r"^(https?|file)://.+")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Heap(_Model):
    """How much of a node's memory is the JVM's heap: a share of ``mem_mb``, or a fixed size."""

    percent: int = Field(50, ge=10, le=90)
    mb: int | None = Field(None, ge=MIN_HEAP_MB, le=MAX_HEAP_MB)


class Placement(_Model):
    """Where the nodes of a group may go."""

    max_per_host: int | None = Field(
        None, ge=1, description="nodes of the cluster on one host; default: the replica count")
    spread_by: str | None = Field("rack", description="agent attribute to spread over")
    constraints: str | None = Field(None, description="for instance: hostname UNIQUE")

    @field_validator("constraints", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        if isinstance(value, list):
            if not all(isinstance(rule, list) and 2 <= len(rule) <= 3 for rule in value):
                raise ValueError('a list of constraints looks like [["rack", "GROUP_BY", "3"]]')
            value = from_lists(value)
        if isinstance(value, str):
            value = value.strip() or None
            if value:
                parse(value)
        return value


class Change(_Model):
    """How a change goes through the cluster, and how much of it may be away meanwhile."""

    strategy: Literal["serial", "parallel", "canary"] = Field(
        "serial", description="one node after another; several that share no shard; or one, then "
        "wait until people let it go on")
    max_down: int = Field(1, ge=1, le=100, description="nodes down at once, with parallel")
    max_extra: int = Field(1, ge=0, le=100, description="nodes beyond the wanted number while "
                           "others are replaced; 0 drains first and starts the new one after")
    on_failure: Literal["roll_back", "hold"] = Field(
        "roll_back", description="when the first node does not start with the change")


class Replacement(_Model):
    """Whether a node that is gone is replaced elsewhere without being asked."""

    after_s: int | None = Field(None, ge=60, le=30 * 86400, description="gone for so long; "
                                "nothing: only people replace nodes")
    per_hour: int = Field(1, ge=1, le=100, description="at most so many in an hour")


class Balance(_Model):
    """What is done about nodes that bear more than their share."""

    mode: Literal["advise", "act"] = Field(
        "advise", description="advise: proposals are shown, people apply them; act: the service "
        "applies them by itself")
    dimension: Literal["store_mb", "shards", "indexing_per_s", "searches_per_s",
                       "time_ms_per_s"] = "store_mb"
    min_gain_percent: int = Field(20, ge=5, le=90, description="of the standard deviation; less "
                                  "is left alone")
    max_moves_per_hour: int = Field(4, ge=1, le=100)
    hours: str = Field("0-24", pattern=HOURS, description="UTC, such as 22-6", examples=["22-6"])

    def at_hour(self, hour: int) -> bool:
        """Whether an hour of the day is among ``hours``."""
        return within(self.hours, hour)


Url = Annotated[str, Field(pattern=r"^(https?|file)://\S+$", max_length=2000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Plugin(_Model):
    """A plugin of Elasticsearch, installed on every node before it starts."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$", examples=["analysis-icu"])
    url: Url | None = Field(None, description="a zip; nothing: the service's catalog, or else "
                            "Elastic's own by name")
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _pinned(self) -> Plugin:
        if (self.url is None) is not (self.sha256 is None):
            raise ValueError("url and sha256 go together: downloads are pinned by their hash")
        return self


class ConfigFile(_Model):
    """A file in the node's configuration directory: a dictionary, synonyms, a script."""

    path: str = Field(max_length=200, examples=["analysis/synonyms.txt"])
    content: str | None = Field(None, max_length=MAX_FILE_CHARS)
    url: Url | None = Field(None, description="where a larger file is")
    sha256: Sha256 | None = None

    @field_validator("path")
    @classmethod
    def _inside(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", value):
            raise ValueError("a path inside the configuration directory, like "
                             "analysis/synonyms.txt")
        if value in OWN_FILES or value.startswith("jvm.options.d/"):
            raise ValueError(f"{value} is written by the service itself; use settings, "
                             "jvm_options, heap or secure settings")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> ConfigFile:
        if (self.content is None) is (self.url is None):
            raise ValueError("either content, or url with sha256")
        if (self.url is None) is not (self.sha256 is None):
            raise ValueError("url and sha256 go together: downloads are pinned by their hash")
        return self


class Remote(_Model):
    """Another cluster that this one may search."""

    name: Name
    cluster: Name | None = Field(None, description="a cluster of this service and tenant: its "
                                 "nodes are followed")
    seeds: tuple[Annotated[str, Field(pattern=r"^[^\s:/]+:[0-9]{1,5}$")], ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Remote:
        if (self.cluster is None) is (not self.seeds):
            raise ValueError("either cluster, or seeds as host:port of its transport")
        return self


class LogTarget(_Model):
    """Where the logs of a cluster's nodes are shipped to, while they run."""

    cluster: Name | None = Field(None, description="a cluster of this service and tenant: its "
                                 "nodes are followed")
    urls: tuple[Annotated[str, Field(pattern=r"^https?://[^\s/,@?#]+$")], ...] = Field(
        (), max_length=20, description="of nodes of any other Elasticsearch",
        examples=[["http://logs.example:9200"]])

    @model_validator(mode="after")
    def _one_target(self) -> LogTarget:
        if (self.cluster is None) is (not self.urls):
            raise ValueError("either cluster, or urls")
        return self


class Security(_Model):
    """Whether nodes speak TLS only, to each other and to clients, and ask for a password."""

    enabled: bool = Field(False, description="for the life of the cluster")
    certificate_days: int = Field(365, ge=7, le=825, description="how long a node's certificate "
                                  "is valid; it is renewed after two thirds of it")


class Uri(_Model):
    """What a sidecar's sandbox gets before its command runs."""

    url: Url
    sha256: Sha256 | None = None
    extract: bool = Field(True, description="unpack zip and tar archives")
    executable: bool = False

    @model_validator(mode="after")
    def _pinned(self) -> Uri:
        if self.sha256 is None and not self.url.startswith("file://"):
            raise ValueError("sha256 is needed: downloads are pinned by their hash")
        return self


class NodeGroup(_Model):
    """Nodes that are alike."""

    name: Name
    kind: Literal["elasticsearch", "sidecar"] = Field(
        "elasticsearch", description="sidecar: a process next to the cluster, such as kibana")
    count: int = Field(ge=0, le=1000)
    roles: tuple[Role, ...] = ("master", "data", "ingest")
    command: str | None = Field(None, max_length=10_000, description="of a sidecar, for the "
                                "shell; ESAAS_PORT, ESAAS_DATA and ESAAS_ES_URLS are set")
    uris: tuple[Uri, ...] = ()
    env: dict[str, str] = {}
    listens: bool = Field(False, description="whether the command answers on ESAAS_PORT: it "
                          "counts as ready when it does")
    cpus: float = Field(1.0, gt=0, le=256)
    mem_mb: int = Field(2048, ge=256, le=MAX_SIZE_MB)
    disk_mb: int = Field(10240, ge=64, le=MAX_SIZE_MB)
    disk_type: Literal["ROOT", "PATH", "MOUNT"] = "ROOT"
    heap: Heap = Heap()
    placement: Placement = Placement()
    settings: dict[str, SettingValue] = {}
    jvm_options: tuple[str, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    autoscale: Autoscale | None = Field(None, description="nothing: only people change count")

    @model_validator(mode="before")
    @classmethod
    def _sidecars_have_no_role(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("kind") == "sidecar":
            return {"roles": ()} | value
        return value

    @field_validator("roles", mode="before")
    @classmethod
    def _roles(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            if len(set(map(str, value))) != len(value):
                raise ValueError("a role is named twice")
            order = ("master", "data", "ingest")
            return tuple(sorted(value, key=lambda r: order.index(r) if r in order else 9))
        return value

    @property
    def heap_mb(self) -> int:
        """The heap of a node of this group, in MB."""
        return self.heap.mb or min(self.mem_mb * self.heap.percent // 100, MAX_HEAP_MB)

    @field_validator("settings")
    @classmethod
    def _settings(cls, value: dict[str, SettingValue]) -> dict[str, SettingValue]:
        return checked_settings(value)

    @field_validator("jvm_options")
    @classmethod
    def _jvm_options(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_jvm_options(value)

    @field_validator("files")
    @classmethod
    def _files(cls, value: tuple[ConfigFile, ...]) -> tuple[ConfigFile, ...]:
        return checked_files(value)

    @field_validator("env")
    @classmethod
    def _env(cls, value: dict[str, str]) -> dict[str, str]:
        odd = sorted(key for key in value
                     if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key)
                     or key.startswith(("ESAAS_", "MESOS_")))
        if odd:
            raise ValueError(f"not names of variables of one's own: {', '.join(odd)}")
        return value

    @property
    def is_sidecar(self) -> bool:
        """Whether it runs something else than Elasticsearch."""
        return self.kind == "sidecar"

    @model_validator(mode="after")
    def _of_its_kind(self) -> NodeGroup:
        alien = ("roles", "settings", "jvm_options", "files") if self.is_sidecar else (
            "command", "uris", "env")
        wrong = [field for field in alien if getattr(self, field)]
        if wrong:
            raise ValueError(f"a group of kind {self.kind} has no {', '.join(wrong)}")
        if self.is_sidecar and not self.command:
            raise ValueError("a sidecar needs a command")
        return self

    @model_validator(mode="after")
    def _scales(self) -> NodeGroup:
        wish = self.autoscale
        if wish is None:
            return self
        if "data" not in self.roles:
            raise ValueError("autoscale: only of groups with the role data; masters are a quorum "
                             "that people choose")
        if not wish.min <= self.count <= wish.max:
            raise ValueError(f"count {self.count} is not from autoscale.min {wish.min} to "
                             f"autoscale.max {wish.max}")
        return self

    @model_validator(mode="after")
    def _heap_fits(self) -> NodeGroup:
        if self.is_sidecar:
            return self
        if self.heap_mb < MIN_HEAP_MB:
            raise ValueError(f"mem_mb {self.mem_mb} leaves a heap of {self.heap_mb} MB, "
                             f"less than {MIN_HEAP_MB}")
        if self.heap_mb >= self.mem_mb:
            raise ValueError(f"a heap of {self.heap_mb} MB needs more than mem_mb {self.mem_mb}")
        spread = f"node.attr.{self.placement.spread_by}"
        if spread in self.settings:
            raise ValueError(f"settings: {spread} is the agents' own attribute, which the nodes "
                             "are spread over")
        return self


class ClusterSpec(_Model):
    """One Elasticsearch cluster of one tenant."""

    name: Name
    tenant: Name
    version: str = Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,5}){2}$", examples=["6.8.23"])
    distribution: Distribution | None = None
    groups: tuple[NodeGroup, ...]
    default_replicas: int = Field(1, ge=1, le=20, description="of new indices")
    settings: dict[str, SettingValue] = {}
    jvm_options: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    remotes: tuple[Remote, ...] = ()
    logs: LogTarget | None = Field(None, description="nothing: logs stay with the agents")
    change: Change = Change()
    replacement: Replacement = Replacement()
    security: Security = Security()
    balance: Balance = Balance()
    snapshots: Snapshots | None = Field(None, description="nothing: as the platform does it")
    housekeeping: Housekeeping = Housekeeping()
    virtual_port: int | None = Field(None, ge=1024, le=65535, description="the port that HAProxy "
                                     "answers on for all nodes; nothing: a free one")
    virtual_roles: tuple[Role, ...] = Field((), description="roles with a virtual port of their "
                                            "own")
    description: str = Field("", max_length=500)
    alerts: AlertPolicy = Field(AlertPolicy(), description="limits of alerts, by rule; what is "
                                "not set is as the service has it")

    @property
    def major(self) -> int:
        """The major version, which decides the dialect."""
        return int(self.version.split(".")[0])

    @property
    def snapshot_wish(self) -> Snapshots | None:
        """What is wanted of snapshots; None when none are."""
        return self.snapshots if self.snapshots is not None and self.snapshots.enabled else None

    @property
    def snapshot_repository(self) -> dict[str, Any] | None:
        """What Elasticsearch is told of the wanted repository; None when none is wanted."""
        wish = self.snapshot_wish
        if wish is None or wish.repository is None:
            return None
        return wish.repository.filled(self.tenant, self.name)

    @property
    def snapshot_place(self) -> str:
        """Where this cluster's snapshots go, to tell whether two write there; empty: nowhere."""
        wish = self.snapshot_wish
        if wish is None or wish.repository is None:
            return ""
        return wish.repository.place(self.tenant, self.name)

    def cluster_settings(self) -> dict[str, SettingValue]:
        """The settings of all nodes, with those that policies bring.

        Elasticsearch writes snapshots only below ``path.repo``, so a repository on a shared disk
        is there.
        """
        settings = {**self.settings, **self.housekeeping.settings}
        wish = self.snapshot_wish
        path = wish.repository.shared_path if wish is not None and wish.repository else None
        if path is None:
            return settings
        said = settings.get("path.repo")
        paths = [*(said if isinstance(said, list) else [said] if said else []), path]
        return {**settings, "path.repo": list(dict.fromkeys(paths))}

    @property
    def scheme(self) -> str:
        """Of the URLs of its nodes."""
        return "https" if self.security.enabled else "http"

    @property
    def masters(self) -> int:
        """How many master-eligible nodes are wanted."""
        return sum(group.count for group in self.groups if "master" in group.roles)

    @property
    def data_nodes(self) -> int:
        """How many data nodes are wanted."""
        return sum(group.count for group in self.groups if "data" in group.roles)

    def group(self, name: str) -> NodeGroup | None:
        """A group by its name."""
        return next((group for group in self.groups if group.name == name), None)

    def files_of(self, group: NodeGroup) -> tuple[ConfigFile, ...]:
        """The files of a group's nodes; its own go before the cluster's of the same path."""
        own = {file.path for file in group.files}
        return (*(file for file in self.files if file.path not in own), *group.files)

    def max_per_host(self, group: NodeGroup) -> int:
        """Nodes of this cluster that may share a host.

        Never more than the replica count, so that a primary and all its replicas do not die
        together, unless the spec says otherwise.
        """
        if group.is_sidecar:
            return group.placement.max_per_host or group.count
        return group.placement.max_per_host or self.default_replicas

    def with_count(self, group_name: str, count: int) -> ClusterSpec:
        """The same spec with another number of nodes in one group."""
        groups = [group.model_dump() | ({"count": count} if group.name == group_name else {})
                  for group in self.groups]
        return parse_spec(self.model_dump() | {"groups": groups})

    @field_validator("settings")
    @classmethod
    def _settings(cls, value: dict[str, SettingValue]) -> dict[str, SettingValue]:
        return checked_settings(value)

    @field_validator("jvm_options")
    @classmethod
    def _jvm_options(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_jvm_options(value)

    @field_validator("virtual_roles")
    @classmethod
    def _roles_once(cls, value: tuple[Role, ...]) -> tuple[Role, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a role is named twice")
        return value

    @field_validator("plugins", "remotes")
    @classmethod
    def _named_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [item.name for item in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return value

    @field_validator("files")
    @classmethod
    def _files(cls, value: tuple[ConfigFile, ...]) -> tuple[ConfigFile, ...]:
        return checked_files(value)

    @field_validator("version")
    @classmethod
    def _version(cls, value: str) -> str:
        major, minor, _ = map(int, value.split("."))
        if major not in SUPPORTED_MAJORS or minor < OLDEST_MINOR.get(major, 0):
            raise ValueError(f"Elasticsearch {value} is not supported; majors: "
                             + ", ".join(map(str, SUPPORTED_MAJORS)) + ", from 6.8 on")
        return value

    @field_validator("groups")
    @classmethod
    def _distinct(cls, value: tuple[NodeGroup, ...]) -> tuple[NodeGroup, ...]:
        if not 1 <= len(value) <= 50:
            raise ValueError(f"between 1 and 50 node groups, found {len(value)}")
        names = [group.name for group in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"node groups must have distinct names; twice: {', '.join(twice)}")
        # Node names are GROUP-NUMBER, so one group's name must not look like another's node.
        clash = [f"{a} and {b}" for a in names for b in names
                 if re.fullmatch(rf"{re.escape(a)}-\d+", b)]
        if clash:
            raise ValueError(f"group names that node names would confuse: {', '.join(clash)}")
        return value

    @model_validator(mode="after")
    def _can_be_secured(self) -> ClusterSpec:
        if not self.security.enabled:
            return self
        wrong = []
        first = FIRST_SECURED.get(self.major, (self.major, 0))
        if tuple(map(int, self.version.split(".")[:2])) < first:
            wrong.append(f"security: Elasticsearch {self.version} has it for a licence only; "
                         f"{first[0]}.{first[1]}.0 and later have it for free")
        if self.remotes:
            wrong.append("security: a secured cluster cannot search others (remotes): nodes "
                         "trust the certificate authority of their own cluster only")
        owners: tuple[ClusterSpec | NodeGroup, ...] = (self, *self.groups)
        taken = sorted({key for owner in owners for key in owner.settings
                        if re.fullmatch(SECURED_SETTINGS, key)})
        if taken:
            wrong.append("settings: set by the service itself on a secured cluster: "
                         + ", ".join(taken))
        own = sorted({file.path for owner in owners for file in owner.files
                      if file.path.partition("/")[0] in SECURED_FILES})
        if own:
            wrong.append("files: written by the service itself on a secured cluster: "
                         + ", ".join(own))
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _set_once(self) -> ClusterSpec:
        owners: tuple[ClusterSpec | NodeGroup, ...] = (self, *self.groups)
        twice = sorted({key for owner in owners for key in owner.settings
                        if key in self.housekeeping.settings})
        if twice:
            raise ValueError(f"settings: set by housekeeping already: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _whole(self) -> ClusterSpec:
        wrong = []
        if self.masters < 1:
            wrong.append("no node has the role master: the cluster could never form")
        if self.data_nodes < 1:
            wrong.append("no node has the role data: the cluster could hold no index")
        elif self.data_nodes < self.default_replicas + 1:
            wrong.append(f"default_replicas {self.default_replicas} needs at least "
                         f"{self.default_replicas + 1} data nodes, found {self.data_nodes}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


def checked_settings(settings: dict[str, SettingValue]) -> dict[str, SettingValue]:
    """Settings without those that the service itself sets; ValueError otherwise."""
    taken = sorted(key for key in settings if _RESERVED.fullmatch(key))
    if taken:
        raise ValueError(f"set by the service itself, not by a spec: {', '.join(taken)}")
    odd = sorted(key for key in settings if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.*-]*", key))
    if odd:
        raise ValueError(f"not names of settings: {', '.join(odd)}")
    return settings


def checked_files(files: tuple[ConfigFile, ...]) -> tuple[ConfigFile, ...]:
    """Files that do not get in each other's way and that a record can hold; ValueError."""
    paths = [file.path for file in files]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
    inside = [path for path in paths for other in paths if path.startswith(f"{other}/")]
    if inside:
        raise ValueError(f"lies inside of another file: {', '.join(inside)}")
    total = sum(len((file.content or "").encode()) for file in files)
    if total > MAX_FILES_BYTES:
        raise ValueError(f"{total} bytes of contents, at most {MAX_FILES_BYTES}: give larger files "
                         "by url and sha256")
    return files


def checked_jvm_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Options of the JVM, one a line, without the heap; ValueError otherwise."""
    for option in options:
        if not re.fullmatch(r"-\S[^\r\n]*", option):
            raise ValueError(f"not an option of the JVM: {option!r}")
        if option.startswith(("-Xms", "-Xmx")):
            raise ValueError(f"{option}: the heap follows mem_mb and heap, set it there")
    return options


def faults_of(error: ValidationError) -> list[Fault]:
    """Pydantic's errors as faults with paths like ``groups[0].count``."""
    found = []
    for item in error.errors(include_url=False, include_context=False):
        path = ""
        for part in item["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        message = item["msg"].removeprefix("Value error, ")
        found.append(Fault(path or "(body)", message, item["type"]))
    return found


def parse_spec(body: Any) -> ClusterSpec:
    """A spec from a decoded body; SpecFaults with every fault otherwise."""
    if not isinstance(body, dict):
        raise SpecFaults([Fault("(body)", "a spec is an object with name, tenant, version, "
                                f"groups; found {type(body).__name__}", "type")])
    try:
        return ClusterSpec.model_validate(body)
    except ValidationError as error:
        raise SpecFaults(faults_of(error)) from error


def parse_text(text: str) -> ClusterSpec:
    """A spec from YAML or JSON text; SpecFaults otherwise."""
    try:
        body = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecFaults([Fault("(body)", f"neither YAML nor JSON: {error}", "syntax")]) from error
    return parse_spec(body)
