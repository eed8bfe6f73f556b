"""The part of the REST API about hosts: what is on them, taking them out of service."""
from __future__ import annotations

from esaas.framework.service.access.people import Principal, Role
from esaas.framework.service.hosts import check_host
from esaas.framework.service.views import AgentView

from .models import ConfirmRequest, DrainRequest
from .route import CLUSTER, Answer, Call, Reply, change, get, post, taken

AGENT = "/v1/agents/{host}"
DONE = {200: Answer("as it is now; the work goes on in the background", AgentView)}


def seen(agent: AgentView, principal: Principal) -> AgentView:
    """A host without the nodes of tenants that are not one's own."""
    return agent.model_copy(update={
        "nodes": [seat for seat in agent.nodes if principal.sees(seat.tenant)]})


async def agents(call: Call) -> Reply:
    """``GET /v1/agents``."""
    return Reply([seen(one, call.principal) for one in call.service.agents()])


async def agent(call: Call) -> Reply:
    """``GET /v1/agents/{host}``."""
    return Reply(seen(call.service.agent(check_host(call.path["host"])), call.principal))


async def drain(call: Call) -> Reply:
    """``POST /v1/agents/{host}/drain``."""
    return Reply(await call.service.drain_agent(
        check_host(call.path["host"]), call.body.mode, call.body.begins_in_s, call.body.lasts_s))


async def restore(call: Call) -> Reply:
    """``DELETE /v1/agents/{host}/drain``."""
    return Reply(await call.service.restore_agent(check_host(call.path["host"])))


async def reregister(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/reregister``."""
    return taken(await call.service.reregister(call.name, call.body.confirm))


async def release_orphan(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/orphans/{orphan}/release``."""
    return taken(await call.service.release_orphan(
        call.name, call.path["orphan"], call.body.confirm))


HOST_ROUTES = (
    get("/v1/agents", agents, "listAgents", "Hosts with nodes of this service, and what is on "
        "them", list[AgentView]),
    get(AGENT, agent, "showAgent", "One host", AgentView),
    post(f"{AGENT}/drain", drain, "drainAgent", "Take a host out of service: its nodes are stopped "
         "in order, or moved away first, gated as any change", body=DrainRequest, answers=DONE,
         role=Role.ADMIN),
    change("DELETE", f"{AGENT}/drain", restore, "restoreAgent", "Put a host back into service",
           answers=DONE, role=Role.ADMIN),
    post(f"{CLUSTER}/reregister", reregister, "reregisterCluster", "Register as a new framework "
         "after its own was removed from Mesos; nodes start again on their volumes",
         body=ConfirmRequest),
    post(f"{CLUSTER}/orphans/{{orphan}}/release", release_orphan, "releaseOrphan", "Free what is "
         "reserved for the cluster and belongs to no node; its volume is destroyed",
         body=ConfirmRequest),
)
