"""What the service shows of nodes' logs: read-only models for API, CLI and UI."""
from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class LogFileView(_View):
    """A log in a node's sandbox."""

    name: str = Field(examples=["demo.log"])
    size: int = Field(description="bytes")
    modified_at: float


class ShippingView(_View):
    """How far the logs of a launch have been shipped, as its executor has written it down."""

    shipped: int = Field(description="documents that the target has taken")
    refused: int = Field(description="documents that it refused for good")
    behind_bytes: int = Field(description="what is in the logs and was not taken yet")
    error: str = Field(description="why nothing can be sent now; empty: it can")
    told_at: float


class LogLaunchView(_View):
    """One launch of a node, and the logs that it has left on its agent."""

    launch: str = Field(description="the number of its volume, and of the start on that",
                       examples=["1.3"])
    host: str = Field(description="empty: the master does not know its agent now")
    agent_id: str
    state: str = Field(description="of its task, as Mesos calls it", examples=["TASK_RUNNING"])
    present: bool = Field(description="it is the node's newest launch")
    started_at: float | None = None
    ended_at: float | None = None
    files: list[LogFileView] | None = Field(None, description="null: not looked at, see problem")
    shipping: ShippingView | None = Field(None, description="null: not shipped")
    problem: str = ""


class LogNodeView(_View):
    """A node that is or was, and its launches, the newest first."""

    node: str
    exists: bool = Field(description="false: a former node")
    launches: list[LogLaunchView]


class LogsView(_View):
    """All logs of a cluster that can still be read."""

    cluster: str
    nodes: list[LogNodeView]
    cut: bool = Field(description="there are more launches than were looked at; ask for one node")


class LogTextView(_View):
    """A part of a log."""

    cluster: str
    node: str
    launch: str
    host: str
    file: str
    size: int = Field(description="of the whole file, in bytes")
    offset: int = Field(description="where the text begins, in bytes")
    next_offset: int = Field(description="where the next text begins; to follow the file, ask "
                             "from there on")
    text: str = Field(description="what is no UTF-8 is replaced")
    cut: bool = Field(description="fewer lines than asked for, though the file has more")


class LogHitView(_View):
    """A line that was found."""

    offset: int = Field(description="where it begins, in bytes")
    line: str


class LogHitsView(_View):
    """The newest lines of a log with a text, in the order of the file."""

    cluster: str
    node: str
    launch: str
    host: str
    file: str
    size: int
    text: str
    hits: list[LogHitView]
    found: int = Field(description="lines with the text in what was looked at; only the newest "
                       "of them are in the answer when there are many")
    scanned_from: int = Field(description="what was looked at begins here, in bytes; ask with "
                              "before=this for what is older")
    scanned_to: int
    cut: bool = Field(description="not all of the file was looked at, or not every line that was "
                      "found is in the answer")


@dataclass(frozen=True, slots=True)
class LogAsked:
    """Which log, and what of it.

    ``launch``: as ``1.3``; None: the newest. ``file``: None: Elasticsearch's own log. ``offset``:
    None: the last ``lines``; otherwise ``length`` bytes from there on.
    """

    launch: str | None = None
    file: str | None = None
    lines: int = 100
    offset: int | None = None
    length: int = 64 << 10
