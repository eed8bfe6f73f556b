"""Changes of running clusters: every new spec goes through one door, checked and previewed."""
from __future__ import annotations

import time
from typing import Any

from ..core import events as ev
from ..core.errors import Fault
from ..core.facts import NodeRecord, NodeState
from ..core.gates import FORCIBLE
from ..core.plan import Step, diff
from ..core.quota import QUOTA_RULES
from ..core.spec import ClusterSpec, SpecFaults
from ..core.validate import NEVER_OVERRIDDEN
from ..runtime.loop import ClusterLoop
from . import change, present
from .base import Base, confirmed
from .errors import Conflict, Invalid, Malformed, NotFound
from .views import Accepted, Preview, RevisionView


class Changing(Base):
    """The part of ``ClusterService`` that changes specs, plans and nodes."""

    async def update(self, name: str, body: Any, *, dry_run: bool = False,
                     override: str | None = None) -> Accepted:
        """Want another spec."""
        loop = self._loop(name)
        spec = self._checked(body)
        async with loop.changing:
            return await self._change(loop, spec, dry_run, override)

    async def scale(self, name: str, group: str, count: int, *, dry_run: bool = False,
                    override: str | None = None) -> Accepted:
        """Change the number of nodes of a group."""
        loop = self._loop(name)
        async with loop.changing:
            old = loop.state.spec
            if old.group(group) is None:
                raise NotFound(f"{name} has no node group {group!r}; it has "
                               + ", ".join(item.name for item in old.groups))
            try:
                new = old.with_count(group, count)
            except SpecFaults as error:
                raise Invalid(f"{group} cannot have {count} nodes", error.faults) from error
            return await self._change(loop, new, dry_run, override)

    async def rollback(self, name: str, revision: int, *, dry_run: bool = False,
                       override: str | None = None) -> Accepted:
        """Want the spec of an earlier revision again."""
        loop = self._loop(name)
        async with loop.changing:
            found = loop.cycle.book.spec_of(revision)
            if found is None:
                raise NotFound(f"{name} has no revision {revision}; it is at "
                               f"{loop.state.revision}")
            return await self._change(loop, found, dry_run, override)

    async def _change(self, loop: ClusterLoop, new: ClusterSpec, dry_run: bool,
                      override: str | None, by: str = "", because: str = "") -> Accepted:
        """One door for every new spec: checked, previewed, stored.

        ``by`` is the policy that asks when nobody does, ``because`` what it saw.
        """
        name, state = loop.name, loop.state
        self._not_deleting(loop)
        if new == state.spec:
            return Accepted(cluster=name, revision=state.revision, changed=False,
                            message=f"{name} is wanted like that already")
        known = None
        if change.brings_settings(state.spec, new):
            known = await loop.watch.known_settings()
            state = loop.state          # of now: the question took a while
        async with self._quota_checked(state, new) as beyond:
            state = loop.state
            self._not_overruled(name, [*change.refusals(state, new, known), *beyond], override)
            preview = change.preview(state, new)
            revision = state.revision + 1
            self._check_ports(new)
            if dry_run:
                return Accepted(cluster=name, revision=revision, preview=preview,
                                message="the change can be made; nothing was changed")
            await self._claim_ports(new)
            await self._command(loop, ev.SpecAccepted(time.time(), revision, new, override or "",
                                                      by=by, because=because))
        return Accepted(cluster=name, revision=revision, preview=preview,
                        message="; ".join(preview.changes) or f"revision {revision} is wanted")

    @staticmethod
    def _not_overruled(name: str, faults: list[Fault], override: str | None) -> None:
        """Raise unless the one rule that is overridden is the only one that refuses."""
        kept = [fault for fault in faults if fault.rule != override]
        if kept and all(fault.rule in QUOTA_RULES for fault in kept):
            raise Invalid(f"{name} would take more than its quota", kept)
        if kept:
            raise Conflict(f"{name} cannot be changed like that", kept)
        if override and not faults:
            raise Invalid("nothing to override", [Fault(
                "override", f"no rule called {override!r} refuses this change", "override")])
        if override in NEVER_OVERRIDDEN:
            raise Invalid("this rule cannot be overridden", [Fault(
                "override", f"{override} holds whatever anybody says", "override")])

    async def abandon(self, name: str, *, dry_run: bool = False,
                      override: str | None = None) -> Accepted:
        """Want the last settled revision again."""
        loop = self._loop(name)
        async with loop.changing:
            settled = loop.state.settled
            if settled is None:
                raise Conflict(f"no revision of {name} was in force on every node yet", [
                    Fault("", "there is nothing to go back to", "settled_before")])
            return await self._change(loop, settled[1], dry_run, override)

    async def install_plugin(self, name: str, body: Any, *, dry_run: bool = False) -> Accepted:
        """Want one more plugin, or another source of it."""
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            raise Malformed("a plugin is an object with name, and maybe url and sha256")
        loop = self._loop(name)
        async with loop.changing:
            others = [item.model_dump() for item in loop.state.spec.plugins
                      if item.name != body["name"]]
            new = self._checked(loop.state.spec.model_dump(mode="json")
                                | {"plugins": [*others, body]})
            return await self._change(loop, new, dry_run, None)

    async def remove_plugin(self, name: str, plugin: str, *, dry_run: bool = False) -> Accepted:
        """Want a plugin no more."""
        loop = self._loop(name)
        async with loop.changing:
            spec = loop.state.spec
            kept = tuple(item for item in spec.plugins if item.name != plugin)
            if len(kept) == len(spec.plugins):
                raise NotFound(f"{name} has no plugin {plugin!r}")
            return await self._change(loop, spec.model_copy(update={"plugins": kept}), dry_run,
                                      None)

    async def revisions(self, name: str) -> list[RevisionView]:
        """Every spec that was wanted, newest first; NotFound."""
        loop = self._loop(name)
        wanted_at = {1: loop.state.identity.created_at}
        for _, entry in await self._journal(name, 0, 10_000):
            if entry.kind == "revision":
                event = present.event_view(name, entry)
                wanted_at[event.details["revision"]] = event.at
        return present.revision_views(loop.cycle.book.specs(), wanted_at, loop.state.revision)

    # -------------------------------------------------------------- plan and steps

    async def pause(self, name: str, paused: bool) -> Accepted:
        """Begin no further step of a change, or go on; to go on also approves a canary."""
        loop = self._loop(name)
        async with loop.changing:
            state = loop.state
            waits = state.waiting_canary is not None
            if state.paused != paused:
                await self._command(loop, ev.Paused(time.time(), paused))
            if waits and not paused:
                await self._command(loop, ev.ChangeApproved(time.time(), state.revision))
            changed = state.paused != paused or (waits and not paused)
        return Accepted(cluster=name, revision=loop.state.revision, changed=changed,
                        message=f"changes of {name} {'are paused' if paused else 'go on'}")

    def _step(self, loop: ClusterLoop, step_id: str) -> tuple[Step, NodeRecord]:
        """A step of the plan that is about a node; NotFound, Conflict."""
        found = [step for step in diff(loop.state, time.time()).steps if step.id == step_id]
        if not found:
            raise NotFound(f"the plan of {loop.name} has no step {step_id!r}")
        record = loop.state.nodes.get(found[0].node or "")
        if record is None:
            raise Conflict(f"{step_id} goes on by itself", [
                Fault("", "nothing of this step is held by a gate or waits", "step_of_a_node")])
        return found[0], record

    async def force_step(self, name: str, step: str, gate: str, confirm: str) -> Accepted:
        """Go past one gate with one node, this once."""
        loop = self._loop(name)
        async with loop.changing:
            found, record = self._step(loop, step)
            confirmed(confirm, gate, "to go past a gate")
            if gate not in {answer.name for answer in found.gates if not answer.ok}:
                raise Conflict(f"{gate} does not hold {step}", [
                    Fault("gate", f"no gate called {gate!r} holds this step", "gate_holds")])
            if gate not in FORCIBLE:
                raise Conflict(f"nobody may go past {gate}", [
                    Fault("gate", f"{gate} keeps data or the quorum safe", "gate_is_forcible")])
            await self._command(loop, ev.GateForced(time.time(), record.name, gate))
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{gate} does not hold {record.name} this once")

    async def restart_step(self, name: str, step: str) -> Accepted:
        """Begin a node's step anew."""
        loop = self._loop(name)
        async with loop.changing:
            found, record = self._step(loop, step)
            if not found.can_restart:
                raise Conflict(f"{step} cannot be begun anew", [
                    Fault("", "only the start or restart of a node that is no member can",
                          "step_can_restart")])
            await self._command(loop, ev.StepRestarted(time.time(), record.name))
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{found.title} begins anew")

    # ----------------------------------------------------------------------- nodes

    async def restart(self, name: str, node: str | None = None) -> Accepted:
        """Restart a node in place, or all, one by one and gated."""
        loop = self._loop(name)
        async with loop.changing:
            self._not_deleting(loop)
            if node is not None:
                self._node(loop, node)
            for item in [node] if node is not None else sorted(loop.state.nodes):
                await self._command(loop, ev.RestartAsked(time.time(), item))
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{node or 'every node, one by one,'} is to be restarted")

    async def replace(self, name: str, node: str, confirm: str, *,
                      dry_run: bool = False) -> Accepted:
        """Another node elsewhere takes a node's place."""
        loop = self._loop(name)
        async with loop.changing:
            self._not_deleting(loop)
            record, state = self._node(loop, node), loop.state
            faults = change.replace_refusals(state, record)
            if faults:
                raise Conflict(f"{node} cannot be replaced", faults)
            if not dry_run:
                confirmed(confirm, node, "the destruction of a volume")
            told = Preview(changes=[], replaces=[node], reasons={node: (
                "another node starts elsewhere, then this one is drained and its volume destroyed"
                if state.is_ready(record) else "another node starts elsewhere; this one's volume "
                "is destroyed when the copies it held are complete again")})
            revision = state.revision
            if dry_run:
                return Accepted(cluster=name, revision=revision, preview=told,
                                message=f"{node} can be replaced; nothing was changed")
            changed = not record.moving and not record.retire
            await self._command(loop, ev.ReplaceAsked(time.time(), node))
        return Accepted(cluster=name, revision=revision, changed=changed, preview=told,
                        message=f"another node takes the place of {node}" if changed
                        else f"{node} is being replaced already")

    async def keep(self, name: str, node: str) -> Accepted:
        """Take a replacement back."""
        loop = self._loop(name)
        async with loop.changing:
            record = self._node(loop, node)
            if record.retire:
                raise Conflict(f"{node} is being stopped already", [
                    Fault("", "its volume is being destroyed", "not_stopped_yet")])
            await self._command(loop, ev.KeepAsked(time.time(), node))
        return Accepted(cluster=name, revision=loop.state.revision, changed=record.moving,
                        message=f"{node} stays")

    async def hold_node(self, name: str, node: str, held: bool) -> Accepted:
        """Stop Elasticsearch on a node for debugging, or start it again."""
        loop = self._loop(name)
        async with loop.changing:
            self._not_deleting(loop)
            record = self._node(loop, node)
            if loop.state.is_sidecar(record) or record.leaving or record.retire or (
                    record.state is NodeState.PLANNED):
                raise Conflict(f"{node} cannot be held for debugging", [
                    Fault("", "only a node of Elasticsearch that has a volume and is to stay can",
                          "node_can_be_held")])
            changed = record.held is not held
            if changed:
                await self._command(loop, ev.NodeHeld(time.time(), node, held))
        what = "is stopped for debugging when its gates allow" if held else "starts again"
        return Accepted(cluster=name, revision=loop.state.revision, changed=changed,
                        message=f"Elasticsearch on {node} {what}")
