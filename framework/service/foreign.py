"""Clusters that other processes of this service run, as those last told of them."""
from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from .views import ClusterSummary, EndpointsView, MaintenanceView, SeatView


class Member(BaseModel):
    """What a process says of itself to the others; ``url`` is where it answers."""

    model_config = ConfigDict(frozen=True)

    url: str
    started_at: float


class Word(BaseModel):
    """One line that a process tells the others: a cluster of its own, as it is or as gone."""

    model_config = ConfigDict(frozen=True)

    name: str
    summary: ClusterSummary | None = None       # None: it does not run there any more
    seeds: tuple[str, ...] = ()
    http_urls: tuple[str, ...] = ()             # of all of its nodes, ready or not
    endpoints: EndpointsView | None = None      # None: a process of an earlier release
    snapshot_place: str = ""                    # where its snapshots go; empty: nowhere
    nodes: list[SeatView] = []
    maintenance: dict[str, MaintenanceView] = {}        # by host


class Foreign:
    """The last word on each cluster of another process."""

    def __init__(self) -> None:
        self.words: dict[str, tuple[str, Word]] = {}    # member and word, by cluster

    def hear(self, member: str, word: Word) -> None:
        """Take note of a word; a word of an owner before does not undo the next one's."""
        if word.summary is not None:
            self.words[word.name] = member, word
        elif self.words.get(word.name, ("", word))[0] == member:
            self.words.pop(word.name, None)

    def forget(self, name: str) -> None:
        """A cluster that runs here, or is no more."""
        self.words.pop(name, None)

    def summaries(self) -> dict[str, ClusterSummary]:
        """By cluster."""
        return {name: word.summary for name, (_, word) in self.words.items()
                if word.summary is not None}

    def seeds(self, name: str) -> tuple[str, ...]:
        """Transport addresses of a cluster's nodes; empty when unknown."""
        found = self.words.get(name)
        return found[1].seeds if found is not None else ()

    def http_urls(self, name: str) -> tuple[str, ...]:
        """URLs of a cluster's nodes; empty when unknown."""
        found = self.words.get(name)
        return found[1].http_urls if found is not None else ()

    def snapshot_places(self) -> dict[str, str]:
        """Where snapshots of others go, by cluster."""
        return {name: word.snapshot_place for name, (_, word) in self.words.items()}

    def endpoints(self, name: str) -> EndpointsView | None:
        """Where a cluster is reached; None when unknown."""
        found = self.words.get(name)
        return found[1].endpoints if found is not None else None

    def owner(self, name: str) -> str | None:
        """The process that has told of a cluster."""
        found = self.words.get(name)
        return found[0] if found is not None else None
