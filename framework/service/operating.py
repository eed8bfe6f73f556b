"""What people do with running clusters beside changing them: switches, errands, secure settings."""
from __future__ import annotations

import re
import time
import uuid
from abc import abstractmethod
from typing import Any

from ..core import events as ev
from ..core.errands import KINDS
from ..core.errands import find as find_errand
from ..core.errors import Fault
from ..core.snapshot_spec import INDICES
from ..core.snapshots import ASKABLE
from ..core.spec import SECURED_SETTINGS
from ..core.switches import KEYS, VALUES
from ..runtime.loop import ClusterLoop
from ..store.contract import StoreError
from . import present
from .base import confirmed
from .errors import Conflict, Invalid, Malformed, NotFound, Unavailable
from .snapshotting import Snapshotting
from .vault import Vault
from .views import Accepted, OperationView, SecretView

REMOVED = "removed"                 # how Mesos names a framework that was torn down
MAX_SWITCH_S = 30 * 86400.0
MAX_SECRETS = 100
MAX_SECRET_CHARS = 10_000
CACHES = ("query", "request", "fielddata")
_SECRET = re.compile(r"[a-z][a-zA-Z0-9_.-]{0,199}")


class Operating(Snapshotting):
    """The part of ``ClusterService`` that acts on running clusters."""

    _vault: Vault

    @abstractmethod
    async def take_up(self, name: str) -> None:
        """Run a stored cluster here."""

    @abstractmethod
    async def hand_over(self, name: str) -> None:
        """Run it no more."""

    # ------------------------------------------------------------------- framework

    async def reregister(self, name: str, confirm: str) -> Accepted:
        """Another framework for one that an operator has removed; nodes start on their volumes."""
        loop = self._loop(name)
        confirmed(confirm, name, "another framework")
        async with loop.changing:
            error = loop.state.link.error
            if REMOVED not in error:
                raise Conflict(f"the framework of {name} was not removed", [
                    Fault("", "Mesos must have said that it was removed" + (
                        f"; it says: {error}" if error else ""), "framework_removed")])
            renewed = f"esaas-{name}-{loop.state.identity.uid}-{uuid.uuid4().hex[:6]}"
            await self._command(loop, ev.FrameworkRenewed(time.time(), renewed))
        await self.hand_over(name)
        await self.take_up(name)
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{name} registers as {renewed}")

    # --------------------------------------------------------------------- orphans

    async def release_orphan(self, name: str, orphan: str, confirm: str) -> Accepted:
        """Destroy what belongs to no node, with the volume that it may be; its id confirms it."""
        loop = self._loop(name)
        found = loop.state.orphans.get(orphan)
        if found is None:
            known = ", ".join(sorted(loop.state.orphans)) or "none"
            raise NotFound(f"{name} has no orphan {orphan!r}; there are: {known}")
        confirmed(confirm, orphan, "the end of a volume" if found.volume else "a release")
        await self._command(loop, ev.OrphanReleased(time.time(), orphan))
        return Accepted(cluster=name, revision=loop.state.revision, changed=not found.released,
                        message=f"{orphan} on {found.host} is released when it is offered next")

    # -------------------------------------------------------------------- switches

    async def set_switch(self, name: str, switch: str, value: str,
                         timeout_s: float | None = None) -> Accepted:
        """Set a switch, for a while or until it is restored."""
        loop = self._loop(name)
        self._known_switch(switch)
        faults = []
        if value not in VALUES[switch]:
            faults.append(Fault("value", f"one of {', '.join(VALUES[switch])}, not {value[:80]!r}",
                                "switch_value"))
        if timeout_s is not None and not 0 < timeout_s <= MAX_SWITCH_S:
            faults.append(Fault("timeout_s", f"above 0 and at most {MAX_SWITCH_S:.0f} seconds",
                                "switch_timeout"))
        if faults:
            raise Invalid(f"{switch} cannot be set like that", faults)
        async with loop.changing:
            self._formed(loop)
            now = time.time()
            until = now + timeout_s if timeout_s is not None else None
            await self._command(loop, ev.SwitchSet(now, switch, value, until))
        back = "until it is restored" if timeout_s is None else f"for {timeout_s:g} s"
        return Accepted(cluster=name, revision=loop.state.revision,
                        message=f"{switch} is {value} {back}")

    async def restore_switch(self, name: str, switch: str) -> Accepted:
        """Let a switch go back now."""
        loop = self._loop(name)
        self._known_switch(switch)
        async with loop.changing:
            changed = switch in loop.state.switches
            if changed:
                await self._command(loop, ev.SwitchBack(time.time(), switch))
        return Accepted(cluster=name, revision=loop.state.revision, changed=changed,
                        message=f"{switch} goes back to what it was" if changed
                        else f"{switch} is not set by anybody")

    @staticmethod
    def _known_switch(switch: str) -> None:
        if switch not in KEYS:
            raise NotFound(f"no switch is called {switch!r}; there are {', '.join(KEYS)}")

    def _formed(self, loop: ClusterLoop) -> None:
        self._not_deleting(loop)
        if loop.state.bootstrap.cluster_uuid is None:
            raise Conflict(f"{loop.name} has not formed yet", [
                Fault("", "the founding nodes have not formed a cluster yet", "cluster_formed")])

    # --------------------------------------------------------------------- errands

    async def run(self, name: str, kind: str, parameters: Any) -> OperationView:
        """Do something once, on record."""
        loop = self._loop(name)
        if not isinstance(parameters, dict):
            raise Malformed("parameters are an object")
        if kind not in (*KINDS, *ASKABLE):
            raise Invalid("no such operation", [
                Fault("kind", f"one of {', '.join((*KINDS, *ASKABLE))}, not {kind[:80]!r}",
                      "operation_kind")])
        async with loop.changing:
            if kind in ASKABLE:
                event = self.asked_of_snapshots(loop, kind, parameters)
                self._formed(loop)
            else:
                checked = _parameters(kind, parameters)
                self._formed(loop)
                event = ev.ErrandAsked(time.time(), uuid.uuid4().hex[:12], kind, checked)
            errand = event.errand
            await self._command(loop, event)
        found = find_errand(loop.state, errand)
        assert found is not None
        return present.operation_view(found)

    def operations(self, name: str) -> list[OperationView]:
        """What was done once, newest first."""
        return present.operation_views(self._loop(name).state, time.time())

    # ------------------------------------------------------------- secure settings

    def secrets(self, name: str) -> list[SecretView]:
        """Secure settings, without their values."""
        return present.secret_views(self._loop(name).state)

    async def set_secrets(self, name: str, body: Any) -> Accepted:
        """Set secure settings, or take them out; nodes get them one by one."""
        loop = self._loop(name)
        if not isinstance(body, dict) or not body:
            raise Malformed("secure settings are an object: name to text, or to null")
        async with loop.changing:
            self._not_deleting(loop)
            known = set(loop.state.secrets)
            faults = _secret_faults(body, known)
            if loop.state.spec.major <= 6:
                faults += [Fault(str(key)[:80], "the keystore of 6.x takes lower case only",
                                 "secret_name") for key in body if str(key) != str(key).lower()]
            if loop.state.tls is not None:
                faults += [Fault(str(key)[:80], "set by the service itself on a secured cluster",
                                 "secret_name") for key in body
                           if re.fullmatch(rf"bootstrap\.password|{SECURED_SETTINGS}", str(key))]
            if faults:
                raise Invalid("these secure settings cannot be stored", faults)
            values = self._vault.read(loop.cycle)
            added = tuple(sorted(key for key, value in body.items()
                                 if value is not None and values.get(key) != value))
            removed = tuple(sorted(key for key, value in body.items()
                                   if value is None and key in known))
            kept = {key: value for key, value in values.items() if key not in removed}
            if added or removed:
                try:
                    # The value first: a node that starts in between gets it early, never late.
                    self._vault.write(loop.cycle, kept | {key: body[key] for key in added})
                except StoreError as error:
                    raise Unavailable("the secure settings could not be stored") from error
                await self._command(loop, ev.SecretsChanged(time.time(), added, removed))
        told = [f"{what}: {', '.join(keys)}" for what, keys in (
            ("set", added), ("taken out", removed)) if keys]
        return Accepted(cluster=name, revision=loop.state.revision, changed=bool(told),
                        message="; ".join(told) or "nothing to change")


def _secret_faults(body: dict[Any, Any], known: set[str]) -> list[Fault]:
    """What is wrong with names and values; a value is never quoted."""
    faults = []
    for key, value in body.items():
        if not isinstance(key, str) or not _SECRET.fullmatch(key):
            faults.append(Fault(str(key)[:80], "not the name of a secure setting", "secret_name"))
        elif key.startswith("keystore."):
            faults.append(Fault(key, "the keystore's own", "secret_name"))
        elif value is not None and not isinstance(value, str):
            faults.append(Fault(key, "text, or null to take it out", "secret_value"))
        elif isinstance(value, str) and (not value or len(value) > MAX_SECRET_CHARS
                                         or "\n" in value or "\r" in value):
            faults.append(Fault(key, f"one line of 1 to {MAX_SECRET_CHARS} characters",
                                "secret_value"))
    after = known | {key for key, value in body.items() if value is not None}
    if len(after) > MAX_SECRETS:
        faults.append(Fault("(body)", f"at most {MAX_SECRETS} secure settings", "secret_count"))
    return faults


def _parameters(kind: str, given: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Checked parameters of an errand as texts; Invalid with every fault."""
    allowed = {"flush": {"index"}, "clear_cache": {"index", "kinds"},
               "force_merge": {"index", "max_segments"}, "reroute_retry": set()}[kind]
    faults = [Fault(str(key)[:80], f"{kind} takes {', '.join(sorted(allowed)) or 'nothing'}",
                    "extra_forbidden") for key in given if key not in allowed]
    found: dict[str, str] = {}
    index = given.get("index")
    if index is not None and (not isinstance(index, str) or not INDICES.fullmatch(index)):
        faults.append(Fault("index", "a name or pattern of indices, several with commas", "index"))
    elif index:
        found["index"] = index
    kinds = given.get("kinds") or []
    if not isinstance(kinds, list) or any(item not in CACHES for item in kinds):
        faults.append(Fault("kinds", f"a list of {', '.join(CACHES)}", "caches"))
    elif kinds and "kinds" in allowed:
        found["kinds"] = ",".join(item for item in CACHES if item in kinds)
    segments = given.get("max_segments")
    if segments is not None and (isinstance(segments, bool) or not isinstance(segments, int)
                                 or not 1 <= segments <= 1000):
        faults.append(Fault("max_segments", "a whole number from 1 to 1000", "max_segments"))
    elif segments is not None:
        found["max_segments"] = str(segments)
    if faults:
        raise Invalid(f"{kind} cannot be done like that", faults)
    return tuple(sorted(found.items()))
