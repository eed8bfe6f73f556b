"""What requests may carry: queries and bodies, checked by pydantic, all faults at once."""
from __future__ import annotations

from typing import Literal

from esaas.framework.core.spec import Name
from esaas.framework.service.hotspot_views import Dimension
from esaas.framework.service.views import OperationKind
from pydantic import BaseModel, ConfigDict, Field, RootModel, StrictBool, StrictStr

MAX_TIMEOUT_S = 30 * 86400
MAX_AHEAD_S = 365 * 86400


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(_Request):
    """No query parameters."""


class ListQuery(_Request):
    """Which clusters."""

    tenant: str | None = Field(None, description="only the clusters of this tenant")


class ChangeQuery(_Request):
    """How a change is made."""

    dry_run: bool = Field(False, description="check only, change nothing")


class HotspotQuery(_Request):
    """What is to be spread."""

    dimension: Dimension | None = Field(None, description="of the proposals; nothing: that of the "
                                        "spec (balance.dimension)")


class ApplyHotspotRequest(_Request):
    """A proposal of the last report."""

    dimension: Dimension | None = None
    proposal: str = Field(pattern=r"^[0-9a-f]{12}$", description="its id")


class LogsQuery(_Request):
    """Whose logs."""

    node: str | None = Field(None, max_length=100, description="only of this node, with all of its "
                             "former launches; it may be gone")


class LogQuery(_Request):
    """Which log of a node."""

    file: str | None = Field(None, max_length=300, description="its name in the list of logs; "
                             "nothing: Elasticsearch's own log", examples=["demo.log"])
    launch: str | None = Field(None, pattern=r"^[0-9]{1,9}\.[0-9]{1,9}$",
                               description="nothing: the newest one", examples=["1.3"])


class LogTextQuery(LogQuery):
    """Which part of it."""

    lines: int = Field(100, ge=1, le=5000, description="the last so many, as far as they fit into "
                       "64 KiB; no meaning with an offset")
    offset: int | None = Field(None, ge=0, le=2**53, description="from this byte on")
    length: int = Field(65536, ge=1, le=65536, description="at most so many bytes, with an offset")


class LogSearchQuery(LogQuery):
    """What is looked for in it, and where."""

    text: str = Field(min_length=1, max_length=200, description="upper and lower case are the same")
    before: int | None = Field(None, ge=0, le=2**53, description="in the 4 MiB before this byte; "
                               "nothing: in the last 4 MiB")


class OverrideQuery(ChangeQuery):
    """How a change is made to a running cluster."""

    override: str | None = Field(None, max_length=100, description="the name of one rule that is "
                                 "not to refuse this change; it is recorded")


class DeleteQuery(_Request):
    """The name once more, so that no slip deletes data."""

    confirm: str = Field(description="the name of the cluster again")


class EventsQuery(_Request):
    """Which events."""

    after: int | None = Field(None, ge=0, description="only those with a higher sequence number; "
                              "without it the newest, or for a stream those from now on")
    limit: int = Field(200, ge=1, le=1000, description="at most so many; no meaning for a stream")


class StreamQuery(_Request):
    """Where a stream starts."""

    after: int | None = Field(None, ge=0, description="replay from this sequence number; the "
                              "header Last-Event-ID takes precedence")


class WaitQuery(_Request):
    """How long to wait for something new."""

    since: str | None = Field(None, max_length=64, description="the version that is known; an "
                              "answer comes at once when it is not this one any more")
    wait_s: float = Field(0.0, ge=0, le=60, allow_inf_nan=False, description="seconds to wait at "
                          "most for another version than `since`; then the same comes again")


class ScaleRequest(_Request):
    """How many nodes a group is to have."""

    group: Name
    count: int = Field(ge=0, le=1000, strict=True)


class RollbackRequest(_Request):
    """Which spec is wanted again."""

    revision: int = Field(ge=1, le=2**53, strict=True, description="the number of the revision")


class ForceRequest(_Request):
    """Which gate people go past, and its name once more."""

    gate: str = Field(max_length=100, examples=["cluster_green"])
    confirm: str = Field(max_length=100, description="the name of the gate again")


class ConfirmRequest(_Request):
    """A name once more, so that no slip destroys a volume."""

    confirm: str = Field(max_length=200, description="the name or id of it again")


class DrainRequest(_Request):
    """How a host is taken out of service."""

    mode: Literal["auto", "move", "stop"] = Field(
        "auto", description="stop: its nodes stop in order and come back with it; move: they go to "
        "other hosts first; auto: stop when it lasts for at most an hour, else move")
    begins_in_s: float = Field(0.0, ge=0, le=MAX_AHEAD_S, allow_inf_nan=False)
    lasts_s: float | None = Field(None, gt=0, le=MAX_AHEAD_S, allow_inf_nan=False,
                                  description="nothing: nobody knows")


class SwitchRequest(_Request):
    """What a switch is set to, and for how long."""

    value: StrictStr | StrictBool = Field(
        description="allocation: all, primaries, new_primaries, none; rebalance: all, primaries, "
        "replicas, none; read_only: true, false", examples=["none"])
    timeout_s: float | None = Field(
        None, gt=0, le=MAX_TIMEOUT_S, allow_inf_nan=False,
        description="it goes back by itself after so long; nothing: when somebody asks for it")

    @property
    def text(self) -> str:
        """The value as text; JSON booleans are those of ``read_only``."""
        return str(self.value).lower() if isinstance(self.value, bool) else self.value


class RunRequest(_Request):
    """Something to do once; the fields beside ``kind`` are its parameters."""

    kind: OperationKind
    index: str | None = Field(None, max_length=1000, description="of flush, clear_cache and "
                              "force_merge, and of restore; nothing: all indices",
                              examples=["logs-*"])
    kinds: tuple[Literal["query", "request", "fielddata"], ...] | None = Field(
        None, description="of clear_cache; nothing: all of them")
    max_segments: int | None = Field(None, ge=1, le=1000, strict=True,
                                     description="of force_merge; nothing: as it sees fit")
    snapshot: str | None = Field(None, max_length=300, description="of restore: its name")
    prefix: str | None = Field(None, max_length=100, description="of restore: how the names of "
                               "the restored indices begin", examples=["restored-"])
    from_cluster: str | None = Field(None, max_length=40, description="of restore: the cluster of "
                                     "this tenant whose snapshot it is; nothing: this one")

    def parameters(self) -> dict[str, object]:
        """The parameters that were given, as the service takes them."""
        found = self.model_dump(mode="json", exclude={"kind"}, exclude_none=True)
        return dict(found)


class SecretsRequest(RootModel[dict[str, StrictStr | None]]):
    """Secure settings: key to text, or to null to take one out. Never shown again."""

    # The text of an error must not quote what was sent, not even in a traceback.
    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)


class NoBody(_Request):
    """Nothing at all, or an object without fields."""
