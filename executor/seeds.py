"""Files of seeds, which their readers read again while they run."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from esaas.framework.proto import esaas_pb2

# Elasticsearch reads it from its configuration directory at every round of discovery.
FILE_NAME = "unicast_hosts.txt"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader sees the old text or the new one. Raises ``OSError``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def transport_addresses(seeds: esaas_pb2.Seeds) -> Iterable[str]:
    """What Elasticsearch reads: host:port of the transport."""
    return seeds.addresses


def http_urls(seeds: esaas_pb2.Seeds) -> Iterable[str]:
    """What sidecars read: URLs of the same nodes."""
    return seeds.http_urls


class SeedsFile:
    """A file with one of the seeds on each line; knows the generation it holds."""

    def __init__(self, path: Path, first: esaas_pb2.Seeds,
                 lines: Callable[[esaas_pb2.Seeds], Iterable[str]] = transport_addresses) -> None:
        self._path = path
        self._lines = lines
        self.generation = first.generation
        self._write(first)

    def update(self, seeds: esaas_pb2.Seeds) -> bool:
        """Write newer seeds; False when they are older than what the file holds.

        Raises ``OSError``; the file then still holds the older seeds.
        """
        if seeds.generation < self.generation:
            return False
        self._write(seeds)
        self.generation = seeds.generation
        return True

    def _write(self, seeds: esaas_pb2.Seeds) -> None:
        write_atomically(self._path, "".join(f"{line}\n" for line in self._lines(seeds)))
