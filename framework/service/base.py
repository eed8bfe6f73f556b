"""What all parts of the service share: the loops of its clusters, and the way to command them."""
from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any

from ..core import events as ev
from ..core.errors import EsaasError, Fault
from ..core.facts import ClusterState, NodeRecord
from ..core.spec import ClusterSpec, SpecFaults, parse_spec
from ..runtime.loop import ClusterLoop
from ..settings import Settings
from ..store.contract import Entry, Store, StoreError
from .access.book import LEASE as ACCESS
from .errors import Conflict, Invalid, Malformed, NotFound, ServiceError, Unavailable
from .foreign import Foreign

# What the store keeps under a lease of its own cannot be the lease of a cluster.
RESERVED_NAMES = frozenset({ACCESS})


def confirmed(confirm: str, wanted: str, what: str) -> None:
    """Invalid unless somebody has said the name again."""
    if confirm != wanted:
        raise Invalid(f"{what} must be confirmed by name", [
            Fault("confirm", f"must be {wanted!r}, found {confirm[:80]!r}", "confirmed_by_name")])


class Base(ABC):
    """The loops by cluster name, and what every request does with them."""

    settings: Settings
    _store: Store
    _loops: dict[str, ClusterLoop]
    _foreign: Foreign
    _unreadable: dict[str, str]         # why, by cluster

    @abstractmethod
    def _elsewhere(self, name: str) -> ServiceError | None:
        """Why a cluster that exists is not run here; None when there is no such cluster."""

    @abstractmethod
    def _is_secured(self, name: str) -> bool:
        """Whether a cluster is secured, wherever it runs."""

    @abstractmethod
    def _tenant_of(self, name: str) -> str | None:
        """Whose cluster it is, wherever it runs; None when there is none."""

    @abstractmethod
    def _check_ports(self, spec: ClusterSpec) -> None:
        """Conflict when a spec could not have its virtual ports."""

    @abstractmethod
    async def _claim_ports(self, spec: ClusterSpec) -> None:
        """Have the virtual ports that a spec wants; Conflict, Unavailable."""

    @abstractmethod
    def _quota_checked(self, old: ClusterState | None, new: ClusterSpec,
                       ) -> AbstractAsyncContextManager[list[Fault]]:
        """What a spec takes beyond the quota of its tenant; nobody changes that meanwhile."""

    def _loop(self, name: str) -> ClusterLoop:
        loop = self._loops.get(name)
        if loop is None:
            raise self._elsewhere(name) or NotFound(f"no cluster is called {name!r}")
        return loop

    def _node(self, loop: ClusterLoop, node: str) -> NodeRecord:
        record = loop.state.nodes.get(node)
        if record is None:
            raise NotFound(f"{loop.name} has no node {node!r}; it has "
                           + ", ".join(sorted(loop.state.nodes)))
        return record

    async def _journal(self, name: str | None, after: int, limit: int) -> list[tuple[str, Entry]]:
        """Lines of history; a store across the network may take its time, or not answer."""
        try:
            return await asyncio.to_thread(self._store.journal, name, "told", after, limit)
        except StoreError as error:
            raise Unavailable(f"the history cannot be read now: {error}") from error

    @staticmethod
    def _not_deleting(loop: ClusterLoop) -> None:
        if loop.state.deleting:
            raise Conflict(f"{loop.name} is being deleted", [
                Fault("", "a cluster that is being deleted cannot be changed", "not_deleting")])

    @staticmethod
    async def _command(loop: ClusterLoop, event: ev.Event) -> None:
        try:
            await loop.command(event)
        except EsaasError as error:
            raise Unavailable(f"the request could not be stored: {error}") from error

    def _checked(self, body: Any) -> ClusterSpec:
        """A body as a spec that can be carried out here; every fault otherwise."""
        if not isinstance(body, dict):
            raise Malformed("a spec is an object with name, tenant, version and groups")
        try:
            spec = parse_spec(body)
        except SpecFaults as error:
            raise Invalid("the spec cannot be carried out", error.faults) from error
        if spec.snapshots is None and self.settings.snapshots is not None:
            spec = spec.model_copy(update={"snapshots": self.settings.snapshots})
        faults = [*self._name_faults(spec), *self._distribution_faults(spec),
                  *self._remote_faults(spec), *self._log_faults(spec), *self._port_faults(spec),
                  *self._repository_faults(spec)]
        if faults:
            raise Invalid("the spec cannot be carried out", faults)
        return spec

    @staticmethod
    def _name_faults(spec: ClusterSpec) -> list[Fault]:
        if spec.name not in RESERVED_NAMES:
            return []
        return [Fault("name", f"{spec.name} is a name of the service itself", "name_is_free")]

    def _distribution_faults(self, spec: ClusterSpec) -> list[Fault]:
        if spec.distribution is not None or spec.version in self.settings.distributions:
            return []
        known = ", ".join(sorted(self.settings.distributions)) or "none"
        return [Fault("version", f"no distribution of {spec.version} is known here (known: "
                      f"{known}); name one in 'distribution' with url and sha256",
                      "distribution_known")]

    def _repository_faults(self, spec: ClusterSpec) -> list[Fault]:
        """Two clusters that write into one place destroy each other's snapshots."""
        mine = spec.snapshot_place
        places = self._foreign.snapshot_places() | {
            name: loop.state.spec.snapshot_place for name, loop in self._loops.items()}
        if not mine or all(place != mine or name == spec.name for name, place in places.items()):
            return []
        return [Fault("snapshots.repository", "another cluster writes there already; put "
                      "{tenant}/{cluster} into its location", "repository_not_shared")]

    def _port_faults(self, spec: ClusterSpec) -> list[Fault]:
        """A port that is wished for is one of those that the service gives out."""
        bounds, wish = self.settings.virtual_ports, spec.virtual_port
        if bounds is None:
            return [Fault(field, "this service gives out no virtual ports (--virtual-ports)",
                          "virtual_ports_are_given") for field, wanted in (
                              ("virtual_port", wish), ("virtual_roles", spec.virtual_roles))
                    if wanted]
        if wish is None or bounds[0] <= wish <= bounds[1]:
            return []
        return [Fault("virtual_port", f"must be from {bounds[0]} to {bounds[1]}",
                      "virtual_port_in_range")]

    def _log_faults(self, spec: ClusterSpec) -> list[Fault]:
        """Logs go into a cluster of the same tenant, not into the one that writes them."""
        wanted = spec.logs.cluster if spec.logs is not None else None
        if wanted is None:
            return []
        if wanted == spec.name or self._tenant_of(wanted) != spec.tenant:
            return [Fault("logs.cluster", f"{wanted} is no other cluster of {spec.tenant}",
                          "log_target_is_ours")]
        if self._is_secured(wanted):
            return [Fault("logs.cluster", f"{wanted} is secured: executors have neither its "
                          "certificate authority nor a password", "log_target_is_not_secured")]
        return []

    def _remote_faults(self, spec: ClusterSpec) -> list[Fault]:
        """A remote cluster is one of ours, of the same tenant, and another one."""
        faults = []
        for index, remote in enumerate(spec.remotes):
            if remote.cluster is None:
                continue
            if remote.cluster == spec.name or self._tenant_of(remote.cluster) != spec.tenant:
                faults.append(Fault(f"remotes[{index}].cluster", f"{remote.cluster} is no other "
                                    f"cluster of {spec.tenant}", "remote_is_ours"))
            elif self._is_secured(remote.cluster):
                faults.append(Fault(f"remotes[{index}].cluster", f"{remote.cluster} is secured: "
                                    "its nodes trust the certificate authority of their own "
                                    "cluster only", "remote_is_not_secured"))
        return faults
