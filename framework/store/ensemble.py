"""How the servers of a ZooKeeper fare, by the one four-letter word that they answer by default.

Source: ZooKeeper Administrator's Guide, "The Four Letter Words" (``srvr``).
"""
from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 64 * 1024
DEFAULT_PORT = 2181


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server; ``problem`` says why nothing is known of it."""

    address: str
    mode: str = ""                      # leader, follower, standalone
    version: str = ""
    latency_ms: float | None = None     # mean
    outstanding: int | None = None      # requests that wait
    connections: int | None = None
    nodes: int | None = None            # znodes
    problem: str = ""


async def ask(hosts: str) -> list[ServerStatus]:
    """Every server of ``host:port,host:port``, at the same time; never raises."""
    return list(await asyncio.gather(*(_one(address) for address in hosts.split(","))))


async def _one(address: str) -> ServerStatus:
    host, _, port = address.rpartition(":")
    if not host:
        host, port = port, str(DEFAULT_PORT)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(b"srvr")
                answer = await reader.read(MAX_ANSWER_BYTES)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        return ServerStatus(address, problem=f"does not answer: {error or type(error).__name__}")
    return status_of(address, answer.decode("utf-8", "replace"))


def status_of(address: str, answer: str) -> ServerStatus:
    """What a server says of itself."""
    lines = dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
    if "Mode" not in lines:
        return ServerStatus(address, problem=answer.strip().splitlines()[0][:200] if answer.strip()
                            else "closes the connection without a word")
    latency = _text(lines, "Latency min/avg/max").split("/")
    return ServerStatus(
        address, _text(lines, "Mode"), _text(lines, "Zookeeper version").partition("-")[0],
        _number(latency[1]) if len(latency) == 3 else None,
        _whole(lines, "Outstanding"), _whole(lines, "Connections"), _whole(lines, "Node count"))


def _text(lines: Mapping[str, str], name: str) -> str:
    return lines.get(name, "").strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _whole(lines: Mapping[str, str], name: str) -> int | None:
    number = _number(_text(lines, name))
    return int(number) if number is not None else None
