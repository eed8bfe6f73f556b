"""Virtual ports: one for each cluster, and for roles that want one, out of a configured range.

HAProxy answers on them wherever the nodes are, so they stay as long as the cluster is. A record of
each cluster says which it has; all are read and written under one lease, so no two clusters have
the same one, whichever process makes them.
"""
from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from ..core.errors import Fault
from ..core.facts import ClusterState
from ..core.spec import ClusterSpec
from ..store.contract import Delete, Put, StoreError
from ..store.leasing import OVERTAKEN, leased
from .base import Base
from .errors import Conflict, ServiceError, Unavailable

log = structlog.get_logger(__name__)

PORTS = "ports"                     # a folder of records
LEASE = "_ports"                    # no name of a cluster begins like that
ALL = "http"                        # the port behind which all nodes are
LOOK_S = 5.0                        # other processes' claims are seen so late at most
GRACE_S = 300.0                     # from a claim until its cluster must be stored
TRIES, PAUSE_S = 20, 0.2


class PortRecord(BaseModel):
    """What a cluster has: ports by role, ``http`` for all nodes."""

    model_config = ConfigDict(frozen=True)

    claimed_at: float
    ports: dict[str, int]


class Taken(Exception):
    """The port that is wished for is another cluster's."""


class Exhausted(Exception):
    """No port of the range is free."""


def assign(records: Mapping[str, PortRecord], name: str, spec: ClusterSpec,
           bounds: tuple[int, int], now: float) -> PortRecord:
    """What a cluster is to have, beside what the others have; Taken, Exhausted.

    What it has it keeps, unless its spec wishes another port; a role that wants none any more
    gives its port back.
    """
    taken = {port for other, record in records.items() if other != name
             for port in record.ports.values()}
    had = records[name].ports if name in records else {}
    ports: dict[str, int] = {}
    if spec.virtual_port is not None:
        if spec.virtual_port in taken:
            raise Taken(spec.virtual_port)
        ports[ALL] = spec.virtual_port
    for role in (ALL, *spec.virtual_roles):
        if role in ports:
            continue
        used = taken | set(ports.values())
        kept = had.get(role)
        if kept is not None and kept not in used:
            ports[role] = kept
            continue
        used |= set(had.values())       # a role's own port stays with it
        free = next((port for port in range(bounds[0], bounds[1] + 1) if port not in used), None)
        if free is None:
            raise Exhausted
        ports[role] = free
    return PortRecord(claimed_at=now, ports=ports)


class Ports(Base):
    """The part of ``ClusterService`` that gives clusters their virtual ports."""

    _instance: str
    _port_records: dict[str, tuple[PortRecord, int]]
    _port_task: asyncio.Task[None] | None

    @abstractmethod
    def _ports_changed(self) -> None:
        """Virtual ports were read anew."""

    def _ports_of(self, state: ClusterState) -> dict[str, int]:
        found = self._port_records.get(state.identity.name)
        return dict(found[0].ports) if found is not None else {}

    async def _watch_ports(self) -> None:
        """Give ports to clusters that have none, and free those of clusters that are gone."""
        while True:
            try:
                await self._tend_ports()
            except (StoreError, ServiceError) as error:
                log.warning("virtual ports cannot be looked after now", error=str(error))
            await asyncio.sleep(LOOK_S)

    async def _tend_ports(self) -> None:
        await self._read_ports()
        for name, loop in list(self._loops.items()):
            if not self._has_ports(loop.state.spec) and not loop.state.deleting:
                try:
                    await self._claim_ports(loop.state.spec)
                except Conflict as error:       # it goes on with those that it has
                    log.warning("cluster lacks a virtual port", cluster=name, error=str(error))
        if stale := await asyncio.to_thread(self._stale):
            await asyncio.to_thread(self._free, stale)
            await self._read_ports()

    def _has_ports(self, spec: ClusterSpec) -> bool:
        if self.settings.virtual_ports is None:
            return True                         # as many as there are to be had
        known = self._port_records.get(spec.name)
        ports = known[0].ports if known is not None else {}
        return ports.keys() == {ALL, *spec.virtual_roles} and (
            spec.virtual_port in (None, ports[ALL]))

    async def _read_ports(self) -> None:
        self._port_records = await asyncio.to_thread(self._stored_ports)
        self._ports_changed()

    def _stored_ports(self) -> dict[str, tuple[PortRecord, int]]:
        found = {}
        for path, stored in self._store.read(PORTS).items():
            try:
                record = PortRecord.model_validate_json(stored.data)
            except ValidationError as error:
                raise StoreError(f"{path} cannot be read: {error.error_count()} faults") from error
            found[path.removeprefix(f"{PORTS}/")] = record, stored.version
        return found

    async def _claim_ports(self, spec: ClusterSpec) -> None:
        """Have the ports that a spec wants; Conflict when one is not to be had, Unavailable."""
        if self.settings.virtual_ports is None or self._has_ports(spec):
            return
        try:
            await asyncio.to_thread(self._claim, spec)
            await self._read_ports()
        except StoreError as error:
            raise Unavailable(f"virtual ports cannot be given out now: {error}") from error

    def _check_ports(self, spec: ClusterSpec) -> None:
        """Conflict when a spec could not have its ports, as far as this process knows."""
        if self.settings.virtual_ports is not None and not self._has_ports(spec):
            _assigned({name: record for name, (record, _) in self._port_records.items()}, spec,
                      self.settings.virtual_ports)

    def _claim(self, spec: ClusterSpec) -> None:
        bounds = self.settings.virtual_ports
        assert bounds is not None

        def make(found: Mapping[str, tuple[PortRecord, int]]) -> list[Put | Delete]:
            record = _assigned({name: item for name, (item, _) in found.items()}, spec, bounds)
            version = found[spec.name][1] if spec.name in found else 0
            return [Put(f"{PORTS}/{spec.name}", record.model_dump_json().encode(), version)]
        self._change_ports(make)

    def _stale(self) -> set[str]:
        """Clusters with ports that are not stored any more; those just made may not be yet."""
        if not self._port_records:
            return set()
        gone = self._port_records.keys() - self._store.names()
        return {name for name in gone
                if time.time() - self._port_records[name][0].claimed_at > GRACE_S}

    def _free(self, names: set[str]) -> None:
        def make(found: Mapping[str, tuple[PortRecord, int]]) -> list[Put | Delete]:
            gone = names - self._store.names()
            return [Delete(f"{PORTS}/{name}", version) for name, (_, version) in found.items()
                    if name in gone]
        self._change_ports(make)
        log.info("virtual ports are free again", clusters=sorted(names))

    def _change_ports(self, make: Any) -> None:
        """Read, decide and write under the lease of the ports; StoreError, ServiceError."""
        for attempt in Retrying(
                retry=retry_if_exception_type(OVERTAKEN),
                stop=stop_after_attempt(TRIES), wait=wait_random(0, PAUSE_S), reraise=True):
            with attempt, leased(self._store, LEASE, self._instance) as lease:
                if changes := make(self._stored_ports()):
                    self._store.write(lease, changes)


def _assigned(records: Mapping[str, PortRecord], spec: ClusterSpec,
              bounds: tuple[int, int]) -> PortRecord:
    try:
        return assign(records, spec.name, spec, bounds, time.time())
    except Taken as error:
        raise Conflict(f"{spec.name} cannot have the virtual port {spec.virtual_port}", [
            Fault("virtual_port", "another cluster has it", "virtual_port_is_free")]) from error
    except Exhausted as error:
        raise Conflict(f"no virtual port is free for {spec.name}", [
            Fault("virtual_port", f"all from {bounds[0]} to {bounds[1]} are taken",
                  "virtual_port_is_free")]) from error
