"""What a person wants of housekeeping: a policy for each thing that indices need now and then.

Nothing is on unless the spec says so. Sources: Elasticsearch reference of 6.8 and 7.17, "Force
merge", "Rollover index", "Delete index", "Index modules", "Circuit breaker settings", "Fielddata
cache settings".
"""
from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .hours import PATTERN as HOURS
from .snapshot_spec import INDICES

HOUR_S = 3600
DAY_S = 24 * HOUR_S
YEAR_S = 365 * DAY_S
MAX_MB = 2**40
LITERAL = 2                         # characters before the first * of what may be deleted

Patterns = Annotated[str, Field(pattern=f"^{INDICES.pattern}$",
                                description="names or patterns of indices, with commas; those "
                                "that begin with a dot are always left alone")]
Size = Annotated[str, Field(pattern=r"^([1-9][0-9]?%|[1-9][0-9]{0,8}(kb|mb|gb))$",
                            examples=["30%"], description="a share of the heap, or kb, mb, gb")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Merge(_Model):
    """Indices that nobody writes to any more are merged to few segments."""

    indices: Patterns = "*"
    idle_s: int = Field(DAY_S, ge=10, le=YEAR_S, description="not written to for so long, by the "
                        "sequence numbers of its shards")
    max_segments: int = Field(1, ge=1, le=100, description="of each shard afterwards")
    hours: str = Field("0-24", pattern=HOURS, description="UTC", examples=["1-5"])
    concurrency: int = Field(1, ge=1, le=10, description="indices at once")


class Rollover(_Model):
    """The alias that is written to goes on to a new index."""

    alias: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,199}$", examples=["logs"])
    max_age_s: int | None = Field(None, ge=60, le=YEAR_S)
    max_size_mb: int | None = Field(None, ge=1, le=MAX_MB, description="of its primaries")
    max_documents: int | None = Field(None, ge=1, le=2**40)

    @model_validator(mode="after")
    def _some_day(self) -> Rollover:
        if self.max_age_s is self.max_size_mb is self.max_documents is None:
            raise ValueError("one of max_age_s, max_size_mb, max_documents: when is it time?")
        return self


class Deletion(_Model):
    """Indices of a pattern go when they are too old, or when all of them are too large."""

    pattern: str = Field(max_length=200, examples=["logs-*"], description="one pattern; never "
                         "what begins with a dot")
    older_than_s: int | None = Field(None, ge=60, le=10 * YEAR_S, description="since it was made")
    max_total_mb: int | None = Field(None, ge=1, le=MAX_MB, description="of all that fit the "
                                     "pattern, copies included; the oldest go first")
    idle_s: int = Field(HOUR_S, ge=10, le=YEAR_S, description="never one that was written to "
                        "within so long")
    require_snapshot: bool = Field(False, description="only what a complete snapshot has, made "
                                   "after the last write")
    dry_run: bool = Field(True, description="only tell what would be deleted; false deletes it")

    @field_validator("pattern")
    @classmethod
    def _explicit(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._*-]*", value):
            raise ValueError("one pattern of lower case letters, digits and . _ - *, beginning "
                             "with a letter or digit: indices of the system begin with a dot")
        if len(value.partition("*")[0]) < LITERAL:
            raise ValueError(f"begins with at least {LITERAL} letters of a name: a pattern that "
                             "fits everything deletes everything")
        return value

    @model_validator(mode="after")
    def _some_day(self) -> Deletion:
        if self.older_than_s is self.max_total_mb is None:
            raise ValueError("one of older_than_s, max_total_mb: when is it time?")
        return self


class Caches(_Model):
    """Limits of caches (read when a node starts, so nodes are restarted) and breakers (live)."""

    fielddata_size: Size | None = None
    queries_size: Size | None = None
    requests_size: Size | None = None
    total_breaker: Size | None = None
    fielddata_breaker: Size | None = None
    request_breaker: Size | None = None

    @model_validator(mode="after")
    def _cache_below_breaker(self) -> Caches:
        sizes = [(int(text[:-1]) if text and text.endswith("%") else None)
                 for text in (self.fielddata_size, self.fielddata_breaker)]
        if sizes[0] is not None and sizes[1] is not None and sizes[0] >= sizes[1]:
            raise ValueError("fielddata_size is below fielddata_breaker: else requests fail before "
                             "anything is put out of the cache")
        return self

    def settings(self) -> dict[str, str]:
        """As settings of Elasticsearch."""
        named = {"indices.fielddata.cache.size": self.fielddata_size,
                 "indices.queries.cache.size": self.queries_size,
                 "indices.requests.cache.size": self.requests_size,
                 "indices.breaker.total.limit": self.total_breaker,
                 "indices.breaker.fielddata.limit": self.fielddata_breaker,
                 "indices.breaker.request.limit": self.request_breaker}
        return {key: value for key, value in named.items() if value is not None}


class Guards(_Model):
    """What no index may ask of the cluster; indices beyond it are reported."""

    max_result_window: int | None = Field(None, ge=1, le=2**31 - 1)
    total_fields: int | None = Field(None, ge=1, le=2**31 - 1)
    request_mb: int | None = Field(None, ge=1, le=2047, description="the largest request that "
                                   "nodes take; read when they start, so they are restarted")

    def limits(self) -> dict[str, int]:
        """Of each index, by the name of the setting."""
        named = {"index.max_result_window": self.max_result_window,
                 "index.mapping.total_fields.limit": self.total_fields}
        return {key: value for key, value in named.items() if value is not None}

    def settings(self) -> dict[str, str]:
        """As settings of Elasticsearch."""
        return {} if self.request_mb is None else {"http.max_content_length":
                                                   f"{self.request_mb}mb"}


class Replicas(_Model):
    """Indices with fewer replicas than wanted get more: as many as there are other data nodes."""

    indices: Patterns = "*"
    at_least: int = Field(1, ge=1, le=20)


class Unblock(_Model):
    """Indices that a full disk has made read-only are released when there is room again."""

    margin_percent: float = Field(3, ge=0.5, le=50, description="so far below the high watermark "
                                  "must all data nodes be")


class Housekeeping(_Model):
    """What is done to indices without anybody asking. Each policy is off unless it is named."""

    every_s: int = Field(300, ge=10, le=DAY_S, description="from one look at the indices to the "
                         "next")
    merge: Merge | None = None
    rollover: tuple[Rollover, ...] = Field((), max_length=50)
    delete: tuple[Deletion, ...] = Field((), max_length=50)
    caches: Caches | None = None
    guards: Guards | None = None
    replicas: Replicas | None = None
    unblock: Unblock | None = None

    @property
    def acts(self) -> bool:
        """Whether a policy wants the indices looked at again and again."""
        return bool(self.merge or self.rollover or self.delete or self.replicas or self.unblock)

    @property
    def settings(self) -> dict[str, str]:
        """Settings of all nodes that policies bring."""
        return {**(self.caches.settings() if self.caches else {}),
                **(self.guards.settings() if self.guards else {})}

    @field_validator("rollover")
    @classmethod
    def _aliases_once(cls, value: tuple[Rollover, ...]) -> tuple[Rollover, ...]:
        names = [one.alias for one in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return value

    @field_validator("delete")
    @classmethod
    def _patterns_once(cls, value: tuple[Deletion, ...]) -> tuple[Deletion, ...]:
        names = [one.pattern for one in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return value
