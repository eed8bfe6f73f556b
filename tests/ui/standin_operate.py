"""The part of the stand-in for people on call: steps, nodes, switches, operations, secrets."""
from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from esaas.framework.core.errors import Fault
from esaas.framework.core.spec import ClusterSpec, SpecFaults, parse_spec
from esaas.framework.service.errors import Conflict, Invalid, Malformed, NotFound
from esaas.framework.service.snapshot_views import SnapshotsView, TakenView
from esaas.framework.service.views import (
    Accepted,
    CredentialsView,
    OperationView,
    Preview,
    ProgressView,
    SecretView,
    StepView,
    SwitchView,
)

if TYPE_CHECKING:
    from standin_service import Fake

VALUES = {"allocation": ("all", "primaries", "new_primaries", "none"),
          "rebalance": ("all", "primaries", "replicas", "none"), "read_only": ("true", "false")}
BEFORE = {"allocation": "all", "rebalance": "all", "read_only": "false"}
PARAMETERS = {"flush": {"index"}, "clear_cache": {"index", "kinds"},
              "force_merge": {"index", "max_segments"}, "reroute_retry": set(),
              "snapshot": set(), "restore_drill": set(),
              "restore": {"snapshot", "index", "prefix", "from_cluster"}}


def confirmed(name: str, confirm: str) -> None:
    """Invalid when a confirmation is not the name again."""
    if confirm != name:
        raise Invalid("this must be confirmed by name", [
            Fault("confirm", f"must be {name!r}, found {confirm!r}", "confirmed_by_name")])


class OperateStandIn:
    """What ``StandInService`` does on call; it has clusters and a journal."""

    fakes: dict[str, Fake]
    clock: float

    def _find(self, name: str) -> Fake:
        raise NotImplementedError

    def emit(self, cluster: str, kind: str, message: str, **more: Any) -> Any:
        """Something happens."""
        raise NotImplementedError

    def _change(self, fake: Fake, new: ClusterSpec, dry_run: bool,
                override: str | None) -> Accepted:
        raise NotImplementedError

    def _told(self, fake: Fake, kind: str, message: str, *, changed: bool = True,
              preview: Preview | None = None) -> Accepted:
        name = fake.spec.name
        if changed:
            self.emit(name, kind, message)
        return Accepted(cluster=name, revision=fake.revision, message=message, changed=changed,
                        preview=preview)

    # ---- snapshots ----
    async def snapshots(self, name: str) -> SnapshotsView:
        spec, own = self._find(name).spec, "esaas-uid1-"
        if spec.snapshot_repository is None:
            return SnapshotsView(cluster=name, at=self.clock, repository=None, every_s=None,
                                 keep=None, drill_every_s=None, listed=[])
        taken = [TakenView(name=f"{own}{number}", status=status, own=True, ended_at=at + 60,
                           started_at=at, indices=["logs-1", "notes"], shards=6,
                           shards_failed=6 * (status != "SUCCESS"))
                 for number, status, at in ((2, "SUCCESS", self.clock - 600),
                                            (1, "PARTIAL", self.clock - 90_000))]
        return SnapshotsView(
            cluster=name, at=self.clock, repository=spec.snapshot_repository, every_s=86400,
            keep=14, drill_every_s=604800, indices="*", newest=taken[0].name,
            taken_at=self.clock - 600, next_at=self.clock + 85_800,
            next_drill_at=self.clock + 604_200,
            held_by="no_restart_under_way: waiting for node-1", listed=taken)

    # ---- changes and their steps ----
    async def abandon(self, name: str, *, dry_run: bool = False,
                      override: str | None = None) -> Accepted:
        fake = self._find(name)
        if fake.settled is None:
            raise Conflict(f"no revision of {name} was in force on every node yet", [
                Fault("", "there is nothing to go back to", "settled_before")])
        done = self._change(fake, fake.specs[fake.settled], dry_run, override)
        if not dry_run:
            fake.canary = ""
        return done

    def _step(self, fake: Fake, step: str) -> StepView:
        found = [one for phase in fake.plan().phases for one in phase.steps if one.id == step]
        if not found:
            raise NotFound(f"the plan of {fake.spec.name} has no step {step!r}")
        return found[0]

    async def force_step(self, name: str, step: str, gate: str, confirm: str) -> Accepted:
        fake = self._find(name)
        gates = {one.name: one for one in self._step(fake, step).gates if not one.ok}
        confirmed(gate, confirm)
        if gate not in gates:
            raise Conflict(f"{gate} does not hold {step}", [
                Fault("gate", f"held by {', '.join(gates) or 'nothing'}", "gate_holds")])
        if not gates[gate].forcible:
            raise Conflict(f"nobody may go past {gate}", [
                Fault("gate", "it keeps data from being lost", "gate_is_forcible")])
        fake.forced.add((step, gate))
        return self._told(fake, "gate_forced", f"{step} goes past {gate}, as people want")

    async def restart_step(self, name: str, step: str) -> Accepted:
        fake = self._find(name)
        if not self._step(fake, step).can_restart:
            raise Conflict(f"{step} cannot be begun anew", [
                Fault("", "it is done, or has not begun", "step_can_restart")])
        return self._told(fake, "step_restarted", f"{step} begins anew")

    # ---- nodes ----
    def _node(self, fake: Fake, node: str) -> int:
        for index, one in enumerate(fake.nodes):
            if one.name == node:
                return index
        raise NotFound(f"{fake.spec.name} has no node {node!r}")

    def _set_node(self, fake: Fake, node: str, **more: Any) -> None:
        index = self._node(fake, node)
        fake.nodes = [*fake.nodes[:index], fake.nodes[index].model_copy(update=more),
                      *fake.nodes[index + 1:]]

    async def replace(self, name: str, node: str, confirm: str, *,
                      dry_run: bool = False) -> Accepted:
        from standin_service import node_of

        fake = self._find(name)
        old = fake.nodes[self._node(fake, node)]
        if not dry_run:
            confirmed(node, confirm)
        if old.leaving:
            raise Conflict(f"{node} leaves already", [
                Fault("", f"{old.leaving}", "node_stays")])
        number = max(int(one.name.rsplit("-", 1)[1]) for one in fake.nodes
                     if one.group == old.group) + 1
        new = f"{old.group}-{number}"
        preview = Preview(changes=[], starts=[new], replaces=[node],
                          reasons={node: "people want it replaced"})
        if dry_run:
            return self._told(fake, "", f"{new} would take the place of {node}", changed=False,
                              preview=preview).model_copy(update={"changed": True})
        self._set_node(fake, node, leaving=f"replaced by {new}", moving=True)
        fake.nodes = [*fake.nodes, node_of(new, "planned", number)]
        return self._told(fake, "replace_asked", f"{new} takes the place of {node}",
                          preview=preview)

    async def keep(self, name: str, node: str) -> Accepted:
        fake = self._find(name)
        old = fake.nodes[self._node(fake, node)]
        if not old.leaving.startswith("replaced by"):
            raise Conflict(f"{node} is not being replaced", [
                Fault("", "it stays, or leaves for another reason", "node_is_replaced")])
        new = old.leaving.rsplit(" ", 1)[1]
        self._set_node(fake, node, leaving="", moving=False)
        fake.nodes = [one for one in fake.nodes if one.name != new]
        return self._told(fake, "kept", f"{node} stays")

    async def hold_node(self, name: str, node: str, held: bool) -> Accepted:
        fake = self._find(name)
        old = fake.nodes[self._node(fake, node)]
        if old.state == "planned" or old.leaving or old.kind == "sidecar":
            raise Conflict(f"{node} cannot be held for debugging", [
                Fault("", "only a node of Elasticsearch that has a volume and is to stay can",
                      "node_can_be_held")])
        changed = old.paused != held
        if changed:
            self._set_node(fake, node, paused=held, state="down" if held else "starting")
        return self._told(fake, "node_paused" if held else "node_continued",
                          f"{node} is {'held for debugging' if held else 'started again'}",
                          changed=changed)

    # ---- switches ----
    async def set_switch(self, name: str, switch: str, value: str,
                         timeout_s: float | None = None) -> Accepted:
        fake = self._find(name)
        self._known_switch(switch)
        if value not in VALUES[switch]:
            raise Invalid(f"{switch} cannot be set like that", [
                Fault("value", f"one of {', '.join(VALUES[switch])}", "switch_value")])
        fake.switches[switch] = SwitchView.model_validate({
            "switch": switch, "value": value, "before": BEFORE[switch], "set_at": self.clock,
            "until": None if timeout_s is None else self.clock + timeout_s})
        return self._told(fake, "switch_set", f"{switch} is {value}")

    @staticmethod
    def _known_switch(switch: str) -> None:
        if switch not in VALUES:
            raise NotFound(f"no switch is called {switch!r}; there are {', '.join(VALUES)}")

    async def restore_switch(self, name: str, switch: str) -> Accepted:
        fake = self._find(name)
        self._known_switch(switch)
        before = fake.switches.get(switch)
        if before is None or before.restoring:
            return self._told(fake, "", f"{switch} is as it was", changed=False)
        fake.switches[switch] = before.model_copy(update={"restoring": True})
        return self._told(fake, "switch_restored", f"{switch} goes back to {before.before}")

    # ---- operations ----
    async def run(self, name: str, kind: str, parameters: Any) -> OperationView:
        fake = self._find(name)
        odd = sorted(set(parameters) - PARAMETERS[kind])
        if odd:
            raise Invalid(f"{kind} does not take that", [
                Fault(field, f"not a parameter of {kind}", "parameters") for field in odd])
        if fake.health == "unknown":
            raise Conflict(f"{name} has not formed", [
                Fault("", "no node answers", "cluster_formed")])
        made = OperationView.model_validate({
            "id": f"{kind}-{len(fake.operations) + 1}", "kind": kind, "parameters": parameters,
            "status": "waiting", "asked_at": self.clock})
        fake.operations.insert(0, made)
        self.emit(name, "operation_asked", f"{kind} is asked for")
        return made

    def move_operation(self, name: str, status: str, message: str = "",
                       done: float = 0) -> OperationView:
        """The newest operation goes on."""
        fake = self._find(name)
        progress = None if status in ("waiting", "done") else ProgressView(
            done=done, total=4, unit="indices", text=f"{done:g} of 4 indices merged")
        fake.operations[0] = fake.operations[0].model_copy(update={
            "status": status, "message": message, "progress": progress,
            "ended_at": self.clock if status in ("done", "failed") else None})
        self.emit(name, "operation", f"the operation is {status}")
        return fake.operations[0]

    def operations(self, name: str) -> list[OperationView]:
        """The last ones, newest first."""
        return list(self._find(name).operations)

    # ---- secure settings ----
    def secrets(self, name: str) -> list[SecretView]:
        """By name."""
        return [one for _, one in sorted(self._find(name).secrets.items())]

    async def set_secrets(self, name: str, body: Any) -> Accepted:
        fake = self._find(name)
        if not isinstance(body, dict):
            raise Malformed("secure settings are an object of key to text")
        faults = [Fault(key, "not the name of a secure setting", "secret_name") for key in body
                  if not re.fullmatch(r"[a-z][a-zA-Z0-9_.-]{0,199}", key)]
        faults += [Fault(key, "one line of 1 to 10000 characters", "secret_value")
                   for key, value in body.items() if value is not None
                   and (not value or "\n" in value)]
        if faults:
            raise Invalid("these secure settings cannot be set", faults)
        changed = False
        for key, value in body.items():
            known = fake.secrets.get(key)
            changed |= (known is not None) if value is None else fake.kept.get(key) != value
            if value is None:
                fake.secrets.pop(key, None)
                fake.kept.pop(key, None)
            else:
                fake.kept[key] = value
                fake.secrets[key] = SecretView(key=key, set_at=self.clock,
                                               version=known.version + 1 if known else 1)
        return self._told(fake, "secrets_set", f"secure settings: {', '.join(sorted(body))}",
                          changed=changed)

    # ---- secured clusters ----
    def _secured(self, name: str) -> Fake:
        fake = self._find(name)
        if not fake.spec.security.enabled:
            raise Conflict(f"{name} is not secured", [
                Fault("", "no certificates and no users", "cluster_is_secured")])
        return fake

    async def credentials(self, name: str) -> CredentialsView:
        self._secured(name)
        self.emit(name, "credentials_shown", "somebody was told the password of elastic")
        return CredentialsView(user="elastic", password="stand-in-password",
                               ca_certificate="-----BEGIN CERTIFICATE-----\nstand-in\n")

    async def rotate_certificates(self, name: str) -> Accepted:
        return self._told(self._secured(name), "certificates_rotated",
                          "every node is to get a new certificate")

    # ---- plugins ----
    def _with_plugins(self, fake: Fake, plugins: list[Any], dry_run: bool) -> Accepted:
        try:
            new = parse_spec(fake.spec.model_dump(mode="json") | {"plugins": plugins})
        except SpecFaults as error:
            raise Invalid("this plugin cannot be installed", [
                Fault(re.sub(r"^plugins(\[\d+\])?\.?", "", fault.path) or "name", fault.message,
                      fault.rule) for fault in error.faults]) from error
        return self._change(fake, new, dry_run, None)

    async def install_plugin(self, name: str, body: Any, *, dry_run: bool = False) -> Accepted:
        fake = self._find(name)
        if not isinstance(body, dict):
            raise Malformed(f"a plugin is an object, not {type(body).__name__}")
        others = [one.model_dump(mode="json") for one in fake.spec.plugins
                  if one.name != body.get("name")]
        return self._with_plugins(fake, [*others, body], dry_run)

    async def remove_plugin(self, name: str, plugin: str, *, dry_run: bool = False) -> Accepted:
        fake = self._find(name)
        others = [one.model_dump(mode="json") for one in fake.spec.plugins if one.name != plugin]
        if len(others) == len(fake.spec.plugins):
            raise NotFound(f"{name} wants no plugin {plugin!r}")
        return self._with_plugins(fake, others, dry_run)
