"""Readings to Graphite, as plain text over TCP: never in the way, with patience when it is away.

Source: Graphite documentation, "Feeding In Your Data" (the plaintext protocol).
"""
from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Iterator, Sequence

import structlog

from .readings import Reading, Scope

log = structlog.get_logger(__name__)

MAX_LINES = 100_000                 # that wait; then the oldest are lost
BATCH = 2000
CONNECT_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
_ODD = re.compile(r"[^A-Za-z0-9_-]")


def lines_of(prefix: str, reading: Reading) -> Iterator[str]:
    """``PREFIX.SCOPE[.CLUSTER][.NAME].METRIC VALUE SECONDS``; dots in names become underscores."""
    scope, cluster, name = reading.subject
    parts = [prefix, scope.value] if scope is not Scope.NODE else [prefix, Scope.CLUSTER.value]
    if cluster:
        parts.append(_ODD.sub("_", cluster))
    if scope is Scope.NODE:
        parts.append("nodes")
    if name:
        parts.append(_ODD.sub("_", name))
    path = ".".join(parts)
    for metric, value in reading.values.items():
        yield f"{path}.{metric} {value:.10g} {int(reading.at)}\n"


class Graphite:
    """A bounded queue of lines and one connection; ``take`` is for the board to call."""

    def __init__(self, host: str, port: int, prefix: str, max_lines: int = MAX_LINES) -> None:
        self._address, self._prefix = (host, port), prefix
        self._lines: deque[str] = deque(maxlen=max_lines)
        self._some = asyncio.Event()
        self.lost = 0                       # lines, since the start

    def take(self, readings: Sequence[Reading]) -> None:
        """Have them sent soon; never waits."""
        for reading in readings:
            for line in lines_of(self._prefix, reading):
                self.lost += len(self._lines) == self._lines.maxlen
                self._lines.append(line)
        self._some.set()

    async def run(self) -> None:
        """Send until cancelled; connect again, later each time, when that fails."""
        failures = 0
        while True:
            await self._some.wait()
            try:
                await self._send_all()
                failures = 0
            except (OSError, TimeoutError) as error:
                failures += 1
                pause_s = min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
                log.warning("graphite does not answer", error=str(error) or type(error).__name__,
                            waiting=len(self._lines), lost=self.lost, again_in_s=pause_s)
                await asyncio.sleep(pause_s)

    async def _send_all(self) -> None:
        """One connection, for as long as it lasts; what may not have arrived is sent again."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(*self._address)
        try:
            while True:
                await self._some.wait()
                if reader.at_eof():
                    raise ConnectionResetError("it closed the connection")
                batch = [self._lines[at] for at in range(min(BATCH, len(self._lines)))]
                before = self.lost
                writer.write("".join(batch).encode())
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await writer.drain()
                # What was pushed out meanwhile was at the head, and was of this batch.
                for _ in range(max(len(batch) - (self.lost - before), 0)):
                    self._lines.popleft()
                if not self._lines:
                    self._some.clear()
        finally:
            writer.close()
