"""What people have said of tenants: one record each, changed under a lease of their own.

The lease is also what every check of a quota holds until its change is stored: two requests that
fit one by one, but not together, meet there, whichever processes took them.
"""
from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random

from ...core.errors import Fault
from ...core.quota import Quota
from ...core.spec import Name, faults_of
from ...mesos.operator import RoleQuota
from ...store.contract import Delete, Lease, Put, Store, StoreBusy, StoreError
from ..errors import Invalid, Malformed, Unavailable
from .views import AmountsView, LimitView

log = structlog.get_logger(__name__)

FOLDER = "tenants"
LEASE = "_tenants"                  # no name of a cluster begins like that
BRINGING = "_quota"                 # held while the master is told, which may take its time
PATIENCE_S = 10.0                   # for another process to give the lease back
MAX_CLUSTERS = 200                  # with limits of their own: a record must stay small

_NAME: TypeAdapter[str] = TypeAdapter(Name)
Standing = Literal["pending", "applied", "refused"]


class QuotaRequest(BaseModel):
    """A tenant as it is wanted: who it is, and its quota."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    display_name: str = Field("", max_length=200)
    owner: str = Field("", max_length=200, description="who answers for it")
    contacts: tuple[str, ...] = Field((), max_length=20, description="how to reach them")
    guarantee: AmountsView = AmountsView()
    limit: LimitView = LimitView()
    cluster_limit: LimitView = Field(LimitView(), description="of each of its clusters")
    clusters: dict[Name, LimitView] = Field(
        {}, max_length=MAX_CLUSTERS, description="limits of single clusters, in place of that")
    force: bool = Field(False, description="also below what is used, and beyond what the agents "
                        "have")


def parse_request(name: str, body: Any) -> QuotaRequest:
    """A decoded body as a request; Malformed, or Invalid with every fault."""
    if not isinstance(body, dict):
        raise Malformed("a tenant is an object with limit, guarantee, cluster_limit, clusters")
    faults: list[Fault] = []
    try:
        _NAME.validate_python(name)
    except ValidationError:
        faults.append(Fault("tenant", f"{name[:80]!r} is no name of a tenant: lower case letters, "
                            "digits and dashes, at most 40", "tenant_name"))
    wanted = QuotaRequest()
    try:
        wanted = QuotaRequest.model_validate(body)
    except ValidationError as error:
        faults += faults_of(error)
    odd = [text for text in (wanted.display_name, wanted.owner, *wanted.contacts)
           if len(text) > 200 or re.search(r"[\x00-\x1f\x7f]", text)]
    if odd:
        faults.append(Fault("contacts", "names and contacts are one line of at most 200 "
                            "characters each", "one_line"))
    if faults:
        raise Invalid("this is no tenant", faults)
    return wanted


class TenantRecord(QuotaRequest):
    """A tenant on record, and how far its quota has come to the master."""

    name: Name
    set_at: float
    standing: Standing = "pending"
    why: str = ""                   # what the master or the way to it said last
    tried_at: float = 0.0
    removing: bool = False          # kept until the master has forgotten its quota, too

    @property
    def wanted(self) -> RoleQuota:
        """What the master is to have on record."""
        return RoleQuota() if self.removing else RoleQuota(
            self.guarantee.amounts(), self.limit.limit())

    @property
    def quota(self) -> Quota:
        """What requests are checked against."""
        return Quota(self.limit.limit(), self.cluster_limit.limit(),
                     {name: limit.limit() for name, limit in self.clusters.items()})


@dataclass(frozen=True, slots=True)
class Page:
    """All records at one moment, and the versions that they are at."""

    records: Mapping[str, TenantRecord]
    versions: Mapping[str, int]

    def put(self, record: TenantRecord) -> Put:
        """A record to write in the place of the one that was read."""
        return Put(f"{FOLDER}/{record.name}", record.model_dump_json().encode(),
                   self.versions.get(record.name, 0))

    def delete(self, name: str) -> Delete:
        """A record to remove."""
        return Delete(f"{FOLDER}/{name}", self.versions[name])


def read_page(store: Store) -> Page:
    """All records; StoreError, also for one that this version cannot read.

    Nobody knows what such a record allows, so nothing may be taken for allowed.
    """
    records, versions = {}, {}
    for path, stored in store.read(FOLDER).items():
        name = path.removeprefix(f"{FOLDER}/")
        try:
            records[name] = TenantRecord.model_validate_json(stored.data)
        except ValidationError as error:
            raise StoreError(f"the record of tenant {name} cannot be read") from error
        versions[name] = stored.version
    return Page(records, versions)


class Register:
    """The records, and the only way to change them."""

    def __init__(self, store: Store, owner: str, patience_s: float = PATIENCE_S) -> None:
        self._store, self._owner, self._patience_s = store, owner, patience_s
        self._locks = {LEASE: asyncio.Lock(), BRINGING: asyncio.Lock()}

    async def read(self) -> Page:
        """The records as they are now; Unavailable."""
        try:
            return await asyncio.to_thread(read_page, self._store)
        except StoreError as error:
            raise Unavailable(f"tenants cannot be read: {error}") from error

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """The records, which nobody else changes meanwhile; Unavailable.

        StoreError of the body becomes Unavailable, too.
        """
        async with self._held(LEASE) as lease:
            yield Turn(self._store, lease, await asyncio.to_thread(read_page, self._store))

    @asynccontextmanager
    async def bringing(self) -> AsyncIterator[None]:
        """Nobody else tells the master meanwhile; checks go on. Unavailable."""
        async with self._held(BRINGING):
            yield

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[Lease]:
        async with self._locks[name]:       # a lease keeps other processes out, not this one
            try:
                lease = await self._acquired(name)
                try:
                    yield lease
                finally:
                    await asyncio.to_thread(self._store.release, lease)
            except StoreError as error:
                raise Unavailable(f"tenants cannot be changed now: {error}") from error

    async def _acquired(self, name: str) -> Lease:
        async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(StoreBusy), wait=wait_random(0, 0.2),
                stop=stop_after_delay(self._patience_s), reraise=True):
            with attempt:
                return await asyncio.to_thread(self._store.acquire, name, self._owner)
        raise AssertionError("tenacity either returns or raises")


class Turn:
    """One holder of the lease."""

    def __init__(self, store: Store, lease: Lease, page: Page) -> None:
        self._store, self._lease, self.page = store, lease, page

    async def write(self, change: Put | Delete) -> None:
        """Store one change; StoreError."""
        await asyncio.to_thread(self._store.write, self._lease, [change])
