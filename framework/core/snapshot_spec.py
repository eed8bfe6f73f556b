"""What a person wants of snapshots: where they go, how often, how many are kept.

Source: Elasticsearch reference of 6.8 and 7.17, "Snapshot and restore", "Register a snapshot
repository".
"""
from __future__ import annotations

import json
import re
from posixpath import normpath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

HOUR_S = 3600
DAY_S = 24 * HOUR_S
PLACES = ("{tenant}", "{cluster}")
# Names or patterns of indices, with commas.
INDICES = re.compile(r"[^\s/\\?\"<>|#]{1,1000}")
# What of a repository's settings says where it is; the others only say how it is used.
_PLACE = ("location", "uri", "path", "endpoint", "bucket", "container", "base_path")
_SECRET = re.compile(r"(secret|password|access_key|token|sas)", re.IGNORECASE)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Repository(_Model):
    """Where snapshots go; ``{tenant}`` and ``{cluster}`` in its settings are filled in."""

    type: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$", examples=["fs"],
                      description="fs, or what a plugin brings: hdfs, s3, gcs, azure")
    settings: dict[str, str | int | float | bool] = Field(
        {}, examples=[{"location": "/mnt/snapshots/{tenant}/{cluster}"}],
        description="of the repository; credentials belong into secure settings")

    @field_validator("settings")
    @classmethod
    def _plain(cls, value: dict[str, Any]) -> dict[str, Any]:
        secret = sorted(key for key in value if _SECRET.search(key))
        if secret:
            raise ValueError(f"credentials belong into secure settings, not here: "
                             f"{', '.join(secret)}")
        odd = sorted({place for item in value.values() if isinstance(item, str)
                      for place in re.findall(r"\{[^}]*\}", item) if place not in PLACES})
        if odd:
            raise ValueError(f"only {' and '.join(PLACES)} are filled in, not {', '.join(odd)}")
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> Repository:
        location = self.settings.get("location")
        if self.type == "fs" and not (isinstance(location, str) and location.startswith("/")):
            raise ValueError("settings.location of type fs is an absolute path that every node "
                             "reaches")
        if isinstance(location, str) and ".." in location.split("/"):
            raise ValueError("settings.location must not contain ..")
        return self

    def filled(self, tenant: str, cluster: str) -> dict[str, Any]:
        """What Elasticsearch is told of it, for one cluster."""
        return {"type": self.type, "settings": {
            key: value.replace("{tenant}", tenant).replace("{cluster}", cluster)
            if isinstance(value, str) else value for key, value in self.settings.items()}}

    def place(self, tenant: str, cluster: str) -> str:
        """Where one cluster's snapshots go: the same text for the same place, however written."""
        settings = self.filled(tenant, cluster)["settings"]
        where = {key: settings[key] for key in _PLACE if key in settings} or settings
        return json.dumps([self.type, {
            key: normpath(value).lstrip("/") if key in ("location", "path", "base_path")
            else value.rstrip("/") if isinstance(value, str) else value
            for key, value in where.items()}], sort_keys=True)

    @property
    def shared_path(self) -> str | None:
        """The directory that all clusters with this repository have in common; fs only."""
        if self.type != "fs":
            return None
        fixed = str(self.settings["location"]).partition("{")[0]
        return (fixed if fixed == self.settings["location"] else fixed.rpartition("/")[0]) or "/"


class Snapshots(_Model):
    """Copies of the cluster's data, made on a timer and kept outside of it."""

    enabled: bool = Field(True, description="false: none, even where the platform has a "
                          "repository for everybody")
    repository: Repository | None = None
    every_s: int = Field(DAY_S, ge=600, le=30 * DAY_S, description="from one to the next")
    keep: int = Field(14, ge=1, le=1000, description="complete ones; older ones are deleted")
    indices: str = Field("*", pattern=f"^{INDICES.pattern}$",
                         description="names or patterns, with commas")
    drill_every_s: int | None = Field(
        7 * DAY_S, ge=HOUR_S, le=365 * DAY_S, description="a restore of one index of the newest "
        "one, checked and deleted again; nothing: never")

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Snapshots:
        if self.enabled and self.repository is None:
            raise ValueError("repository: where do they go? Or set enabled to false")
        return self
