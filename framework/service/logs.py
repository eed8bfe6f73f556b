"""Logs of the clusters that run here, for people to read."""
from __future__ import annotations

from .base import Base
from .log_reader import LogReader
from .log_views import LogAsked, LogHitsView, LogsView, LogTextView


class Logs(Base):
    """The part of ``ClusterService`` that reads logs."""

    _log_reader: LogReader

    async def logs(self, name: str, node: str | None = None) -> LogsView:
        """Which logs there are; NotFound, Unavailable."""
        return await self._log_reader.listed(self._loop(name).state, node)

    async def log_text(self, name: str, node: str, asked: LogAsked) -> LogTextView:
        """The end of a log, or a part of it; NotFound, Unavailable."""
        return await self._log_reader.text(self._loop(name).state, node, asked)

    async def log_hits(self, name: str, node: str, asked: LogAsked, wanted: str,
                       before: int | None = None) -> LogHitsView:
        """Lines of a log with a text, within bounds; NotFound, Unavailable."""
        return await self._log_reader.hits(self._loop(name).state, node, asked, wanted, before)
