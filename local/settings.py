"""Where things are kept and as whom we run; the only reader of our environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT_CACHE = Path("/var/cache/esaas")
ROOT_DIRECTORY = Path("/var/lib/esaas-local")
SYSTEM_USER = "esaas"


@dataclass(frozen=True, slots=True)
class Settings:
    """Places and rights of this process."""

    cache: Path  # downloads, shared by all data centres
    directory: Path  # state of the default data centre
    root: bool  # may install packages and switch users
    home: Path

    @classmethod
    def load(
        cls, environment: Mapping[str, str] | None = None, root: bool | None = None
    ) -> Settings:
        """From ESAAS_CACHE_DIR, ESAAS_LOCAL_DIR, the XDG base directories and our rights."""
        env = os.environ if environment is None else environment
        root = os.geteuid() == 0 if root is None else root
        home = Path(env.get("HOME") or Path.home())
        xdg_cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
        xdg_data = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
        cache = Path(env.get("ESAAS_CACHE_DIR") or (ROOT_CACHE if root else xdg_cache / "esaas"))
        directory = Path(
            env.get("ESAAS_LOCAL_DIR") or (ROOT_DIRECTORY if root else xdg_data / "esaas-local")
        )
        return cls(cache.absolute(), directory.absolute(), root, home)
