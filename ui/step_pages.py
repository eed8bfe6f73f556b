"""Pages for one step or one node: force a gate, begin anew, abandon, replace, keep, hold."""
from __future__ import annotations

from typing import Any

from esaas.framework.core.errors import Fault
from esaas.framework.service.access.people import Role
from esaas.framework.service.errors import Conflict, NotFound, ServiceError
from esaas.framework.service.views import ClusterDetail, GateView, StepView
from esaas.framework.words import risk_of
from tornado.routing import URLSpec

from .change_pages import STALE_TEXT, Change, sealed

REPLACE_TEXT = ("Another node starts elsewhere, on a new volume. Then this one is drained: its "
                "shards move to the others. Then it is stopped, and its volume is destroyed.",
                "Until it is stopped you can keep it after all.")


def step_of(detail: ClusterDetail, ident: str) -> StepView:
    """A step of the plan; NotFound when it is not, or not any more, in it."""
    for phase in detail.plan.phases:
        for step in phase.steps:
            if step.id == ident:
                return step
    raise NotFound(f"the plan of {detail.name} has no step {ident!r} (any more)")


def gate_of(step: StepView, name: str) -> GateView:
    """A gate that holds a step and that people may go past; Conflict otherwise."""
    for gate in step.gates:
        if gate.name == name and not gate.ok and gate.forcible:
            return gate
    raise Conflict(f"{name} does not hold {step.title}, or nobody may go past it", [
        Fault("gate", "see the plan for what holds the step now", "gate_holds")])


class Force(Change):
    """``/clusters/NAME/force``: go past a gate, after one was told what that risks."""

    sees = Role.OPERATOR

    async def get(self, name: str) -> None:  # type: ignore[override]
        """Ask, and have the gate's name typed."""
        self.question(name, self.get_query_argument("step", ""),
                      self.get_query_argument("gate", ""))

    def question(self, name: str, step: str, gate: str, typed: str = "",
                 problem: ServiceError | None = None) -> None:
        """What is asked; with what was typed and why it was refused."""
        detail = self.context.service.show(name)
        found = step_of(detail, step)
        held = gate_of(found, gate)
        if problem is not None:
            self.set_status(problem.status)
        self.ask(detail, f"Go past {gate}?", "Force", {"step": step, "gate": gate},
                 says=(f"It holds: {found.title}. Its reason: {held.reason}.",
                       "Only this gate is passed, and only for this step. It is recorded."),
                 risk=risk_of(gate), typed=typed, must=gate, problem=problem)

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Force it when the typed name is right."""
        self.read_form()
        step, gate, typed = self.field("step"), self.field("gate"), self.field("confirm")
        try:
            await self.context.service.force_step(name, step, gate, typed)
        except (NotFound, Conflict):
            raise
        except ServiceError as problem:
            self.question(name, step, gate, typed, problem)
            return
        self.see_cluster(name, "forced")


class RestartStep(Change):
    """``/clusters/NAME/restart-step``: begin a step anew."""

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Begin it anew when somebody is sure; ask otherwise."""
        self.read_form()
        service, ident = self.context.service, self.field("step")
        step = step_of(service.show(name), ident)
        if not self.field("sure"):
            self.ask(service.show(name), f"Begin anew: {step.title}?", "Restart step",
                     {"step": ident}, says=("It begins at once, whatever back-off; a node that "
                                            "hangs is stopped and started again.",))
            return
        taken = await service.restart_step(name, ident)
        self.see_cluster(name, "step", changed=taken.changed)


class Abandon(Change):
    """``/clusters/NAME/abandon``: give up the change under way, as it was previewed."""

    sees = Role.OPERATOR

    async def get(self, name: str) -> None:  # type: ignore[override]
        """What that would do."""
        await self.show(name, self.get_query_argument("override", ""))

    async def show(self, name: str, override: str, problem: ServiceError | None = None,
                   stale: str = "") -> None:
        """The preview; or what refuses it, with the one rule that may be overridden."""
        service, taken = self.context.service, None
        detail, seal = service.show(name), ""
        if problem is None:
            try:
                taken = await service.abandon(name, dry_run=True, override=override or None)
                seal = sealed(detail.revision, override, "abandon")
            except ServiceError as error:
                problem = error
        if problem is not None:
            self.set_status(problem.status)
        self.ask(detail, f"Abandon the change of {name}?",
                 "Abandon the change" if taken is not None else "Preview",
                 {"previewed": seal}, taken,
                 says=(f"The spec of revision {detail.settled_revision}, the last that was in "
                       "force on every node, is wanted again. What the change has done so far is "
                       "taken back, gated like every change.",)
                 if detail.settled_revision is not None else (),
                 problem=problem, override=override, stale=stale)

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Give it up; or preview it anew when something has changed since."""
        self.read_form()
        service, override = self.context.service, self.field("override")
        seal = sealed(service.show(name).revision, override, "abandon")
        if self.field("previewed") != seal:
            await self.show(name, override, stale=STALE_TEXT if self.field("previewed") else "")
            return
        try:
            taken = await service.abandon(name, override=override or None)
        except ServiceError as problem:
            await self.show(name, override, problem)
            return
        self.see_cluster(name, "abandoned", changed=taken.changed)


class Replace(Change):
    """``/clusters/NAME/replace``: another node in a node's place, previewed and confirmed."""

    sees = Role.OPERATOR

    async def get(self, name: str) -> None:  # type: ignore[override]
        """What that would do, and have the node's name typed."""
        await self.question(name, self.get_query_argument("node", ""))

    async def question(self, name: str, node: str, typed: str = "",
                       problem: ServiceError | None = None) -> None:
        """The preview with the form; with what was typed and why it was refused."""
        service = self.context.service
        detail = service.show(name)
        taken = await service.replace(name, node, node, dry_run=True)
        if problem is not None:
            self.set_status(problem.status)
        self.ask(detail, f"Replace {node} of {name}?", "Replace", {"node": node}, taken,
                 says=REPLACE_TEXT, typed=typed, must=node, problem=problem)

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Replace it when the typed name is right."""
        self.read_form()
        node, typed = self.field("node"), self.field("confirm")
        try:
            await self.context.service.replace(name, node, typed)
        except (NotFound, Conflict):
            raise
        except ServiceError as problem:
            await self.question(name, node, typed, problem)
            return
        self.see_cluster(name, "replacing")


class Keep(Change):
    """``/clusters/NAME/keep``: take a replacement back."""

    notice = "kept"

    async def act(self, name: str, node: str) -> Any:
        """What is done."""
        return await self.context.service.keep(name, node)

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Do it at once: it hurts nobody."""
        self.read_form()
        taken = await self.act(name, self.field("node"))
        self.see_cluster(name, self.notice, changed=taken.changed)


class Release(Keep):
    """``/clusters/NAME/release``: start a node again that was held."""

    notice = "released"

    async def act(self, name: str, node: str) -> Any:
        """What is done."""
        return await self.context.service.hold_node(name, node, False)


class Hold(Change):
    """``/clusters/NAME/hold``: stop a node and keep it for debugging."""

    async def post(self, name: str) -> None:  # type: ignore[override]
        """Stop it when somebody is sure; ask otherwise."""
        self.read_form()
        service, node = self.context.service, self.field("node")
        detail = service.show(name)
        if node not in {one.name for one in detail.nodes}:
            raise NotFound(f"{name} has no node {node!r}")
        if not self.field("sure"):
            self.ask(detail, f"Pause {node} of {name} for debugging?", "Pause", {"node": node},
                     says=("It is stopped as soon as the gates allow, and stays down until you "
                           "continue it. Sandbox and volume stay as they are.",))
            return
        taken = await service.hold_node(name, node, True)
        self.see_cluster(name, "held", changed=taken.changed)


def step_rules() -> list[URLSpec]:
    """The addresses of these pages."""
    return [URLSpec(rf"/clusters/(?P<name>[^/]+)/{tail}", page) for tail, page in (
        ("force", Force), ("restart-step", RestartStep), ("abandon", Abandon),
        ("replace", Replace), ("keep", Keep), ("hold", Hold), ("release", Release))]
