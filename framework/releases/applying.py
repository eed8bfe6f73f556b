"""Carrying out a release by the API: looked at first, on record, then cluster after cluster."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..client import Client, Refused
from ..core.errors import EsaasError
from ..core.spec import ClusterSpec
from .git import Commit
from .layout import chosen_groups, in_order

WAITS_FOR = "remote_is_ours"        # the rule that a cluster breaks whose remote is not there yet


class NothingBegun(EsaasError):
    """Some cluster would be refused, so none was changed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One cluster of a release."""

    cluster: str
    tenant: str
    action: str                         # create, update, same, roll_back
    spec: Mapping[str, Any] | None = None
    revision_before: int | None = None
    changes: tuple[str, ...] = ()
    preview: Mapping[str, Any] | None = None
    refused: tuple[str, ...] = ()       # a line for each rule

    def record(self) -> dict[str, Any]:
        """As the service keeps it."""
        found = asdict(self)
        for name in ("preview", "refused"):
            del found[name]
        return found


@dataclass(frozen=True, slots=True)
class Planned:
    """A release that has not begun."""

    steps: tuple[Step, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether anything would change."""
        return any(step.action != "same" for step in self.steps)

    @property
    def refused(self) -> list[str]:
        """Why it cannot begin."""
        return [f"{step.cluster}: {line}" for step in self.steps for line in step.refused]

    def drift(self) -> dict[str, tuple[str, ...]]:
        """By cluster, what differs from what runs."""
        return {step.cluster: step.changes or (step.action,) for step in self.steps
                if step.action != "same"}


def about(commit: Commit, environment: str, groups: Sequence[str]) -> dict[str, Any]:
    """What a release is of."""
    return {"kind": "release", "repository": commit.repository, "ref": commit.ref,
            "commit": commit.sha, "commit_author": commit.author[:500],
            "commit_subject": commit.subject[:500], "committed_at": commit.at,
            "environment": environment, "groups": list(groups)}


def plan(client: Client, specs: Mapping[str, ClusterSpec], groups: tuple[str, ...] = (),
         told: Mapping[str, Any] | None = None) -> Planned:
    """What releasing these specs would do; nothing is changed. ClientError, LayoutFaults."""
    order = in_order(specs)
    steps: list[Step] = []
    for name in order:
        running = _running(client, name)
        coming = {step.cluster for step in steps if step.action == "create"}
        if running is None:
            steps.append(_creation(client, specs[name], groups, coming))
        else:
            wanted = (chosen_groups(running["spec"], specs[name], groups) if groups
                      else specs[name].model_dump(mode="json"))
            steps.append(_update(client, running, wanted, coming))
    return Planned(tuple(steps), told or {})


def _running(client: Client, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.get(client.cluster(name))
        return found
    except Refused as error:
        if error.status == 404:
            return None
        raise


def _creation(client: Client, spec: ClusterSpec, groups: tuple[str, ...],
              coming: set[str]) -> Step:
    nodes = ", ".join(f"{one.count} {one.name}" for one in spec.groups)
    step = Step(spec.name, spec.tenant, "create", spec.model_dump(mode="json"),
                changes=(f"create with {nodes}",))
    if groups:
        return replace(step, refused=("does not exist: release all of its groups first",))
    try:
        client.post("/v1/clusters", step.spec, dry_run=True)
    except Refused as error:
        return _refused(step, error, coming)
    return step


def _update(client: Client, running: Mapping[str, Any], wanted: Mapping[str, Any],
            coming: set[str]) -> Step:
    step = Step(running["name"], running["tenant"], "update", wanted, running["revision"])
    try:
        dry = client.put(client.cluster(step.cluster), wanted, dry_run=True)
    except Refused as error:
        return _refused(step, error, coming)
    if not dry["changed"]:
        return replace(step, action="same")
    return replace(step, changes=tuple(dry["preview"]["changes"]), preview=dry["preview"])


def _refused(step: Step, error: Refused, coming: set[str]) -> Step:
    """Why a step cannot be made; what only waits for a cluster before it is fine."""
    if error.faults and coming and all(fault.rule == WAITS_FOR for fault in error.faults):
        return step
    lines = tuple(f"{fault.path + ': ' if fault.path else ''}{fault.message} ({fault.rule})"
                  for fault in error.faults) or (error.message,)
    return replace(step, refused=lines)


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one cluster."""

    step: Step
    outcome: str
    revision: int | None
    message: str


def carry_out(client: Client, planned: Planned,
              settled: Callable[[str, int], bool] = lambda name, revision: True,
              ) -> Iterator[Came]:
    """Put it on record and change cluster after cluster; the rest is skipped after a refusal.

    ``settled(cluster, revision)`` may wait for a cluster before the next is changed; False stops
    the release there. Raises NothingBegun, ClientError.
    """
    if planned.refused:
        raise NothingBegun("nothing was changed: " + "; ".join(planned.refused))
    release = client.post("/v1/releases", dict(planned.about) | {
        "clusters": [step.record() for step in planned.steps]})["release"]
    stopped = ""
    for step in planned.steps:
        if stopped:
            came = Came(step, "skipped", None, stopped)
        else:
            came = _made(client, step)
            if came.outcome == "refused":
                stopped = f"{step.cluster} was refused"
        client.post(f"/v1/releases/{release['id']}/outcomes", {
            "cluster": step.cluster, "outcome": came.outcome, "revision": came.revision,
            "message": came.message[:5000]})
        yield came
        if came.outcome == "done" and came.revision is not None and not settled(
                step.cluster, came.revision):
            stopped = f"{step.cluster} did not settle in time"


def _made(client: Client, step: Step) -> Came:
    if step.action == "same":
        return Came(step, "same", step.revision_before, "")
    try:
        if step.action == "roll_back":
            done = client.post(client.cluster(step.cluster, "rollback"),
                               {"revision": step.revision_before})
        elif step.action == "create":
            done = client.post("/v1/clusters", step.spec)
        else:
            done = client.put(client.cluster(step.cluster), step.spec)
    except Refused as error:
        return Came(step, "refused", None, str(error))
    return Came(step, "done" if done["changed"] else "same", done["revision"], done["message"])


def again(client: Client, release: Mapping[str, Any]) -> Planned:
    """A release once more, by the specs that are on its record."""
    steps = []
    for one in release["clusters"]:
        spec = one["spec"]
        if spec is None:
            raise NothingBegun(f"release {release['id']} has no spec of {one['cluster']}")
        running = _running(client, one["cluster"])
        steps.append(_creation(client, ClusterSpec.model_validate(spec), (), set())
                     if running is None else _update(client, running, spec, set()))
    return Planned(tuple(steps), _of(release, "repeat"))


def back(client: Client, release: Mapping[str, Any]) -> Planned:
    """Every cluster that a release has changed, back to the revision before it."""
    steps = []
    for one in reversed(release["clusters"]):
        if one["outcome"] != "done":
            continue
        step = Step(one["cluster"], one["tenant"], "roll_back",
                    revision_before=one["revision_before"])
        if one["revision_before"] is None:
            steps.append(replace(step, refused=(
                "was created by it: delete the cluster if it is to go",)))
            continue
        try:
            dry = client.post(client.cluster(step.cluster, "rollback"),
                              {"revision": step.revision_before}, dry_run=True)
        except Refused as error:
            steps.append(_refused(step, error, set()))
            continue
        steps.append(replace(
            step, action="roll_back" if dry["changed"] else "same",
            changes=tuple(dry["preview"]["changes"]) if dry["changed"] else (),
            preview=dry["preview"]))
    if not steps:
        raise NothingBegun(f"release {release['id']} has changed nothing")
    return Planned(tuple(steps), _of(release, "roll_back"))


def _of(release: Mapping[str, Any], kind: str) -> dict[str, Any]:
    kept = ("repository", "ref", "commit", "commit_author", "commit_subject", "committed_at",
            "environment", "groups")
    return {name: release[name] for name in kept} | {"kind": kind, "of": release["id"]}
