"""What all parts of the service share: the loops of its clusters, and the way to command them."""
from __future__ import annotations

from typing import Any

from ..core import events as ev
from ..core.errors import EsaasError, Fault
from ..core.facts import NodeRecord
from ..core.spec import ClusterSpec, SpecFaults, parse_spec
from ..runtime.loop import ClusterLoop
from ..settings import Settings
from ..store.contract import Store
from .errors import Conflict, Invalid, Malformed, NotFound, Unavailable


class Base:
    """The loops by cluster name, and what every request does with them."""

    settings: Settings
    _store: Store
    _loops: dict[str, ClusterLoop]

    def _loop(self, name: str) -> ClusterLoop:
        loop = self._loops.get(name)
        if loop is None:
            raise NotFound(f"no cluster is called {name!r}")
        return loop

    def _node(self, loop: ClusterLoop, node: str) -> NodeRecord:
        record = loop.state.nodes.get(node)
        if record is None:
            raise NotFound(f"{loop.name} has no node {node!r}; it has "
                           + ", ".join(sorted(loop.state.nodes)))
        return record

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
        faults = [*self._distribution_faults(spec), *self._remote_faults(spec)]
        if faults:
            raise Invalid("the spec cannot be carried out", faults)
        return spec

    def _distribution_faults(self, spec: ClusterSpec) -> list[Fault]:
        if spec.distribution is not None or spec.version in self.settings.distributions:
            return []
        known = ", ".join(sorted(self.settings.distributions)) or "none"
        return [Fault("version", f"no distribution of {spec.version} is known here (known: "
                      f"{known}); name one in 'distribution' with url and sha256",
                      "distribution_known")]

    def _remote_faults(self, spec: ClusterSpec) -> list[Fault]:
        """A remote cluster is one of ours, of the same tenant, and another one."""
        faults = []
        for index, remote in enumerate(spec.remotes):
            if remote.cluster is None:
                continue
            other = self._loops.get(remote.cluster)
            if remote.cluster == spec.name or other is None or (
                    other.state.identity.tenant != spec.tenant):
                faults.append(Fault(f"remotes[{index}].cluster", f"{remote.cluster} is no other "
                                    f"cluster of {spec.tenant}", "remote_is_ours"))
        return faults
