"""The seeds file: transport addresses that Elasticsearch reads again at every discovery round."""
from __future__ import annotations

import os
from pathlib import Path

from esaas.framework.proto import esaas_pb2

FILE_NAME = "unicast_hosts.txt"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader sees the old text or the new one. Raises ``OSError``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


class SeedsFile:
    """``unicast_hosts.txt`` of one node; knows the generation it holds."""

    def __init__(self, config_dir: Path, first: esaas_pb2.Seeds) -> None:
        self._path = config_dir / FILE_NAME
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
        write_atomically(self._path, "".join(f"{address}\n" for address in seeds.addresses))
